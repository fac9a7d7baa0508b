/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What has grown since an earlier look.
 *
 * Objects are known by their addresses: what has the same address and type is taken for the same
 * object. A container that was replaced (a cache that is rebuilt) has another address. It is known
 * by its path, if its type is the same.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/large.h"
#include "heap/holders_private.h"

/* Objects that retain fewer bytes are not kept. At most so many others are. */
#define KEPT_LEAST 1024
#define KEPT_MOST  (1u << 20)
/* Paths are kept of so many holders. */
#define NAMED_MOST 256
/* A holder is new if it held less than this part of what it holds now. */
#define NEW_PART 64

struct past_object {
	uint64_t addr, type; /* `type` is the address of its type; 0: C code has that memory */
	uint64_t entries, retained;
};

struct past_path {
	char *path, *type;
	uint64_t entries, retained;
};

struct holders_past {
	struct past_object *objects; /* in order of address */
	size_t object_count;
	uint64_t least; /* bytes: objects that retained less are not among them */
	struct past_path *paths;
	size_t path_count;
};

/* --- keeping --- */

/* Is it kept? Buffers of objects are not: the objects are. */
static bool is_kept(const struct heap_graph *graph, uint32_t block, uint64_t least)
{
	return graph->tier[block] != TIER_NONE && graph->retained[block] >= least &&
	       (heap_blocks_type(graph->view.blocks, block) >= 0 ||
		heap_graph_owner(graph, block) == BLOCK_NONE);
}

static uint64_t type_addr(const struct heap_view *view, uint32_t block)
{
	const struct heap_type *type = view_type(view, block);

	return type ? type->addr : 0;
}

/* The least power of two, in bytes, that no more than KEPT_MOST objects retain. *count: how many
 * do. */
static uint64_t find_least(const struct heap_graph *graph, size_t *count)
{
	size_t by_power[64] = {0}, sum = 0;
	unsigned power = 63;

	for (uint32_t block = 0; block < graph->blocks; block++) {
		if (is_kept(graph, block, KEPT_LEAST))
			by_power[63 - __builtin_clzll(graph->retained[block])]++;
	}
	while (power && sum + by_power[power] <= KEPT_MOST && 1ull << power > KEPT_LEAST / 2)
		sum += by_power[power--];
	*count = sum;
	return 2ull << power;
}

static int keep_objects(const struct heap_graph *graph, struct holders_past *past)
{
	const struct heap_view *view = &graph->view;
	size_t count;

	past->least = find_least(graph, &count);
	past->objects = large_new(count * sizeof(*past->objects));
	if (!past->objects)
		return -ENOMEM;
	past->object_count = count;
	count = 0;
	for (uint32_t block = 0; block < graph->blocks && count < past->object_count; block++) {
		struct past_object *object = &past->objects[count];

		if (!is_kept(graph, block, past->least))
			continue;
		object->addr = heap_blocks_object(view->blocks, block);
		object->type = type_addr(view, block);
		object->retained = graph->retained[block];
		picks_entries(view, block, &object->entries);
		count++;
	}
	past->object_count = count;
	return 0;
}

static int keep_paths(struct heap_graph *graph, struct holders_past *past)
{
	struct holder *holders;
	size_t count;
	/* A row of blocks that lie in two holders has no address. It would be new in the next look
	 * if its path were not kept. So all of these are kept, with those that are a little too
	 * small for a row now. */
	int err = holders_find_uncut(graph, NAMED_MOST, 2, &holders, &count);

	if (err)
		return err;
	past->paths = calloc(count + 1, sizeof(*past->paths));
	for (size_t i = 0; past->paths && i < count; i++) {
		past->paths[i] = (struct past_path){
			.path = holders[i].path,
			.type = holders[i].type,
			.entries = holders[i].entries,
			.retained = holders[i].retained_bytes,
		};
		holders[i].path = holders[i].type = NULL;
		past->path_count++;
	}
	heap_holders_free(holders, count);
	return past->paths ? 0 : -ENOMEM;
}

int heap_holders_keep(struct heap_graph *graph, struct holders_past **past)
{
	struct holders_past *kept = calloc(1, sizeof(*kept));
	int err;

	*past = NULL;
	if (!kept)
		return -ENOMEM;
	err = keep_objects(graph, kept);
	if (!err)
		err = keep_paths(graph, kept);
	if (err)
		heap_holders_past_free(kept);
	else
		*past = kept;
	return err;
}

void heap_holders_past_free(struct holders_past *past)
{
	if (!past)
		return;
	for (size_t i = 0; i < past->path_count; i++) {
		free(past->paths[i].path);
		free(past->paths[i].type);
	}
	free(past->paths);
	large_free(past->objects, past->object_count * sizeof(*past->objects));
	free(past);
}

/* --- comparing --- */

struct comparison {
	const struct heap_graph *graph;
	const struct holders_past *past;
};

static const struct past_object *find_object(const struct comparison *c, uint32_t block)
{
	const struct heap_view *view = &c->graph->view;
	uint64_t addr = heap_blocks_object(view->blocks, block);
	size_t low = 0, high = c->past->object_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->past->objects[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == c->past->object_count || c->past->objects[low].addr != addr ||
	    c->past->objects[low].type != type_addr(view, block))
		return NULL;
	return &c->past->objects[low];
}

static bool growth_of(const void *arg, uint32_t block, int64_t *growth)
{
	const struct comparison *c = arg;
	const struct past_object *object = find_object(c, block);

	if (object)
		*growth = (int64_t)(c->graph->retained[block] - object->retained);
	return object != NULL;
}

/* The path that the holder had in the past; NULL. Memory that C code has is named after a file, as
 * much other memory is: such a path does not identify it. */
static const struct past_path *find_path(const struct holders_past *past,
					 const struct holder *holder)
{
	bool is_telling = !holder->object || holder->tier <= ROOT_FRAME;

	for (size_t i = 0; i < past->path_count && is_telling; i++) {
		if (!strcmp(past->paths[i].path, holder->path) &&
		    !strcmp(past->paths[i].type, holder->type))
			return &past->paths[i];
	}
	return NULL;
}

static void compare_one(const struct comparison *c, struct holder *holder)
{
	const struct past_object *object = holder->object ? find_object(c, holder->block) : NULL;
	const struct past_path *path = object ? NULL : find_path(c->past, holder);
	uint64_t entries = object ? object->entries : path ? path->entries : 0;
	uint64_t retained = object ? object->retained : path ? path->retained : 0;

	holder->grown_bytes = (int64_t)(holder->retained_bytes - retained);
	holder->is_new = retained < holder->retained_bytes / NEW_PART;
	if (holder->has_entries)
		holder->entries_grown = (int64_t)(holder->entries - entries);
}

/* Growth by which holders are put in order. What is new counts with all that it holds. */
static int64_t rank_of(const struct comparison *c, uint32_t block)
{
	int64_t growth;

	return growth_of(c, block, &growth) ? growth : (int64_t)c->graph->retained[block];
}

static int by_growth(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	if (x->grown_bytes != y->grown_bytes)
		return x->grown_bytes > y->grown_bytes ? -1 : 1;
	if (x->retained_bytes != y->retained_bytes)
		return x->retained_bytes > y->retained_bytes ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

static int by_rank(const void *a, const void *b, void *arg)
{
	int64_t x = rank_of(arg, *(const uint32_t *)a), y = rank_of(arg, *(const uint32_t *)b);

	if (x != y)
		return x > y ? -1 : 1;
	return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

/* Puts rows in order: half of them are those that grew most, then come those that retain most. The
 * number of rows to show. */
static size_t choose_blocks(const struct comparison *c, struct picks *picks, size_t most)
{
	size_t grown = picks->row_count < most ? picks->row_count : most / 2;

	if (picks->row_count)
		qsort_r(picks->rows, picks->row_count, sizeof(*picks->rows), by_rank, (void *)c);
	holders_sort_blocks(c->graph, picks->rows + grown, picks->row_count - grown);
	return picks->row_count < most ? picks->row_count : most;
}

/* The same for holders that are filled in. In the end they are in order of growth. */
static void choose(struct holder *holders, size_t *count, size_t most)
{
	size_t grown = 0;

	qsort(holders, *count, sizeof(*holders), by_growth);
	while (grown < *count && grown < most / 2 && holders[grown].grown_bytes > 0)
		grown++;
	holders_sort(holders + grown, *count - grown);
	holders_cut(holders, count, most);
	qsort(holders, *count, sizeof(*holders), by_growth);
}

static int compare_all(const struct comparison *c, struct picks *picks, size_t most,
		       struct holder **holders, size_t *count)
{
	struct both *both;
	int err = both_find(c->graph, picks->least, picks->least, &both);

	if (err)
		return err;
	both_take_out(both, picks->rows, &picks->row_count);
	*count = choose_blocks(c, picks, most);
	*holders = calloc(*count + 1, sizeof(**holders));
	err = *holders ? 0 : -ENOMEM;
	if (err)
		*count = 0;
	else
		err = holders_fill(c->graph, picks->rows, *count, *holders);
	if (!err)
		err = both_add(both, holders, count);
	both_free(both);
	for (size_t i = 0; i < *count && !err; i++)
		compare_one(c, &(*holders)[i]);
	if (!err)
		choose(*holders, count, most);
	return err;
}

int heap_holders_compare(struct heap_graph *graph, const struct holders_past *past, size_t most,
			 struct holder **holders, size_t *count)
{
	struct comparison comparison = {.graph = graph, .past = past};
	struct picks picks;
	int err = picks_init(&picks, graph, growth_of, &comparison);

	*holders = NULL;
	*count = 0;
	if (err)
		return err;
	for (size_t i = 0; i < picks.row_count; i++)
		picks.rows[i] = picks.list[picks.rows[i]].block;
	err = compare_all(&comparison, &picks, most, holders, count);
	picks_fini(&picks);
	if (err) {
		heap_holders_free(*holders, *count);
		*holders = NULL;
		*count = 0;
	}
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which blocks are worth a row? They are looked for from the top of the dominator tree down.
 *
 *   - Blocks that a person does not think of (buffers, a __dict__, cells) are passed over.
 *   - A container is a row. An entry of it is another one only if it has a quarter of the
 *     container, or nine tenths of its growth. If one entry has nine tenths of it, that entry is
 *     the row.
 *   - Any other object is left to what is in it if that makes nine tenths of it. Else it is a row,
 *     and so may be what is in it. What lies beside an entry of nine tenths may be a row, too: a
 *     leak beside a large table.
 *   - A chain, where each has nine tenths of the one before, is one row, its first: the list is
 *     meant, not its end.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/large.h"
#include "heap/holders_private.h"
#include "heap/object_read.h"
#include "model/heap_look.h"

#define CHAIN_MAX 16
/* An entry with nine tenths of the growth of its row gets a row of its own, if it grew by at least
 * so many bytes. */
#define GROWTH_LEAST 16384

struct walk {
	struct picks *picks;
	/* Still to be looked at. */
	struct visit {
		uint32_t pick;
		uint32_t chain_first; /* index of a pick */
		uint32_t chain_length;
	} * todo;
	size_t todo_count, todo_room;
	/* What is in the present one, without blocks that are passed over. */
	uint32_t *inside;
	size_t inside_count, inside_room;
	uint64_t inside_bytes;
	uint32_t largest; /* index of a pick; PICK_NONE */
};

static uint64_t retained_by(const struct walk *w, uint32_t pick)
{
	return w->picks->graph->retained[w->picks->list[pick].block];
}

static bool is_part(uint64_t part, uint64_t whole, unsigned tenths)
{
	return part / 10 >= whole / 100 * tenths;
}

/* --- candidates --- */

static uint32_t pick_of(const struct picks *picks, uint32_t block)
{
	uint32_t low = 0, high = picks->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (picks->list[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	return low < picks->count && picks->list[low].block == block ? low : PICK_NONE;
}

static bool is_candidate(const struct picks *picks, uint32_t block)
{
	return picks->graph->tier[block] != TIER_NONE &&
	       picks->graph->retained[block] >= picks->least;
}

static void link_up(struct picks *picks)
{
	/* Backwards, so that each list is in order of block. */
	for (uint32_t i = picks->count; i-- > 0;) {
		uint32_t dominator = heap_graph_dominator(picks->graph, picks->list[i].block);
		uint32_t above = dominator == BLOCK_NONE ? PICK_NONE : pick_of(picks, dominator);
		uint32_t *first = above == PICK_NONE ? &picks->top : &picks->list[above].below;

		picks->list[i].beside = *first;
		*first = i;
	}
}

static int find_candidates(struct picks *picks, pick_growth_fn *growth, const void *arg)
{
	const struct heap_graph *graph = picks->graph;
	uint32_t count = 0;

	picks->least = graph->retained[graph->blocks] / HEAP_LOOK_LEAST_PART;
	if (picks->least < HEAP_LOOK_LEAST_BYTES)
		picks->least = HEAP_LOOK_LEAST_BYTES;
	for (uint32_t block = 0; block < graph->blocks; block++)
		count += is_candidate(picks, block);
	picks->list = large_new((size_t)count * sizeof(*picks->list));
	if (!picks->list)
		return -ENOMEM;
	picks->count = count;
	count = 0;
	for (uint32_t block = 0; block < graph->blocks; block++) {
		struct pick pick = {.block = block, .below = PICK_NONE, .beside = PICK_NONE};

		if (!is_candidate(picks, block))
			continue;
		if (growth && !growth(arg, block, &pick.growth))
			pick.growth = (int64_t)graph->retained[block];
		picks->list[count++] = pick;
	}
	link_up(picks);
	return 0;
}

/* --- what they are --- */

/* The cache of functools is known by its wrapper. */
static bool is_lru_cache(const struct heap_type *type)
{
	return !strcmp(type->name, "functools._lru_cache_wrapper");
}

bool picks_is_container(const struct heap_view *view, uint32_t block)
{
	const struct heap_type *type = view_type(view, block);

	if (!type)
		return false;
	switch (type->kind) {
	case TYPE_LIST:
	case TYPE_TUPLE:
	case TYPE_DICT:
	case TYPE_SET:
	case TYPE_DEQUE:
		return true;
	default:
		return is_lru_cache(type);
	}
}

/* The dict of a cache: the first of its fields that is a dict. Its __dict__ comes later. 0: none.
 */
static uint64_t cache_of(const struct heap_view *view, uint64_t object,
			 const struct heap_type *type)
{
	for (uint64_t at = view->heap->object_head; at + sizeof(uint64_t) <= type->basicsize;
	     at += sizeof(uint64_t)) {
		uint64_t word = object_word(view, object + at);

		if (view_is(view, view_target(view, word), TYPE_DICT))
			return word;
	}
	return 0;
}

bool picks_entries(const struct heap_view *view, uint32_t block, uint64_t *entries)
{
	const struct heap_type *type = view_type(view, block);
	uint64_t object = heap_blocks_object(view->blocks, block);
	uint64_t at = object + view->heap->object_size;

	if (!picks_is_container(view, block))
		return false;
	if (type->kind == TYPE_DICT)
		at = object + view->heap->dict_used;
	else if (type->kind == TYPE_SET)
		at = object + view->heap->set_used;
	else if (is_lru_cache(type))
		at = cache_of(view, object, type) + view->heap->dict_used;
	*entries = object_word(view, at);
	return true;
}

bool picks_is_passed_over(const struct heap_graph *graph, uint32_t block)
{
	const struct heap_type *type = view_type(&graph->view, block), *owner;
	uint32_t parent = graph->parent[block];

	if (!type)
		return true;
	switch (type->kind) {
	case TYPE_CELL:
	case TYPE_MODULE:
	case TYPE_FRAME:
		return true;
	case TYPE_DICT:
		owner = parent == BLOCK_NONE ? NULL : view_type(&graph->view, parent);
		return (owner && is_lru_cache(owner)) || names_is_namespace(graph, block);
	default:
		return !strcmp(type->name, "traceback");
	}
}

/* --- the walk --- */

static int add_inside(struct walk *w, uint32_t pick)
{
	if (!ARRAY_HAS_ROOM(w->inside, w->inside_count, w->inside_room))
		return -ENOMEM;
	w->inside[w->inside_count++] = pick;
	return 0;
}

/* Lists the picks that `pick` dominates. In place of one that is passed over come those that it
 * dominates itself. */
static int look_inside(struct walk *w, uint32_t pick)
{
	const struct pick *list = w->picks->list;
	size_t kept = 0;
	int err = 0;

	w->inside_count = w->inside_bytes = 0;
	w->largest = PICK_NONE;
	for (uint32_t i = list[pick].below; i != PICK_NONE && !err; i = list[i].beside)
		err = add_inside(w, i);
	for (size_t at = 0; at < w->inside_count && !err; at++) {
		uint32_t one = w->inside[at];

		if (list[one].below != PICK_NONE &&
		    picks_is_passed_over(w->picks->graph, list[one].block)) {
			for (uint32_t i = list[one].below; i != PICK_NONE && !err;
			     i = list[i].beside)
				err = add_inside(w, i);
			continue;
		}
		if (picks_is_passed_over(w->picks->graph, list[one].block))
			continue;
		w->inside[kept++] = one;
		w->inside_bytes += retained_by(w, one);
		if (w->largest == PICK_NONE || retained_by(w, one) > retained_by(w, w->largest))
			w->largest = one;
	}
	w->inside_count = kept;
	return err;
}

static int add_row(struct walk *w, uint32_t pick)
{
	struct picks *picks = w->picks;

	if (!ARRAY_HAS_ROOM(picks->rows, picks->row_count, picks->row_room))
		return -ENOMEM;
	picks->rows[picks->row_count++] = pick;
	return 0;
}

static int add_todo(struct walk *w, uint32_t pick, uint32_t chain_first, uint32_t chain_length)
{
	if (!ARRAY_HAS_ROOM(w->todo, w->todo_count, w->todo_room))
		return -ENOMEM;
	w->todo[w->todo_count++] = (struct visit){pick, chain_first, chain_length};
	return 0;
}

/* Adds the entries that may be rows, without `except` (index of a pick, or PICK_NONE). */
static int add_entries(struct walk *w, uint32_t pick, bool all, uint32_t except)
{
	const struct pick *list = w->picks->list;
	uint64_t whole = retained_by(w, pick);
	int err = 0;

	for (size_t i = 0; i < w->inside_count && !err; i++) {
		uint32_t one = w->inside[i];
		bool other = one != except;
		bool grew = list[one].growth >= GROWTH_LEAST &&
			    is_part((uint64_t)list[one].growth, (uint64_t)list[pick].growth, 9);

		if (other &&
		    (all || retained_by(w, one) >= whole / 4 || (list[pick].growth > 0 && grew)))
			err = add_todo(w, one, one, 0);
	}
	return err;
}

static bool have_one_type(const struct walk *w, uint32_t a, uint32_t b)
{
	const struct heap_blocks *blocks = w->picks->graph->view.blocks;

	return heap_blocks_type(blocks, w->picks->list[a].block) ==
	       heap_blocks_type(blocks, w->picks->list[b].block);
}

/* Goes on with the largest entry, which has nine tenths of this pick. */
static int leave_to_largest(struct walk *w, struct visit visit, bool container)
{
	const struct heap_graph *graph = w->picks->graph;
	bool passed_over = picks_is_passed_over(graph, w->picks->list[visit.pick].block);
	int err;

	if (!passed_over) {
		if (visit.chain_length >= CHAIN_MAX)
			return add_row(w, visit.chain_first);
		if (!container && have_one_type(w, visit.pick, w->largest))
			return add_row(w, visit.pick);
	}
	err = passed_over ? add_todo(w, w->largest, w->largest, 0)
			  : add_todo(w, w->largest, visit.chain_first, visit.chain_length + 1);
	return err ? err : add_entries(w, visit.pick, !container, w->largest);
}

static int look_at(struct walk *w, struct visit visit)
{
	const struct heap_graph *graph = w->picks->graph;
	uint32_t block = w->picks->list[visit.pick].block;
	bool container =
		picks_is_container(&graph->view, block) && !names_is_namespace(graph, block);
	int err = look_inside(w, visit.pick);
	uint64_t whole = retained_by(w, visit.pick);

	if (err)
		return err;
	if (w->largest != PICK_NONE && is_part(retained_by(w, w->largest), whole, 9))
		return leave_to_largest(w, visit, container);
	if (!container && w->inside_count && is_part(w->inside_bytes, whole, 9))
		return add_entries(w, visit.pick, true, PICK_NONE);
	/* Of a module with nothing large in it, its many small things are the rows. */
	if (picks_is_passed_over(graph, block) && is_part(w->inside_bytes, whole, 5) &&
	    w->inside_count)
		return add_entries(w, visit.pick, true, PICK_NONE);
	err = add_row(w, visit.pick);
	return err ? err : add_entries(w, visit.pick, !container, PICK_NONE);
}

int picks_init(struct picks *picks, const struct heap_graph *graph, pick_growth_fn *growth,
	       const void *arg)
{
	struct walk walk = {.picks = picks};
	int err;

	*picks = (struct picks){.graph = graph, .top = PICK_NONE};
	err = find_candidates(picks, growth, arg);
	for (uint32_t i = picks->top; i != PICK_NONE && !err; i = picks->list[i].beside)
		err = add_todo(&walk, i, i, 0);
	while (walk.todo_count && !err)
		err = look_at(&walk, walk.todo[--walk.todo_count]);
	free(walk.todo);
	free(walk.inside);
	if (err)
		picks_fini(picks);
	return err;
}

void picks_fini(struct picks *picks)
{
	large_free(picks->list, (size_t)picks->count * sizeof(*picks->list));
	free(picks->rows);
	*picks = (struct picks){0};
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: objects that lie in two containers, say in `by_id` and in `by_name`, are retained by
 * neither. What dominates them is what holds both containers: a module, or the root of all. Small
 * ones would have no row. Large ones would have a row each, and nobody would see that all of them
 * are in the same two.
 *
 * So such blocks are gathered by two holders that lead to them; containers are preferred. A pair's
 * row says what would be freed with both, if nothing else leads there. One of the two may be a
 * module if the other is a container: a notebook's `Out` has each result, and so has a variable of
 * its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/large.h"
#include "heap/holders_private.h"

#define PAIRS_MAX  16384
#define PAIR_SLOTS (4 * PAIRS_MAX) /* a power of two */
#define UNKNOWN	   BLOCK_NONE
#define NOT_SHARED (BLOCK_NONE - 1)
/* If a pair has so many large blocks, these have no rows of their own. */
#define MANY 4
/* A module and a container are a pair only if so many of its variables are in the container. */
#define MANY_VARIABLES 8

struct pair {
	uint32_t holders[2];
	uint32_t largest;      /* the block that retains most */
	uint32_t large;	       /* number of blocks that retain enough for a row of their own */
	uint64_t count, bytes; /* of the blocks that the row stands for */
	bool is_row;
	uint32_t *members; /* where the next block goes, while a holder's array is filled */
};

struct both {
	const struct heap_graph *graph;
	/* By block: its topmost dominator below the modules and all that is passed over. */
	uint32_t *top;
	/* By block, of those that are in two holders: these holders. */
	uint32_t *first, *second;
	uint64_t least;	    /* bytes: a block that retains as much has a row of its own */
	uint64_t row_least; /* bytes: a pair that has as much is a row */
	struct pair *pairs;
	size_t pair_count;
	uint32_t slots[PAIR_SLOTS]; /* index of a pair plus 1; 0: empty */
};

/* Is it a module, or the root of all? A block that this dominates has no holder. */
static bool is_ground(const struct heap_graph *graph, uint32_t block)
{
	return block == BLOCK_NONE ||
	       (bit_of(graph->is_root, block) && names_is_namespace(graph, block));
}

/* Is it a module, or a buffer of one? */
static bool is_grounds(const struct heap_graph *graph, uint32_t block)
{
	uint32_t owner = heap_graph_owner(graph, block);

	return is_ground(graph, owner == BLOCK_NONE ? block : owner);
}

static uint32_t above(const struct heap_graph *graph, uint32_t block)
{
	return heap_graph_dominator(graph, block);
}

static bool is_top(const struct heap_graph *graph, uint32_t block)
{
	uint32_t dominator = above(graph, block);

	return dominator == BLOCK_NONE || is_grounds(graph, dominator);
}

/* The topmost dominator of a block. It is noted for all blocks on the way. */
static uint32_t top_of(struct both *g, uint32_t block)
{
	uint32_t at = block, found, next;

	while (g->top[at] == UNKNOWN && !is_top(g->graph, at))
		at = above(g->graph, at);
	found = g->top[at] == UNKNOWN ? at : g->top[at];
	for (at = block; g->top[at] == UNKNOWN; at = next) {
		next = is_top(g->graph, at) ? at : above(g->graph, at);
		g->top[at] = found;
	}
	return found;
}

/* Does it have no holder, although something leads to it that is no root? Most blocks are dominated
 * by the object that led to them, or by a buffer of that. */
static bool is_shared(const struct heap_graph *graph, uint32_t block)
{
	uint32_t parent = graph->parent[block], dominator = graph->dominator[block];

	if (parent == BLOCK_NONE || graph->tier[block] == TIER_NONE ||
	    bit_of(graph->is_root, block) || !is_top(graph, block))
		return false;
	/* A variable of a module: what else leads to it is found later. */
	if (is_ground(graph, parent))
		return true;
	return dominator != parent &&
	       (dominator >= graph->blocks || graph->parent[dominator] != parent);
}

/* Classes, functions and modules are referred to from everywhere, and each has a name. */
static bool has_name(const struct heap_view *view, uint32_t block)
{
	return view_is(view, block, TYPE_TYPE) || view_is(view, block, TYPE_FUNCTION) ||
	       view_is(view, block, TYPE_MODULE);
}

static bool is_large(const struct both *g, uint32_t block)
{
	return g->graph->retained[block] >= g->least;
}

static bool is_gathered(const struct both *g, uint32_t block)
{
	const struct heap_graph *graph = g->graph;

	if (!is_shared(graph, block))
		return false;
	return !has_name(&graph->view, block) ||
	       (!is_large(g, block) && !is_ground(graph, graph->parent[block]));
}

/* The holder that `source` belongs to; UNKNOWN: a module that says nothing of `block`. */
static uint32_t holder_of(struct both *g, uint32_t block, uint32_t source)
{
	uint32_t owner = heap_graph_owner(g->graph, source);

	if (!is_grounds(g->graph, source))
		return top_of(g, source);
	return is_ground(g->graph, g->graph->parent[block]) ? (owner == BLOCK_NONE ? source : owner)
							    : UNKNOWN;
}

static bool is_container(const struct heap_graph *graph, uint32_t block)
{
	return picks_is_container(&graph->view, block) && !names_is_namespace(graph, block);
}

/* Of two ranks the lower one is the better holder: containers first, modules last. Among equals the
 * same two are taken for all blocks. */
static uint64_t rank_of(const struct heap_graph *graph, uint32_t holder)
{
	uint64_t rank = is_ground(graph, holder) ? 2 : is_container(graph, holder) ? 0 : 1;

	return rank << 32 | holder;
}

/* Notes the holder of `source` for the block, which keeps the two of lowest rank. */
static void note(struct both *g, uint32_t block, uint32_t source)
{
	uint32_t holder = holder_of(g, block, source);
	uint32_t *first = &g->first[block], *second = &g->second[block];

	if (holder == UNKNOWN || holder == block || holder == *first || holder == *second)
		return;
	if (*first == UNKNOWN || rank_of(g->graph, holder) < rank_of(g->graph, *first)) {
		*second = *first;
		*first = holder;
	} else if (*second == UNKNOWN || rank_of(g->graph, holder) < rank_of(g->graph, *second)) {
		*second = holder;
	}
}

static void note_all(struct both *g)
{
	const struct heap_graph *graph = g->graph;
	const struct heap_edges *edges = &graph->edges;

	for (uint32_t block = 0; block < graph->blocks; block++) {
		for (uint32_t e = edges->first[block]; e < edges->first[block + 1]; e++) {
			uint32_t target = edges->targets[e];

			if (g->first[target] != NOT_SHARED && edge_counts(graph, block, target))
				note(g, target, block);
		}
	}
}

/* The pair of two holders. NULL: there are too many, or (not `add`) there is no such pair. */
static struct pair *pair_of(struct both *g, uint32_t a, uint32_t b, bool add)
{
	uint32_t low = a < b ? a : b, high = a < b ? b : a;
	size_t slot = (low * 0x9e3779b1u ^ high * 0x85ebca6bu) % PAIR_SLOTS;

	for (; g->slots[slot]; slot = (slot + 1) % PAIR_SLOTS) {
		struct pair *pair = &g->pairs[g->slots[slot] - 1];

		if (pair->holders[0] == low && pair->holders[1] == high)
			return pair;
	}
	if (!add || g->pair_count == PAIRS_MAX)
		return NULL;
	g->pairs[g->pair_count] = (struct pair){.holders = {low, high}, .largest = UNKNOWN};
	g->slots[slot] = (uint32_t)++g->pair_count;
	return &g->pairs[g->pair_count - 1];
}

/* The pair that a block is in; NULL: it is in none. */
static struct pair *pair_of_block(struct both *g, uint32_t block, bool add)
{
	if (g->first[block] == NOT_SHARED || g->second[block] == UNKNOWN)
		return NULL;
	return pair_of(g, g->first[block], g->second[block], add);
}

static void gather(struct both *g)
{
	for (uint32_t block = 0; block < g->graph->blocks; block++) {
		struct pair *pair = pair_of_block(g, block, true);

		if (!pair)
			continue;
		pair->count++;
		pair->large += is_large(g, block);
	}
}

/* Does the pair say something? Of a module and another holder: are many variables of the module
 * entries of the other? */
static bool is_telling(const struct heap_graph *graph, const struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		if (is_ground(graph, pair->holders[i]))
			return pair->count >= MANY_VARIABLES &&
			       is_container(graph, pair->holders[!i]);
	}
	return true;
}

/* Does its pair's row stand for the block? If a pair has only a few large ones, they keep rows of
 * their own. */
static bool is_in_row(const struct both *g, const struct pair *pair, uint32_t block)
{
	return pair->large >= MANY || !is_large(g, block);
}

static void add_up(struct both *g)
{
	const uint64_t *retained = g->graph->retained;

	for (size_t i = 0; i < g->pair_count; i++)
		g->pairs[i].is_row = is_telling(g->graph, &g->pairs[i]);
	for (size_t i = 0; i < g->pair_count; i++)
		g->pairs[i].count = 0;
	for (uint32_t block = 0; block < g->graph->blocks; block++) {
		struct pair *pair = pair_of_block(g, block, false);

		if (!pair || !pair->is_row || !is_in_row(g, pair, block))
			continue;
		pair->count++;
		pair->bytes += retained[block];
		if (pair->largest == UNKNOWN || retained[block] > retained[pair->largest])
			pair->largest = block;
	}
	for (size_t i = 0; i < g->pair_count; i++)
		g->pairs[i].is_row = g->pairs[i].is_row && g->pairs[i].bytes >= g->row_least;
}

/* --- rows --- */

static void put_path(const struct both *g, uint32_t block, struct step_budget *budget, char *text,
		     size_t size)
{
	static const char variables[] = "variables of ";
	bool ground = is_ground(g->graph, block);

	if (ground)
		memcpy(text, variables, sizeof(variables));
	names_find(g->graph, block, budget, text + (ground ? sizeof(variables) - 1 : 0),
		   size - (ground ? sizeof(variables) - 1 : 0));
}

static struct holder_part part_of(const struct both *g, uint32_t block)
{
	struct holder_part part = {.block = block};

	if (is_ground(g->graph, block))
		part.block = BLOCK_NONE;
	else
		picks_entries(&g->graph->view, block, &part.entries);
	return part;
}

static int fill(const struct both *g, struct pair *pair, struct step_budget *budget,
		struct holder *holder)
{
	char paths[2][NAMES_PATH_BYTES];
	bool turned;
	const struct heap_view *view = &g->graph->view;
	const struct heap_type *type = view_type(view, pair->largest);

	for (int i = 0; i < 2; i++)
		put_path(g, pair->holders[i], budget, paths[i], sizeof(paths[i]));
	*holder = (struct holder){
		.block = pair->largest,
		.entries = pair->count,
		.has_entries = true,
		.retained_bytes = pair->bytes,
		.tier = heap_graph_tier(g->graph, pair->largest),
		.is_temporary = names_is_temporary(g->graph, pair->holders[0]) ||
				names_is_temporary(g->graph, pair->holders[1]),
		.type = strdup(type ? type->name : "memory"),
		.members = calloc(pair->count, sizeof(*holder->members)),
		.parts = {part_of(g, pair->holders[0]), part_of(g, pair->holders[1])},
	};
	pair->members = holder->members;
	turned = strcmp(paths[0], paths[1]) > 0; /* the same in each look */
	if (asprintf(&holder->path, "in %s and in %s", paths[turned], paths[!turned]) < 0)
		holder->path = NULL;
	return holder->path && holder->type && holder->members ? 0 : -ENOMEM;
}

int both_add(struct both *g, struct holder **holders, size_t *count)
{
	struct step_budget budget = {NAMES_WORDS_MAX};
	size_t room = *count;
	int err = 0;

	for (size_t i = 0; g && i < g->pair_count && !err; i++) {
		if (!g->pairs[i].is_row)
			continue;
		if (!ARRAY_HAS_ROOM(*holders, *count, room))
			return -ENOMEM;
		err = fill(g, &g->pairs[i], &budget, &(*holders)[(*count)++]);
	}
	for (uint32_t block = 0; g && block < g->graph->blocks && !err; block++) {
		struct pair *pair = pair_of_block(g, block, false);

		if (pair && pair->is_row && is_in_row(g, pair, block))
			*pair->members++ = block;
	}
	return err;
}

/* Would the block's row be one entry among many of a pair? */
static bool is_entry(struct both *g, uint32_t block)
{
	uint32_t top = top_of(g, block);
	struct pair *pair = pair_of_block(g, top, false);

	return pair && pair->is_row && is_in_row(g, pair, top) &&
	       g->graph->retained[block] < pair->bytes / 4;
}

void both_take_out(struct both *g, uint32_t *blocks, size_t *count)
{
	size_t kept = 0;

	for (size_t i = 0; g && i < *count; i++) {
		if (!is_entry(g, blocks[i]))
			blocks[kept++] = blocks[i];
	}
	if (g)
		*count = kept;
}

/* --- all of it --- */

static bool is_worth_it(const struct both *g)
{
	uint64_t bytes = 0;

	for (uint32_t block = 0; block < g->graph->blocks && bytes < g->row_least; block++) {
		if (is_gathered(g, block))
			bytes += g->graph->retained[block];
	}
	return bytes >= g->row_least;
}

static int prepare(struct both *g)
{
	size_t bytes = (size_t)g->graph->blocks * sizeof(uint32_t);

	g->top = large_new(bytes);
	g->first = large_new(bytes);
	g->second = large_new(bytes);
	g->pairs = calloc(PAIRS_MAX, sizeof(*g->pairs));
	if (!g->top || !g->first || !g->second || !g->pairs)
		return -ENOMEM;
	memset(g->top, 0xff, bytes);
	memset(g->second, 0xff, bytes);
	for (uint32_t block = 0; block < g->graph->blocks; block++)
		g->first[block] = is_gathered(g, block) ? UNKNOWN : NOT_SHARED;
	return 0;
}

int both_find(const struct heap_graph *graph, uint64_t least, uint64_t row_least,
	      struct both **both)
{
	struct both *g = calloc(1, sizeof(*g));
	int err;

	*both = NULL;
	if (!g)
		return -ENOMEM;
	g->graph = graph;
	g->least = least;
	g->row_least = row_least;
	if (!is_worth_it(g)) {
		free(g);
		return 0;
	}
	err = prepare(g);
	if (err) {
		both_free(g);
		return err;
	}
	note_all(g);
	gather(g);
	add_up(g);
	*both = g;
	return 0;
}

void both_free(struct both *g)
{
	size_t bytes;

	if (!g)
		return;
	bytes = (size_t)g->graph->blocks * sizeof(uint32_t);
	large_free(g->top, bytes);
	large_free(g->first, bytes);
	large_free(g->second, bytes);
	free(g->pairs);
	free(g);
}

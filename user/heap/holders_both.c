/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: what lies in two indices retains nothing of itself in either: objects in `by_id` and in
 * `by_name` are dominated by what holds both, a module or nothing at all, and no row would have
 * them.
 *
 * So such blocks are gathered by the two holders that lead to them: the first two that are met. A
 * row for each pair says what would be freed with both.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/large.h"
#include "heap/holders_private.h"

#define PAIRS_MAX  4096
#define PAIR_SLOTS (4 * PAIRS_MAX) /* a power of two */
#define UNKNOWN	   BLOCK_NONE
#define NOT_SHARED (BLOCK_NONE - 1)

struct pair {
	uint32_t holders[2];
	uint32_t largest; /* of what is in both */
	uint64_t count, bytes;
};

struct gathering {
	const struct heap_graph *graph;
	/* By block: what it belongs to, below the modules and all else that is passed over. */
	uint32_t *top;
	/* By block: for those that are in both, the first two holders that lead to them. */
	uint32_t *first, *second;
	struct pair *pairs;
	size_t pair_count;
	uint32_t slots[PAIR_SLOTS]; /* number of a pair + 1; 0 */
};

/* A module, or the root of all: who is dominated by that is on its own. */
static bool is_ground(const struct heap_graph *graph, uint32_t block)
{
	return block == BLOCK_NONE ||
	       (bit_of(graph->is_root, block) && names_is_namespace(graph, block));
}

/* Is it a module's own, as its buffers are? */
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

/* Climbs the dominators, and leaves behind what it found for all on the way. */
static uint32_t top_of(struct gathering *g, uint32_t block)
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

/* On its own, and yet nothing that a root leads to directly. Most blocks are dominated by what led
 * to them, or by a buffer of that. */
static bool is_shared(const struct heap_graph *graph, uint32_t block)
{
	uint32_t parent = graph->parent[block], dominator = graph->dominator[block];

	if (parent == BLOCK_NONE || dominator == parent ||
	    (dominator < graph->blocks && graph->parent[dominator] == parent))
		return false;
	return graph->tier[block] != TIER_NONE && !bit_of(graph->is_root, block) &&
	       is_top(graph, block) && !is_ground(graph, parent);
}

static void note(struct gathering *g, uint32_t block, uint32_t source)
{
	uint32_t holder;

	if (is_grounds(g->graph, source))
		return;
	holder = top_of(g, source);
	if (holder == block || holder == g->first[block])
		return;
	if (g->first[block] == UNKNOWN)
		g->first[block] = holder;
	else if (g->second[block] == UNKNOWN)
		g->second[block] = holder;
}

static void note_all(struct gathering *g)
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

/* NULL: there are too many. */
static struct pair *pair_of(struct gathering *g, uint32_t a, uint32_t b)
{
	uint32_t low = a < b ? a : b, high = a < b ? b : a;
	size_t slot = (low * 0x9e3779b1u ^ high * 0x85ebca6bu) % PAIR_SLOTS;

	for (; g->slots[slot]; slot = (slot + 1) % PAIR_SLOTS) {
		struct pair *pair = &g->pairs[g->slots[slot] - 1];

		if (pair->holders[0] == low && pair->holders[1] == high)
			return pair;
	}
	if (g->pair_count == PAIRS_MAX)
		return NULL;
	g->pairs[g->pair_count] = (struct pair){{low, high}, UNKNOWN, 0, 0};
	g->slots[slot] = (uint32_t)++g->pair_count;
	return &g->pairs[g->pair_count - 1];
}

static void gather(struct gathering *g)
{
	const uint64_t *retained = g->graph->retained;

	for (uint32_t block = 0; block < g->graph->blocks; block++) {
		struct pair *pair;

		if (g->first[block] == NOT_SHARED || g->second[block] == UNKNOWN)
			continue;
		pair = pair_of(g, g->first[block], g->second[block]);
		if (!pair)
			continue;
		pair->count++;
		pair->bytes += retained[block];
		if (pair->largest == UNKNOWN || retained[block] > retained[pair->largest])
			pair->largest = block;
	}
}

static int fill(const struct gathering *g, const struct pair *pair, struct step_budget *budget,
		struct holder *holder)
{
	char paths[2][NAMES_PATH_BYTES];
	bool turned;
	const struct heap_view *view = &g->graph->view;
	const struct heap_type *type = view_type(view, pair->largest);

	for (int i = 0; i < 2; i++)
		names_find(g->graph, pair->holders[i], budget, paths[i], sizeof(paths[i]));
	*holder = (struct holder){
		.block = pair->largest,
		.entries = pair->count,
		.has_entries = true,
		.retained_bytes = pair->bytes,
		.tier = heap_graph_tier(g->graph, pair->largest),
		.is_temporary = names_is_temporary(g->graph, pair->holders[0]) ||
				names_is_temporary(g->graph, pair->holders[1]),
		.type = strdup(type ? type->name : "memory"),
	};
	turned = strcmp(paths[0], paths[1]) > 0; /* the same in each look */
	if (asprintf(&holder->path, "in %s and in %s", paths[turned], paths[!turned]) < 0)
		holder->path = NULL;
	return holder->path && holder->type ? 0 : -ENOMEM;
}

static int fill_all(const struct gathering *g, uint64_t least, struct holder **holders,
		    size_t *count)
{
	struct step_budget budget = {NAMES_WORDS_MAX};
	size_t room = *count;
	int err = 0;

	for (size_t i = 0; i < g->pair_count && !err; i++) {
		if (g->pairs[i].bytes < least)
			continue;
		if (!ARRAY_HAS_ROOM(*holders, *count, room))
			return -ENOMEM;
		err = fill(g, &g->pairs[i], &budget, &(*holders)[(*count)++]);
	}
	return err;
}

/* What is shared has no row of its own if it retains less than `least`. */
static bool is_small_and_shared(const struct heap_graph *graph, uint32_t block, uint64_t least)
{
	return graph->retained[block] < least && is_shared(graph, block);
}

static bool is_worth_it(const struct heap_graph *graph, uint64_t least)
{
	uint64_t bytes = 0;

	for (uint32_t block = 0; block < graph->blocks && bytes < least; block++) {
		if (is_small_and_shared(graph, block, least))
			bytes += graph->retained[block];
	}
	return bytes >= least;
}

static int prepare(struct gathering *g, uint64_t least)
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
		g->first[block] =
			is_small_and_shared(g->graph, block, least) ? UNKNOWN : NOT_SHARED;
	return 0;
}

int holders_add_both(const struct heap_graph *graph, uint64_t least, struct holder **holders,
		     size_t *count)
{
	size_t bytes = (size_t)graph->blocks * sizeof(uint32_t);
	struct gathering *g;
	int err;

	if (!is_worth_it(graph, least))
		return 0;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->graph = graph;
	err = prepare(g, least);
	if (!err) {
		note_all(g);
		gather(g);
		err = fill_all(g, least, holders, count);
	}
	large_free(g->top, bytes);
	large_free(g->first, bytes);
	large_free(g->second, bytes);
	free(g->pairs);
	free(g);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names those that share a block which no single holder dominates: all that refer to it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/large.h"
#include "heap/holders_private.h"

#define SHARERS_NAMED 2
#define SHARERS_KEPT  64 /* of which as many are named as can be told apart */

struct shared {
	struct holder *holder;
	uint32_t sharers[SHARERS_KEPT]; /* objects, or buffers that no object owns */
	uint32_t kept;
	uint64_t others;
};

/* The object that a reference from `block` belongs to. */
static uint32_t object_of(const struct heap_graph *graph, uint32_t block)
{
	uint32_t owner = heap_graph_owner(graph, block);

	return owner == BLOCK_NONE ? block : owner;
}

/* Is it shared? Classes and functions always are, by what inherits from them and calls them, but
 * each has a name of its own. */
static bool is_shared(const struct heap_graph *graph, uint32_t block)
{
	uint32_t dominator = heap_graph_dominator(graph, block);

	if (graph->parent[block] == BLOCK_NONE || view_is(&graph->view, block, TYPE_TYPE) ||
	    view_is(&graph->view, block, TYPE_FUNCTION))
		return false;
	return dominator == BLOCK_NONE || object_of(graph, dominator) != graph->parent[block];
}

static void note(const struct heap_graph *graph, struct shared *shared, uint32_t source)
{
	uint32_t sharer = object_of(graph, source);

	for (uint32_t i = 0; i < shared->kept; i++) {
		if (shared->sharers[i] == sharer)
			return;
	}
	if (shared->kept < SHARERS_KEPT)
		shared->sharers[shared->kept++] = sharer;
	else
		shared->others++;
}

static int by_block(const void *a, const void *b)
{
	const struct shared *x = a, *y = b;

	return x->holder->block < y->holder->block ? -1 : x->holder->block > y->holder->block;
}

static struct shared *find(struct shared *list, size_t count, uint32_t block)
{
	struct holder holder = {.block = block};
	struct shared key = {.holder = &holder};

	return bsearch(&key, list, count, sizeof(*list), by_block);
}

/* Notes the sharers of all blocks in `list`, in one pass over all references of the heap. */
static void note_all(const struct heap_graph *graph, const uint64_t *wanted, struct shared *list,
		     size_t count)
{
	const struct heap_edges *edges = &graph->edges;

	for (uint32_t block = 0; block < graph->blocks; block++) {
		for (uint32_t e = edges->first[block]; e < edges->first[block + 1]; e++) {
			uint32_t target = edges->targets[e];

			if (bit_of(wanted, target) && target != block &&
			    edge_counts(graph, block, target))
				note(graph, find(list, count, target), block);
		}
	}
}

/* The path that leads to `block` through `sharer`. */
static void sharer_path(const struct heap_graph *graph, uint32_t sharer, uint32_t block,
			struct step_budget *budget, char *text, size_t size)
{
	struct step before = {.is_namespace = names_is_namespace(graph, sharer)}, step;
	size_t length;

	names_find(graph, sharer, budget, text, size);
	step_find(graph, sharer, block, &before, budget, &step);
	length = strlen(text);
	if (step.begins)
		length = 0;
	snprintf(text + length, size - length, "%s", step.text);
}

static int name_sharers(const struct heap_graph *graph, struct shared *shared,
			struct step_budget *budget)
{
	char paths[SHARERS_NAMED][NAMES_PATH_BYTES] = {""}, more[48] = "";
	uint64_t others = shared->kept + shared->others - SHARERS_NAMED;
	bool turned;

	for (uint32_t i = 0; i < SHARERS_NAMED; i++)
		sharer_path(graph, shared->sharers[i], shared->holder->block, budget, paths[i],
			    sizeof(paths[i]));
	if (others)
		snprintf(more, sizeof(more), " and %llu more", (unsigned long long)others);
	turned = strcmp(paths[0], paths[1]) > 0;
	if (asprintf(&shared->holder->shared_by, "%s%s%s%s", paths[turned], others ? ", " : " and ",
		     paths[!turned], more) < 0) {
		shared->holder->shared_by = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int find_sharers(const struct heap_graph *graph, struct shared *list, size_t count,
			struct step_budget *budget)
{
	uint64_t *wanted = large_new(bits_bytes(graph->blocks));
	int err = 0;

	if (!wanted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		set_bit(wanted, list[i].holder->block);
	qsort(list, count, sizeof(*list), by_block);
	note_all(graph, wanted, list, count);
	large_free(wanted, bits_bytes(graph->blocks));
	for (size_t i = 0; i < count && !err; i++) {
		if (list[i].kept >= SHARERS_NAMED)
			err = name_sharers(graph, &list[i], budget);
	}
	return err;
}

int holders_find_sharers(const struct heap_graph *graph, struct holder *holders, size_t count,
			 struct step_budget *budget)
{
	struct shared *list = calloc(count + 1, sizeof(*list));
	size_t shared = 0;
	int err = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (is_shared(graph, holders[i].block))
			list[shared++].holder = &holders[i];
	}
	if (shared)
		err = find_sharers(graph, list, shared, budget);
	free(list);
	return err;
}

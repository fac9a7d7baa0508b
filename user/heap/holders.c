/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/holders.h"

#include <errno.h>
#include <stdlib.h>

#include "heap/holders_private.h"

static char *type_name(const struct heap_graph *graph, uint32_t block)
{
	const struct heap_type *type = view_type(&graph->view, block);
	const struct heap_root *root = names_root(graph, block);

	if (root && root->kind == ROOT_MODULE_DICT)
		return strdup("module");
	return strdup(type ? type->name : "memory");
}

static int fill_one(const struct heap_graph *graph, uint32_t block, struct step_budget *budget,
		    struct holder *holder)
{
	const struct heap_view *view = &graph->view;
	char path[NAMES_PATH_BYTES];

	names_find(graph, block, budget, path, sizeof(path));
	*holder = (struct holder){
		.block = block,
		.object = heap_blocks_object(view->blocks, block),
		.path = strdup(path),
		.type = type_name(graph, block),
		.retained_bytes = graph->retained[block],
		.tier = heap_graph_tier(graph, block),
		.is_temporary = names_is_temporary(graph, block),
	};
	holder->has_entries = picks_entries(view, block, &holder->entries);
	return holder->path && holder->type ? 0 : -ENOMEM;
}

int holders_fill(const struct heap_graph *graph, const uint32_t *blocks, size_t count,
		 struct holder *holders)
{
	struct step_budget budget = {NAMES_WORDS_MAX};
	int err = 0;

	for (size_t i = 0; i < count && !err; i++)
		err = fill_one(graph, blocks[i], &budget, &holders[i]);
	return err ? err : holders_find_sharers(graph, holders, count, &budget);
}

static int by_retained(const void *a, const void *b, void *arg)
{
	const struct heap_graph *graph = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (graph->retained[x] != graph->retained[y])
		return graph->retained[x] > graph->retained[y] ? -1 : 1;
	return x < y ? -1 : x > y;
}

void holders_sort_blocks(const struct heap_graph *graph, uint32_t *blocks, size_t count)
{
	if (count)
		qsort_r(blocks, count, sizeof(*blocks), by_retained, (void *)graph);
}

static int largest_first(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	if (x->retained_bytes != y->retained_bytes)
		return x->retained_bytes > y->retained_bytes ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

void holders_sort(struct holder *holders, size_t count)
{
	if (count)
		qsort(holders, count, sizeof(*holders), largest_first);
}

/* Puts the blocks of all rows in place of their indices, the largest first. */
static void to_blocks(struct picks *picks)
{
	for (size_t i = 0; i < picks->row_count; i++)
		picks->rows[i] = picks->list[picks->rows[i]].block;
	holders_sort_blocks(picks->graph, picks->rows, picks->row_count);
}

static int find_all(struct picks *picks, size_t most, unsigned part, struct holder **holders,
		    size_t *count)
{
	struct both *both;
	int err = both_find(picks->graph, picks->least, picks->least / part, &both);

	if (err)
		return err;
	both_take_out(both, picks->rows, &picks->row_count);
	*count = picks->row_count < most ? picks->row_count : most;
	*holders = calloc(*count + 1, sizeof(**holders));
	err = *holders ? 0 : -ENOMEM;
	if (err)
		*count = 0;
	else
		err = holders_fill(picks->graph, picks->rows, *count, *holders);
	if (!err)
		err = both_add(both, holders, count);
	both_free(both);
	if (err)
		return err;
	holders_sort(*holders, *count);
	return 0;
}

int holders_find_uncut(struct heap_graph *graph, size_t most, unsigned part,
		       struct holder **holders, size_t *count)
{
	struct picks picks;
	int err = picks_init(&picks, graph, NULL, NULL);

	*holders = NULL;
	*count = 0;
	if (err)
		return err;
	to_blocks(&picks);
	err = find_all(&picks, most, part, holders, count);
	picks_fini(&picks);
	if (err) {
		heap_holders_free(*holders, *count);
		*holders = NULL;
		*count = 0;
	}
	return err;
}

int heap_holders_find(struct heap_graph *graph, size_t most, struct holder **holders, size_t *count)
{
	int err = holders_find_uncut(graph, most, 1, holders, count);

	if (!err)
		holders_cut(*holders, count, most);
	return err;
}

static void fini_one(struct holder *holder)
{
	free(holder->path);
	free(holder->type);
	free(holder->shared_by);
	free(holder->members);
}

void holders_cut(struct holder *holders, size_t *count, size_t most)
{
	for (; *count > most; (*count)--)
		fini_one(&holders[*count - 1]);
}

void heap_holders_free(struct holder *holders, size_t count)
{
	for (size_t i = 0; holders && i < count; i++)
		fini_one(&holders[i]);
	free(holders);
}

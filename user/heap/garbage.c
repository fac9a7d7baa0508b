/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds garbage among the blocks that no root reaches: cycles that only the collector can free.
 *
 * It does what the collector does (gc.c, subtract_refs). If an object has as many references as
 * come from unreached blocks, it has no owner elsewhere. If it has more, it is held from elsewhere,
 * with all that it leads to. A buffer that nothing leads to is held by C code. Buffers that lead to
 * each other are not garbage unless an object of a cycle leads to them.
 */
#include <errno.h>

#include "base/large.h"
#include "heap/graph_private.h"

struct search {
	struct heap_graph *graph;
	uint32_t *inside; /* by block: references from unreached blocks */
	uint32_t *queue;
	uint32_t tail;
	uint64_t *seen; /* a bit for each block: held, or counted as garbage */
};

static bool is_unreached(const struct search *s, uint32_t block)
{
	return s->graph->tier[block] == ROOT_UNREACHED;
}

static void count_inside(struct search *s)
{
	const struct heap_edges *edges = &s->graph->edges;

	for (uint32_t block = 0; block < s->graph->blocks; block++) {
		if (!is_unreached(s, block))
			continue;
		for (uint32_t e = edges->first[block]; e < edges->first[block + 1]; e++)
			s->inside[edges->targets[e]]++;
	}
}

static bool is_held_from_elsewhere(const struct search *s, uint32_t block)
{
	const struct heap_view *view = &s->graph->view;
	uint32_t count = heap_blocks_references(view->blocks, block);

	if (heap_blocks_type(view->blocks, block) < 0)
		return !s->inside[block];
	if (count == BLOCK_COUNT_MOST &&
	    !snapshot_read_any(view->snapshot, heap_blocks_object(view->blocks, block), &count,
			       sizeof(count)))
		return true;
	return count > s->inside[block];
}

static void see(struct search *s, uint32_t block)
{
	if (!is_unreached(s, block) || bit_of(s->seen, block))
		return;
	set_bit(s->seen, block);
	s->queue[s->tail++] = block;
}

/* Sees all blocks that queue[head] and those behind it lead to. */
static void spread(struct search *s, uint32_t head)
{
	const struct heap_edges *edges = &s->graph->edges;

	for (; head < s->tail; head++) {
		uint32_t block = s->queue[head];

		for (uint32_t e = edges->first[block]; e < edges->first[block + 1]; e++)
			see(s, edges->targets[e]);
	}
}

static void find_held(struct search *s)
{
	for (uint32_t block = 0; block < s->graph->blocks; block++) {
		if (is_unreached(s, block) && is_held_from_elsewhere(s, block))
			see(s, block);
	}
	spread(s, 0);
}

static void add_up_garbage(struct search *s)
{
	struct heap_graph *graph = s->graph;
	uint32_t held = s->tail;

	for (uint32_t block = 0; block < graph->blocks; block++) {
		if (heap_blocks_type(graph->view.blocks, block) >= 0)
			see(s, block);
	}
	spread(s, held);
	for (uint32_t i = held; i < s->tail; i++) {
		graph->garbage_bytes += heap_blocks_size(graph->view.blocks, s->queue[i]);
		if (heap_blocks_type(graph->view.blocks, s->queue[i]) >= 0)
			graph->garbage_objects++;
	}
}

int graph_find_garbage(struct heap_graph *graph)
{
	size_t bytes = (size_t)graph->blocks * sizeof(uint32_t);
	struct search search = {
		.graph = graph,
		.inside = large_new(bytes),
		.queue = large_new(bytes),
		.seen = large_new(bits_bytes(graph->blocks)),
	};
	int err = -ENOMEM;

	if (search.inside && search.queue && search.seen) {
		count_inside(&search);
		find_held(&search);
		add_up_garbage(&search);
		err = 0;
	}
	large_free(search.inside, bytes);
	large_free(search.queue, bytes);
	large_free(search.seen, bits_bytes(graph->blocks));
	heap_blocks_forget_counts(graph->view.blocks);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of the blocks that nothing reaches: which are circles that only the collector can free?
 *
 * As the collector does it (gc.c, subtract_refs): an object whose reference count is that of the references
 * from among the unreached has no owner elsewhere. One with more has, and all that it leads to is held with
 * it. A buffer that nothing leads to is held by C code.
 */
#include <errno.h>

#include "base/large.h"
#include "heap/graph_private.h"

struct search {
	struct heap_graph *graph;
	uint32_t *inside; /* by block: references from unreached blocks */
	uint32_t *queue;
	uint32_t tail;
	uint64_t *held; /* a bit for each block */
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
	uint32_t count = 0;

	if (heap_blocks_type(view->blocks, block) < 0)
		return !s->inside[block];
	snapshot_read(view->snapshot, heap_blocks_object(view->blocks, block), &count,
		      sizeof(count));
	return count > s->inside[block];
}

static void hold(struct search *s, uint32_t block)
{
	if (!is_unreached(s, block) || bit_of(s->held, block))
		return;
	set_bit(s->held, block);
	s->queue[s->tail++] = block;
}

static void spread_held(struct search *s)
{
	const struct heap_edges *edges = &s->graph->edges;

	for (uint32_t block = 0; block < s->graph->blocks; block++) {
		if (is_unreached(s, block) && is_held_from_elsewhere(s, block))
			hold(s, block);
	}
	for (uint32_t head = 0; head < s->tail; head++) {
		uint32_t block = s->queue[head];

		for (uint32_t e = edges->first[block]; e < edges->first[block + 1]; e++)
			hold(s, edges->targets[e]);
	}
}

static void add_up(struct search *s)
{
	struct heap_graph *graph = s->graph;

	for (uint32_t block = 0; block < graph->blocks; block++) {
		if (!is_unreached(s, block) || bit_of(s->held, block))
			continue;
		graph->garbage_bytes += heap_blocks_size(graph->view.blocks, block);
		if (heap_blocks_type(graph->view.blocks, block) >= 0)
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
		.held = large_new(bits_bytes(graph->blocks)),
	};
	int err = -ENOMEM;

	if (search.inside && search.queue && search.held) {
		count_inside(&search);
		spread_held(&search);
		add_up(&search);
		err = 0;
	}
	large_free(search.inside, bytes);
	large_free(search.queue, bytes);
	large_free(search.held, bits_bytes(graph->blocks));
	return err;
}

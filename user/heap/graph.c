/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "base/large.h"
#include "heap/graph_private.h"

static int build(struct heap_graph *graph)
{
	int err = bodies_init(&graph->bodies, &graph->view);

	if (!err)
		err = heap_roots_modules(&graph->roots, &graph->view);
	if (!err)
		err = heap_roots_frames(&graph->roots, &graph->view);
	if (!err)
		err = heap_edges_collect(&graph->view, &graph->bodies,
					 snapshot_is_large(graph->view.snapshot), &graph->edges);
	if (!err)
		err = graph_reach(graph);
	if (!err)
		err = graph_find_garbage(graph);
	if (!err)
		err = graph_find_retained(graph);
	return err;
}

int heap_graph_build(struct snapshot *snapshot, const struct py_heap_layout *heap_layout,
		     const struct py_layout *layout, uint64_t runtime_addr,
		     struct heap_types *types, struct heap_blocks *blocks,
		     struct heap_graph **graph)
{
	struct heap_graph *g = calloc(1, sizeof(*g));
	int err;

	*graph = NULL;
	if (!g)
		return -ENOMEM;
	g->view = (struct heap_view){
		.snapshot = snapshot,
		.heap = heap_layout,
		.py = layout,
		.runtime_addr = runtime_addr,
		.types = types,
		.blocks = blocks,
	};
	g->blocks = heap_blocks_count(blocks);
	err = build(g);
	if (err) {
		heap_graph_free(g);
		return err;
	}
	*graph = g;
	return 0;
}

void heap_graph_free(struct heap_graph *graph)
{
	size_t nodes;

	if (!graph)
		return;
	nodes = (size_t)graph->blocks + 1;
	bodies_fini(&graph->bodies);
	heap_edges_fini(&graph->edges);
	heap_roots_fini(&graph->roots);
	large_free(graph->is_root, bits_bytes(graph->blocks));
	large_free(graph->tier, nodes - 1);
	large_free(graph->parent, (nodes - 1) * sizeof(uint32_t));
	large_free(graph->dominator, nodes * sizeof(uint32_t));
	large_free(graph->retained, nodes * sizeof(uint64_t));
	free(graph);
}

uint32_t heap_graph_owner(const struct heap_graph *graph, uint32_t block)
{
	uint32_t parent = graph->parent[block];

	if (parent == BLOCK_NONE || heap_blocks_type(graph->view.blocks, block) != BLOCK_BUFFER)
		return BLOCK_NONE;
	return heap_blocks_type(graph->view.blocks, parent) >= 0 ? parent : BLOCK_NONE;
}

uint32_t heap_graph_dominator(const struct heap_graph *graph, uint32_t block)
{
	uint32_t dominator = graph->dominator[block];

	return dominator == graph->blocks ? BLOCK_NONE : dominator;
}

uint64_t heap_graph_retained(const struct heap_graph *graph, uint32_t block)
{
	return graph->retained[block];
}

enum root_tier heap_graph_tier(const struct heap_graph *graph, uint32_t block)
{
	return graph->tier[block] == TIER_NONE ? ROOT_UNREACHED
					       : (enum root_tier)graph->tier[block];
}

void heap_graph_garbage(const struct heap_graph *graph, uint64_t *bytes, uint64_t *objects)
{
	*bytes = graph->garbage_bytes;
	*objects = graph->garbage_objects;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the roots of each tier, the strongest first, to all that they lead to: breadth first, so
 * that the way to a block is a shortest one. */
#include <errno.h>
#include <stdlib.h>

#include "base/large.h"
#include "heap/graph_private.h"

struct reach {
	struct heap_graph *graph;
	uint64_t *seen;
	uint32_t *queue;
	uint32_t head, tail;
	enum root_tier tier;
	uint32_t *instances; /* by type: the first object of it + 1; 0: none yet */
};

static void visit(struct reach *r, uint32_t block, uint32_t parent)
{
	if (bit_of(r->seen, block))
		return;
	set_bit(r->seen, block);
	r->graph->tier[block] = (uint8_t)r->tier;
	r->graph->parent[block] = parent;
	r->queue[r->tail++] = block;
}

static void visit_root(struct reach *r, uint32_t block)
{
	if (!bit_of(r->seen, block))
		set_bit(r->graph->is_root, block);
	visit(r, block, BLOCK_NONE);
}

static void drain(struct reach *r)
{
	const struct heap_edges *edges = &r->graph->edges;

	while (r->head < r->tail) {
		uint32_t block = r->queue[r->head++], above = block;
		int32_t type = heap_blocks_type(r->graph->view.blocks, block);

		if (type >= 0 && !r->instances[type])
			r->instances[type] = block + 1;
		if (type < 0 && r->graph->parent[block] != BLOCK_NONE)
			above = r->graph->parent[block];
		for (uint32_t e = edges->first[block]; e < edges->first[block + 1]; e++)
			visit(r, edges->targets[e], above);
	}
}

/* An object's type is no reference, yet it keeps it: a class that nothing else leads to is reached
 * by an instance of it. */
static void drain_with_classes(struct reach *r)
{
	const struct heap_view *view = &r->graph->view;
	uint32_t before;

	do {
		drain(r);
		before = r->tail;
		for (uint32_t i = 0; i < r->graph->bodies.count; i++) {
			uint32_t block =
				r->instances[i]
					? view_target(view,
						      heap_types_get(view->types, (int32_t)i)->addr)
					: BLOCK_NONE;

			if (block == BLOCK_NONE || bit_of(r->seen, block))
				continue;
			set_bit(r->graph->is_root, block);
			visit(r, block, r->instances[i] - 1);
		}
	} while (r->tail > before);
}

/* From the roots so far. Modules go backwards: one that imports a variable of another was there
 * before it in most programs, and the variable is to be named by the module that made it. */
static void reach_tier(struct reach *r, enum root_tier tier)
{
	const struct heap_roots *roots = &r->graph->roots;

	r->tier = tier;
	for (size_t i = 0; i < roots->count; i++) {
		size_t at = tier == ROOT_MODULE ? roots->count - 1 - i : i;

		if (roots->list[at].tier == tier)
			visit_root(r, roots->list[at].block);
	}
	drain_with_classes(r);
}

static bool take_data(void *arg, uint32_t block)
{
	struct reach *r = arg;

	if (bit_of(r->seen, block))
		return false;
	visit_root(r, block);
	return true;
}

static bool is_lone(const struct reach *r, uint32_t block)
{
	return !bit_of(r->seen, block) &&
	       heap_blocks_type(r->graph->view.blocks, block) >= BLOCK_BUFFER;
}

/* First those that nothing leads to, then one of each circle. */
static int reach_rest(struct reach *r)
{
	const struct heap_edges *edges = &r->graph->edges;
	uint32_t blocks = r->graph->blocks;
	uint64_t *led_to = large_new(bits_bytes(blocks));

	if (!led_to)
		return -ENOMEM;
	for (uint32_t block = 0; block < blocks; block++) {
		for (uint32_t e = edges->first[block];
		     e < edges->first[block + 1] && !bit_of(r->seen, block); e++) {
			if (edges->targets[e] != block)
				set_bit(led_to, edges->targets[e]);
		}
	}
	r->tier = ROOT_UNREACHED;
	for (int circles = 0; circles <= 1; circles++) {
		for (uint32_t block = 0; block < blocks; block++) {
			if (is_lone(r, block) && (circles || !bit_of(led_to, block))) {
				visit_root(r, block);
				drain(r);
			}
		}
	}
	large_free(led_to, bits_bytes(blocks));
	return 0;
}

static int by_block(const void *a, const void *b)
{
	const struct heap_root *x = a, *y = b;

	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	if (x->tier != y->tier)
		return x->tier < y->tier ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return x->where < y->where ? -1 : x->where > y->where;
}

/* Before C data: a variable of the interpreter may still have what it had before, such as a place
 * on a free list, and its name tells less. */
static void reach_temporaries(struct reach *r)
{
	const struct heap_roots *roots = &r->graph->roots;

	r->tier = ROOT_C;
	for (size_t i = 0; i < roots->count; i++) {
		if (roots->list[i].tier == ROOT_C)
			visit_root(r, roots->list[i].block);
	}
}

static int reach_all(struct reach *r)
{
	struct heap_graph *graph = r->graph;
	int err;

	reach_tier(r, ROOT_MODULE);
	reach_tier(r, ROOT_FRAME);
	reach_temporaries(r);
	err = heap_roots_data(&graph->roots, &graph->view, take_data, r);
	if (err)
		return err;
	reach_tier(r, ROOT_C);
	err = reach_rest(r);
	qsort(graph->roots.list, graph->roots.count, sizeof(*graph->roots.list), by_block);
	return err;
}

int graph_reach(struct heap_graph *graph)
{
	size_t blocks = graph->blocks;
	struct reach reach = {
		.graph = graph,
		.seen = large_new(bits_bytes(graph->blocks)),
		.queue = large_new(blocks * sizeof(uint32_t)),
		.instances = calloc((size_t)graph->bodies.count + 1, sizeof(uint32_t)),
	};
	int err = -ENOMEM;

	graph->is_root = large_new(bits_bytes(graph->blocks));
	graph->tier = large_new(blocks);
	graph->parent = large_new(blocks * sizeof(uint32_t));
	if (reach.seen && reach.queue && reach.instances && graph->is_root && graph->tier &&
	    graph->parent) {
		memset(graph->tier, TIER_NONE, blocks);
		memset(graph->parent, 0xff, blocks * sizeof(uint32_t));
		err = reach_all(&reach);
	}
	large_free(reach.seen, bits_bytes(graph->blocks));
	large_free(reach.queue, blocks * sizeof(uint32_t));
	free(reach.instances);
	return err;
}

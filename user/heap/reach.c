/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds what the roots lead to, tier by tier, the strongest first. The search is breadth-first, so
 * that the path to a block is a shortest one. */
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
	uint32_t *instances; /* by type: block of its first object reached, plus 1; 0: none yet */
	bool takes_buffers;  /* reach_data(): buffers may be roots, too */
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

/* An object keeps its class alive, but the graph has no edge for that. So a class that no edge
 * reaches is reached from an instance. */
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

/* Visits what the roots of `tier` found so far lead to. Modules are taken in reverse order. In most
 * programs a module that imports a variable is listed before the one that made it, and the
 * variable's path should begin at the latter. */
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

	if (bit_of(r->seen, block) ||
	    (heap_blocks_type(r->graph->view.blocks, block) == BLOCK_BUFFER && !r->takes_buffers))
		return false;
	visit_root(r, block);
	return true;
}

/* Takes only objects as roots first: a stack with the address of a dict's table works on the dict
 * and does not own the table. Buffers that are not reached then belong to C code. 0 or -errno. */
static int reach_data(struct reach *r)
{
	struct heap_graph *graph = r->graph;
	int err = 0;

	r->tier = ROOT_C;
	for (int buffers = 0; buffers <= 1 && !err; buffers++) {
		r->takes_buffers = buffers;
		err = heap_roots_data(&graph->roots, &graph->view, take_data, r);
		if (!err)
			reach_tier(r, ROOT_C);
	}
	return err;
}

static bool is_lone(const struct reach *r, uint32_t block)
{
	return !bit_of(r->seen, block) &&
	       heap_blocks_type(r->graph->view.blocks, block) >= BLOCK_BUFFER;
}

/* Makes roots of blocks that are left: first of those that nothing leads to, then of one in each
 * cycle. 0 or -ENOMEM. */
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

static int reach_all(struct reach *r)
{
	struct heap_graph *graph = r->graph;
	int err;

	reach_tier(r, ROOT_MODULE);
	reach_tier(r, ROOT_FRAME);
	/* Stacks come before C data, which may be stale: a variable of the interpreter may still
	 * point to a place on a free list, and freed memory to what was moved away. And the names
	 * of C data tell less. */
	reach_tier(r, ROOT_STACK);
	err = reach_data(r);
	if (err)
		return err;
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

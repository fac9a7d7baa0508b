/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the graph share. */
#ifndef HEAP_GRAPH_PRIVATE_H
#define HEAP_GRAPH_PRIVATE_H

#include "heap/bodies.h"
#include "heap/edges.h"
#include "heap/graph.h"
#include "heap/roots.h"

#define TIER_NONE UINT8_MAX /* free, or CPython's own free list */

struct heap_graph {
	struct heap_view view;
	struct bodies bodies;
	struct heap_edges edges;
	struct heap_roots roots; /* in order of block, of one block the strongest first */
	uint32_t blocks;
	uint64_t *is_root; /* a bit for each block: referred to from outside the heap, or by nothing
			    */
	uint8_t *tier;	   /* enum root_tier, TIER_NONE */
	/* By what a block was reached first, on the shortest way from a root of its tier: an
	 * object, as buffers are passed over, or a buffer that is a root. BLOCK_NONE: a root. */
	uint32_t *parent;
	/* One more than there are blocks: the last is what dominates the roots. */
	uint32_t *dominator;
	uint64_t *retained;
	uint64_t garbage_bytes, garbage_objects;
};

static inline bool bit_of(const uint64_t *bits, uint32_t block)
{
	return bits[block >> 6] >> (block & 63) & 1;
}

static inline void set_bit(uint64_t *bits, uint32_t block)
{
	bits[block >> 6] |= 1ull << (block & 63);
}

static inline size_t bits_bytes(uint32_t blocks)
{
	return ((size_t)blocks / 64 + 1) * sizeof(uint64_t);
}

/* An edge from a weaker tier to a stronger one counts for nothing. */
static inline bool edge_counts(const struct heap_graph *graph, uint32_t source, uint32_t target)
{
	return graph->tier[target] >= graph->tier[source];
}

/* Each runs once, in this order. 0, -ENOMEM, -E2BIG. */
int graph_reach(struct heap_graph *graph);
int graph_find_garbage(struct heap_graph *graph);
int graph_find_retained(struct heap_graph *graph);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who refers to whom: references between the blocks of a heap, from what each type's body says;
 * roots in tiers; dominators; and from these what each block retains.
 *
 * A block's retained bytes are those that would be freed with it: its own and those of the blocks
 * that it alone leads to. An edge from a weaker tier to a stronger one is ignored, so that a
 * frame's `self` does not take what a module variable holds.
 *
 * Source of the algorithm: semi-NCA, Georgiadis, Linear-Time Algorithms for Dominators and Related
 * Problems, 2005. No recursion: a list may be nested a million deep.
 */
#ifndef HEAP_GRAPH_H
#define HEAP_GRAPH_H

#include <stdint.h>

#include "heap/blocks.h"

enum root_tier {
	ROOT_MODULE,	/* a variable of a module */
	ROOT_FRAME,	/* a local variable of a running function */
	ROOT_STACK,	/* the value stack of a function whose depth is not known: it may be dead */
	ROOT_C,		/* C data, a stack: "held by C: …" */
	ROOT_UNREACHED, /* no reference found: garbage cycles, references from elsewhere */
};

struct heap_graph;

/* Makes the graph. If the snapshot is large (snapshot_is_large()), the copies of blocks are given
 * back: read what is needed of them before. 0; -ENOMEM; -E2BIG: more than 2^32 - 1 references. The
 * caller owns *graph; everything that it is made from must outlive it. */
int heap_graph_build(struct snapshot *snapshot, const struct py_heap_layout *heap_layout,
		     const struct py_layout *layout, uint64_t runtime_addr,
		     struct heap_types *types, struct heap_blocks *blocks,
		     struct heap_graph **graph);
void heap_graph_free(struct heap_graph *graph);

/* The object that a buffer belongs to (a dict of its keys), BLOCK_NONE: none was found. */
uint32_t heap_graph_owner(const struct heap_graph *graph, uint32_t block);
/* BLOCK_NONE: a root's own. */
uint32_t heap_graph_dominator(const struct heap_graph *graph, uint32_t block);
uint64_t heap_graph_retained(const struct heap_graph *graph, uint32_t block);
enum root_tier heap_graph_tier(const struct heap_graph *graph, uint32_t block);
/* Bytes of the cycles that nothing reaches and the collector can free, with their buffers, and the
 * number of objects in them. */
void heap_graph_garbage(const struct heap_graph *graph, uint64_t *bytes, uint64_t *objects);

#endif

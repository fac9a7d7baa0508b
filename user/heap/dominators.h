/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Immediate dominators of a graph of any shape. Pure: numbers in, numbers out.
 *
 * A node d dominates a node v if every path from the root to v leads through d. The nearest such d
 * is v's immediate dominator; these make a tree.
 *
 * Source of the algorithm: semi-NCA, Georgiadis, Linear-Time Algorithms for Dominators and Related
 * Problems, 2005. It has a step that climbs the tree and is quadratic in graphs made for that; here
 * the climb takes jumps (ancestry.h), so that all of it is O(edges * log nodes). No recursion.
 */
#ifndef HEAP_DOMINATORS_H
#define HEAP_DOMINATORS_H

#include <stdint.h>

#define DOMINATOR_NONE UINT32_MAX

/* The edges of node v lead to targets[first[v]] up to, not including, targets[first[v + 1]]. The
 * root is node 0. At most 2^32 - 2 nodes; each target is less than `count`. */
struct dominator_graph {
	uint32_t count;
	const uint32_t *first; /* count + 1 of them */
	const uint32_t *targets;
};

/* Fills dominators[count] with the immediate dominator of each node: 0 for the root, DOMINATOR_NONE
 * for a node that the root does not reach. Fills order[count] with the nodes that it reaches, each
 * after its dominator; *reached is their number. 0, -ENOMEM. */
int dominators_find(const struct dominator_graph *graph, uint32_t *dominators, uint32_t *order,
		    uint32_t *reached);

#endif

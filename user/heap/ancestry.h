/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ancestors in a tree that grows from its root: the nearest common one of two nodes in O(log n)
 * steps, however deep the tree is (a list of a million nodes is that deep).
 *
 * Source of the algorithm: Myers, An Applicative Random-Access Stack, 1983: each node has, beside
 * its parent, one jump to an ancestor whose distance follows the skew-binary numbers.
 */
#ifndef HEAP_ANCESTRY_H
#define HEAP_ANCESTRY_H

#include <stdint.h>

/* Arrays by node, owned by the caller. The root is its own parent and jump, at depth 0. */
struct ancestry {
	uint32_t *parent, *jump, *depth;
};

/* `node` becomes a child of `parent`, which must be in the tree. */
static inline void ancestry_add(const struct ancestry *tree, uint32_t node, uint32_t parent)
{
	uint32_t jump = tree->jump[parent];
	uint32_t first = tree->depth[parent] - tree->depth[jump];
	uint32_t second = tree->depth[jump] - tree->depth[tree->jump[jump]];

	tree->parent[node] = parent;
	tree->depth[node] = tree->depth[parent] + 1;
	tree->jump[node] = first == second ? tree->jump[jump] : parent;
}

static inline void ancestry_add_root(const struct ancestry *tree, uint32_t root)
{
	tree->parent[root] = tree->jump[root] = root;
	tree->depth[root] = 0;
}

/* The ancestor of `node` (or itself) at `depth`, which must not be below it. */
static inline uint32_t ancestry_at(const struct ancestry *tree, uint32_t node, uint32_t depth)
{
	while (tree->depth[node] > depth) {
		uint32_t jump = tree->jump[node];

		node = tree->depth[jump] >= depth ? jump : tree->parent[node];
	}
	return node;
}

/* The nearest node that is an ancestor of both, or one of them. */
static inline uint32_t ancestry_common(const struct ancestry *tree, uint32_t a, uint32_t b)
{
	if (tree->depth[a] > tree->depth[b])
		a = ancestry_at(tree, a, tree->depth[b]);
	else
		b = ancestry_at(tree, b, tree->depth[a]);
	while (a != b) {
		if (tree->jump[a] != tree->jump[b]) {
			a = tree->jump[a];
			b = tree->jump[b];
		} else {
			a = tree->parent[a];
			b = tree->parent[b];
		}
	}
	return a;
}

#endif

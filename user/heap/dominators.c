/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Nodes are numbered in depth-first order, so a node's number is greater than those of its
 * dominators. The arrays are indexed by number, but `number` by node, and the stacks (`path`,
 * `next`, `climbed`) by depth. */
#include "heap/dominators.h"

#include <errno.h>
#include <stddef.h>

#include "base/large.h"
#include "heap/ancestry.h"

#define ARRAYS 6

struct work {
	const struct dominator_graph *graph;
	uint32_t *order;  /* number to node */
	uint32_t reached; /* numbers given */
	uint32_t *number; /* node to number */
	uint32_t *parent; /* in the depth-first tree; later in the dominator tree */
	/* During the depth-first walk: `path` and `next`, a stack of nodes and of the next edge of
	 * each. Later: the arrays of the paper (dominators.h). */
	union {
		uint32_t *path;
		uint32_t *semi;
	};
	union {
		uint32_t *next;
		uint32_t *label;
		uint32_t *depth;
	};
	union {
		uint32_t *ancestor;
		uint32_t *jump;
	};
	uint32_t *climbed;
	uint32_t *sources_first, *sources; /* edges reversed, by number */
	size_t source_bytes;
};

static size_t bytes_of(const struct work *w)
{
	return ((size_t)w->graph->count + 1) * sizeof(uint32_t);
}

static void fini(struct work *w)
{
	uint32_t *arrays[ARRAYS] = {w->number, w->parent,   w->path,
				    w->next,   w->ancestor, w->climbed};

	for (int i = 0; i < ARRAYS; i++)
		large_free(arrays[i], bytes_of(w));
	large_free(w->sources_first, bytes_of(w) + sizeof(uint32_t));
	large_free(w->sources, w->source_bytes);
}

static int init(struct work *w)
{
	w->number = large_new(bytes_of(w));
	w->parent = large_new(bytes_of(w));
	w->path = large_new(bytes_of(w));
	w->next = large_new(bytes_of(w));
	w->ancestor = large_new(bytes_of(w));
	w->climbed = large_new(bytes_of(w));
	w->sources_first = large_new(bytes_of(w) + sizeof(uint32_t));
	return w->number && w->parent && w->path && w->next && w->ancestor && w->climbed &&
			       w->sources_first
		       ? 0
		       : -ENOMEM;
}

static void enter(struct work *w, uint32_t node, uint32_t parent)
{
	w->number[node] = w->reached;
	w->parent[w->reached] = parent;
	w->order[w->reached++] = node;
}

static void walk_depth_first(struct work *w)
{
	const struct dominator_graph *g = w->graph;
	uint32_t depth = 1;

	for (uint32_t i = 0; i < g->count; i++)
		w->number[i] = DOMINATOR_NONE;
	enter(w, 0, 0);
	w->path[0] = 0;
	w->next[0] = g->first[0];
	while (depth) {
		uint32_t node = w->path[depth - 1], target;

		if (w->next[depth - 1] == g->first[node + 1]) {
			depth--;
			continue;
		}
		target = g->targets[w->next[depth - 1]++];
		if (w->number[target] != DOMINATOR_NONE)
			continue;
		enter(w, target, w->number[node]);
		w->path[depth] = target;
		w->next[depth++] = g->first[target];
	}
}

/* Runs `body` for each edge from a reached node. `source` and `target` are numbers, in ascending
 * order of `source`. */
#define EACH_EDGE(w, source, target, body)                                         \
	for (uint32_t source = 0; source < (w)->reached; source++) {               \
		uint32_t node_ = (w)->order[source];                               \
		for (uint32_t edge_ = (w)->graph->first[node_];                    \
		     edge_ < (w)->graph->first[node_ + 1]; edge_++) {              \
			uint32_t target = (w)->number[(w)->graph->targets[edge_]]; \
			body;                                                      \
		}                                                                  \
	}

/* Reverses the edges. sources_first[v] moves from the end of v's sources to their beginning as they
 * are filled in. 0 or -ENOMEM. */
static int turn_edges(struct work *w)
{
	uint32_t *first = w->sources_first;

	EACH_EDGE(w, source, target, first[target]++);
	for (uint32_t i = 1; i <= w->reached; i++)
		first[i] += first[i - 1];
	w->source_bytes = ((size_t)first[w->reached] + 1) * sizeof(uint32_t);
	w->sources = large_new(w->source_bytes);
	if (!w->sources)
		return -ENOMEM;
	EACH_EDGE(w, source, target, w->sources[--first[target]] = source);
	return 0;
}

/* The least semidominator on the path from `v` up to the root of v's tree in the forest, without
 * the root. Nodes with numbers above `last` are linked. Compresses the path. */
static uint32_t least_semi(struct work *w, uint32_t v, uint32_t last)
{
	uint32_t count = 0, above;

	if (v <= last)
		return v;
	while (w->ancestor[v] > last) {
		w->climbed[count++] = v;
		v = w->ancestor[v];
	}
	for (above = v; count; above = v) {
		v = w->climbed[--count];
		if (w->label[above] < w->label[v])
			w->label[v] = w->label[above];
		w->ancestor[v] = w->ancestor[above];
	}
	return w->label[v];
}

static void find_semidominators(struct work *w)
{
	for (uint32_t i = 0; i < w->reached; i++) {
		w->label[i] = i;
		w->ancestor[i] = w->parent[i];
	}
	for (uint32_t i = w->reached - 1; i > 0; i--) {
		uint32_t semi = w->parent[i];

		for (uint32_t e = w->sources_first[i]; e < w->sources_first[i + 1]; e++) {
			uint32_t found = least_semi(w, w->sources[e], i);

			if (found < semi)
				semi = found;
		}
		w->semi[i] = w->label[i] = semi;
	}
}

/* The immediate dominator of i is the nearest one, of its parent and the parent's ancestors in the
 * dominator tree built so far, whose number is not above the semidominator's. */
static void build_tree(struct work *w)
{
	struct ancestry tree = {.parent = w->parent, .jump = w->jump, .depth = w->depth};

	ancestry_add_root(&tree, 0);
	for (uint32_t i = 1; i < w->reached; i++) {
		uint32_t above = w->parent[i], semi = w->semi[i];

		while (above > semi)
			above = w->jump[above] >= semi ? w->jump[above] : w->parent[above];
		ancestry_add(&tree, i, above);
	}
}

static void tell(const struct work *w, uint32_t *dominators)
{
	for (uint32_t i = 0; i < w->graph->count; i++)
		dominators[i] = DOMINATOR_NONE;
	for (uint32_t i = 0; i < w->reached; i++)
		dominators[w->order[i]] = w->order[w->parent[i]];
}

int dominators_find(const struct dominator_graph *graph, uint32_t *dominators, uint32_t *order,
		    uint32_t *reached)
{
	struct work w = {.graph = graph, .order = order};
	int err;

	*reached = 0;
	if (!graph->count)
		return 0;
	err = init(&w);
	if (!err) {
		walk_depth_first(&w);
		err = turn_edges(&w);
	}
	if (!err) {
		find_semidominators(&w);
		build_tree(&w);
		tell(&w, dominators);
		*reached = w.reached;
	}
	fini(&w);
	return err;
}

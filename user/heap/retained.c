/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: find the dominators of 15 million blocks in a second or two.
 *
 * Most blocks of a heap are in no cycle and lead to none: strings, tuples of them, lists of those.
 * Such blocks are peeled off, pass by pass: first those that lead to nothing, then those that lead
 * to peeled ones only. What is left, the core, is small in most heaps; semi-NCA finds its
 * dominators. The dominator of a peeled block is the nearest common ancestor of its predecessors in
 * the dominator tree, and is known once all of them are in the tree. So peeled blocks are added in
 * the opposite order, and each passes itself on to its successors.
 *
 * Source for the peeled part: in an acyclic graph, taken in topological order, the immediate
 * dominator is the nearest common ancestor of the predecessors in the tree so far (Aho, Hopcroft
 * and Ullman, 1974).
 */
#include <errno.h>

#include "base/large.h"
#include "heap/ancestry.h"
#include "heap/dominators.h"
#include "heap/graph_private.h"

#define PASSES_MAX 64
/* A pass is the last if it peels no more than this fraction (1/64) of the blocks that are left. */
#define WORTHWHILE 64
#define CORE	   0 /* level of blocks that are not peeled */
#define OUTSIDE	   UINT8_MAX
/* A block of this size or more may not be resident as a whole. */
#define LARGE_BYTES 16384

struct work {
	struct heap_graph *graph;
	uint8_t *level;	  /* by block: the pass that peeled it, CORE, OUTSIDE */
	uint64_t *peeled; /* a bit for each block */
	int passes;
	uint32_t root; /* number of the node above all roots, which is no block */
	struct ancestry tree;
	/* The core: its blocks, numbered from 1. */
	uint32_t core_count;
	uint32_t *core_blocks; /* by number */
	uint32_t *core_before; /* by word of `core`: the core blocks before it */
	uint64_t *core;	       /* a bit for each block */
};

/* Runs through all blocks in the order of a pass. Every second pass goes backwards, so that a chain
 * in either direction is peeled in one pass. */
#define EACH_OF_PASS(w, pass, block)                                                             \
	for (uint32_t i_ = 0, n_ = (w)->graph->blocks, block = (pass) % 2 ? 0 : n_ - 1; i_ < n_; \
	     i_++, block += (pass) % 2 ? 1 : -1)

#define EACH_OF_PASS_REVERSED(w, pass, block) EACH_OF_PASS(w, (pass) + 1, block)

/* --- peeling --- */

static bool leads_to_peeled_only(const struct work *w, uint32_t block)
{
	const struct heap_edges *edges = &w->graph->edges;

	for (uint32_t e = edges->first[block]; e < edges->first[block + 1]; e++) {
		uint32_t target = edges->targets[e];

		if (!bit_of(w->peeled, target) && target != block &&
		    edge_counts(w->graph, block, target))
			return false;
	}
	return true;
}

static uint32_t peel_pass(struct work *w, int pass)
{
	uint32_t count = 0;

	EACH_OF_PASS(w, pass, block)
	{
		if (w->level[block] != CORE || !leads_to_peeled_only(w, block))
			continue;
		set_bit(w->peeled, block);
		w->level[block] = (uint8_t)pass;
		count++;
	}
	return count;
}

static void peel(struct work *w)
{
	uint32_t left = 0, count = UINT32_MAX;

	for (uint32_t block = 0; block < w->graph->blocks; block++) {
		if (w->graph->tier[block] == TIER_NONE)
			w->level[block] = OUTSIDE;
		else
			left++;
	}
	while (w->passes < PASSES_MAX && left && count > left / WORTHWHILE) {
		count = peel_pass(w, ++w->passes);
		left -= count;
	}
	w->core_count = left;
}

/* --- the core --- */

static uint32_t core_number(const struct work *w, uint32_t block)
{
	uint64_t before = w->core[block >> 6] & ((1ull << (block & 63)) - 1);

	return w->core_before[block >> 6] + (uint32_t)__builtin_popcountll(before) + 1;
}

static int number_core(struct work *w)
{
	size_t words = (size_t)w->graph->blocks / 64 + 1;
	uint32_t count = 0;

	w->core = large_new(bits_bytes(w->graph->blocks));
	w->core_before = large_new(words * sizeof(uint32_t));
	w->core_blocks = large_new(((size_t)w->core_count + 1) * sizeof(uint32_t));
	if (!w->core || !w->core_before || !w->core_blocks)
		return -ENOMEM;
	for (uint32_t block = 0; block < w->graph->blocks; block++) {
		if (!(block & 63))
			w->core_before[block >> 6] = count;
		if (w->level[block] != CORE)
			continue;
		set_bit(w->core, block);
		w->core_blocks[++count] = block;
	}
	w->core_blocks[0] = w->root;
	return 0;
}

/* Writes the edges from `block` within the core to `at` (NULL: nowhere). Returns their number. */
static uint32_t core_edges(const struct work *w, uint32_t block, uint32_t *at)
{
	const struct heap_edges *edges = &w->graph->edges;
	uint32_t count = 0;

	for (uint32_t e = edges->first[block]; e < edges->first[block + 1]; e++) {
		uint32_t target = edges->targets[e];

		if (!bit_of(w->core, target) || !edge_counts(w->graph, block, target))
			continue;
		if (at)
			at[count] = core_number(w, target);
		count++;
	}
	return count;
}

static uint32_t core_roots(const struct work *w, uint32_t *at)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i <= w->core_count; i++) {
		if (!bit_of(w->graph->is_root, w->core_blocks[i]))
			continue;
		if (at)
			at[count] = i;
		count++;
	}
	return count;
}

struct core {
	uint32_t nodes; /* with the root, number 0 */
	uint32_t *first, *targets, *dominators, *order;
	size_t target_bytes;
};

static void core_fini(struct core *core)
{
	size_t bytes = ((size_t)core->nodes + 1) * sizeof(uint32_t);

	large_free(core->first, bytes);
	large_free(core->dominators, bytes);
	large_free(core->order, bytes);
	large_free(core->targets, core->target_bytes);
}

static int core_init(const struct work *w, struct core *core)
{
	size_t bytes;

	core->nodes = w->core_count + 1;
	bytes = ((size_t)core->nodes + 1) * sizeof(uint32_t);
	core->first = large_new(bytes);
	core->dominators = large_new(bytes);
	core->order = large_new(bytes);
	if (!core->first || !core->dominators || !core->order)
		return -ENOMEM;
	core->first[1] = core_roots(w, NULL);
	for (uint32_t i = 1; i < core->nodes; i++)
		core->first[i + 1] = core->first[i] + core_edges(w, w->core_blocks[i], NULL);
	core->target_bytes = ((size_t)core->first[core->nodes] + 1) * sizeof(uint32_t);
	core->targets = large_new(core->target_bytes);
	if (!core->targets)
		return -ENOMEM;
	core_roots(w, core->targets);
	for (uint32_t i = 1; i < core->nodes; i++)
		core_edges(w, w->core_blocks[i], core->targets + core->first[i]);
	return 0;
}

/* Adds the core to the tree, and reorders core_blocks: each block comes after its dominator. */
static void core_to_tree(struct work *w, const struct core *core, uint32_t reached)
{
	for (uint32_t i = 1; i < reached; i++) {
		uint32_t number = core->order[i];

		ancestry_add(&w->tree, w->core_blocks[number],
			     w->core_blocks[core->dominators[number]]);
	}
	for (uint32_t i = 1; i < reached; i++)
		core->order[i] = w->core_blocks[core->order[i]];
	memcpy(w->core_blocks + 1, core->order + 1, (reached - 1) * sizeof(uint32_t));
	w->core_count = reached - 1;
}

static int solve_core(struct work *w)
{
	struct core core = {0};
	struct dominator_graph graph;
	uint32_t reached, count = w->core_count;
	int err;

	if (!count)
		return 0;
	err = number_core(w);
	if (!err)
		err = core_init(w, &core);
	if (!err) {
		graph = (struct dominator_graph){core.nodes, core.first, core.targets};
		err = dominators_find(&graph, core.dominators, core.order, &reached);
	}
	if (!err)
		core_to_tree(w, &core, reached);
	core_fini(&core);
	large_free(w->core, bits_bytes(w->graph->blocks));
	large_free(w->core_before, ((size_t)w->graph->blocks / 64 + 1) * sizeof(uint32_t));
	if (err) {
		large_free(w->core_blocks, ((size_t)count + 1) * sizeof(uint32_t));
		w->core_blocks = NULL;
	}
	return err;
}

/* --- from the core down --- */

static void pass_on(const struct work *w, uint32_t block)
{
	const struct heap_edges *edges = &w->graph->edges;
	uint32_t *dominator = w->graph->dominator;

	for (uint32_t e = edges->first[block]; e < edges->first[block + 1]; e++) {
		uint32_t target = edges->targets[e], known = dominator[target];

		if (!bit_of(w->peeled, target) || target == block || known == block ||
		    known == w->root || !edge_counts(w->graph, block, target))
			continue;
		dominator[target] =
			known == BLOCK_NONE ? block : ancestry_common(&w->tree, known, block);
	}
}

static void spread(struct work *w)
{
	const struct heap_graph *graph = w->graph;

	for (uint32_t i = 1; i <= w->core_count; i++)
		pass_on(w, w->core_blocks[i]);
	for (int pass = w->passes; pass > 0; pass--) {
		EACH_OF_PASS_REVERSED(w, pass, block)
		{
			if (w->level[block] != pass ||
			    graph->edges.first[block] == graph->edges.first[block + 1])
				continue;
			ancestry_add(&w->tree, block, graph->dominator[block]);
			pass_on(w, block);
		}
	}
}

static uint64_t resident_bytes(const struct heap_view *view, uint32_t block)
{
	uint64_t size = heap_blocks_size(view->blocks, block), start;

	if (size < LARGE_BYTES)
		return size;
	start = heap_blocks_addr(view->blocks, block);
	return snapshot_resident(view->snapshot, start, start + size);
}

/* Adds up what blocks retain. A block comes before its dominator. */
static void add_up(struct work *w)
{
	struct heap_graph *graph = w->graph;
	uint64_t *retained = graph->retained;

	for (uint32_t block = 0; block < graph->blocks; block++) {
		if (w->level[block] != OUTSIDE)
			retained[block] = resident_bytes(&graph->view, block);
	}
	for (int pass = 1; pass <= w->passes; pass++) {
		EACH_OF_PASS(w, pass, block)
		{
			if (w->level[block] == pass)
				retained[graph->dominator[block]] += retained[block];
		}
	}
	for (uint32_t i = w->core_count; i > 0; i--)
		retained[graph->dominator[w->core_blocks[i]]] += retained[w->core_blocks[i]];
}

/* Begins the tree: the only blocks with a dominator are the roots, below w->root. */
static void begin_tree(struct work *w)
{
	struct heap_graph *graph = w->graph;

	ancestry_add_root(&w->tree, w->root);
	for (uint32_t block = 0; block < graph->blocks; block++)
		graph->dominator[block] = bit_of(graph->is_root, block) ? w->root : BLOCK_NONE;
}

static int find_all(struct work *w)
{
	uint32_t core;
	int err;

	peel(w);
	begin_tree(w);
	core = w->core_count;
	err = solve_core(w);
	if (err)
		return err;
	spread(w);
	add_up(w);
	large_free(w->core_blocks, ((size_t)core + 1) * sizeof(uint32_t));
	return 0;
}

int graph_find_retained(struct heap_graph *graph)
{
	size_t nodes = (size_t)graph->blocks + 1;
	struct work w = {
		.graph = graph,
		.root = graph->blocks,
		.level = large_new(nodes),
		.peeled = large_new(bits_bytes(graph->blocks)),
	};
	int err = -ENOMEM;

	graph->dominator = large_new(nodes * sizeof(uint32_t));
	graph->retained = large_new(nodes * sizeof(uint64_t));
	w.tree.parent = graph->dominator;
	w.tree.jump = large_new(nodes * sizeof(uint32_t));
	w.tree.depth = large_new(nodes * sizeof(uint32_t));
	if (w.level && w.peeled && graph->dominator && graph->retained && w.tree.jump &&
	    w.tree.depth)
		err = find_all(&w);
	large_free(w.level, nodes);
	large_free(w.peeled, bits_bytes(graph->blocks));
	large_free(w.tree.jump, nodes * sizeof(uint32_t));
	large_free(w.tree.depth, nodes * sizeof(uint32_t));
	return err;
}

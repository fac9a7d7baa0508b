/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which containers may be watched: where their sizes are, and which place leads to each. A place is
 * the address of a word that points to the container. */
#include "heap/births.h"
#include "heap/graph_private.h"

#define WORD sizeof(uint64_t)
/* Places are looked for in blocks of at most so many bytes. */
#define SEARCH_MOST  (64u << 10)
#define SEARCH_WORDS 512

/* Offset of the size in a container of that kind. PY_NONE: it has no size that one write changes.
 */
static unsigned size_offset(const struct py_heap_layout *l, enum type_kind kind)
{
	switch (kind) {
	case TYPE_DICT:
		return l->dict_used;
	case TYPE_SET:
		return l->set_used;
	case TYPE_LIST:
	case TYPE_DEQUE:
		return l->object_size;
	default:
		return PY_NONE;
	}
}

/* Address of the first word in the block that equals `object`; 0: there is none. The copy of a
 * large process has been given back by now, so the words are read from the process. */
static uint64_t place_in(const struct heap_view *view, uint32_t block, uint64_t object)
{
	uint64_t addr = heap_blocks_addr(view->blocks, block);
	uint64_t size = heap_blocks_size(view->blocks, block);
	uint64_t words[SEARCH_WORDS];

	for (uint64_t at = 0; size <= SEARCH_MOST && at + WORD <= size; at += sizeof(words)) {
		uint64_t left = size - at < sizeof(words) ? size - at : sizeof(words);

		if (!snapshot_read_any(view->snapshot, addr + at, words, left / WORD * WORD))
			continue;
		for (uint64_t i = 0; i < left / WORD; i++)
			if (words[i] == object)
				return addr + at + i * WORD;
	}
	return 0;
}

/* The place that leads to the container: in the object before it on the shortest path from a root,
 * or in a buffer of that object. 0: not found. */
static uint64_t place_of(const struct heap_graph *graph, uint32_t block, uint64_t object)
{
	const struct heap_edges *edges = &graph->edges;
	uint32_t parent = graph->parent[block];
	uint64_t place;

	if (parent == BLOCK_NONE)
		return 0;
	place = place_in(&graph->view, parent, object);
	for (uint32_t e = edges->first[parent]; e < edges->first[parent + 1] && !place; e++)
		if (heap_blocks_type(graph->view.blocks, edges->targets[e]) == BLOCK_BUFFER)
			place = place_in(&graph->view, edges->targets[e], object);
	return place;
}

static void add_candidate(struct births_request *request, const struct heap_graph *graph,
			  uint32_t block, uint64_t entries)
{
	const struct heap_view *view = &graph->view;
	const struct py_heap_layout *l = &request->heap;
	const struct heap_type *type = block == BLOCK_NONE ? NULL : view_type(view, block);
	unsigned offset = type ? size_offset(l, type->kind) : PY_NONE;
	uint64_t object;

	if (offset == PY_NONE || request->candidate_count == BIRTHS_CANDIDATES)
		return;
	object = heap_blocks_object(view->blocks, block);
	for (size_t i = 0; i < request->candidate_count; i++)
		if (request->candidates[i].object == object)
			return;
	request->candidates[request->candidate_count++] = (struct birth_watch){
		.object = object,
		.size_addr = object + offset,
		.slot = place_of(graph, block, object),
		.tracked_addr = object - l->gc_head,
		.type = type->addr,
		.type_offset = l->object_type,
		.size = (int64_t)entries,
		.is_dict = type->kind == TYPE_DICT,
	};
}

void heap_births_candidates(struct births_request *request, const struct heap_graph *graph,
			    const struct holder *holders, size_t holder_count)
{
	request->candidate_count = 0;
	for (size_t i = 0; i < holder_count; i++) {
		const struct holder *holder = &holders[i];

		if (!holder->members) {
			add_candidate(request, graph, holder->block, holder->entries);
			continue;
		}
		/* What two containers share may grow by an insertion into either. */
		for (int k = 0; k < 2; k++)
			add_candidate(request, graph, holder->parts[k].block,
				      holder->parts[k].entries);
	}
}

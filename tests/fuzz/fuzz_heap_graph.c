/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: references, roots, dominators, paths, holders and growth of a heap of which an
 * input spoils words.
 *
 * A heap with objects of each kind is made by hand (tests/unit/synthetic_heap.h): the first byte
 * says of which version. Each change after that is one word, anywhere: an address of another object
 * or near it, a number as given, or an extreme. Whatever comes out, the tree of dominators is one:
 * its sums add up, and for some blocks it is held against the definition.
 */
#include <stdint.h>
#include <stdlib.h>

#include "heap/graph_private.h"
#include "heap/holders.h"
#include "../unit/synthetic_heap.h"

#define SPACE	    (512u << 10)
#define OBJECTS_MAX 512
#define CHANGES_MAX 256
#define HOLDERS	    64

struct change {
	uint8_t kind;	 /* what is written */
	uint8_t width;	 /* 1, 4 or 8 bytes */
	uint16_t object; /* near which */
	uint16_t offset; /* from its start, in bytes: the lower 10 bits */
	uint16_t other;	 /* an object whose address is written */
	uint64_t value;
} __attribute__((packed));

struct made {
	uint64_t list[OBJECTS_MAX];
	size_t count;
};

static uint64_t add(struct made *made, uint64_t addr)
{
	if (made->count < OBJECTS_MAX)
		made->list[made->count++] = addr;
	return addr;
}

static uint64_t make_deque(struct synthetic_heap *h, struct made *made, uint64_t item)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t deque = add(made, synthetic_plain(h, h->types.deque));
	uint64_t left = add(made, synthetic_alloc(h, l->deque_block_right + 8));
	uint64_t right = add(made, synthetic_alloc(h, l->deque_block_right + 8));

	synthetic_set(h, deque + l->deque_left_block, left);
	synthetic_set(h, deque + l->deque_right_block, right);
	synthetic_set(h, deque + l->deque_left_index, 60);
	synthetic_set(h, deque + l->deque_right_index, 2);
	synthetic_set(h, deque + l->object_size, 7);
	synthetic_set(h, left + l->deque_block_right, right);
	synthetic_set(h, right + l->deque_block_items, item);
	return deque;
}

static uint64_t make_code(struct synthetic_heap *h, struct made *made)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t code = add(made, synthetic_plain(h, h->types.code));
	uint64_t name = add(made, synthetic_str(h, "local"));
	uint64_t names = add(made, synthetic_tuple(h, &name, 1));

	synthetic_set(h, code + h->py.code_name, name);
	if (h->py.code_qualname != PY_NONE)
		synthetic_set(h, code + h->py.code_qualname, name);
	if (l->flags & PY_HEAP_FRAME_OBJECTS) {
		synthetic_set32(h, code + l->code_nlocals, 1);
		synthetic_set(h, code + l->code_varnames, names);
		synthetic_set(h, code + l->code_freevars, names);
	} else {
		synthetic_set32(h, code + l->code_nlocalsplus, 1);
		synthetic_set(h, code + l->code_localsplusnames, names);
	}
	return code;
}

static uint64_t make_function(struct synthetic_heap *h, struct made *made, uint64_t code,
			      uint64_t value)
{
	uint64_t function = add(made, synthetic_plain(h, h->types.function));
	uint64_t cell = add(made, synthetic_plain(h, h->types.cell));

	synthetic_set(h, cell + h->layout.cell_content, value);
	synthetic_set(h, function + h->layout.function_code, code);
	synthetic_set(h, function + h->layout.function_closure,
		      add(made, synthetic_tuple(h, &cell, 1)));
	return function;
}

static void run_frame(struct synthetic_heap *h, struct made *made, uint64_t code, uint64_t local)
{
	uint64_t frame = add(made, synthetic_static(h, 512));
	uint64_t cframe = add(made, synthetic_static(h, 64));

	synthetic_set(h, frame + h->py.frame_code, code);
	synthetic_set(h, frame + h->layout.frame_localsplus, local);
	if (h->py.flags & PY_TSTATE_CFRAME)
		synthetic_set(h, cframe + h->py.cframe_frame, frame);
	synthetic_set(h, h->thread + h->py.tstate_frame,
		      h->py.flags & PY_TSTATE_CFRAME ? cframe : frame);
}

static uint64_t make_class(struct synthetic_heap *h, struct made *made)
{
	uint64_t class =
		add(made, synthetic_type(h, "app.Node", SYNTHETIC_GC | h->layout.pre_flags, 32, 0));
	uint64_t members = add(made, synthetic_static(h, 2 * h->layout.member_size));
	uint64_t key = synthetic_str(h, "attribute");

	synthetic_set(h, class + h->layout.type_dictoffset, 16);
	synthetic_set(h, class + h->layout.type_members, members);
	synthetic_set(h, class + h->layout.heap_type_cached_keys,
		      add(made, synthetic_keys(h, &key, NULL, 1)));
	synthetic_set(h, members + h->layout.member_name, synthetic_c_string(h, "next"));
	synthetic_set(h, members + h->layout.member_offset, 24);
	return class;
}

/* A chain of instances, each with a dict and the next one. */
static uint64_t make_chain(struct synthetic_heap *h, struct made *made, uint64_t class)
{
	uint64_t first = 0, before = 0;

	for (int i = 0; i < 8; i++) {
		uint64_t node = add(made, synthetic_plain(h, class));
		uint64_t key = synthetic_str(h, "k"), value = add(made, synthetic_int(h, i));

		synthetic_set(h, node + 16, add(made, synthetic_dict(h, &key, &value, 1)));
		if (before)
			synthetic_set(h, before + 24, node);
		else
			first = node;
		before = node;
	}
	return first;
}

static void make_heap(struct synthetic_heap *h, struct made *made)
{
	const char *names[] = {"LIST", "DICT", "SET", "DEQUE", "func", "Node", "CHAIN"};
	uint64_t items[40], keys[40], values[7], code;

	for (int i = 0; i < 40; i++) {
		items[i] = add(made, synthetic_str(h, "an item of some length"));
		keys[i] = i % 2 ? synthetic_int(h, i) : synthetic_str(h, "key");
	}
	values[0] = add(made, synthetic_list(h, items, 30, 40));
	values[1] = add(made, synthetic_dict(h, keys, items, 40));
	values[2] = add(made, synthetic_plain(h, h->types.set));
	synthetic_set(h, values[2] + h->layout.set_mask, 7);
	synthetic_set(h, values[2] + h->layout.set_table, values[2] + h->layout.set_small_table);
	synthetic_set(h, values[2] + h->layout.set_small_table, items[3]);
	values[3] = make_deque(h, made, items[4]);
	code = make_code(h, made);
	values[4] = make_function(h, made, code, values[0]);
	values[5] = make_class(h, made);
	values[6] = make_chain(h, made, values[5]);
	run_frame(h, made, code, add(made, synthetic_list(h, items, 40, 40)));
	synthetic_module(h, "app", add(made, synthetic_names(h, names, values, 7)));
	add(made, h->runtime);
	add(made, h->interp);
	add(made, h->thread);
	for (size_t i = 0; i < sizeof(h->types) / sizeof(uint64_t); i++)
		add(made, ((uint64_t *)&h->types)[i]);
}

/* --- changes --- */

static const uint64_t extremes[] = {0,		1,	    8,		1ull << 31,
				    UINT32_MAX, 1ull << 47, 1ull << 60, (1ull << 63) - 1,
				    1ull << 63, UINT64_MAX};

static uint64_t value_of(const struct made *made, const struct change *c)
{
	uint64_t other = made->list[c->other % made->count];

	switch (c->kind % 4) {
	case 0:
		return other;
	case 1:
		return other + c->value % 512 - 256;
	case 2:
		return extremes[c->value % (sizeof(extremes) / sizeof(*extremes))];
	default:
		return c->value;
	}
}

static bool is_inside(const struct synthetic_region *r, uint64_t addr, uint64_t bytes)
{
	return addr >= r->start && bytes <= r->size && addr - r->start <= r->size - bytes;
}

static void spoil(struct synthetic_heap *h, const struct made *made, const struct change *c)
{
	/* From a little before an object: there are its GC head and its dict. */
	uint64_t addr = made->list[c->object % made->count] + (c->offset & 1023) - 64;
	uint64_t value = value_of(made, c);
	size_t width = c->width % 3 == 0 ? 8 : c->width % 3 == 1 ? 4 : 1;

	if (is_inside(&h->data, addr, width) || is_inside(&h->arena, addr, width) ||
	    is_inside(&h->large, addr, width))
		memcpy(synthetic_at(h, addr), &value, width);
}

/* --- what must hold --- */

static uint64_t reached_without(const struct heap_graph *g, uint32_t without, uint32_t *queue,
				uint8_t *seen)
{
	uint32_t tail = 0;
	uint64_t sum = 0;

	memset(seen, 0, g->blocks);
	for (uint32_t b = 0; b < g->blocks; b++) {
		if (bit_of(g->is_root, b) && b != without) {
			seen[b] = 1;
			queue[tail++] = b;
		}
	}
	for (uint32_t head = 0; head < tail; head++) {
		uint32_t b = queue[head];

		sum += heap_blocks_size(g->view.blocks, b);
		for (uint32_t e = g->edges.first[b]; e < g->edges.first[b + 1]; e++) {
			uint32_t target = g->edges.targets[e];

			if (target == without || seen[target] || !edge_counts(g, b, target))
				continue;
			seen[target] = 1;
			queue[tail++] = target;
		}
	}
	return sum;
}

/* Blocks may be larger than what is resident of them: those with one that large are not compared.
 */
static bool has_large(const struct heap_graph *g)
{
	for (uint32_t b = 0; b < g->blocks; b++) {
		if (heap_blocks_size(g->view.blocks, b) >= 16384)
			return true;
	}
	return false;
}

static void check_graph(const struct heap_graph *g, uint32_t seed)
{
	uint32_t *queue = calloc(g->blocks + 1, sizeof(*queue));
	uint8_t *seen = calloc(g->blocks + 1, 1);
	uint64_t all = reached_without(g, BLOCK_NONE, queue, seen);
	bool large = has_large(g);

	for (uint32_t b = 0; b < g->blocks; b++) {
		uint32_t dominator = heap_graph_dominator(g, b);

		if (g->tier[b] == TIER_NONE)
			continue;
		if (!seen[b] || (dominator != BLOCK_NONE && g->tier[dominator] > g->tier[b]) ||
		    (dominator != BLOCK_NONE && g->retained[dominator] < g->retained[b]))
			abort();
	}
	if (!large && all != g->retained[g->blocks])
		abort();
	for (uint32_t i = 0; i < 16 && g->blocks && !large; i++) {
		uint32_t b = (seed + i * 2654435761u) % g->blocks;

		if (g->tier[b] != TIER_NONE &&
		    all - reached_without(g, b, queue, seen) != g->retained[b])
			abort();
	}
	free(queue);
	free(seen);
}

static void check_paths(struct heap_graph *g)
{
	char path[300], small[8];

	for (uint32_t b = 0; b < g->blocks; b += 1 + g->blocks / 60) {
		if (heap_holders_path(g, b, path, sizeof(path)) ||
		    heap_holders_path(g, b, small, sizeof(small)) || strlen(path) >= sizeof(path) ||
		    strlen(small) >= sizeof(small))
			abort();
	}
}

static void check_holders(struct heap_graph *g)
{
	struct holders_past *past;
	struct holder *holders;
	size_t count;

	if (heap_holders_find(g, HOLDERS, &holders, &count) || count > HOLDERS)
		abort();
	heap_holders_free(holders, count);
	if (heap_holders_keep(g, &past) ||
	    heap_holders_compare(g, past, HOLDERS, &holders, &count) || count > HOLDERS)
		abort();
	/* Nothing has changed. */
	for (size_t i = 0; i < count; i++) {
		if (!holders[i].path || !holders[i].type ||
		    (holders[i].object && holders[i].grown_bytes))
			abort();
	}
	heap_holders_free(holders, count);
	heap_holders_past_free(past);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct synthetic_heap h;
	static struct made made;
	struct change change;

	if (!size)
		return 0;
	synthetic_begin(&h, 8 + data[0] % 5, SPACE);
	made.count = 0;
	make_heap(&h, &made);
	synthetic_list_modules(&h);
	for (size_t i = 0; i < CHANGES_MAX && 1 + (i + 1) * sizeof(change) <= size; i++) {
		memcpy(&change, data + 1 + i * sizeof(change), sizeof(change));
		spoil(&h, &made, &change);
	}
	if (!synthetic_build(&h)) {
		check_graph(h.graph, (uint32_t)size);
		check_paths(h.graph);
		check_holders(h.graph);
	}
	synthetic_end(&h);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* References, tiers, dominators and what is retained, in heaps made by hand (synthetic_heap.h):
 * containers of each kind on the layouts of CPython 3.8 to 3.12, stale words, cycles, hostile
 * sizes, and random heaps against a plain reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "heap/graph_private.h"
#include "synthetic_heap.h"

#define SPACE	  (8u << 20)
#define COUNT(a)  (sizeof(a) / sizeof(*(a)))
#define NODES_MAX 64

static const unsigned versions[] = {8, 9, 10, 11, 12};

static uint32_t dice(uint32_t below)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % below;
}

/* `source`, or the buffers that belong to it, refers to `target`. */
static bool refers(struct synthetic_heap *h, uint64_t source, uint64_t target)
{
	uint32_t from = synthetic_block(h, source), to = synthetic_block(h, target);

	for (uint32_t b = 0; b < h->graph->blocks; b++) {
		if (b != from && heap_graph_owner(h->graph, b) != from)
			continue;
		for (uint32_t e = h->graph->edges.first[b]; e < h->graph->edges.first[b + 1]; e++) {
			if (h->graph->edges.targets[e] == to)
				return true;
		}
	}
	return false;
}

static uint64_t retained(struct synthetic_heap *h, uint64_t object)
{
	return heap_graph_retained(h->graph, synthetic_block(h, object));
}

static uint64_t size_of(struct synthetic_heap *h, uint64_t addr)
{
	return heap_blocks_size(h->blocks, synthetic_block(h, addr));
}

static enum root_tier tier(struct synthetic_heap *h, uint64_t object)
{
	return heap_graph_tier(h->graph, synthetic_block(h, object));
}

/* One module with one variable. */
static uint64_t in_module(struct synthetic_heap *h, uint64_t object)
{
	const char *name = "kept";
	uint64_t dict = synthetic_names(h, &name, &object, 1);

	synthetic_module(h, "app", dict);
	return dict;
}

static uint64_t list_items(struct synthetic_heap *h, uint64_t list)
{
	return synthetic_get(h, list + h->layout.list_items);
}

/* --- containers --- */

static void test_list(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t items[4], list, sum;

		synthetic_begin(&h, versions[v], SPACE);
		for (int i = 0; i < 4; i++)
			items[i] = synthetic_str(&h, "an item");
		/* The last item was removed: it is still in the buffer. */
		list = synthetic_list(&h, items, 3, 4);
		in_module(&h, list);
		assert_int_equal(synthetic_build(&h), 0);
		for (int i = 0; i < 4; i++)
			assert_int_equal(refers(&h, list, items[i]), i < 3);
		sum = size_of(&h, list) + size_of(&h, list_items(&h, list)) +
		      3 * size_of(&h, items[0]);
		assert_int_equal(retained(&h, list), sum);
		assert_int_equal(tier(&h, items[0]), ROOT_MODULE);
		assert_int_equal(tier(&h, items[3]), ROOT_UNREACHED);
		assert_int_equal(
			heap_graph_owner(h.graph, synthetic_block(&h, list_items(&h, list))),
			synthetic_block(&h, list));
		synthetic_end(&h);
	}
}

/* Keys and values count, hashes don't, and not what lies behind the entries in use. */
static void test_dict(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t keys[3], values[3], dict, buffer, hashed, entries, at;

		synthetic_begin(&h, versions[v], SPACE);
		for (int i = 0; i < 3; i++) {
			keys[i] = synthetic_str(&h, "key");
			values[i] = synthetic_int(&h, i);
		}
		hashed = synthetic_str(&h, "its address is a hash");
		dict = synthetic_dict(&h, keys, values, 3);
		buffer = synthetic_get(&h, dict + h.layout.dict_keys);
		entries = buffer + h.layout.keys_indices + 8;
		synthetic_set(&h, entries, hashed);
		/* Two entries are in use. */
		synthetic_set(&h, buffer + h.layout.keys_nentries, 2);
		at = entries + 2 * h.layout.entry_size + h.layout.entry_key;
		assert_int_equal(synthetic_get(&h, at), keys[2]);
		in_module(&h, dict);
		assert_int_equal(synthetic_build(&h), 0);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(refers(&h, dict, keys[i]), i < 2);
			assert_int_equal(refers(&h, dict, values[i]), i < 2);
		}
		assert_false(refers(&h, dict, hashed));
		synthetic_end(&h);
	}
}

/* To 3.12 values of instances are in a buffer of their own, the keys are the class's. */
static void test_split_dict(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t keys[2], value, dict, values, before, class;

		synthetic_begin(&h, versions[v], SPACE);
		keys[0] = synthetic_str(&h, "first");
		keys[1] = synthetic_str(&h, "second");
		value = synthetic_str(&h, "value");
		class = synthetic_object(&h, h.types.type, 960);
		dict = synthetic_dict(&h, keys, NULL, 2);
		synthetic_set(&h, class + h.layout.heap_type_cached_keys,
			      synthetic_get(&h, dict + h.layout.dict_keys));
		before = h.layout.flags & PY_HEAP_OLD_KEYS ? 0 : 8;
		values = synthetic_alloc(&h, before + 16) + before;
		synthetic_set(&h, values + 8, value);
		synthetic_set(&h, dict + h.layout.dict_values, values);
		in_module(&h, synthetic_tuple(&h, (uint64_t[]){class, dict}, 2));
		assert_int_equal(synthetic_build(&h), 0);
		assert_true(refers(&h, dict, value));
		assert_true(retained(&h, dict) >= size_of(&h, value) + 2 * size_of(&h, dict) - 48);
		/* Class and dict share the keys. */
		assert_true(retained(&h, class) < size_of(&h, class) + size_of(&h, keys[0]));
		synthetic_end(&h);
	}
}

static void test_set(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t small, large, inside, gone, there, hashed, table, at;

		synthetic_begin(&h, versions[v], SPACE);
		inside = synthetic_str(&h, "in a small set");
		gone = synthetic_str(&h, "once in a small set");
		there = synthetic_str(&h, "in a large one");
		hashed = synthetic_str(&h, "its address is a hash");
		small = synthetic_plain(&h, h.types.set);
		at = small + h.layout.set_small_table;
		synthetic_set(&h, small + h.layout.set_mask, 7);
		synthetic_set(&h, small + h.layout.set_table, at);
		synthetic_set(&h, at + 3 * h.layout.set_entry_size, inside);
		synthetic_set(&h, at + 4 * h.layout.set_entry_size + 8, hashed);
		large = synthetic_plain(&h, h.types.set);
		table = synthetic_alloc(&h, 32 * h.layout.set_entry_size);
		synthetic_set(&h, large + h.layout.set_mask, 31);
		synthetic_set(&h, large + h.layout.set_table, table);
		synthetic_set(&h, large + h.layout.set_small_table, gone);
		synthetic_set(&h, table + 31 * h.layout.set_entry_size, there);
		synthetic_set(&h, table + 30 * h.layout.set_entry_size + 8, hashed);
		in_module(&h, synthetic_tuple(&h, (uint64_t[]){small, large}, 2));
		assert_int_equal(synthetic_build(&h), 0);
		assert_true(refers(&h, small, inside));
		assert_true(refers(&h, large, there));
		assert_int_equal(tier(&h, gone), ROOT_UNREACHED);
		assert_int_equal(tier(&h, hashed), ROOT_UNREACHED);
		synthetic_end(&h);
	}
}

/* Three blocks of a deque: what is left of the first and right of the last item is old, and so is
 * the last one's link. */
static void test_deque(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		const struct py_heap_layout *l = &h.layout;
		uint64_t deque, block[4], item[6];

		synthetic_begin(&h, versions[v], SPACE);
		deque = synthetic_plain(&h, h.types.deque);
		for (int i = 0; i < 4; i++)
			block[i] = synthetic_alloc(&h, l->deque_block_right + 8);
		for (int i = 0; i < 6; i++)
			item[i] = synthetic_str(&h, "item");
		for (int i = 0; i < 3; i++)
			synthetic_set(&h, block[i] + l->deque_block_right, block[i + 1]);
		synthetic_set(&h, deque + l->deque_left_block, block[0]);
		synthetic_set(&h, deque + l->deque_right_block, block[2]);
		synthetic_set(&h, deque + l->deque_left_index, 60);
		synthetic_set(&h, deque + l->deque_right_index, 1);
		synthetic_set(&h, deque + l->object_size, 4 + 64 + 2);
		synthetic_set(&h, block[0] + l->deque_block_items + 59 * 8, item[0]);
		synthetic_set(&h, block[0] + l->deque_block_items + 60 * 8, item[1]);
		synthetic_set(&h, block[1] + l->deque_block_items, item[2]);
		synthetic_set(&h, block[2] + l->deque_block_items + 8, item[3]);
		synthetic_set(&h, block[2] + l->deque_block_items + 16, item[4]);
		synthetic_set(&h, block[3] + l->deque_block_items, item[5]);
		in_module(&h, deque);
		assert_int_equal(synthetic_build(&h), 0);
		for (int i = 0; i < 6; i++)
			assert_int_equal(tier(&h, item[i]),
					 i >= 1 && i <= 3 ? ROOT_MODULE : ROOT_UNREACHED);
		assert_int_equal(heap_graph_owner(h.graph, synthetic_block(&h, block[2])),
				 synthetic_block(&h, deque));
		synthetic_end(&h);
	}
}

static void test_weakref_owns_its_callback(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t weakref, object, callback;

		synthetic_begin(&h, versions[v], SPACE);
		weakref = synthetic_plain(&h, h.types.weakref);
		object = synthetic_tuple(&h, NULL, 0);
		callback = synthetic_tuple(&h, NULL, 0);
		synthetic_set(&h, weakref + h.layout.object_head, object);
		synthetic_set(&h, weakref + h.layout.weakref_callback, callback);
		in_module(&h, weakref);
		assert_int_equal(synthetic_build(&h), 0);
		assert_true(refers(&h, weakref, callback));
		assert_int_equal(tier(&h, object), ROOT_UNREACHED);
		synthetic_end(&h);
	}
}

static uint64_t make_weakref(struct synthetic_heap *h, uint64_t referent, uint64_t callback)
{
	uint64_t weakref = synthetic_plain(h, h->types.weakref);

	synthetic_set(h, weakref + h->layout.object_head, referent);
	synthetic_set(h, weakref + h->layout.weakref_callback, callback);
	return weakref;
}

static uint64_t make_function(struct synthetic_heap *h, const char *name)
{
	uint64_t function = synthetic_plain(h, h->types.function);

	synthetic_set(h, function + h->layout.object_head + 16, synthetic_str(h, name));
	return function;
}

enum weak_kind { IN_SET, WITHOUT_CALLBACK, OTHER_CALLBACK, HELD_TWICE, A_KEY, WEAK_KINDS };

struct weak_heap {
	uint64_t things[WEAK_KINDS], weakrefs[WEAK_KINDS], table, values, value;
};

/* Things that a module holds, and tables of weak references to them. */
static void make_weak_heap(struct synthetic_heap *h, struct weak_heap *w)
{
	static const char *const names[] = {"things", "table", "values", "callbacks"};
	uint64_t callbacks[WEAK_KINDS] = {
		[IN_SET] = make_function(h, "WeakSet.__init__.<locals>._remove"),
		[OTHER_CALLBACK] = make_function(h, "forget"),
		[HELD_TWICE] = make_function(h, "_removeHandlerRef"),
		[A_KEY] = make_function(h, "WeakKeyDictionary.__init__.<locals>.remove"),
	};
	uint64_t all[4];

	for (int i = 0; i < WEAK_KINDS; i++) {
		w->things[i] = synthetic_tuple(h, NULL, 0);
		w->weakrefs[i] = make_weakref(h, w->things[i], callbacks[i]);
	}
	synthetic_set(h, w->weakrefs[HELD_TWICE], 2);
	w->table = synthetic_list(h, w->weakrefs, A_KEY, A_KEY);
	w->value = synthetic_str(h, "a value");
	w->values = synthetic_dict(h, &w->weakrefs[A_KEY], &w->value, 1);
	all[0] = synthetic_list(h, w->things, WEAK_KINDS, WEAK_KINDS);
	all[1] = w->table;
	all[2] = w->values;
	all[3] = synthetic_list(h, callbacks, WEAK_KINDS, WEAK_KINDS);
	synthetic_module(h, "app", synthetic_names(h, names, all, COUNT(all)));
}

/* One that its table alone has, and whose callback takes it out, dies with what it refers to; so
 * does the value that it is the key of. Any other outlives it. */
static void test_weakrefs_that_die_with_it(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		struct weak_heap w;

		synthetic_begin(&h, versions[v], SPACE);
		make_weak_heap(&h, &w);
		assert_int_equal(synthetic_build(&h), 0);
		for (int i = 0; i < WEAK_KINDS; i++) {
			bool dies = i == IN_SET || i == A_KEY;
			uint64_t sum = size_of(&h, w.things[i]);

			assert_int_equal(refers(&h, w.things[i], w.weakrefs[i]), dies);
			assert_int_equal(refers(&h, i == A_KEY ? w.values : w.table, w.weakrefs[i]),
					 !dies);
			assert_int_equal(tier(&h, w.weakrefs[i]), ROOT_MODULE);
			if (dies)
				sum += size_of(&h, w.weakrefs[i]);
			if (i == A_KEY)
				sum += size_of(&h, w.value);
			assert_int_equal(retained(&h, w.things[i]), sum);
		}
		assert_true(refers(&h, w.weakrefs[A_KEY], w.value));
		assert_false(refers(&h, w.values, w.value));
		synthetic_end(&h);
	}
}

/* A free list's link at the start of a block in use again; the dict of interned strings. */
static void test_stale_words(void **state)
{
	struct synthetic_heap h;
	uint64_t buffer, next, first, strings[256], dict;

	(void)state;
	synthetic_begin(&h, 11, SPACE);
	buffer = synthetic_alloc(&h, 64);
	next = synthetic_alloc(&h, 64);
	first = synthetic_str(&h, "reached by the second word");
	synthetic_set(&h, buffer, next);
	synthetic_set(&h, buffer + 8, first);
	for (size_t i = 0; i < COUNT(strings); i++) {
		char text[16];

		snprintf(text, sizeof(text), "s%zu", i);
		strings[i] = synthetic_str(&h, text);
		synthetic_set32(&h, strings[i] + h.py.unicode_state,
				(uint32_t)synthetic_get(&h, strings[i] + h.py.unicode_state) | 1);
	}
	dict = synthetic_dict(&h, strings, strings, COUNT(strings));
	/* From C data, as CPython has it. */
	synthetic_set(&h, synthetic_static(&h, 8), dict);
	synthetic_set(&h, synthetic_static(&h, 8), buffer);
	assert_int_equal(synthetic_build(&h), 0);
	assert_int_equal(tier(&h, buffer), ROOT_C);
	assert_int_equal(tier(&h, first), ROOT_C);
	assert_int_equal(tier(&h, next), ROOT_UNREACHED);
	assert_int_equal(tier(&h, dict), ROOT_C);
	assert_int_equal(tier(&h, strings[0]), ROOT_UNREACHED);
	synthetic_end(&h);
}

/* C code that is at work on a list's items does not own them, though its word comes first. */
static void test_buffer_of_an_object(void **state)
{
	struct synthetic_heap h;
	uint64_t at_work, has, list, item;

	(void)state;
	synthetic_begin(&h, 11, SPACE);
	item = synthetic_str(&h, "an item");
	list = synthetic_list(&h, &item, 1, 1);
	at_work = synthetic_static(&h, 8);
	has = synthetic_static(&h, 8);
	assert_true(at_work < has);
	synthetic_set(&h, at_work, list_items(&h, list));
	synthetic_set(&h, has, list);
	assert_int_equal(synthetic_build(&h), 0);
	assert_int_equal(heap_graph_owner(h.graph, synthetic_block(&h, list_items(&h, list))),
			 synthetic_block(&h, list));
	assert_int_equal(tier(&h, item), ROOT_C);
	synthetic_end(&h);
}

/* --- tiers --- */

/* In a frame on 3.11, and in a module; what both have is the module's. */
static void test_frame_tier(void **state)
{
	struct synthetic_heap h;
	uint64_t shared, local, code, frame, cframe, list;

	(void)state;
	synthetic_begin(&h, 11, SPACE);
	shared = synthetic_str(&h, "shared");
	local = synthetic_str(&h, "local");
	list = synthetic_list(&h, (uint64_t[]){shared, local}, 2, 2);
	code = synthetic_plain(&h, h.types.code);
	synthetic_set32(&h, code + h.layout.code_nlocalsplus, 1);
	frame = synthetic_static(&h, 512);
	cframe = synthetic_static(&h, 64);
	synthetic_set(&h, frame + h.py.frame_code, code);
	synthetic_set(&h, frame + h.layout.frame_localsplus, list);
	synthetic_set32(&h, frame + h.layout.frame_stack_top, 1);
	synthetic_set(&h, cframe + h.py.cframe_frame, frame);
	synthetic_set(&h, h.thread + h.py.tstate_frame, cframe);
	in_module(&h, shared);
	assert_int_equal(synthetic_build(&h), 0);
	assert_int_equal(tier(&h, list), ROOT_FRAME);
	assert_int_equal(tier(&h, local), ROOT_FRAME);
	assert_int_equal(tier(&h, shared), ROOT_MODULE);
	assert_int_equal(retained(&h, list), size_of(&h, list) + size_of(&h, list_items(&h, list)) +
						     size_of(&h, local));
	/* The frame is C data as well, which must not take it from the module. */
	assert_int_equal(heap_graph_dominator(h.graph, synthetic_block(&h, list)), BLOCK_NONE);
	synthetic_end(&h);
}

/* What a function that runs has on its value stack is its own, though memory of C code leads there,
 * too. */
static void test_running_frame(void **state)
{
	struct synthetic_heap h;
	uint64_t item, code, frame, cframe, list;

	(void)state;
	synthetic_begin(&h, 11, SPACE);
	item = synthetic_str(&h, "an item");
	list = synthetic_list(&h, &item, 1, 1);
	code = synthetic_plain(&h, h.types.code);
	synthetic_set32(&h, code + h.layout.code_nlocalsplus, 0);
	synthetic_set32(&h, code + h.layout.code_stacksize, 1);
	synthetic_set(&h, synthetic_static(&h, 8), item);
	frame = synthetic_static(&h, 512);
	cframe = synthetic_static(&h, 64);
	synthetic_set(&h, frame + h.py.frame_code, code);
	synthetic_set(&h, frame + h.layout.frame_localsplus, list);
	synthetic_set32(&h, frame + h.layout.frame_stack_top, (uint32_t)-1);
	synthetic_set(&h, cframe + h.py.cframe_frame, frame);
	synthetic_set(&h, h.thread + h.py.tstate_frame, cframe);
	assert_int_equal(synthetic_build(&h), 0);
	assert_int_equal(tier(&h, list), ROOT_STACK);
	assert_int_equal(retained(&h, list),
			 size_of(&h, list) + size_of(&h, list_items(&h, list)) + size_of(&h, item));
	synthetic_end(&h);
}

/* A class that only an instance leads to is not unreached. */
static void test_class_of_an_instance(void **state)
{
	struct synthetic_heap h;
	uint64_t class, instance, inside;

	(void)state;
	synthetic_begin(&h, 11, SPACE);
	class = synthetic_object(&h, h.types.type, 900);
	memcpy(synthetic_at(&h, class + 16), synthetic_at(&h, h.types.cell + 16), 400);
	synthetic_set(&h, class + h.layout.type_flags,
		      SYNTHETIC_READY | SYNTHETIC_GC | SYNTHETIC_HEAP);
	inside = synthetic_tuple(&h, NULL, 0);
	synthetic_set(&h, class + h.layout.type_dict, inside);
	instance = synthetic_plain(&h, class);
	in_module(&h, instance);
	assert_int_equal(synthetic_build(&h), 0);
	assert_int_equal(tier(&h, class), ROOT_MODULE);
	assert_int_equal(tier(&h, inside), ROOT_MODULE);
	assert_false(refers(&h, instance, class));
	synthetic_end(&h);
}

/* --- garbage --- */

/* Two lists in each other, with a string: garbage. Others are held: by a count that is not
 * explained. */
static void test_garbage(void **state)
{
	struct synthetic_heap h;
	uint64_t one, other, text, held, below, bytes, objects;

	(void)state;
	synthetic_begin(&h, 11, SPACE);
	text = synthetic_str(&h, "garbage");
	one = synthetic_list(&h, NULL, 1, 1);
	other = synthetic_list(&h, (uint64_t[]){one, text}, 2, 2);
	synthetic_set(&h, list_items(&h, one), other);
	below = synthetic_str(&h, "held");
	held = synthetic_list(&h, (uint64_t[]){0, below}, 2, 2);
	synthetic_set(&h, list_items(&h, held), held);
	synthetic_set(&h, held, 2);
	assert_int_equal(synthetic_build(&h), 0);
	heap_graph_garbage(h.graph, &bytes, &objects);
	assert_int_equal(objects, 3);
	assert_int_equal(bytes, size_of(&h, one) + size_of(&h, other) + size_of(&h, text) +
					size_of(&h, list_items(&h, one)) +
					size_of(&h, list_items(&h, other)));
	synthetic_end(&h);
}

/* --- hostile --- */

static void test_hostile_sizes(void **state)
{
	const uint64_t sizes[] = {1ull << 60, UINT64_MAX, 1ull << 63, 1000, 0};

	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		for (size_t s = 0; s < COUNT(sizes); s++) {
			struct synthetic_heap h;
			uint64_t list, tuple, dict, set, deque, item;

			synthetic_begin(&h, versions[v], SPACE);
			item = synthetic_str(&h, "item");
			list = synthetic_list(&h, &item, 1, 1);
			synthetic_set(&h, list + h.layout.object_size, sizes[s]);
			tuple = synthetic_tuple(&h, &item, 1);
			dict = synthetic_dict(&h, &item, &item, 1);
			synthetic_set(&h, dict + h.layout.dict_used, sizes[s]);
			synthetic_set(&h,
				      synthetic_get(&h, dict + h.layout.dict_keys) +
					      h.layout.keys_nentries,
				      sizes[s]);
			set = synthetic_plain(&h, h.types.set);
			synthetic_set(&h, set + h.layout.set_mask, sizes[s]);
			synthetic_set(&h, set + h.layout.set_table, synthetic_alloc(&h, 32));
			deque = synthetic_plain(&h, h.types.deque);
			synthetic_set(&h, deque + h.layout.object_size, sizes[s]);
			synthetic_set(&h, deque + h.layout.deque_left_index, sizes[s]);
			synthetic_set(&h, deque + h.layout.deque_right_index, sizes[s]);
			synthetic_set(&h, deque + h.layout.deque_left_block,
				      synthetic_alloc(&h, 600));
			in_module(&h, synthetic_tuple(
					      &h, (uint64_t[]){list, tuple, dict, set, deque}, 5));
			assert_int_equal(synthetic_build(&h), 0);
			assert_true(retained(&h, list) <= 4096);
			synthetic_end(&h);
		}
	}
}

/* Lists in each other, 200,000 deep, the last one in the first: no recursion, no square. */
static void test_deep(void **state)
{
	const uint32_t depth = 200000;
	struct synthetic_heap h;
	uint64_t first, list, below = 0, sum;

	(void)state;
	synthetic_begin(&h, 11, 64 << 20);
	first = list = synthetic_list(&h, NULL, 1, 1);
	for (uint32_t i = 1; i < depth; i++) {
		below = synthetic_list(&h, NULL, 1, 1);
		synthetic_set(&h, list_items(&h, list), below);
		list = below;
	}
	synthetic_set(&h, list_items(&h, list), first);
	in_module(&h, first);
	assert_int_equal(synthetic_build(&h), 0);
	sum = depth * (size_of(&h, first) + size_of(&h, list_items(&h, first)));
	assert_int_equal(retained(&h, first), sum);
	assert_int_equal(retained(&h, list),
			 size_of(&h, first) + size_of(&h, list_items(&h, first)));
	synthetic_end(&h);
}

/* An interpreter without modules, without anything; circles of interpreters, threads and frames. */
static void test_no_roots(void **state)
{
	(void)state;
	for (int circles = 0; circles <= 1; circles++) {
		struct synthetic_heap h;

		synthetic_begin(&h, 12, SPACE);
		if (circles) {
			uint64_t frame = synthetic_static(&h, 512);

			synthetic_set(&h, h.interp + h.py.interp_next, h.interp);
			synthetic_set(&h, h.thread + h.py.tstate_next, h.thread);
			synthetic_set(&h, frame + h.py.frame_back, frame);
			synthetic_set(&h, h.thread + h.py.tstate_frame, frame);
			synthetic_set(&h, frame + h.py.cframe_frame, frame);
		} else {
			h.interp = h.thread;
		}
		synthetic_str(&h, "alone");
		assert_int_equal(synthetic_build(&h), 0);
		synthetic_end(&h);
	}
}

/* --- random heaps --- */

/* Bytes that the roots lead to without block `without`, over the edges that count. */
static uint64_t reached_without(const struct heap_graph *g, uint32_t without, uint32_t *queue,
				bool *seen)
{
	uint32_t head = 0, tail = 0;
	uint64_t sum = 0;

	memset(seen, 0, g->blocks * sizeof(*seen));
	for (uint32_t b = 0; b < g->blocks; b++) {
		if (bit_of(g->is_root, b) && b != without) {
			seen[b] = true;
			queue[tail++] = b;
		}
	}
	while (head < tail) {
		uint32_t b = queue[head++];

		sum += heap_blocks_size(g->view.blocks, b);
		for (uint32_t e = g->edges.first[b]; e < g->edges.first[b + 1]; e++) {
			uint32_t target = g->edges.targets[e];

			if (target == without || seen[target] || !edge_counts(g, b, target))
				continue;
			seen[target] = true;
			queue[tail++] = target;
		}
	}
	return sum;
}

/* What a block retains is what is no longer reached without it, whatever was peeled off. */
static void check_retained(const struct heap_graph *g)
{
	uint32_t *queue = calloc(g->blocks, sizeof(*queue));
	bool *seen = calloc(g->blocks, sizeof(*seen));
	uint64_t all = reached_without(g, BLOCK_NONE, queue, seen);

	assert_int_equal(all, g->retained[g->blocks]);
	for (uint32_t b = 0; b < g->blocks; b++) {
		if (g->tier[b] != TIER_NONE)
			assert_int_equal(all - reached_without(g, b, queue, seen), g->retained[b]);
	}
	free(queue);
	free(seen);
}

/* Lists that lead to each other, or (`forward`) to later ones only, and strings that some share. */
static void make_random(struct synthetic_heap *h, bool forward)
{
	uint64_t nodes[NODES_MAX], items[8];
	uint32_t count = 4 + dice(NODES_MAX - 4), roots = 1 + dice(3);

	for (uint32_t i = 0; i < count; i++) {
		nodes[i] = dice(3) ? synthetic_list(h, NULL, 0, 8) : synthetic_str(h, "leaf");
		if (dice(40) == 0)
			synthetic_set(h, synthetic_static(h, 8), nodes[i]);
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t edges = dice(4);

		if (synthetic_get(h, nodes[i] + h->layout.object_type) != h->types.list)
			continue;
		for (uint32_t e = 0; e < edges; e++)
			synthetic_set(h, list_items(h, nodes[i]) + 8 * e,
				      nodes[forward && i + 1 < count ? i + 1 + dice(count - i - 1)
								     : dice(count)]);
		synthetic_set(h, nodes[i] + h->layout.object_size, edges);
	}
	for (uint32_t i = 0; i < roots; i++) {
		items[0] = nodes[dice(count)];
		items[1] = nodes[dice(count)];
		in_module(h, synthetic_tuple(h, items, 1 + dice(2)));
	}
}

static void test_random(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		struct synthetic_heap h;

		synthetic_begin(&h, versions[(size_t)i % COUNT(versions)], SPACE);
		make_random(&h, i % 3 == 0);
		assert_int_equal(synthetic_build(&h), 0);
		check_retained(h.graph);
		synthetic_end(&h);
	}
}

/* A binary tree whose leaves lead to its root: nothing is peeled off but strings. */
static void test_core(void **state)
{
	enum { COUNT_OF = 600 };
	static uint64_t nodes[COUNT_OF];
	struct synthetic_heap h;

	(void)state;
	synthetic_begin(&h, 10, SPACE);
	for (uint32_t i = 0; i < COUNT_OF; i++)
		nodes[i] = synthetic_list(&h, NULL, 3, 3);
	for (uint32_t i = 0; i < COUNT_OF; i++) {
		uint64_t items = list_items(&h, nodes[i]);

		synthetic_set(&h, items, 2 * i + 2 < COUNT_OF ? nodes[2 * i + 1] : nodes[0]);
		synthetic_set(&h, items + 8, 2 * i + 2 < COUNT_OF ? nodes[2 * i + 2] : 0);
		synthetic_set(&h, items + 16, synthetic_str(&h, "own"));
	}
	in_module(&h, nodes[0]);
	assert_int_equal(synthetic_build(&h), 0);
	check_retained(h.graph);
	synthetic_end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_dict),
		cmocka_unit_test(test_split_dict),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_deque),
		cmocka_unit_test(test_weakref_owns_its_callback),
		cmocka_unit_test(test_weakrefs_that_die_with_it),
		cmocka_unit_test(test_stale_words),
		cmocka_unit_test(test_buffer_of_an_object),
		cmocka_unit_test(test_frame_tier),
		cmocka_unit_test(test_running_frame),
		cmocka_unit_test(test_class_of_an_instance),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_hostile_sizes),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_no_roots),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths, which blocks are rows, who shares, and what has grown: in heaps made by hand
 * (synthetic_heap.h), on the layouts of CPython 3.8 to 3.12. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "heap/holders.h"
#include "synthetic_heap.h"

#define SPACE	 (16u << 20)
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static const unsigned versions[] = {8, 9, 10, 11, 12};

static const char *path_of(struct synthetic_heap *h, uint64_t object)
{
	static char path[512];

	heap_holders_path(h->graph, synthetic_block(h, object), path, sizeof(path));
	return path;
}

static void module_of(struct synthetic_heap *h, const char *module, const char *name,
		      uint64_t object)
{
	synthetic_module(h, module, synthetic_names(h, &name, &object, 1));
}

/* Something that retains about `bytes`. */
static uint64_t heavy(struct synthetic_heap *h, uint32_t bytes)
{
	uint64_t *items = calloc(bytes / 64, sizeof(*items)), list;

	for (uint32_t i = 0; i < bytes / 64; i++)
		items[i] = synthetic_str(h, "x");
	list = synthetic_list(h, items, bytes / 64, bytes / 64);
	free(items);
	return list;
}

/* --- paths --- */

static void test_containers(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t values[5], keys[5], dict, list, deep;

		synthetic_begin(&h, versions[v], SPACE);
		for (int i = 0; i < 5; i++)
			values[i] = synthetic_tuple(&h, NULL, 0);
		keys[0] = synthetic_str(&h, "a key");
		keys[1] = synthetic_int(&h, 12);
		keys[2] = synthetic_int(&h, -5);
		keys[3] = synthetic_tuple(&h, NULL, 0);
		keys[4] = synthetic_str(&h, "other");
		dict = synthetic_dict(&h, keys, values, 5);
		deep = synthetic_tuple(&h, (uint64_t[]){keys[1], dict}, 2);
		list = synthetic_list(&h, (uint64_t[]){keys[0], keys[0], deep}, 3, 3);
		module_of(&h, "pkg.mod", "NAME", list);
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, list), "pkg.mod.NAME");
		assert_string_equal(path_of(&h, deep), "pkg.mod.NAME[2]");
		assert_string_equal(path_of(&h, dict), "pkg.mod.NAME[2][1]");
		assert_string_equal(path_of(&h, values[0]), "pkg.mod.NAME[2][1]['a key']");
		assert_string_equal(path_of(&h, values[1]), "pkg.mod.NAME[2][1][12]");
		assert_string_equal(path_of(&h, values[2]), "pkg.mod.NAME[2][1][-5]");
		assert_string_equal(path_of(&h, values[3]), "pkg.mod.NAME[2][1][<tuple>]");
		assert_string_equal(path_of(&h, keys[3]), "pkg.mod.NAME[2][1].<key>");
		/* A buffer is called by its owner. */
		assert_string_equal(path_of(&h, synthetic_get(&h, list + h.layout.list_items)),
				    "pkg.mod.NAME");
		synthetic_end(&h);
	}
}

/* A type whose objects have a dict at 16 and a slot at 24. */
static uint64_t make_class(struct synthetic_heap *h)
{
	uint64_t class = synthetic_type(h, "app.Node", SYNTHETIC_GC, 32, 0);
	uint64_t members = synthetic_static(h, 2 * h->layout.member_size);

	synthetic_set(h, class + h->layout.type_dictoffset, 16);
	synthetic_set(h, class + h->layout.type_members, members);
	synthetic_set(h, members + h->layout.member_name, synthetic_c_string(h, "slot"));
	synthetic_set(h, members + h->layout.member_offset, 24);
	return class;
}

static void test_attributes(void **state)
{
	const char *names[] = {"first", "second"};

	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t class, object, values[2], dict, slot;

		synthetic_begin(&h, versions[v], SPACE);
		class = make_class(&h);
		values[0] = synthetic_tuple(&h, NULL, 0);
		values[1] = synthetic_tuple(&h, NULL, 0);
		slot = synthetic_tuple(&h, NULL, 0);
		dict = synthetic_names(&h, names, values, 2);
		object = synthetic_plain(&h, class);
		synthetic_set(&h, object + 16, dict);
		synthetic_set(&h, object + 24, slot);
		module_of(&h, "app", "OBJECT", object);
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, dict), "app.OBJECT");
		assert_string_equal(path_of(&h, values[1]), "app.OBJECT.second");
		assert_string_equal(path_of(&h, slot), "app.OBJECT.slot");
		synthetic_end(&h);
	}
}

/* Values of 3.11 and 3.12 lie in a buffer, behind what says how many; names are the class's. Of two
 * names of one value the one without an underscore. */
static void test_values(void **state)
{
	(void)state;
	for (unsigned minor = 11; minor <= 12; minor++) {
		struct synthetic_heap h;
		uint64_t class, object, value, values, keys[2];

		synthetic_begin(&h, minor, SPACE);
		class = synthetic_type(&h, "Node", SYNTHETIC_GC | h.layout.pre_flags, 16, 0);
		keys[0] = synthetic_str(&h, "_first");
		keys[1] = synthetic_str(&h, "second");
		synthetic_set(&h, class + h.layout.heap_type_cached_keys,
			      synthetic_keys(&h, keys, NULL, 2));
		value = synthetic_tuple(&h, NULL, 0);
		values = synthetic_alloc(&h, 32) + 8;
		synthetic_set(&h, values, value);
		synthetic_set(&h, values + 8, value);
		object = synthetic_plain(&h, class);
		synthetic_set(&h, object - h.layout.pre_values_back,
			      minor == 12 ? values - 1 : values);
		module_of(&h, "app", "OBJECT", object);
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, value), "app.OBJECT.second");
		synthetic_end(&h);
	}
}

/* Of several names of one object the one that does not begin with an underscore, wherever it
 * stands. */
static void test_several_names(void **state)
{
	const char *names[] = {"_oh", "__", "Out", "_hidden"};

	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t out, hidden;

		synthetic_begin(&h, versions[v], SPACE);
		out = synthetic_tuple(&h, NULL, 0);
		hidden = synthetic_tuple(&h, NULL, 0);
		synthetic_module(
			&h, "__main__",
			synthetic_names(&h, names, (uint64_t[]){out, hidden, out, hidden}, 4));
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, out), "__main__.Out");
		assert_string_equal(path_of(&h, hidden), "__main__.__");
		synthetic_end(&h);
	}
}

/* LIST.append, and a method of a class that is told by its third argument, METH_METHOD. */
static void test_builtin_method(void **state)
{
	const char *types[] = {"builtin_function_or_method", "builtin_method"};

	(void)state;
	for (size_t i = 0; i < COUNT(types) * COUNT(versions); i++) {
		struct synthetic_heap h;
		uint64_t method, self, module;

		synthetic_begin(&h, versions[i / COUNT(types)], SPACE);
		self = synthetic_list(&h, NULL, 0, 1);
		module = synthetic_list(&h, NULL, 0, 1);
		method = synthetic_plain(
			&h, synthetic_type(&h, types[i % COUNT(types)], SYNTHETIC_GC, 64, 0));
		synthetic_set(&h, method + h.layout.object_head + 8, self);
		synthetic_set(&h, method + h.layout.object_head + 16, module);
		module_of(&h, "app", "DROP", method);
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, self), "app.DROP.__self__");
		assert_string_equal(path_of(&h, module), "app.DROP.<list>");
		synthetic_end(&h);
	}
}

static void test_class_attribute(void **state)
{
	const char *name = "registry";

	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t class, value;

		synthetic_begin(&h, versions[v], SPACE);
		class = synthetic_object(&h, h.types.type, 880);
		value = synthetic_tuple(&h, NULL, 0);
		synthetic_set(&h, class + h.layout.type_dict,
			      synthetic_names(&h, &name, &value, 1));
		module_of(&h, "app", "Class", class);
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, value), "app.Class.registry");
		synthetic_end(&h);
	}
}

/* A code object with a local variable `x` and a free variable `hidden`. */
static uint64_t make_code(struct synthetic_heap *h)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t code = synthetic_plain(h, h->types.code), x = synthetic_str(h, "x");
	uint64_t hidden = synthetic_str(h, "hidden"), name = synthetic_str(h, "work");

	synthetic_set(h, code + h->py.code_name, name);
	if (h->py.code_qualname != PY_NONE)
		synthetic_set(h, code + h->py.code_qualname, name);
	if (l->flags & PY_HEAP_FRAME_OBJECTS) {
		synthetic_set32(h, code + l->code_nlocals, 1);
		synthetic_set(h, code + l->code_varnames, synthetic_tuple(h, &x, 1));
		synthetic_set(h, code + l->code_cellvars, synthetic_tuple(h, NULL, 0));
		synthetic_set(h, code + l->code_freevars, synthetic_tuple(h, &hidden, 1));
	} else {
		synthetic_set32(h, code + l->code_nlocalsplus, 2);
		synthetic_set(h, code + l->code_localsplusnames,
			      synthetic_tuple(h, (uint64_t[]){x, hidden}, 2));
	}
	return code;
}

static void test_closure(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t function, cell, value;

		synthetic_begin(&h, versions[v], SPACE);
		value = synthetic_tuple(&h, NULL, 0);
		cell = synthetic_plain(&h, h.types.cell);
		synthetic_set(&h, cell + h.layout.cell_content, value);
		function = synthetic_plain(&h, h.types.function);
		synthetic_set(&h, function + h.layout.function_code, make_code(&h));
		synthetic_set(&h, function + h.layout.function_closure,
			      synthetic_tuple(&h, &cell, 1));
		module_of(&h, "app", "func", function);
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, value), "app.func.<closure>.hidden");
		synthetic_end(&h);
	}
}

/* A frame that runs, in C data as from 3.11 on, or an object. */
static void run_frame(struct synthetic_heap *h, uint64_t local)
{
	uint64_t frame = synthetic_static(h, 512), cframe = synthetic_static(h, 64);

	synthetic_set(h, frame + h->py.frame_code, make_code(h));
	synthetic_set(h, frame + h->layout.frame_localsplus, local);
	if (h->py.flags & PY_TSTATE_CFRAME)
		synthetic_set(h, cframe + h->py.cframe_frame, frame);
	synthetic_set(h, h->thread + h->py.tstate_frame,
		      h->py.flags & PY_TSTATE_CFRAME ? cframe : frame);
}

static void test_frames(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t local, older, other;

		synthetic_begin(&h, versions[v], SPACE);
		local = synthetic_tuple(&h, NULL, 0);
		run_frame(&h, local);
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, local), "main thread work():x");
		synthetic_end(&h);
		/* The same frame in the second of two threads. */
		synthetic_begin(&h, versions[v], SPACE);
		other = synthetic_tuple(&h, NULL, 0);
		older = synthetic_static(&h, 4096);
		run_frame(&h, other);
		synthetic_set(&h, h.thread + h.py.tstate_next, older);
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, other), "thread 1 work():x");
		synthetic_end(&h);
	}
}

static void test_generator(void **state)
{
	(void)state;
	for (unsigned minor = 11; minor <= 12; minor++) {
		struct synthetic_heap h;
		uint64_t generator, frame, local;

		synthetic_begin(&h, minor, SPACE);
		local = synthetic_tuple(&h, NULL, 0);
		generator = synthetic_plain(&h, h.types.generator);
		synthetic_set(&h, generator + h.layout.generator_qualname,
			      synthetic_str(&h, "rows"));
		frame = generator + h.layout.generator_frame;
		synthetic_set(&h, frame + h.py.frame_code, make_code(&h));
		synthetic_set(&h, frame + h.layout.frame_localsplus, local);
		*synthetic_at(&h, generator + h.layout.generator_frame_state) = 0xff; /* -1 */
		module_of(&h, "app", "GEN", generator);
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, local), "rows():x");
		synthetic_end(&h);
	}
}

static void test_c_and_nobody(void **state)
{
	struct synthetic_heap h;
	uint64_t held, inside, lonely;

	(void)state;
	synthetic_begin(&h, 11, SPACE);
	inside = synthetic_tuple(&h, NULL, 0);
	held = synthetic_list(&h, &inside, 1, 1);
	lonely = synthetic_list(&h, NULL, 0, 1);
	synthetic_set(&h, synthetic_static(&h, 8), held);
	assert_int_equal(synthetic_build(&h), 0);
	assert_string_equal(path_of(&h, held), "C code: " SYNTHETIC_FILE);
	assert_string_equal(path_of(&h, inside), "C code: " SYNTHETIC_FILE " <list>[0]");
	assert_string_equal(path_of(&h, lonely), "not reached: <list>");
	synthetic_end(&h);
}

/* Equal steps are told once. A way that is too long is cut. */
static void test_linked_list(void **state)
{
	const uint32_t lengths[] = {3, 1000, 6000};
	const char *expected[] = {"app.HEAD.slot.slot", "app.HEAD.slot…×999",
				  "app.HEAD.slot…×4094…"};

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct synthetic_heap h;
		uint64_t class, node, next;

		synthetic_begin(&h, 10, SPACE);
		class = make_class(&h);
		node = synthetic_plain(&h, class);
		module_of(&h, "app", "HEAD", node);
		for (uint32_t n = 1; n < lengths[i]; n++, node = next) {
			next = synthetic_plain(&h, class);
			synthetic_set(&h, node + 24, next);
		}
		assert_int_equal(synthetic_build(&h), 0);
		assert_string_equal(path_of(&h, node), expected[i]);
		synthetic_end(&h);
	}
}

/* Names that are none: a str of 2^60 characters, one of no kind, bytes that are no text; all kinds
 * of pointers. */
static void test_hostile_names(void **state)
{
	(void)state;
	for (size_t v = 0; v < COUNT(versions); v++) {
		struct synthetic_heap h;
		uint64_t keys[4], values[4];
		char small[3];

		synthetic_begin(&h, versions[v], SPACE);
		for (int i = 0; i < 4; i++) {
			keys[i] = synthetic_str(&h, "a name");
			values[i] = synthetic_tuple(&h, NULL, 0);
		}
		synthetic_set(&h, keys[0] + h.py.unicode_length, 1ull << 60);
		synthetic_set32(&h, keys[1] + h.py.unicode_state, 0);
		*synthetic_at(&h, keys[2] + h.py.unicode_ascii_size) = 0xff;
		keys[3] = 12345;
		synthetic_module(&h, "app", synthetic_dict(&h, keys, values, 4));
		h.names[0] = 1;
		assert_int_equal(synthetic_build(&h), 0);
		for (int i = 0; i < 4; i++)
			assert_true(strlen(path_of(&h, values[i])) > 0);
		assert_int_equal(heap_holders_path(h.graph, BLOCK_NONE, small, sizeof(small)), 0);
		assert_string_equal(small, "");
		heap_holders_path(h.graph, synthetic_block(&h, values[0]), small, sizeof(small));
		assert_true(strlen(small) < sizeof(small));
		synthetic_end(&h);
	}
}

/* --- rows --- */

static const struct holder *row(const struct holder *holders, size_t count, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(holders[i].path, path))
			return &holders[i];
	}
	return NULL;
}

/* A container is a row, what is in it is not; with one thing in it, that thing is; a chain is its
 * first. */
static void test_rows(void **state)
{
	const char *names[] = {"LIST", "ONE", "HEAD"};
	struct synthetic_heap h;
	uint64_t parts[20], one, key, class, node, next, values[3];
	struct holder *holders;
	size_t count;

	(void)state;
	synthetic_begin(&h, 10, SPACE);
	for (size_t i = 0; i < COUNT(parts); i++)
		parts[i] = heavy(&h, 10000);
	key = synthetic_str(&h, "only");
	one = heavy(&h, 600000);
	class = make_class(&h);
	values[0] = synthetic_list(&h, parts, COUNT(parts), COUNT(parts));
	values[1] = synthetic_dict(&h, &key, &one, 1);
	values[2] = node = synthetic_plain(&h, class);
	for (int i = 0; i < 3000; i++, node = next) {
		next = synthetic_plain(&h, class);
		synthetic_set(&h, node + 24, next);
	}
	synthetic_module(&h, "app", synthetic_names(&h, names, values, 3));
	assert_int_equal(synthetic_build(&h), 0);
	assert_int_equal(heap_holders_find(h.graph, 3, &holders, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(holders[0].path, "app.ONE['only']");
	assert_string_equal(holders[1].path, "app.LIST");
	assert_int_equal(holders[1].entries, COUNT(parts));
	assert_string_equal(holders[1].type, "list");
	assert_string_equal(holders[2].path, "app.HEAD");
	assert_string_equal(holders[2].type, "app.Node");
	assert_false(holders[2].has_entries);
	assert_true(holders[0].retained_bytes >= holders[1].retained_bytes);
	heap_holders_free(holders, count);
	synthetic_end(&h);
}

/* In two modules: each is named. In two lists: a row of its own says what is in both. */
static void test_shared(void **state)
{
	const char *names[] = {"BY_ID", "BY_NAME", "BIG"};
	struct synthetic_heap h;
	uint64_t items[2000], values[3];
	const struct holder *both, *big;
	struct holder *holders;
	size_t count;

	(void)state;
	synthetic_begin(&h, 11, SPACE);
	for (size_t i = 0; i < COUNT(items); i++)
		items[i] = synthetic_tuple(&h, NULL, 0);
	values[0] = synthetic_list(&h, items, COUNT(items), COUNT(items));
	values[1] = synthetic_list(&h, items, COUNT(items), COUNT(items));
	values[2] = heavy(&h, 100000);
	synthetic_module(&h, "app", synthetic_names(&h, names, values, 3));
	module_of(&h, "user", "BIG", values[2]);
	assert_int_equal(synthetic_build(&h), 0);
	assert_int_equal(heap_holders_find(h.graph, 100, &holders, &count), 0);
	both = row(holders, count, "in app.BY_ID and in app.BY_NAME");
	assert_non_null(both);
	assert_int_equal(both->entries, COUNT(items));
	assert_string_equal(both->type, "tuple");
	assert_int_equal(both->retained_bytes,
			 COUNT(items) * heap_blocks_size(h.blocks, synthetic_block(&h, items[0])));
	big = row(holders, count, "user.BIG");
	assert_non_null(big);
	assert_string_equal(big->shared_by, "app.BIG and user.BIG");
	assert_null(row(holders, count, "app.BY_ID")->shared_by);
	heap_holders_free(holders, count);
	synthetic_end(&h);
}

/* Large things have rows of their own, unless many of them are in the same two: a list and a dict,
 * or a dict and the variables of a module. */
static void test_large_and_shared(void **state)
{
	const char *names[14] = {"BY_ID", "BY_NAME", "OUT", "FEW"};
	struct synthetic_heap h;
	uint64_t items[6], shown[10], keys[10], few[2], values[14];
	const struct holder *both;
	struct holder *holders;
	size_t count, named = 0;

	(void)state;
	synthetic_begin(&h, 11, SPACE);
	for (size_t i = 0; i < COUNT(items); i++)
		items[i] = heavy(&h, 40000);
	for (size_t i = 0; i < COUNT(few); i++)
		few[i] = heavy(&h, 50000);
	for (size_t i = 0; i < COUNT(shown); i++) {
		static const char *const of_cells[] = {"_1", "_2", "_3", "_4", "_5",
						       "_6", "_7", "_8", "_9", "_10"};

		names[4 + i] = of_cells[i];
		keys[i] = synthetic_str(&h, of_cells[i]);
		values[4 + i] = shown[i] = heavy(&h, 30000);
	}
	values[0] = synthetic_list(&h, items, COUNT(items), COUNT(items));
	values[1] = synthetic_list(&h, items, COUNT(items), COUNT(items));
	values[2] = synthetic_dict(&h, keys, shown, COUNT(shown));
	values[3] = synthetic_list(&h, few, COUNT(few), COUNT(few));
	synthetic_module(&h, "app", synthetic_names(&h, names, values, COUNT(values)));
	module_of(&h, "user", "FEW", synthetic_list(&h, few, COUNT(few), COUNT(few)));
	assert_int_equal(synthetic_build(&h), 0);
	assert_int_equal(heap_holders_find(h.graph, 100, &holders, &count), 0);
	both = row(holders, count, "in app.BY_ID and in app.BY_NAME");
	assert_non_null(both);
	assert_int_equal(both->entries, COUNT(items));
	assert_true(both->retained_bytes >= COUNT(items) * 40000);
	for (size_t i = 0; i < COUNT(items); i++)
		assert_true(heap_blocks_object(h.blocks, both->members[i]) == items[i]);
	both = row(holders, count, "in app.OUT and in variables of app");
	assert_non_null(both);
	assert_int_equal(both->entries, COUNT(shown));
	assert_true(both->retained_bytes >= COUNT(shown) * 30000);
	for (size_t i = 0; i < count; i++) {
		assert_null(strstr(holders[i].path, "app.BY_ID["));
		assert_true(strncmp(holders[i].path, "app._", 5) != 0);
	}
	/* Of two things each is named. */
	assert_null(row(holders, count, "in app.FEW and in user.FEW"));
	for (size_t i = 0; i < count; i++)
		named += strstr(holders[i].path, ".FEW[") != NULL;
	assert_int_equal(named, COUNT(few));
	heap_holders_free(holders, count);
	synthetic_end(&h);
}

/* --- growth --- */

/* Two lists and a cache; `second`: one list has grown, the cache was replaced, another list is new.
 */
static void make_growing(struct synthetic_heap *h, bool second)
{
	const char *names[] = {"GROWS", "STAYS", "CACHE", "NEW"};
	uint64_t items[3000], values[4], hole[300];

	synthetic_begin(h, 11, SPACE);
	values[0] = synthetic_list(h, NULL, 0, 3000);
	values[1] = heavy(h, 100000);
	if (second)
		synthetic_list(h, hole, 0, 0); /* the cache will be elsewhere */
	values[2] = heavy(h, second ? 120000 : 80000);
	for (size_t i = 0; i < COUNT(items); i++) {
		items[i] = i < (second ? 3000 : 1000) ? synthetic_str(h, "an entry") : 0;
		synthetic_set(h, synthetic_get(h, values[0] + h->layout.list_items) + 8 * i,
			      items[i]);
	}
	synthetic_set(h, values[0] + h->layout.object_size, second ? 3000 : 1000);
	values[3] = second ? heavy(h, 50000) : synthetic_str(h, "not yet");
	synthetic_module(h, "app", synthetic_names(h, names, values, 4));
	assert_int_equal(synthetic_build(h), 0);
}

static void test_growth(void **state)
{
	struct synthetic_heap h;
	struct holders_past *past;
	const struct holder *one;
	struct holder *holders;
	size_t count;

	(void)state;
	make_growing(&h, false);
	assert_int_equal(heap_holders_keep(h.graph, &past), 0);
	synthetic_end(&h);
	make_growing(&h, true);
	assert_int_equal(heap_holders_compare(h.graph, past, 100, &holders, &count), 0);
	assert_string_equal(holders[0].path, "app.GROWS");
	assert_int_equal(holders[0].entries_grown, 2000);
	assert_true(holders[0].grown_bytes >= 2000 * 48 && holders[0].grown_bytes <= 2000 * 80);
	assert_false(holders[0].is_new);
	one = row(holders, count, "app.STAYS");
	assert_non_null(one);
	assert_int_equal(one->grown_bytes, 0);
	assert_int_equal(one->entries_grown, 0);
	one = row(holders, count, "app.CACHE");
	assert_non_null(one);
	assert_true(one->grown_bytes > 30000 && one->grown_bytes < 60000);
	assert_false(one->is_new);
	one = row(holders, count, "app.NEW");
	assert_non_null(one);
	assert_true(one->is_new);
	assert_int_equal(one->grown_bytes, one->retained_bytes);
	for (size_t i = 1; i < count; i++)
		assert_true(holders[i - 1].grown_bytes >= holders[i].grown_bytes);
	heap_holders_free(holders, count);
	heap_holders_past_free(past);
	synthetic_end(&h);
}

/* Two things that one file's data has at different times have one path, and are not one thing. */
static void test_growth_of_c(void **state)
{
	struct synthetic_heap h;
	struct holders_past *past;
	const struct holder *one;
	struct holder *holders;
	size_t count;

	(void)state;
	for (int second = 0; second <= 1; second++) {
		synthetic_begin(&h, 11, SPACE);
		if (second)
			synthetic_list(&h, NULL, 0, 300); /* what comes is elsewhere */
		synthetic_set(&h, synthetic_static(&h, 8), heavy(&h, second ? 200000 : 100000));
		assert_int_equal(synthetic_build(&h), 0);
		if (second)
			break;
		assert_int_equal(heap_holders_keep(h.graph, &past), 0);
		synthetic_end(&h);
	}
	assert_int_equal(heap_holders_compare(h.graph, past, 100, &holders, &count), 0);
	one = row(holders, count, "C code: " SYNTHETIC_FILE);
	assert_non_null(one);
	assert_true(one->is_new);
	assert_int_equal(one->entries_grown, one->entries);
	heap_holders_free(holders, count);
	heap_holders_past_free(past);
	synthetic_end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_containers),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_several_names),
		cmocka_unit_test(test_builtin_method),
		cmocka_unit_test(test_class_attribute),
		cmocka_unit_test(test_closure),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_generator),
		cmocka_unit_test(test_c_and_nobody),
		cmocka_unit_test(test_linked_list),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_large_and_shared),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_growth_of_c),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

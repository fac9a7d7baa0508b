/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Types and objects, made up: what is a type and what it is called, which blocks are objects, and
 * what looks like either and is not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_census.h"

#define POOL  FAKE_ARENAS
#define CLASS (FAKE_HEAP + 0x1000) /* where a class is, a chunk of malloc's */

/* A heap with one pool of blocks of 64 bytes, all in use, and a [heap] of two chunks. */
static void make(struct fake_heap *h, unsigned minor)
{
	fake_python(h, minor);
	h->regions[1].end = FAKE_HEAP + 0x8000;
	fake_chunk(h, FAKE_HEAP, 0xfe0, 1);
	fake_chunk(h, CLASS - 32, 0x1000, 1);
	fake_chunk(h, CLASS - 32 + 0x1000, 0x8000 - 0x1fe0, 1);
	fake_touch(h, FAKE_HEAP, FAKE_HEAP + 0x8000);
	fake_pool(h, POOL, 64, 20, 0);
}

static uint64_t block(struct fake_heap *h, unsigned index)
{
	return fake_block(h, POOL, 64, index);
}

static const char *type_of(const struct found *f, uint64_t addr)
{
	uint32_t number = heap_blocks_find_addr(f->blocks, addr);
	int32_t type;

	assert_int_not_equal(number, BLOCK_NONE);
	type = heap_blocks_type(f->blocks, number);
	switch (type) {
	case BLOCK_BUFFER:
		return "buffer";
	case BLOCK_FREE:
		return "free";
	case BLOCK_CACHED:
		return "cached";
	default:
		return heap_types_get(f->types, type)->name;
	}
}

static uint64_t object_of(const struct found *f, uint64_t addr)
{
	return heap_blocks_object(f->blocks, heap_blocks_find_addr(f->blocks, addr));
}

/* --- types --- */

static int32_t find_type(struct fake_heap *h, uint64_t addr, struct heap_type *type)
{
	struct found f = find(h);
	int32_t index = heap_types_find(f.types, addr);

	if (index != TYPE_NONE && type)
		*type = *heap_types_get(f.types, index);
	done(&f, h);
	return index;
}

/* One field at a time is not what a type has. */
static void test_no_types(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 12; which++) {
		struct fake_heap h;
		const struct py_heap_layout *l = &h.layout;
		uint64_t type, wanted = 0;

		make(&h, 11);
		type = fake_type(&h, "thing", 32, 0, 0);
		switch (which) {
		case 0:
			fake_word(&h, type + l->type_flags, 0); /* not ready */
			break;
		case 1:
			fake_word(&h, type + l->type_flags, FAKE_READY | 1ull << 40);
			break;
		case 2:
			fake_word(&h, type + l->type_basicsize, 8);
			break;
		case 3:
			fake_word(&h, type + l->type_basicsize, 1ull << 62);
			break;
		case 4:
			fake_word(&h, type + l->type_itemsize, UINT64_MAX);
			break;
		case 5:
			fake_word(&h, type + l->type_name, 0);
			break;
		case 6:
			fake_word(&h, type + l->type_name, UINT64_MAX - 2);
			break;
		case 7:
			fake_bytes(&h, type + 1024, "a\nb", 4);
			break;
		case 8:
			fake_bytes(&h, type + 1024, "", 1);
			break;
		case 9:
			fake_word(&h, type + l->object_type,
				  type); /* its own type, and not `type` */
			break;
		case 10:
			fake_word(&h, type + l->object_type, h.str_type); /* no type of types */
			break;
		default:
			wanted = type + 4;
		}
		assert_int_equal(find_type(&h, wanted ? wanted : type, NULL), TYPE_NONE);
	}
}

static void test_chains(void **state)
{
	struct heap_type type;
	struct fake_heap h;
	uint64_t meta, last;

	(void)state;
	/* A class of a class of `type`. */
	make(&h, 11);
	meta = fake_type(&h, "Meta", 880, 0, FAKE_TYPES | FAKE_GC);
	last = fake_type(&h, "Made", 32, 0, 0);
	fake_word(&h, last + h.layout.object_type, meta);
	assert_int_not_equal(find_type(&h, last, &type), TYPE_NONE);
	assert_string_equal(type.name, "Made");
	/* A circle, and a chain without an end. */
	make(&h, 11);
	meta = fake_type(&h, "Meta", 880, 0, FAKE_TYPES | FAKE_GC);
	last = fake_type(&h, "Made", 32, 0, FAKE_TYPES);
	fake_word(&h, last + h.layout.object_type, meta);
	fake_word(&h, meta + h.layout.object_type, last);
	assert_int_equal(find_type(&h, last, NULL), TYPE_NONE);
	make(&h, 11);
	last = h.type_type;
	for (unsigned i = 0; i < 20; i++) {
		meta = fake_type(&h, "Meta", 880, 0, FAKE_TYPES | FAKE_GC);
		fake_word(&h, meta + h.layout.object_type, last);
		last = meta;
	}
	assert_int_equal(find_type(&h, last, NULL), TYPE_NONE);
}

/* A class of Python code: its module is in its dict. `dict`, `keys`, texts are blocks of the pool.
 */
static void make_class(struct fake_heap *h, const char *module, const char *qualname)
{
	const struct py_heap_layout *l = &h->layout;
	uint64_t dict = block(h, 1), keys = FAKE_HEAP + 0x100, entry;
	bool old = l->flags & PY_HEAP_OLD_KEYS;

	fake_object(h, CLASS, 5, h->type_type);
	fake_word(h, CLASS + l->type_name, FAKE_HEAP + 0x800);
	fake_bytes(h, FAKE_HEAP + 0x800, "Bare", 5);
	fake_word(h, CLASS + l->type_flags, FAKE_READY | FAKE_HEAPTYPE | FAKE_GC);
	fake_word(h, CLASS + l->type_basicsize, 32);
	fake_word(h, CLASS + l->type_dict, dict);
	fake_word(h, CLASS + l->heap_type_qualname, FAKE_HEAP + 0x900);
	fake_text(h, FAKE_HEAP + 0x900, qualname);
	fake_text(h, FAKE_HEAP + 0xa00, "__module__");
	fake_text(h, FAKE_HEAP + 0xb00, module);
	fake_word(h, dict + l->dict_keys, keys);
	fake_word(h, keys + l->keys_nentries, 1);
	if (old) {
		fake_word(h, keys + l->keys_size, 8);
		entry = keys + l->keys_indices + 8;
	} else {
		fake_bytes(h, keys + l->keys_log2_index_bytes, "\3", 1);
		fake_bytes(h, keys + l->keys_kind, "\1", 1);
		entry = keys + l->keys_indices + 8;
	}
	fake_word(h, entry + (old ? l->entry_key : l->unicode_entry_key), FAKE_HEAP + 0xa00);
	fake_word(h, entry + (old ? l->entry_value : l->unicode_entry_value), FAKE_HEAP + 0xb00);
}

static void test_names(void **state)
{
	const unsigned versions[] = {8, 10, 11, 12};
	char longest[300];
	struct heap_type type;
	struct fake_heap h;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		make(&h, versions[i]);
		make_class(&h, "pkg.mod", "Outer.Inner");
		assert_int_not_equal(find_type(&h, CLASS, &type), TYPE_NONE);
		assert_string_equal(type.name, "pkg.mod.Outer.Inner");
		assert_int_equal(type.kind, TYPE_OTHER);
		assert_int_equal(type.before, 16);
	}
	make(&h, 11);
	make_class(&h, "builtins", "Plain");
	find_type(&h, CLASS, &type);
	assert_string_equal(type.name, "Plain");
	/* A spec's type has its module in its name. */
	make(&h, 11);
	make_class(&h, "pkg", "Name");
	fake_bytes(&h, FAKE_HEAP + 0x800, "collections.deque", 18);
	find_type(&h, CLASS, &type);
	assert_string_equal(type.name, "collections.deque");
	assert_int_equal(type.kind, TYPE_DEQUE);
	assert_true(type.exact);
	/* A class that calls itself so is none. */
	make(&h, 11);
	make_class(&h, "pkg", "set");
	fake_bytes(&h, FAKE_HEAP + 0x800, "set", 4);
	find_type(&h, CLASS, &type);
	assert_int_equal(type.kind, TYPE_OTHER);
	/* Cut, and said so. */
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	make(&h, 11);
	make_class(&h, "pkg", longest);
	find_type(&h, CLASS, &type);
	assert_int_equal(strlen(type.name), sizeof(type.name) - 1);
	assert_string_equal(type.name + sizeof(type.name) - 4, "...");
	/* Without a dict, or with one that leads nowhere, it has its bare name. */
	make(&h, 11);
	make_class(&h, "pkg", "Name");
	fake_word(&h, CLASS + h.layout.type_dict, 1ull << 60);
	fake_word(&h, CLASS + h.layout.heap_type_qualname, 8);
	find_type(&h, CLASS, &type);
	assert_string_equal(type.name, "Bare");
}

static void test_kinds(void **state)
{
	const struct {
		const char *name;
		uint64_t flag;
		enum type_kind kind;
		bool exact;
	} kinds[] = {{"int", 1ull << 24, TYPE_INT, true},
		     {"bool", 1ull << 24, TYPE_INT, false},
		     {"list", 1ull << 25, TYPE_LIST, true},
		     {"tuple", 1ull << 26, TYPE_TUPLE, true},
		     {"bytes", 1ull << 27, TYPE_BYTES, true},
		     {"dict", 1ull << 29, TYPE_DICT, true},
		     {"collections.OrderedDict", 1ull << 29, TYPE_DICT, false},
		     {"float", 0, TYPE_LEAF, true},
		     {"frozenset", 0, TYPE_SET, true},
		     {"weakref.ReferenceType", 0, TYPE_WEAKREF, true},
		     {"coroutine", 0, TYPE_GENERATOR, true},
		     {"numpy.ndarray", 0, TYPE_NDARRAY, true},
		     {"thing", 0, TYPE_OTHER, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct heap_type type;
		struct fake_heap h;
		uint64_t addr, sub;

		make(&h, 11);
		addr = fake_type(&h, kinds[i].name, 32, 0, kinds[i].flag);
		find_type(&h, addr, &type);
		assert_int_equal(type.kind, kinds[i].kind);
		assert_int_equal(type.exact, kinds[i].exact);
		/* A class below it is of its kind. */
		make(&h, 11);
		addr = fake_type(&h, kinds[i].name, 32, 0, kinds[i].flag);
		sub = fake_type(&h, "Sub", 48, 0, kinds[i].flag | FAKE_HEAPTYPE);
		fake_word(&h, sub + h.layout.type_base, addr);
		find_type(&h, sub, &type);
		assert_int_equal(type.kind, kinds[i].kind);
		assert_false(type.exact);
	}
}

/* Bases in a circle. */
static void test_bases(void **state)
{
	struct heap_type type;
	struct fake_heap h;
	uint64_t one, other;

	(void)state;
	make(&h, 11);
	one = fake_type(&h, "One", 32, 0, FAKE_HEAPTYPE);
	other = fake_type(&h, "Other", 32, 0, FAKE_HEAPTYPE);
	fake_word(&h, one + h.layout.type_base, other);
	fake_word(&h, other + h.layout.type_base, one);
	find_type(&h, one, &type);
	assert_int_equal(type.kind, TYPE_OTHER);
}

/* --- objects --- */

static void test_offsets(void **state)
{
	struct fake_heap h;
	struct found f;
	uint64_t plain, collected, managed;

	(void)state;
	make(&h, 11);
	plain = fake_type(&h, "plain", 24, 0, 0);
	collected = fake_type(&h, "collected", 24, 0, FAKE_GC);
	managed = fake_type(&h, "managed", 16, 0, FAKE_GC | h.layout.pre_flags);
	fake_object(&h, block(&h, 0), 1, plain);
	fake_object(&h, block(&h, 1) + 16, 3, collected);
	fake_object(&h, block(&h, 2) + 32, 2, managed);
	/* Not where its type's flags say. */
	fake_object(&h, block(&h, 3) + 16, 1, plain);
	fake_object(&h, block(&h, 4), 1, collected);
	fake_object(&h, block(&h, 5) + 16, 1, managed);
	fake_object(&h, block(&h, 6) + 8, 1, plain);
	f = find(&h);
	assert_string_equal(type_of(&f, block(&h, 0)), "plain");
	assert_int_equal(object_of(&f, block(&h, 0)), block(&h, 0));
	assert_string_equal(type_of(&f, block(&h, 1)), "collected");
	assert_int_equal(object_of(&f, block(&h, 1)), block(&h, 1) + 16);
	assert_string_equal(type_of(&f, block(&h, 2)), "managed");
	assert_int_equal(object_of(&f, block(&h, 2)), block(&h, 2) + 32);
	for (unsigned i = 3; i < 7; i++)
		assert_string_equal(type_of(&f, block(&h, i)), "buffer");
	done(&f, &h);
}

static void test_sizes(void **state)
{
	struct fake_heap h;
	struct found f;
	uint64_t large, tuple;

	(void)state;
	make(&h, 11);
	large = fake_type(&h, "large", 72, 0, 0);
	tuple = fake_type(&h, "tuple", 24, 8, FAKE_GC | 1ull << 26);
	fake_object(&h, block(&h, 0), 1, large);
	fake_object(&h, block(&h, 1) + 16, 1, tuple);
	fake_word(&h, block(&h, 1) + 16 + h.layout.object_size, 3);
	fake_object(&h, block(&h, 2) + 16, 1, tuple);
	fake_word(&h, block(&h, 2) + 16 + h.layout.object_size, 4);
	fake_object(&h, block(&h, 3) + 16, 1, tuple);
	fake_word(&h, block(&h, 3) + 16 + h.layout.object_size, UINT64_MAX);
	fake_text(&h, block(&h, 4), "a text"); /* smaller than its type's basicsize */
	f = find(&h);
	assert_string_equal(type_of(&f, block(&h, 0)), "buffer");
	assert_string_equal(type_of(&f, block(&h, 1)), "tuple");
	assert_string_equal(type_of(&f, block(&h, 2)), "buffer");
	assert_string_equal(type_of(&f, block(&h, 3)), "buffer");
	assert_string_equal(type_of(&f, block(&h, 4)), "str");
	done(&f, &h);
}

/* What the word before ob_type may be, by version. */
static void test_counts(void **state)
{
	const struct {
		unsigned minor;
		uint64_t count;
		const char *type;
	} counts[] = {
		{11, 1, "plain"},
		{11, 1000000000, "plain"},
		{11, 0, "cached"},
		{11, 0x7f1234567890, "buffer"},
		{11, UINT64_MAX, "buffer"},
		{12, 0x3fffffff, "plain"},
		{12, 0xffffffff, "plain"},
		{12, 0, "cached"},
		{12, 0x7f1234567890, "buffer"},
		{14, 0x1c0000000, "plain"},
		{14, 0x0004000000000001, "plain"},
		{14, 0x5000000000000001 & 0xffff0001ffffffff, "plain"},
		{14, 0x7f1234567890, "buffer"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct fake_heap h;
		struct found f;
		uint64_t plain;

		make(&h, counts[i].minor);
		plain = fake_type(&h, "plain", 24, 0, 0);
		fake_object(&h, block(&h, 0), counts[i].count, plain);
		f = find(&h);
		assert_string_equal(type_of(&f, block(&h, 0)), counts[i].type);
		done(&f, &h);
	}
}

/* CPython's own free lists: counted apart, in no type. */
static void test_free_lists(void **state)
{
	struct fake_heap h;
	struct found f;
	uint64_t plain;

	(void)state;
	make(&h, 14);
	plain = fake_type(&h, "plain", 24, 0, 0);
	fake_object(&h, block(&h, 0), block(&h, 1), plain);
	fake_object(&h, block(&h, 1), 0, plain);
	fake_object(&h, block(&h, 2), block(&h, 3), plain); /* that one is no `plain` */
	f = find(&h);
	assert_string_equal(type_of(&f, block(&h, 0)), "cached");
	assert_string_equal(type_of(&f, block(&h, 1)), "cached");
	assert_string_equal(type_of(&f, block(&h, 2)), "buffer");
	assert_int_equal(heap_blocks_allocators(f.blocks)->cached_bytes, 128);
	done(&f, &h);
}

/* PYTHONMALLOC=debug: a size, who asked, and forbidden bytes come first; twice in a chunk. */
static void test_debug_hooks(void **state)
{
	struct fake_heap h;
	struct found f;
	uint64_t plain, chunk = FAKE_HEAP + 16;

	(void)state;
	make(&h, 11);
	plain = fake_type(&h, "plain", 24, 0, 0);
	for (unsigned i = 0; i < 20; i++)
		fake_bytes(&h, block(&h, i) + 8, "o\xfd\xfd\xfd\xfd\xfd\xfd\xfd", 8);
	fake_object(&h, block(&h, 3) + 16, 1, plain);
	fake_bytes(&h, chunk + 8, "r\xfd\xfd\xfd\xfd\xfd\xfd\xfd", 8);
	fake_bytes(&h, chunk + 24, "o\xfd\xfd\xfd\xfd\xfd\xfd\xfd", 8);
	fake_object(&h, chunk + 32, 1, plain);
	f = find(&h);
	assert_string_equal(type_of(&f, block(&h, 3)), "plain");
	assert_string_equal(type_of(&f, block(&h, 4)), "buffer");
	assert_string_equal(type_of(&f, chunk), "plain");
	assert_int_equal(object_of(&f, chunk), chunk + 32);
	assert_int_equal(object_of(&f, block(&h, 3)), block(&h, 3) + 16);
	done(&f, &h);
}

/* Words that lead to types by chance: a buffer of pointers, strings' tails. */
static void test_no_objects(void **state)
{
	struct fake_heap h;
	struct found f;

	(void)state;
	make(&h, 11);
	fake_word(&h, block(&h, 0), block(&h, 5));
	fake_word(&h, block(&h, 0) + 8, h.str_type);
	fake_word(&h, block(&h, 1) + 8, h.str_type + 8);
	fake_word(&h, block(&h, 2) + 8, UINT64_MAX);
	fake_word(&h, block(&h, 3) + 8, block(&h, 4)); /* no type is in a pool */
	f = find(&h);
	for (unsigned i = 0; i < 4; i++)
		assert_string_equal(type_of(&f, block(&h, i)), "buffer");
	done(&f, &h);
}

static void test_balance(void **state)
{
	struct heap_balance balance;
	struct fake_heap h;
	struct found f;

	(void)state;
	make(&h, 11);
	fake_text(&h, block(&h, 0), "a text");
	fake_free(&h, POOL, block(&h, 7));
	f = find(&h);
	heap_balance_make(f.snapshot, f.blocks, NULL, NULL, &balance);
	assert_int_equal(balance.objects, 64);
	assert_int_equal(balance.pool_free, 4096 - 19 * 64);
	assert_int_equal(balance.buffers, 18 * 64 + 0x1fe0);
	assert_int_equal(balance.malloc_free, 0x8000 - 0x1fe0);
	assert_int_equal(balance.unexplained, 0);
	assert_int_equal(balance.files, h.page_count * 4096 - 4096 - 0x8000);
	done(&f, &h);
}

static bool owns_even(void *arg, uint32_t block)
{
	(void)arg;
	return block % 2 == 0;
}

/* What no object owns is held by C. */
static void test_owners(void **state)
{
	struct heap_balance balance;
	struct fake_heap h;
	struct found f;

	(void)state;
	make(&h, 11);
	f = find(&h);
	heap_balance_make(f.snapshot, f.blocks, owns_even, NULL, &balance);
	/* Blocks 0, 1 are the chunks, 2 the top, 3 to 22 the pool's. */
	assert_int_equal(balance.buffers, 0xfe0 + 10 * 64);
	assert_int_equal(balance.malloc_used, 0x1000 + 10 * 64);
	done(&f, &h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_types),   cmocka_unit_test(test_chains),
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_bases),	   cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_sizes),	   cmocka_unit_test(test_counts),
		cmocka_unit_test(test_free_lists), cmocka_unit_test(test_debug_hooks),
		cmocka_unit_test(test_no_objects), cmocka_unit_test(test_balance),
		cmocka_unit_test(test_owners),
	};

	return cmocka_run_group_tests_name("heap_objects", tests, NULL, NULL);
}

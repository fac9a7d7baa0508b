/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* py_first.c: is the first object of a pool still the one that was there? "Gone" must be sure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "python/py_first.h"

#define THEN_BYTES 128
#define POOL	   0x7f0000010000ull
#define TYPE	   0x560000001000ull /* of all types */
#define STR	   0x560000002000ull
#define INT	   0x560000003000ull
#define BYTES	   0x560000004000ull
#define LIST	   0x560000005000ull
#define OTHER	   0x560000006000ull
#define META	   0x560000007000ull /* of OTHER */

struct given {
	unsigned char then[PY_FIRST_POOL_BYTES], now[PY_FIRST_POOL_BYTES];
};

/* Types: those above. */
static bool read_types(void *arg, uint64_t addr, void *buf, size_t size)
{
	static const struct {
		uint64_t type, of;
		uint32_t flags;
	} types[] = {
		{TYPE, TYPE, 1u << 14 | 1u << 31},
		{STR, TYPE, 1u << 28},
		{INT, TYPE, 1u << 24},
		{BYTES, TYPE, 1u << 27},
		{LIST, TYPE, 1u << 14},
		{OTHER, META, 1u << 14},
		{META, TYPE, 1u << 14},
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (addr == types[i].type + 8 && size == 8) {
			memcpy(buf, &types[i].of, size);
			return true;
		}
		if (addr == types[i].type + 168 && size == 4) {
			memcpy(buf, &types[i].flags, size);
			return true;
		}
	}
	return false;
}

static void put(unsigned char *pool, size_t offset, uint64_t value, size_t size)
{
	memcpy(pool + offset, &value, size);
}

static void give_head(unsigned char *pool, uint32_t pool_size, uint32_t index, uint32_t alignment,
		      uint32_t used, uint32_t carved)
{
	uint32_t size = (index + 1) * alignment;

	put(pool, 0, used, 4);
	put(pool, 8, 0, 8);
	put(pool, 36, index, 4);
	put(pool, 40, 48 + carved * size, 4);
	put(pool, 44, pool_size - size, 4);
}

/* The first block has an object of that type, `before` bytes into it. */
static void give_object(unsigned char *pool, uint64_t type, size_t before)
{
	put(pool, 48 + before, 1, 8);
	put(pool, 48 + before + 8, type, 8);
}

static void give_text(unsigned char *pool, const char *text)
{
	give_object(pool, STR, 0);
	put(pool, 48 + 16, strlen(text), 8);
	memcpy(pool + 48 + 48, text, strlen(text) + 1);
}

/* Pools of blocks of 80 bytes, with a text. */
static void given(struct given *g)
{
	memset(g, 0, sizeof(*g));
	give_head(g->then, 16384, 4, 16, 5, 5);
	give_head(g->now, 16384, 4, 16, 200, 204);
	give_text(g->then, "<tr><td>1</td></tr>");
	give_text(g->now, "<tr><td>1</td></tr>");
}

static enum py_first judge(const struct given *g)
{
	return py_first_judge(g->then, THEN_BYTES, g->now, POOL, read_types, NULL);
}

static void test_same(void **state)
{
	struct given g;

	(void)state;
	given(&g);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	/* Its hash is known by now, it has more references, and is interned. */
	put(g.now, 48, 7, 8);
	put(g.now, 48 + 24, 0x1234567, 8);
	put(g.now, 48 + 32, 0xe5, 4);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	/* Up to 3.9 a pool is smaller, and up to 3.7 sizes are of 8 bytes. */
	give_head(g.then, 4096, 4, 16, 5, 5);
	give_head(g.now, 4096, 4, 16, 5, 5);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	give_head(g.then, 4096, 9, 8, 5, 5);
	give_head(g.now, 4096, 9, 8, 5, 5);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
}

static void test_other_text(void **state)
{
	struct given g;

	(void)state;
	given(&g);
	give_text(g.now, "<tr><td>12</td></tr>");
	assert_int_equal(judge(&g), PY_FIRST_GONE);
	give_text(g.now, "Ttr><td>1</td></tr>");
	assert_int_equal(judge(&g), PY_FIRST_GONE);
}

static void test_other_number_or_bytes(void **state)
{
	struct given g;

	(void)state;
	given(&g);
	give_object(g.then, INT, 0);
	give_object(g.now, INT, 0);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	put(g.now, 48 + 24, 8, 4);
	assert_int_equal(judge(&g), PY_FIRST_GONE);
	given(&g);
	give_object(g.then, BYTES, 0);
	give_object(g.now, BYTES, 0);
	put(g.now, 48 + 24, 8, 8); /* its hash */
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	put(g.now, 48 + 32, 8, 1);
	assert_int_equal(judge(&g), PY_FIRST_GONE);
}

static void test_other_type(void **state)
{
	struct given g;

	(void)state;
	given(&g);
	give_object(g.now, INT, 0);
	assert_int_equal(judge(&g), PY_FIRST_GONE);
	/* Behind a head for the collector. */
	given(&g);
	memset(g.then + 48, 0, 80);
	give_object(g.then, LIST, 16);
	give_object(g.now, LIST, 16);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	put(g.now, 48, POOL + 128, 8); /* the head changes with each collection */
	put(g.now, 48 + 32, 300, 8);   /* and the list with what is done to it */
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	give_object(g.now, OTHER, 16);
	assert_int_equal(judge(&g), PY_FIRST_GONE);
	/* Behind what an instance has before that; its type's type is a class of its own. */
	memset(g.then + 48, 0, 80);
	give_object(g.then, OTHER, 32);
	give_object(g.now, OTHER, 32);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
}

static void test_block_is_free(void **state)
{
	struct given g;

	(void)state;
	given(&g);
	put(g.now, 8, POOL + 48 + 80, 8);
	put(g.now, 48 + 80, POOL + 48 + 160, 8);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	put(g.now, 48 + 160, POOL + 48, 8);
	assert_int_equal(judge(&g), PY_FIRST_GONE);
	/* A list that leads astray, or in a circle, says nothing. */
	put(g.now, 48 + 160, POOL + 48 + 80, 8);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	put(g.now, 48 + 160, 8, 8);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	put(g.now, 48 + 160, POOL + PY_FIRST_POOL_BYTES - 4, 8);
	assert_int_equal(judge(&g), PY_FIRST_THERE);
	give_head(g.now, 16384, 4, 16, 0, 204);
	assert_int_equal(judge(&g), PY_FIRST_GONE);
}

/* Blocks of another size: the pool was empty in between. */
static void test_other_size(void **state)
{
	struct given g;

	(void)state;
	given(&g);
	give_head(g.now, 16384, 3, 16, 20, 20);
	assert_int_equal(judge(&g), PY_FIRST_GONE);
}

static void test_unknown(void **state)
{
	struct given g;

	(void)state;
	given(&g);
	memset(g.then, 0, sizeof(g.then)); /* no pool */
	assert_int_equal(judge(&g), PY_FIRST_UNKNOWN);
	given(&g);
	memset(g.now, 0xff, sizeof(g.now));
	assert_int_equal(judge(&g), PY_FIRST_UNKNOWN);
	given(&g);
	give_head(g.then, 16384, 4, 16, 0, 0); /* nothing was in it yet */
	assert_int_equal(judge(&g), PY_FIRST_UNKNOWN);
	given(&g);
	put(g.then, 44, 16384, 4); /* blocks of no size */
	assert_int_equal(judge(&g), PY_FIRST_UNKNOWN);
	given(&g);
	put(g.then, 48 + 8, 0x1234, 8); /* a buffer */
	assert_int_equal(judge(&g), PY_FIRST_UNKNOWN);
	given(&g);
	give_object(g.then, LIST, 0); /* a buffer with a pointer to a type */
	assert_int_equal(judge(&g), PY_FIRST_UNKNOWN);
	/* The smallest block has room for no object behind a head. */
	given(&g);
	give_head(g.then, 16384, 0, 16, 5, 5);
	put(g.then, 48 + 8, 0, 8);
	assert_int_equal(judge(&g), PY_FIRST_UNKNOWN);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_other_text),
		cmocka_unit_test(test_other_number_or_bytes),
		cmocka_unit_test(test_other_type),
		cmocka_unit_test(test_block_is_free),
		cmocka_unit_test(test_other_size),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

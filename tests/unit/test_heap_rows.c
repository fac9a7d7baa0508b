/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is added up by type, of a heap made by hand: rows, their growth, and what pins pools. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "heap/pool_use.h"
#include "heap/type_rows.h"

#define POOL 4096ull

/* --- a heap: what the real blocks and types are asked for --- */

struct fake_block {
	uint64_t addr, size;
	int32_t type;
	uint32_t owner;
	bool pooled;
};

struct heap_blocks {
	const struct fake_block *blocks;
	uint32_t count;
};

struct heap_graph {
	const struct heap_blocks *blocks;
};

struct heap_types {
	const struct heap_type *types;
	uint32_t count;
};

uint32_t heap_blocks_count(const struct heap_blocks *blocks)
{
	return blocks->count;
}

uint64_t heap_blocks_addr(const struct heap_blocks *blocks, uint32_t block)
{
	return blocks->blocks[block].addr;
}

uint64_t heap_blocks_size(const struct heap_blocks *blocks, uint32_t block)
{
	return blocks->blocks[block].size;
}

int32_t heap_blocks_type(const struct heap_blocks *blocks, uint32_t block)
{
	return blocks->blocks[block].type;
}

bool heap_blocks_pooled(const struct heap_blocks *blocks, uint32_t block)
{
	return blocks->blocks[block].pooled;
}

uint32_t heap_graph_owner(const struct heap_graph *graph, uint32_t block)
{
	return graph->blocks->blocks[block].owner;
}

uint32_t heap_types_count(const struct heap_types *types)
{
	return types->count;
}

const struct heap_type *heap_types_get(const struct heap_types *types, int32_t index)
{
	return &types->types[index];
}

/* Two types are called "str". */
static const struct heap_type type_list[] = {
	{.name = "str"}, {.name = "dict"}, {.name = "str"}, {.name = "a.Unused"}};
static const struct heap_types types = {type_list, 4};

/* The first pool has 160 bytes in use, the second nothing, the third 3000; then malloc. */
static const struct fake_block block_list[] = {
	{0x10030, 64, 0, BLOCK_NONE, true},
	{0x10070, 64, BLOCK_FREE, BLOCK_NONE, true},
	{0x100b0, 32, 1, BLOCK_NONE, true},
	{0x100d0, 64, BLOCK_BUFFER, 2, true},
	{0x11030, 64, BLOCK_FREE, BLOCK_NONE, true},
	{0x11070, 64, BLOCK_CACHED, BLOCK_NONE, true},
	{0x12030, 3000, 2, BLOCK_NONE, true},
	{0x20000, 5000, BLOCK_BUFFER, 2, false},
	{0x22000, 7000, BLOCK_BUFFER, BLOCK_NONE, false},
	{0x24000, 9000, BLOCK_FREE, BLOCK_NONE, false},
};
static const struct heap_blocks blocks = {block_list, sizeof(block_list) / sizeof(block_list[0])};
static const struct heap_graph graph = {&blocks};

/* --- rows --- */

static void expect_row(const struct heap_type_row *row, const char *type, uint64_t objects,
		       uint64_t bytes, int64_t objects_grown, int64_t bytes_grown)
{
	assert_string_equal(row->type, type);
	assert_int_equal(row->objects, objects);
	assert_int_equal(row->bytes, bytes);
	assert_int_equal(row->objects_grown, objects_grown);
	assert_int_equal(row->bytes_grown, bytes_grown);
}

static void test_rows(void **state)
{
	struct heap_type_row *rows;
	size_t count;

	(void)state;
	assert_int_equal(heap_type_rows_make(&types, &blocks, &graph, &rows, &count), 0);
	assert_int_equal(count, 2);
	expect_row(&rows[0], "dict", 1, 32 + 64 + 5000, 0, 0);
	expect_row(&rows[1], "str", 2, 64 + 3000, 0, 0);
	heap_type_rows_sort(rows, count, false);
	expect_row(&rows[0], "dict", 1, 5096, 0, 0);
	heap_type_rows_free(rows, count);
	/* Without a graph nobody owns a buffer. */
	assert_int_equal(heap_type_rows_make(&types, &blocks, NULL, &rows, &count), 0);
	assert_int_equal(count, 2);
	expect_row(&rows[0], "dict", 1, 32, 0, 0);
	heap_type_rows_free(rows, count);
}

static void test_empty(void **state)
{
	const struct heap_types no_types = {NULL, 0};
	const struct heap_blocks no_blocks = {NULL, 0};
	struct heap_type_row *rows;
	size_t count;

	(void)state;
	assert_int_equal(heap_type_rows_make(&no_types, &no_blocks, NULL, &rows, &count), 0);
	assert_int_equal(count, 0);
	heap_type_rows_sort(rows, count, true);
	assert_int_equal(heap_type_rows_compare(&rows, &count, NULL, 0), 0);
	assert_int_equal(count, 0);
	heap_type_rows_free(rows, count);
}

/* Of the earlier census: types that grew, shrank, came and went. */
static void test_growth(void **state)
{
	struct heap_type_row past[] = {
		{.type = "aaa", .objects = 7, .bytes = 700},
		{.type = "dict", .objects = 3, .bytes = 9000},
		{.type = "dict.x", .objects = 1, .bytes = 10},
		{.type = "zzz", .objects = 1, .bytes = 10},
	};
	struct heap_type_row *rows;
	size_t count;

	(void)state;
	assert_int_equal(heap_type_rows_make(&types, &blocks, &graph, &rows, &count), 0);
	assert_int_equal(heap_type_rows_compare(&rows, &count, past, 4), 0);
	assert_int_equal(count, 5);
	heap_type_rows_sort(rows, count, true);
	expect_row(&rows[0], "str", 2, 3064, 2, 3064);
	expect_row(&rows[1], "dict.x", 0, 0, -1, -10);
	expect_row(&rows[2], "zzz", 0, 0, -1, -10);
	expect_row(&rows[3], "aaa", 0, 0, -7, -700);
	expect_row(&rows[4], "dict", 1, 5096, -2, 5096 - 9000);
	heap_type_rows_free(rows, count);
}

/* --- pools --- */

static void test_pools(void **state)
{
	static const int32_t first[] = {0, BLOCK_FREE, 1, BLOCK_BUFFER}, second[] = {BLOCK_CACHED},
			     third[] = {2};
	const struct pool_blocks pools[] = {
		{0x10000, POOL, 4, 64, first},
		{0x11000, POOL, 1, 64, second},
		{0x12000, POOL, 1, 3000, third},
	};
	struct heap_look *look = heap_look_new();
	struct pool_use use = {.pools = 0};

	(void)state;
	assert_non_null(look);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pool_use_add(&use, &pools[i]), 0);
	assert_int_equal(pool_use_tell(&use, &types, look), 0);
	pool_use_fini(&use);
	assert_int_equal(look->pools, 2);
	assert_int_equal(look->pools_by_fullness[0], 1);
	assert_int_equal(look->pools_by_fullness[7], 1);
	assert_int_equal(look->pin_count, 3);
	assert_string_equal(look->pins[0].type, "buffers");
	assert_string_equal(look->pins[1].type, "dict");
	assert_string_equal(look->pins[2].type, "str");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(look->pins[i].bytes, 64);
		assert_int_equal(look->pins[i].pools, 1);
	}
	heap_look_free(look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_pools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

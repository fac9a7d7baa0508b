/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pools, free blocks and arenas, made up: what is one, what is none, what a target made on purpose.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_census.h"

static void test_blocks_of_a_pool(void **state)
{
	struct fake_heap h;
	struct found f;
	const struct heap_allocators *a;
	uint32_t block;

	(void)state;
	fake_python(&h, 11);
	fake_pool(&h, FAKE_ARENAS, 64, 10, 0);
	fake_free(&h, FAKE_ARENAS, fake_block(&h, FAKE_ARENAS, 64, 3));
	fake_free(&h, FAKE_ARENAS, fake_block(&h, FAKE_ARENAS, 64, 9));
	f = find(&h);
	a = heap_blocks_allocators(f.blocks);
	assert_int_equal(a->pools, 1);
	assert_int_equal(a->broken_pools, 0);
	assert_int_equal(a->pool_used_bytes, 8 * 64);
	assert_int_equal(a->pool_free_bytes, 2 * 64);
	assert_int_equal(heap_blocks_count(f.blocks), 10);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(heap_blocks_addr(f.blocks, i), fake_block(&h, FAKE_ARENAS, 64, i));
		assert_int_equal(heap_blocks_size(f.blocks, i), 64);
		assert_true(heap_blocks_pooled(f.blocks, i));
		assert_int_equal(heap_blocks_type(f.blocks, i),
				 i == 3 || i == 9 ? BLOCK_FREE : BLOCK_BUFFER);
	}
	block = heap_blocks_find_addr(f.blocks, fake_block(&h, FAKE_ARENAS, 64, 4) + 63);
	assert_int_equal(block, 4);
	assert_int_equal(heap_blocks_find_addr(f.blocks, FAKE_ARENAS + 47), BLOCK_NONE);
	assert_int_equal(heap_blocks_find_addr(f.blocks, fake_block(&h, FAKE_ARENAS, 64, 10)),
			 BLOCK_NONE);
	assert_int_equal(heap_blocks_claim(f.blocks, FAKE_ARENAS), CLAIM_POOL);
	done(&f, &h);
}

/* One field at a time is not what a head has. */
static void test_no_pools(void **state)
{
	for (unsigned which = 0; which < 9; which++) {
		struct fake_heap h;
		struct found f;
		const struct py_heap_layout *l = &h.layout;

		(void)state;
		fake_python(&h, 11);
		fake_pool(&h, FAKE_ARENAS, 64, 10, 0);
		switch (which) {
		case 0:
			fake_half(&h, FAKE_ARENAS + l->pool_szidx, 32);
			break;
		case 1:
			fake_half(&h, FAKE_ARENAS + l->pool_szidx, UINT32_MAX);
			break;
		case 2:
			fake_half(&h, FAKE_ARENAS + l->pool_max_next_offset, 0);
			break;
		case 3:
			fake_half(&h, FAKE_ARENAS + l->pool_next_offset, 48 + 65);
			break;
		case 4:
			fake_half(&h, FAKE_ARENAS + l->pool_next_offset, 48);
			break;
		case 5:
			fake_half(&h, FAKE_ARENAS + l->pool_next_offset, 48 + 64 * 4096);
			break;
		case 6:
			fake_half(&h, FAKE_ARENAS + l->pool_ref, 11);
			break;
		case 7:
			fake_word(&h, FAKE_ARENAS + l->pool_freeblock, FAKE_ARENAS + 49);
			break;
		default:
			fake_word(&h, FAKE_ARENAS + l->pool_freeblock,
				  FAKE_ARENAS + (1 << 20) + 48);
		}
		f = find(&h);
		assert_int_equal(heap_blocks_allocators(f.blocks)->pools, 0);
		assert_int_equal(heap_blocks_count(f.blocks), 0);
		assert_int_equal(heap_blocks_claim(f.blocks, FAKE_ARENAS), CLAIM_NONE);
		done(&f, &h);
	}
}

/* A pool whose first or last bytes are not in its region, not aligned, or in no arena's memory. */
static void test_misplaced(void **state)
{
	struct fake_heap h;
	struct found f;

	(void)state;
	fake_python(&h, 11);
	fake_pool(&h, FAKE_ARENAS + 4096, 64, 10, 0);
	fake_pool(&h, FAKE_STATIC + (1 << 19), 64, 10, 0);
	h.regions[2].end = FAKE_ARENAS + (1 << 20) + 8192;
	fake_pool(&h, FAKE_ARENAS + (1 << 20), 64, 10, 0);
	f = find(&h);
	assert_int_equal(heap_blocks_allocators(f.blocks)->pools, 0);
	done(&f, &h);
}

/* Lists of free blocks that lead in a circle, out of the pool, between blocks: bounded, and
 * counted. */
static void test_astray(void **state)
{
	const uint64_t block = FAKE_ARENAS + 48;
	const uint64_t leads_to[] = {block,
				     block + 8,
				     FAKE_ARENAS,
				     block + 64 * 9,
				     block + 64 * 200,
				     UINT64_MAX,
				     1,
				     FAKE_ARENAS + (1 << 14)};

	(void)state;
	for (size_t i = 0; i < sizeof(leads_to) / sizeof(leads_to[0]); i++) {
		struct fake_heap h;
		struct found f;

		fake_python(&h, 11);
		fake_pool(&h, FAKE_ARENAS, 64, 9, 0);
		fake_free(&h, FAKE_ARENAS, block);
		fake_word(&h, block, leads_to[i]);
		f = find(&h);
		assert_int_equal(heap_blocks_allocators(f.blocks)->pools, 1);
		assert_int_equal(heap_blocks_allocators(f.blocks)->broken_pools, 1);
		assert_int_equal(heap_blocks_type(f.blocks, 0), BLOCK_FREE);
		assert_int_equal(heap_blocks_type(f.blocks, 1), BLOCK_BUFFER);
		done(&f, &h);
	}
}

/* It ran inside its allocator: what the head counts and what the list has differ by one. */
static void test_torn(void **state)
{
	struct fake_heap h;
	struct found f;

	(void)state;
	fake_python(&h, 11);
	fake_pool(&h, FAKE_ARENAS, 64, 9, 0);
	fake_half(&h, FAKE_ARENAS + h.layout.pool_ref, 8);
	f = find(&h);
	assert_int_equal(heap_blocks_allocators(f.blocks)->broken_pools, 1);
	assert_int_equal(heap_blocks_count(f.blocks), 9);
	done(&f, &h);
}

static void test_old_pools(void **state)
{
	struct fake_heap h;
	struct found f;

	(void)state;
	fake_python(&h, 9);
	assert_int_equal(h.layout.pool_size, 4096);
	fake_pool(&h, FAKE_ARENAS + 4096, 512, 7, 0);
	fake_pool(&h, FAKE_ARENAS + 8192, 16, 253, 0);
	f = find(&h);
	assert_int_equal(heap_blocks_allocators(f.blocks)->pools, 2);
	assert_int_equal(heap_blocks_count(f.blocks), 260);
	assert_int_equal(heap_blocks_size(f.blocks, 6), 512);
	assert_int_equal(heap_blocks_size(f.blocks, 7), 16);
	done(&f, &h);
}

/* What belongs to an arena and to no pool is its; what is behind it is not. */
static void test_arenas(void **state)
{
	const uint64_t base = FAKE_ARENAS, arena = 1 << 20, pool = 1 << 14;
	struct fake_heap h;
	struct found f;
	const struct heap_allocators *a;

	(void)state;
	fake_python(&h, 11);
	fake_pool(&h, base + pool, 64, 10, 5);
	fake_pool(&h, base + 3 * pool, 32, 10, 5);
	fake_half(&h, base + 3 * pool, 0);		  /* free: no block in use */
	fake_touch(&h, base + 2 * pool, base + 3 * pool); /* never carved */
	fake_touch(&h, base + 60 * pool, base + 61 * pool);
	fake_touch(&h, base + arena + pool, base + arena + 2 * pool); /* may be behind it */
	fake_pool(&h, base + 4 * arena, 64, 10, 6);
	f = find(&h);
	a = heap_blocks_allocators(f.blocks);
	assert_int_equal(a->pools, 3);
	assert_int_equal(a->free_pools, 1);
	assert_int_equal(a->free_pool_bytes, 4096); /* its first page */
	assert_int_equal(heap_blocks_claim(f.blocks, base + 2 * pool), CLAIM_ARENA);
	assert_int_equal(heap_blocks_claim(f.blocks, base + 60 * pool), CLAIM_ARENA);
	assert_int_equal(heap_blocks_claim(f.blocks, base + 3 * pool), CLAIM_POOL);
	assert_int_equal(heap_blocks_find_addr(f.blocks, base + 3 * pool + 48), BLOCK_NONE);
	assert_int_equal(heap_blocks_claim(f.blocks, base + arena + pool), CLAIM_NONE);
	done(&f, &h);
}

/* Many free pools in a row, and blocks far apart: each is found, in either direction. */
static void test_many(void **state)
{
	const uint64_t pool = 1 << 14;
	struct fake_heap h;
	struct found f;

	(void)state;
	fake_python(&h, 11);
	for (unsigned i = 0; i < 400; i++) {
		fake_pool(&h, FAKE_ARENAS + i * pool, 512, 3, i / 64);
		if (i % 100)
			fake_half(&h, FAKE_ARENAS + i * pool, 0);
	}
	f = find(&h);
	assert_int_equal(heap_blocks_allocators(f.blocks)->free_pools, 396);
	assert_int_equal(heap_blocks_count(f.blocks), 12);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(heap_blocks_addr(f.blocks, i),
				 fake_block(&h, FAKE_ARENAS + i / 3 * 100 * pool, 512, i % 3));
	done(&f, &h);
}

/* Pages of a pool that are not resident count for nothing. */
static void test_not_resident(void **state)
{
	struct fake_heap h;
	struct found f;
	const struct heap_allocators *a;

	(void)state;
	fake_python(&h, 11);
	fake_pool(&h, FAKE_ARENAS, 512, 31, 0);
	fake_state(&h, FAKE_ARENAS + 4096, PAGE_SWAPPED);
	fake_state(&h, FAKE_ARENAS + 8192, 0);
	f = find(&h);
	a = heap_blocks_allocators(f.blocks);
	assert_int_equal(snapshot_swapped_bytes(f.snapshot), 4096);
	assert_int_equal(a->pool_used_bytes + a->pool_free_bytes + a->pool_header_bytes, 8192);
	assert_int_equal(heap_blocks_count(f.blocks), 31);
	done(&f, &h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_of_a_pool),
		cmocka_unit_test(test_no_pools),
		cmocka_unit_test(test_misplaced),
		cmocka_unit_test(test_astray),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_old_pools),
		cmocka_unit_test(test_arenas),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_not_resident),
	};

	return cmocka_run_group_tests_name("heap_pools", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* glibc's chunks, made up: of its main heap, of other arenas, as mappings of their own; and what is
 * none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_census.h"

#define HEAP_MAX (64ull << 20)

/* [heap]: chunks of these sizes one behind the other, the top up to its end. Those whose bit in
 * `free` is set are free. */
static void make_heap(struct fake_heap *h, uint64_t at, uint64_t end, const uint64_t *sizes,
		      size_t count, unsigned free)
{
	unsigned before = 1;

	for (size_t i = 0; i < count; i++) {
		fake_chunk(h, at, sizes[i], before);
		fake_touch(h, at, at + sizes[i]);
		before = !(free >> i & 1);
		at += sizes[i];
	}
	fake_chunk(h, at, end - at, before);
	fake_touch(h, at, end);
}

static void test_main_heap(void **state)
{
	const uint64_t sizes[] = {0x290, 0x20, 0x5000, 0x40, 0x1000};
	const uint64_t end = FAKE_HEAP + (64 << 10);
	const struct heap_allocators *a;
	struct fake_heap h;
	struct found f;
	uint64_t at = FAKE_HEAP;

	(void)state;
	fake_python(&h, 11);
	h.regions[1].end = end;
	make_heap(&h, FAKE_HEAP, end, sizes, 5, 1 << 2);
	f = find(&h);
	a = heap_blocks_allocators(f.blocks);
	assert_null(a->opaque);
	assert_int_equal(a->broken_chunks, 0);
	assert_int_equal(a->malloc_used_bytes, 0x290 + 0x20 + 0x40 + 0x1000);
	assert_int_equal(a->malloc_free_bytes, 0x5000);
	assert_int_equal(a->malloc_top_bytes, (64 << 10) - 0x290 - 0x20 - 0x5000 - 0x40 - 0x1000);
	/* Whole pages of the free chunk and of the top. */
	assert_int_equal(a->malloc_trimmable_bytes, 0x4000 + 0x9000);
	assert_int_equal(heap_blocks_count(f.blocks), 6);
	for (uint32_t i = 0; i < 5; at += sizes[i++]) {
		assert_int_equal(heap_blocks_addr(f.blocks, i), at + 16);
		assert_int_equal(heap_blocks_size(f.blocks, i), sizes[i] - 8);
		assert_false(heap_blocks_pooled(f.blocks, i));
		assert_int_equal(heap_blocks_type(f.blocks, i), i == 2 ? BLOCK_FREE : BLOCK_BUFFER);
		assert_int_equal(heap_blocks_find_addr(f.blocks, at + 16 + sizes[i] - 9), i);
		/* The word of its size is nobody's. */
		assert_int_equal(heap_blocks_find_addr(f.blocks, at + 8), BLOCK_NONE);
	}
	assert_int_equal(heap_blocks_type(f.blocks, 5), BLOCK_FREE);
	assert_int_equal(heap_blocks_claim(f.blocks, FAKE_HEAP), CLAIM_MALLOC);
	done(&f, &h);
}

/* Many small chunks: each byte of each leads to it. */
static void test_small_chunks(void **state)
{
	const uint64_t end = FAKE_HEAP + (64 << 10);
	struct fake_heap h;
	struct found f;
	uint64_t at = FAKE_HEAP;
	uint32_t block = 0;

	(void)state;
	fake_python(&h, 11);
	h.regions[1].end = end;
	for (unsigned i = 0; at < end - 4096; i++) {
		uint64_t size = 0x20 + 16 * (i % 7);

		fake_chunk(&h, at, size, 1);
		at += size;
	}
	fake_chunk(&h, at, end - at, 1);
	f = find(&h);
	at = FAKE_HEAP;
	for (unsigned i = 0; at < end - 4096; i++, block++) {
		uint64_t size = 0x20 + 16 * (i % 7);

		for (uint64_t byte = at + 16; byte < at + size + 8; byte++)
			assert_int_equal(heap_blocks_find_addr(f.blocks, byte), block);
		at += size;
	}
	done(&f, &h);
}

/* A head that can't be true: what is before it and what comes behind it is found, what is between
 * is unexplained. */
static void test_broken(void **state)
{
	const uint64_t heads[] = {0, 0x21 + 8, 0x11 - 8, 1ull << 40, UINT64_MAX, 0x20000000};
	const uint64_t end = FAKE_HEAP + (64 << 10);

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct heap_balance balance;
		struct fake_heap h;
		struct found f;

		fake_python(&h, 11);
		h.regions[1].end = end;
		for (uint64_t at = FAKE_HEAP; at < end; at += 0x100)
			fake_chunk(&h, at, 0x100, 1);
		fake_word(&h, FAKE_HEAP + 0x1008, heads[i]);
		f = find(&h);
		assert_int_equal(heap_blocks_allocators(f.blocks)->broken_chunks, 1);
		assert_int_equal(heap_blocks_count(f.blocks), (64 << 10) / 0x100 - 1);
		assert_int_equal(heap_blocks_find_addr(f.blocks, FAKE_HEAP + 0x1020), BLOCK_NONE);
		heap_balance_make(f.snapshot, f.blocks, NULL, NULL, &balance);
		assert_int_equal(balance.unexplained, 0x100);
		done(&f, &h);
	}
}

/* Nothing in it is a chunk: bounded, unexplained. */
static void test_no_chunks(void **state)
{
	struct heap_balance balance;
	struct fake_heap h;
	struct found f;

	(void)state;
	fake_python(&h, 11);
	for (uint64_t at = FAKE_HEAP; at < FAKE_HEAP + (1 << 20); at += 8)
		fake_word(&h, at, 0x5555555555555555);
	f = find(&h);
	assert_int_equal(heap_blocks_count(f.blocks), 0);
	heap_balance_make(f.snapshot, f.blocks, NULL, NULL, &balance);
	assert_int_equal(balance.unexplained, 1 << 20);
	done(&f, &h);
}

/* A page of the heap was swapped out: the walk goes on behind it. */
static void test_swapped(void **state)
{
	const uint64_t end = FAKE_HEAP + (64 << 10);
	struct fake_heap h;
	struct found f;

	(void)state;
	fake_python(&h, 11);
	h.regions[1].end = end;
	for (uint64_t at = FAKE_HEAP; at < end; at += 0x100)
		fake_chunk(&h, at, 0x100, 1);
	fake_state(&h, FAKE_HEAP + 0x3000, PAGE_SWAPPED);
	f = find(&h);
	assert_int_equal(heap_blocks_allocators(f.blocks)->broken_chunks, 1);
	assert_int_equal(heap_blocks_find_addr(f.blocks, FAKE_HEAP + 0x3020), BLOCK_NONE);
	assert_int_not_equal(heap_blocks_find_addr(f.blocks, FAKE_HEAP + 0x4020), BLOCK_NONE);
	done(&f, &h);
}

/* --- other arenas --- */

/* An arena of two heaps. `state`: bytes of its struct malloc_state. */
static void make_arena(struct fake_heap *h, uint64_t heap, unsigned info, unsigned state_bytes)
{
	const uint64_t sizes[] = {0x290, 0x110, 0x2000, 0x30};
	uint64_t arena = heap + info, first = (arena + state_bytes + 15) & ~15ull;
	uint64_t second = heap + HEAP_MAX;

	fake_word(h, heap, arena);
	fake_word(h, heap + 8, 0);
	fake_word(h, heap + 16, 0x8000);
	fake_word(h, heap + 24, 0x10000);
	make_heap(h, first, heap + 0x8000, sizes, 4, 0);
	/* The first one is full: fence posts at its end. */
	fake_chunk(h, first + 0x23d0, heap + 0x8000 - 32 - first - 0x23d0, 1);
	fake_chunk(h, heap + 0x8000 - 32, 0x10, 1);
	fake_chunk(h, heap + 0x8000 - 16, 0, 1);
	fake_word(h, second, arena);
	fake_word(h, second + 8, heap);
	fake_word(h, second + 16, 0x5000);
	fake_word(h, second + 24, 0x5000);
	make_heap(h, second + info, second + 0x5000, sizes, 4, 1 << 1);
}

static void test_arenas(void **state)
{
	const struct {
		unsigned info, state;
	} releases[] = {{32, 2200}, {48, 2200}, {48, 2120}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const uint64_t heap = FAKE_ARENAS + HEAP_MAX;
		uint64_t first = (heap + releases[i].info + releases[i].state + 15) & ~15ull;
		struct fake_heap h;
		struct found f;

		fake_python(&h, 11);
		h.regions[2].end = heap + 2 * HEAP_MAX;
		make_arena(&h, heap, releases[i].info, releases[i].state);
		f = find(&h);
		assert_int_equal(heap_blocks_allocators(f.blocks)->broken_chunks, 0);
		assert_int_not_equal(heap_blocks_find_addr(f.blocks, first + 0x290 + 16),
				     BLOCK_NONE);
		assert_int_equal(heap_blocks_addr(f.blocks, 1), first + 0x290 + 16);
		assert_int_equal(
			heap_blocks_find_addr(f.blocks, heap + HEAP_MAX + releases[i].info + 16),
			5);
		assert_int_equal(heap_blocks_type(f.blocks, 6), BLOCK_FREE);
		assert_int_equal(heap_blocks_claim(f.blocks, heap + 0x7000), CLAIM_MALLOC);
		done(&f, &h);
	}
}

/* What only looks like the head of such a heap. */
static void test_no_arenas(void **state)
{
	const uint64_t heap = FAKE_ARENAS + HEAP_MAX;
	const struct {
		unsigned offset;
		uint64_t word;
	} spoilt[] = {
		{0, 0},
		{0, heap + 16},
		{0, heap + HEAP_MAX + 32},
		{0, UINT64_MAX},
		{8, heap + 4096},
		{16, 0},
		{16, 0x8001},
		{16, HEAP_MAX + 4096},
		{24, 0x7000},
		{24, 2 * HEAP_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		struct fake_heap h;
		struct found f;

		fake_python(&h, 11);
		h.regions[2].end = heap + HEAP_MAX;
		make_arena(&h, heap, 32, 2200);
		h.page_count -= 5; /* the second heap's */
		fake_word(&h, heap + spoilt[i].offset, spoilt[i].word);
		f = find(&h);
		assert_int_equal(heap_blocks_claim(f.blocks, heap + 0x7000), CLAIM_NONE);
		done(&f, &h);
	}
}

/* --- mapped chunks --- */

static void check_mapped(uint64_t padding, uint64_t before, uint64_t head, uint64_t bytes)
{
	const uint64_t at = FAKE_ARENAS + (1 << 20);
	struct fake_heap h;
	struct found f;

	fake_python(&h, 11);
	h.regions[2].start = at;
	fake_word(&h, at + padding, before);
	fake_word(&h, at + padding + 8, head);
	fake_touch(&h, at, at + (200 << 10));
	fake_state(&h, at + 8192, 0);
	f = find(&h);
	assert_int_equal(heap_blocks_count(f.blocks), bytes ? 1 : 0);
	if (bytes) {
		assert_int_equal(heap_blocks_addr(f.blocks, 0), at + padding + 16);
		assert_int_equal(heap_blocks_size(f.blocks, 0), bytes - padding - 16);
		assert_int_equal(heap_blocks_allocators(f.blocks)->mapped_chunk_bytes,
				 bytes - 4096);
		assert_int_equal(heap_blocks_claim(f.blocks, at + bytes - 1), CLAIM_MAPPED_CHUNK);
		assert_int_equal(heap_blocks_claim(f.blocks, at + bytes), CLAIM_NONE);
		assert_int_equal(heap_blocks_find_addr(f.blocks, at + padding + 15), BLOCK_NONE);
		assert_int_equal(heap_blocks_find_addr(f.blocks, at + bytes - 1), 0);
	}
	done(&f, &h);
}

static void test_mapped(void **state)
{
	(void)state;
	check_mapped(0, 0, 0x21000 | 2, 0x21000);
	check_mapped(0, 0, (0x21000 - 16) | 2, 0x21000);   /* 2.43 */
	check_mapped(0, 1, (0x21000 - 16) | 2, 0x21000);   /* of huge pages */
	check_mapped(48, 48, (0x21000 - 48) | 2, 0x21000); /* aligned */
	check_mapped(48, 48, (0x21000 - 64) | 2, 0x21000); /* 2.43 */
	check_mapped(0, 0, 0x21000 | 3, 0);
	check_mapped(0, 0, 0x21008 | 2, 0);
	check_mapped(0, 0, 0x21000 | 6, 0);
	check_mapped(0, 16, 0x21000 | 2, 0);
	check_mapped(0, 0, 0x1000 | 2, 0);
	check_mapped(0, 0, (16ull << 20) | 2, 0); /* beyond its region */
	check_mapped(0, 0, (UINT64_MAX - 4095) | 2, 0);
	check_mapped(48, 32, (0x21000 - 48) | 2, 0);
}

/* Several one behind the other: what is in one is not another's head. */
static void test_mapped_row(void **state)
{
	const uint64_t at = FAKE_ARENAS;
	struct fake_heap h;
	struct found f;

	(void)state;
	fake_python(&h, 11);
	fake_word(&h, at + 8, 0x21000 | 2);
	fake_word(&h, at + 0x1008, 0x30000 | 2); /* its user's bytes */
	fake_word(&h, at + 0x21008, 0x22000 | 2);
	fake_word(&h, at + 0x43008, 0x2000 | 2);
	fake_touch(&h, at, at + 0x46000);
	f = find(&h);
	assert_int_equal(heap_blocks_count(f.blocks), 3);
	assert_int_equal(heap_blocks_addr(f.blocks, 2), at + 0x43010);
	assert_int_equal(heap_blocks_claim(f.blocks, at + 0x45000), CLAIM_NONE);
	done(&f, &h);
}

/* --- stacks --- */

static void test_stacks(void **state)
{
	const uint64_t chunk = FAKE_ARENAS, stack = FAKE_ARENAS + (32 << 20);
	struct heap_balance balance;
	struct fake_heap h;
	struct found f;

	(void)state;
	fake_python(&h, 12);
	/* A thread's stack, and a chunk of a data stack. */
	fake_region(&h, stack, stack + (1 << 20), REGION_ANONYMOUS, 6, "");
	fake_touch(&h, stack + (1 << 20) - 16384, stack + (1 << 20));
	h.threads[0] = (struct snapshot_file_thread){1, stack + (1 << 20) - 5000};
	h.threads[1] = (struct snapshot_file_thread){2, 0};
	h.threads[2] = (struct snapshot_file_thread){3, UINT64_MAX};
	h.thread_count = 3;
	fake_word(&h, chunk + h.layout.chunk_size, 16384);
	fake_word(&h, chunk + h.layout.chunk_top, 20);
	fake_touch(&h, chunk, chunk + 4096);
	f = find(&h);
	assert_int_equal(heap_blocks_claim(f.blocks, stack + (1 << 20) - 1), CLAIM_STACK);
	assert_int_equal(heap_blocks_claim(f.blocks, chunk), CLAIM_DATA_STACK);
	heap_balance_make(f.snapshot, f.blocks, NULL, NULL, &balance);
	assert_int_equal(balance.stacks, 16384 + 4096);
	done(&f, &h);
}

#if defined(__x86_64__)
/* One that runs: its control block, behind its stack, has its own address twice. */
static void test_stack_of_running(void **state)
{
	const uint64_t stack = FAKE_ARENAS + (32 << 20), block = stack + (1 << 20) - 0x900;
	struct fake_heap h;
	struct found f;

	(void)state;
	fake_python(&h, 12);
	fake_region(&h, stack, stack + (1 << 20) + 8192, REGION_ANONYMOUS, 6, "");
	fake_touch(&h, stack + (1 << 20) - 16384, stack + (1 << 20) + 8192);
	fake_word(&h, block, block);
	fake_word(&h, block + 16, block);
	fake_word(&h, FAKE_ARENAS + 64, FAKE_ARENAS + 64); /* only once */
	f = find(&h);
	assert_int_equal(heap_blocks_claim(f.blocks, stack + (1 << 20) - 16384), CLAIM_STACK);
	assert_int_equal(heap_blocks_claim(f.blocks, block), CLAIM_STACK);
	assert_int_equal(heap_blocks_claim(f.blocks, stack + (1 << 20)), CLAIM_NONE);
	assert_int_equal(heap_blocks_claim(f.blocks, FAKE_ARENAS), CLAIM_NONE);
	done(&f, &h);
}

#endif

static void test_other_allocators(void **state)
{
	const struct {
		const char *path, *name;
	} others[] = {{"/lib/ld-musl-x86_64.so.1", "musl"},
		      {"/usr/lib/libjemalloc.so.2", "jemalloc"},
		      {"/usr/lib/libtcmalloc_minimal.so.4", "tcmalloc"},
		      {"/opt/libmimalloc.so.2.1", "mimalloc"}};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		const uint64_t sizes[] = {0x290, 0x20};
		struct fake_heap h;
		struct found f;

		fake_python(&h, 11);
		make_heap(&h, FAKE_HEAP, FAKE_HEAP + 0x4000, sizes, 2, 0);
		fake_pool(&h, FAKE_ARENAS, 64, 10, 0);
		fake_region(&h, 0x7fff00000000, 0x7fff00001000, REGION_FILE, 5, others[i].path);
		f = find(&h);
		assert_string_equal(heap_blocks_allocators(f.blocks)->opaque, others[i].name);
		assert_int_equal(heap_blocks_count(f.blocks), 10);
		assert_int_equal(heap_blocks_claim(f.blocks, FAKE_HEAP), CLAIM_NONE);
		done(&f, &h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_main_heap),
		cmocka_unit_test(test_small_chunks),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_no_chunks),
		cmocka_unit_test(test_swapped),
		cmocka_unit_test(test_arenas),
		cmocka_unit_test(test_no_arenas),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_mapped_row),
		cmocka_unit_test(test_stacks),
#if defined(__x86_64__)
		cmocka_unit_test(test_stack_of_running),
#endif
		cmocka_unit_test(test_other_allocators),
	};

	return cmocka_run_group_tests_name("heap_chunks", tests, NULL, NULL);
}

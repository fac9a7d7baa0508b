/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tenants.c and what touches.c keeps: each byte of a page is one tenant's, whatever blocks say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "heap/blocks_private.h"
#include "heap/tenants.h"
#include "heap/touches.h"

#define AT     0x7f0000000000ull
#define PAGE   4096
#define KEEPER (TENANT_HOLDERS + 1)
#define ALL    (TENANT_HOLDERS + 2)

struct given {
	struct heap_blocks blocks;
	struct heap_run runs[4];
	int32_t types[4096];
	uint32_t chunks[64];
	uint64_t bytes[ALL];
};

static int setup(void **state)
{
	struct given *g = calloc(1, sizeof(*g));

	if (!g)
		return -1;
	g->blocks.runs = g->runs;
	g->blocks.block_types = g->types;
	g->blocks.chunks = g->chunks;
	g->blocks.pool_first = 48;
	*state = g;
	return page_map_init(&g->blocks.claims, CLAIM_SHIFT);
}

static int teardown(void **state)
{
	struct given *g = *state;

	page_map_fini(&g->blocks.claims);
	free(g);
	return 0;
}

static void claim(struct given *g, uint64_t start, uint64_t end, enum page_claim claim)
{
	for (; start < end; start += PAGE)
		*page_map_slot(&g->blocks.claims, start) = claim;
}

static struct heap_run *add_run(struct given *g, enum run_kind kind, uint64_t start, uint64_t end,
				uint32_t count)
{
	struct heap_run *run = &g->runs[g->blocks.run_count++];

	*run = (struct heap_run){.kind = kind,
				 .start = start,
				 .end = end,
				 .first = g->blocks.block_count,
				 .count = count};
	g->blocks.block_count += count;
	return run;
}

/* Blocks with type 1 are the holder's, others of no holder. */
static unsigned tenant_of(void *arg, uint32_t block)
{
	const struct given *g = arg;

	return g->types[block] == 1 ? KEEPER : TENANT_OBJECTS;
}

/* All of [start, start + size) has a tenant. */
static void add(struct given *g, uint64_t start, uint64_t size)
{
	uint64_t sum = 0;

	memset(g->bytes, 0, sizeof(g->bytes));
	heap_tenants_add(&g->blocks, tenant_of, g, start, start + size, g->bytes);
	for (unsigned i = 0; i < ALL; i++)
		sum += g->bytes[i];
	assert_int_equal(sum, size);
}

/* A pool of 16 KiB has blocks across its pages' borders. */
static void test_pool(void **state)
{
	struct given *g = *state;
	uint64_t all[ALL] = {};
	struct heap_run *pool = add_run(g, RUN_POOL, AT, AT + 4 * PAGE, 100);

	pool->stride = 160;
	claim(g, AT, AT + 4 * PAGE, CLAIM_POOL);
	for (unsigned i = 0; i < 100; i++)
		g->types[i] = i < 60 ? 1 : i < 80 ? BLOCK_FREE : i < 90 ? BLOCK_CACHED : 2;
	for (unsigned page = 0; page < 4; page++) {
		add(g, AT + page * PAGE, PAGE);
		for (unsigned i = 0; i < ALL; i++)
			all[i] += g->bytes[i];
		/* 48 bytes of head, 25 blocks and 48 bytes of the next. */
		if (!page)
			assert_int_equal(g->bytes[KEEPER], PAGE - 48);
	}
	assert_int_equal(all[KEEPER], 60 * 160);
	assert_int_equal(all[TENANT_OBJECTS], 10 * 160);
	assert_int_equal(all[TENANT_POOL], 4 * PAGE - 70 * 160);
}

/* One without a block in use is no run, and the arena's. */
static void test_free_pool(void **state)
{
	struct given *g = *state;

	claim(g, AT, AT + 4 * PAGE, CLAIM_POOL);
	claim(g, AT + 4 * PAGE, AT + 5 * PAGE, CLAIM_ARENA);
	add(g, AT, 5 * PAGE);
	assert_int_equal(g->bytes[TENANT_ARENA], 5 * PAGE);
}

/* What of malloc's heap was understood; what was not is unexplained. */
static void test_chunks(void **state)
{
	struct given *g = *state;
	static const uint32_t places[] = {0, 4, 516, 640}; /* of 8 bytes */
	struct heap_run *run = add_run(g, RUN_CHUNKS, AT + 256, AT + 256 + 640 * 8, 3);

	memcpy(g->chunks, places, sizeof(places));
	run->chunk = 0;
	claim(g, AT, AT + 2 * PAGE, CLAIM_MALLOC);
	g->types[0] = BLOCK_FREE;
	g->types[1] = 1;
	g->types[2] = 2;
	add(g, AT, PAGE);
	assert_int_equal(g->bytes[TENANT_UNEXPLAINED], 256);
	assert_int_equal(g->bytes[TENANT_MALLOC], 32);
	assert_int_equal(g->bytes[KEEPER], PAGE - 288);
	add(g, AT + PAGE, PAGE);
	assert_int_equal(g->bytes[KEEPER], 512 * 8 - (PAGE - 288));
	assert_int_equal(g->bytes[TENANT_OBJECTS], 124 * 8);
	assert_int_equal(g->bytes[TENANT_UNEXPLAINED], PAGE - 512 * 8 + (PAGE - 288) - 124 * 8);
}

static void test_mapped(void **state)
{
	struct given *g = *state;

	add_run(g, RUN_MAPPED, AT, AT + 3 * PAGE, 1);
	claim(g, AT, AT + 3 * PAGE, CLAIM_MAPPED_CHUNK);
	g->types[0] = 1;
	add(g, AT + PAGE, PAGE);
	assert_int_equal(g->bytes[KEEPER], PAGE);
}

/* Two that share a page; and what nobody claims. */
static void test_neighbours(void **state)
{
	struct given *g = *state;

	add_run(g, RUN_CHUNKS, AT, AT + 1024, 1);
	add_run(g, RUN_CHUNKS, AT + 2048, AT + PAGE, 1);
	g->runs[1].chunk = 2;
	g->chunks[1] = 1024 / 8;
	g->chunks[3] = 2048 / 8;
	g->types[0] = 1;
	g->types[1] = 2;
	claim(g, AT, AT + PAGE, CLAIM_MALLOC);
	claim(g, AT + 2 * PAGE, AT + 3 * PAGE, CLAIM_DATA_STACK);
	add(g, AT, 3 * PAGE);
	assert_int_equal(g->bytes[KEEPER], 1024);
	assert_int_equal(g->bytes[TENANT_OBJECTS], 2048);
	assert_int_equal(g->bytes[TENANT_UNEXPLAINED], 1024);
	assert_int_equal(g->bytes[TENANT_ANONYMOUS], PAGE);
	assert_int_equal(g->bytes[TENANT_STACK], PAGE);
}

/* Memory that is made to look like chunks that overlap, or reach beyond their run. */
static void test_hostile(void **state)
{
	struct given *g = *state;
	struct heap_run *run = add_run(g, RUN_CHUNKS, AT, AT + PAGE, 4);

	(void)run;
	g->chunks[0] = 0;
	g->chunks[1] = 100;
	g->chunks[2] = 50;
	g->chunks[3] = 400;
	g->chunks[4] = 5000;
	claim(g, AT, AT + PAGE, CLAIM_MALLOC);
	add(g, AT, PAGE);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(heap_tenant_name(TENANT_OBJECTS), "other objects");
	assert_string_equal(heap_tenant_name(TENANT_UNEXPLAINED), "unexplained");
	assert_null(heap_tenant_name(TENANT_HOLDERS));
}

/* Pages next to each other of one line are one run; a line is known by file, line and function. */
static void test_touched(void **state)
{
	struct heap_touched t = {.page = PAGE};
	uint32_t a = heap_touched_line(&t, "a.py", 7, "f"),
		 b = heap_touched_line(&t, "b.py", 7, "f");

	(void)state;
	assert_int_not_equal(a, b);
	assert_int_equal(heap_touched_line(&t, "a.py", 7, "f"), a);
	assert_int_not_equal(heap_touched_line(&t, "a.py", 7, "g"), a);
	assert_int_not_equal(heap_touched_line(&t, "a.py", 8, "f"), a);
	assert_int_equal(t.line_count, 4);
	assert_int_equal(heap_touched_add(&t, AT, a), 0);
	assert_int_equal(heap_touched_add(&t, AT + PAGE, a), 0);
	assert_int_equal(heap_touched_add(&t, AT + 2 * PAGE, b), 0);
	assert_int_equal(heap_touched_add(&t, AT + 4 * PAGE, b), 0);
	assert_int_equal(heap_touched_add(&t, AT + 5 * PAGE, TOUCHED_BEFORE), 0);
	assert_int_equal(t.run_count, 4);
	assert_int_equal(t.runs[0].pages, 2);
	assert_int_equal(t.runs[2].start, AT + 4 * PAGE);
	heap_touched_fini(&t);
	assert_int_equal(t.run_count + t.line_count, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chunks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mapped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_neighbours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

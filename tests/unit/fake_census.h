/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A census of a made-up heap (fake_heap.h), and what must hold of each. To be included behind
 * cmocka.h. */
#ifndef FAKE_CENSUS_H
#define FAKE_CENSUS_H

#include "fake_heap.h"

#include "heap/balance.h"
#include "heap/blocks_private.h"

struct found {
	struct snapshot *snapshot;
	struct heap_types *types;
	struct heap_blocks *blocks;
};

static FAKE_UNUSED struct found find(struct fake_heap *h)
{
	struct found f;

	f.snapshot = fake_snapshot(h);
	f.types = heap_types_new(f.snapshot, &h->layout, &h->py);
	assert_non_null(f.types);
	assert_int_equal(heap_blocks_find(f.snapshot, &h->layout, f.types, &f.blocks), 0);
	return f;
}

/* All that a census promises of any memory; then frees. */
static FAKE_UNUSED void done(struct found *f, struct fake_heap *h)
{
	struct heap_balance balance;
	uint64_t sum = 0;

	assert_int_equal(heap_balance_make(f->snapshot, f->blocks, NULL, NULL, &balance), 0);
#define ADD(name, text) sum += balance.name;
	HEAP_BALANCE(ADD)
#undef ADD
	assert_int_equal(sum, snapshot_rss_bytes(f->snapshot));
	for (uint32_t i = 0; i < heap_blocks_count(f->blocks); i++) {
		uint64_t addr = heap_blocks_addr(f->blocks, i);

		if (snapshot_page(f->snapshot, addr))
			assert_int_equal(heap_blocks_find_addr(f->blocks, addr), i);
	}
	heap_blocks_free(f->blocks);
	heap_types_free(f->types);
	snapshot_free(f->snapshot);
	fake_fini(h);
}

#endif

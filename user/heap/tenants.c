/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: put all bytes of a page under a name, and none twice. Blocks have what of them lies in
 * the page, in order. The rest belongs to what has claimed the page: a pool's head, an arena's
 * rest, what was not understood of malloc. */
#include "heap/tenants.h"

#include "heap/blocks_private.h"

const char *heap_tenant_name(unsigned tenant)
{
	static const char *const names[] = {
#define TENANT_NAME(id, text) text,
		HEAP_TENANTS(TENANT_NAME)
#undef TENANT_NAME
	};

	return tenant < TENANT_HOLDERS ? names[tenant] : NULL;
}

/* Index of the first run that ends behind `addr`. */
static size_t first_run(const struct heap_blocks *b, uint64_t addr)
{
	size_t low = 0, high = b->run_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (b->runs[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Index of the first block of the run that ends behind `addr`. */
static uint32_t first_block(const struct heap_blocks *b, const struct heap_run *run, uint64_t addr)
{
	uint32_t low = 0, high = run->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint64_t start, end;

		blocks_space(b, run, middle, &start, &end);
		if (end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static unsigned tenant_of(const struct heap_blocks *b, const struct heap_run *run, uint32_t index,
			  heap_tenant_fn *of, void *arg)
{
	uint32_t block = run->first + index;

	switch (heap_blocks_type(b, block)) {
	case BLOCK_FREE:
		return run->kind == RUN_POOL ? TENANT_POOL : TENANT_MALLOC;
	case BLOCK_CACHED:
		return TENANT_POOL;
	default:
		return of(arg, block);
	}
}

/* Adds what lies in [start, end) of the run's blocks. Returns how many bytes that is. */
static uint64_t add_run(const struct heap_blocks *b, const struct heap_run *run, heap_tenant_fn *of,
			void *arg, uint64_t start, uint64_t end, uint64_t *bytes)
{
	uint64_t counted = 0, at = start;

	for (uint32_t i = first_block(b, run, start); i < run->count && at < end; i++) {
		uint64_t from, to;

		blocks_space(b, run, i, &from, &to);
		/* No byte is counted twice, even if blocks should overlap. */
		from = from < at ? at : from;
		to = to > end ? end : to;
		if (from >= to)
			continue;
		bytes[tenant_of(b, run, i, of, arg)] += to - from;
		counted += to - from;
		at = to;
	}
	return counted;
}

/* The tenant of the bytes that no block has. `there`: the page has blocks. */
static unsigned rest_of(const struct heap_blocks *b, uint64_t addr, bool there)
{
	switch (heap_blocks_claim(b, addr)) {
	case CLAIM_NONE:
		return TENANT_ANONYMOUS;
	case CLAIM_STACK:
	case CLAIM_DATA_STACK:
		return TENANT_STACK;
	case CLAIM_ARENA:
		return TENANT_ARENA;
	case CLAIM_POOL:
		/* A pool without a block in use is no run. It is as free as the rest of its arena.
		 */
		return there ? TENANT_POOL : TENANT_ARENA;
	case CLAIM_MALLOC:
	case CLAIM_MAPPED_CHUNK:
		break;
	}
	return TENANT_UNEXPLAINED;
}

static void add_claimed(const struct heap_blocks *b, heap_tenant_fn *of, void *arg, uint64_t start,
			uint64_t end, uint64_t *bytes)
{
	enum page_claim claim = heap_blocks_claim(b, start);
	bool has_blocks =
		claim == CLAIM_POOL || claim == CLAIM_MALLOC || claim == CLAIM_MAPPED_CHUNK;
	uint64_t counted = 0;
	size_t i;

	for (i = first_run(b, start); has_blocks && i < b->run_count && b->runs[i].start < end;
	     i++) {
		const struct heap_run *run = &b->runs[i];

		counted += add_run(b, run, of, arg, run->start > start ? run->start : start,
				   run->end < end ? run->end : end, bytes);
	}
	bytes[rest_of(b, start, counted > 0)] += end - start - counted;
}

void heap_tenants_add(const struct heap_blocks *blocks, heap_tenant_fn *of, void *arg,
		      uint64_t start, uint64_t end, uint64_t *bytes)
{
	for (uint64_t at = start, next; at < end; at = next) {
		next = (at & ~(uint64_t)(CLAIM_BYTES - 1)) + CLAIM_BYTES;
		add_claimed(blocks, of, arg, at, next < end ? next : end, bytes);
	}
}

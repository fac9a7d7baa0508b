/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: put each resident byte under exactly one heading.
 *
 * Files, shared memory and stacks are counted by page. Pools and malloc's heaps are counted by
 * block: the resident bytes of each. The bytes of their pages that are in no block, head of a pool
 * or padding are "unexplained". Pages of anonymous memory that no allocator claims are "other
 * anonymous": another allocator's memory, or what a library mapped.
 */
#include "heap/balance_private.h"

/* --- by page --- */

static void count_claim(struct balance_count *c, enum page_claim claim, uint64_t bytes)
{
	switch (claim) {
	case CLAIM_NONE:
		c->balance->anonymous_other += bytes;
		return;
	case CLAIM_STACK:
	case CLAIM_DATA_STACK:
		c->balance->stacks += bytes;
		return;
	case CLAIM_ARENA:
		c->balance->arena_free += bytes;
		return;
	case CLAIM_POOL:
	case CLAIM_MALLOC:
	case CLAIM_MAPPED_CHUNK:
		c->claimed += bytes;
		return;
	}
}

static void count_anonymous(struct balance_count *c, uint64_t start, uint64_t end)
{
	/* Claims do not cover the highest addresses: heap_blocks_claim() says CLAIM_NONE there. */
	for (uint64_t at = start; at < end; at += CLAIM_BYTES)
		count_claim(c, heap_blocks_claim(c->blocks, at), CLAIM_BYTES);
}

static void count_run(struct balance_count *c, const struct region *r,
		      const struct snapshot_run *run)
{
	uint64_t bytes = (uint64_t)run->pages * snapshot_page_size(c->snapshot);

	if (!(run->state & PAGE_RESIDENT))
		return;
	if (r->kind == REGION_SHARED)
		c->balance->shared += bytes;
	else if (r->kind == REGION_STACK)
		c->balance->stacks += bytes;
	else if (r->kind == REGION_FILE || r->kind == REGION_SPECIAL)
		c->balance->files += bytes;
	else if (run->state & PAGE_FILE)
		c->balance->shared += bytes;
	else
		count_anonymous(c, run->start, run->start + bytes);
}

static void count_pages(struct balance_count *c)
{
	const struct snapshot_run *runs;
	size_t count = snapshot_runs(c->snapshot, &runs);
	const struct region *r = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!r || r->end <= runs[i].start)
			r = snapshot_region_of(c->snapshot, runs[i].start);
		count_run(c, r, &runs[i]);
	}
}

/* --- by block --- */

/* The heading of a block in use. `mapped`: the block is a mapping of its own. */
static uint64_t *heading(struct balance_count *c, uint32_t block, int32_t type, bool mapped)
{
	bool owned = type != BLOCK_BUFFER || !c->owned || c->owned(c->arg, block);

	if (!owned)
		return &c->balance->malloc_used;
	if (mapped)
		return &c->balance->mapped_buffers;
	return type == BLOCK_BUFFER ? &c->balance->buffers : &c->balance->objects;
}

/* If all pages of the run are resident, snapshot_resident() is not called for each block. */
void balance_add_run(struct balance_count *c, const struct heap_run *run, const int32_t *types)
{
	bool mapped = run->kind == RUN_MAPPED, pool = run->kind == RUN_POOL;
	bool whole = snapshot_resident(c->snapshot, run->start, run->end) == run->end - run->start;

	for (uint32_t i = 0; i < run->count; i++) {
		uint64_t start, end, bytes, *under;

		blocks_space(c->blocks, run, i, &start, &end);
		bytes = whole ? end - start : snapshot_resident(c->snapshot, start, end);
		if (types[i] == BLOCK_FREE)
			under = pool ? &c->balance->pool_free : &c->balance->malloc_free;
		else if (types[i] == BLOCK_CACHED)
			under = &c->balance->pool_free;
		else
			under = heading(c, run->first + i, types[i], mapped);
		*under += bytes;
		c->counted += bytes;
	}
}

void balance_begin(struct balance_count *c)
{
	*c->balance = (struct heap_balance){.objects = 0};
	c->claimed = c->counted = 0;
	count_pages(c);
}

/* Takes off `bytes` that were counted twice, from the least important heading first. Memory is
 * counted twice only if it was forged to look like pools inside malloc's heaps. */
static void take_back(struct heap_balance *b, uint64_t bytes)
{
	uint64_t *fields[] = {&b->arena_free, &b->pool_free,	  &b->malloc_free, &b->malloc_used,
			      &b->buffers,    &b->mapped_buffers, &b->objects};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint64_t part = bytes < *fields[i] ? bytes : *fields[i];

		*fields[i] -= part;
		bytes -= part;
	}
}

void balance_end(struct balance_count *c)
{
	const struct heap_allocators *a = &c->blocks->allocators;

	/* Heads of pools, and the bytes behind a pool's last block, count as free in pools: nothing
	 * else can use them. */
	c->balance->pool_free += a->pool_header_bytes;
	c->balance->arena_free += a->free_pool_bytes;
	c->counted += a->pool_header_bytes + a->free_pool_bytes;
	if (c->claimed > c->counted)
		c->balance->unexplained = c->claimed - c->counted;
	else
		take_back(c->balance, c->counted - c->claimed);
}

int heap_balance_make(const struct snapshot *snapshot, const struct heap_blocks *blocks,
		      heap_owned_fn *owned, void *arg, struct heap_balance *balance)
{
	struct balance_count count = {
		.snapshot = snapshot,
		.blocks = blocks,
		.owned = owned,
		.arg = arg,
		.balance = balance,
	};

	balance_begin(&count);
	for (size_t i = 0; i < blocks->run_count; i++)
		balance_add_run(&count, &blocks->runs[i],
				&blocks->block_types[blocks->runs[i].first]);
	balance_end(&count);
	return 0;
}

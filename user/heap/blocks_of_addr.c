/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the block that holds an address: the claim on its page names the pool, or a chunk nearby.
 */
#include "heap/blocks_private.h"

static uint32_t find_in_pool(const struct heap_blocks *b, uint32_t number, uint64_t addr)
{
	const struct heap_run *run;
	uint32_t index;

	if (number == CLAIM_NO_NUMBER)
		return BLOCK_NONE;
	run = &b->runs[number];
	if (addr < run->start + b->pool_first)
		return BLOCK_NONE;
	index = (uint32_t)(addr - run->start - b->pool_first) / run->stride;
	return index < run->count ? run->first + index : BLOCK_NONE;
}

/* The last chunk of [low, high) that begins at or before `place`, of those of `run`. */
static uint32_t last_chunk(const struct heap_blocks *b, const struct heap_run *run, uint32_t low,
			   uint32_t high, uint32_t place)
{
	const uint32_t *places = &b->chunks[run->chunk];

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if ((places[middle] & ~1u) <= place)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* The user's memory of a chunk begins behind its head, and ends one word inside the head of the
 * next chunk. So the chunk is the one that contains the byte one head's length before `addr`. */
static uint32_t find_in_chunks(const struct heap_blocks *b, uint64_t addr)
{
	uint64_t at = addr - 2 * CHUNK_OVERHEAD, start, end;
	uint32_t near = page_map_get(&b->claims, at),
		 next = page_map_get(&b->claims, at + CLAIM_BYTES);
	const struct heap_run *run, *last = b->runs + b->run_count - 1;
	uint32_t low, high, index;

	if ((near & CLAIM_MASK) != CLAIM_MALLOC || near >> CLAIM_BITS == CLAIM_NO_NUMBER)
		return BLOCK_NONE;
	near >>= CLAIM_BITS;
	run = blocks_run_of(b, near);
	/* Several runs may have a part of the page. */
	while (run->end <= at && run < last && run[1].start <= at)
		run++;
	if (run->kind != RUN_CHUNKS || at < run->start || at >= run->end)
		return BLOCK_NONE;
	low = near < run->first ? 0 : near - run->first;
	high = run->count;
	if ((next & CLAIM_MASK) == CLAIM_MALLOC && next >> CLAIM_BITS >= run->first &&
	    (next >> CLAIM_BITS) - run->first < high)
		high = (next >> CLAIM_BITS) - run->first + 1;
	index = last_chunk(b, run, low, high, (uint32_t)((at - run->start) / 8));
	blocks_bounds_in(b, run, index, &start, &end);
	return addr >= start && addr < end ? run->first + index : BLOCK_NONE;
}

static uint32_t find_mapped(const struct heap_blocks *b, uint32_t block, uint64_t addr)
{
	uint64_t start, end;

	if (block == CLAIM_NO_NUMBER)
		return BLOCK_NONE;
	blocks_bounds(b, block, &start, &end);
	return addr >= start && addr < end ? block : BLOCK_NONE;
}

uint32_t heap_blocks_find_addr(const struct heap_blocks *b, uint64_t addr)
{
	uint32_t value = page_map_get(&b->claims, addr);

	switch (value & CLAIM_MASK) {
	case CLAIM_POOL:
		return find_in_pool(b, value >> CLAIM_BITS, addr);
	case CLAIM_MALLOC:
		return find_in_chunks(b, addr);
	case CLAIM_MAPPED_CHUNK:
		return find_mapped(b, value >> CLAIM_BITS, addr);
	default:
		return BLOCK_NONE;
	}
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: number all blocks of a heap, find the block of an address in some nanoseconds, and spend
 * little memory on each block.
 *
 * Blocks come in runs: a pool, a stretch of chunks, one mapped chunk. A run says where its blocks
 * are. So a block takes four bytes for its type, and one for its reference count until that is not
 * needed any more; a chunk takes four more for its place. Claims lead from an address to the run,
 * or to a block near it. `near` leads from a block's number to its run.
 */
#include "heap/blocks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "heap/blocks_private.h"

/* --- claims --- */

struct heap_run *blocks_add_run(struct heap_blocks *b)
{
	return ARRAY_HAS_ROOM(b->runs, b->run_count, b->run_room) ? &b->runs[b->run_count++] : NULL;
}

static int claim_pages(struct heap_blocks *b, uint64_t start, uint64_t end, uint32_t value,
		       bool overwrite)
{
	for (uint64_t at = start & ~(uint64_t)(CLAIM_BYTES - 1); at < end; at += CLAIM_BYTES) {
		uint32_t *slot;

		if (!page_map_covers(at))
			return 0;
		slot = page_map_slot(&b->claims, at);
		if (!slot)
			return -ENOMEM;
		if (!*slot || overwrite)
			*slot = value;
	}
	return 0;
}

/* Claims the pages of [start, end) that are resident or swapped. */
static int claim(struct heap_blocks *b, uint64_t start, uint64_t end, uint32_t value,
		 bool overwrite)
{
	const struct snapshot_run *runs;
	size_t count = snapshot_runs(b->snapshot, &runs);
	unsigned page = snapshot_page_size(b->snapshot);
	int err = 0;

	for (size_t i = snapshot_first_run(b->snapshot, start); i < count && !err; i++) {
		uint64_t from = runs[i].start, to = from + (uint64_t)runs[i].pages * page;

		if (from >= end)
			break;
		err = claim_pages(b, from < start ? start : from, to > end ? end : to, value,
				  overwrite);
	}
	return err;
}

int blocks_claim(struct heap_blocks *b, uint64_t start, uint64_t end, enum page_claim kind,
		 uint32_t number)
{
	return claim(b, start, end, number << CLAIM_BITS | kind, false);
}

enum page_claim heap_blocks_claim(const struct heap_blocks *b, uint64_t addr)
{
	return (enum page_claim)(page_map_get(&b->claims, addr) & CLAIM_MASK);
}

static int claim_found(struct heap_blocks *b)
{
	int err = 0;

	for (size_t i = 0; i < b->run_count && !err; i++) {
		if (b->runs[i].kind == RUN_POOL)
			err = blocks_claim(b, b->runs[i].start, b->runs[i].end, CLAIM_POOL,
					   CLAIM_NO_NUMBER);
	}
	for (size_t i = 0; i < b->segment_count && !err; i++)
		err = blocks_claim(b, b->segments[i].start, b->segments[i].end, CLAIM_MALLOC,
				   CLAIM_NO_NUMBER);
	return err ? err : pools_claim_arenas(b);
}

/* --- numbers --- */

static int by_start(const void *a, const void *b)
{
	const struct heap_run *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* Sorts the runs by address. Drops a run that overlaps one before it: only forged memory has such
 * runs. */
static void sort_runs(struct heap_blocks *b)
{
	uint64_t end = 0;
	size_t kept = 0;

	if (b->run_count)
		qsort(b->runs, b->run_count, sizeof(*b->runs), by_start);
	for (size_t i = 0; i < b->run_count; i++) {
		if (b->runs[i].start < end)
			continue;
		end = b->runs[i].end;
		b->runs[kept++] = b->runs[i];
	}
	b->run_count = kept;
}

static int number_blocks(struct heap_blocks *b)
{
	uint64_t number = 0;
	uint32_t entry = 0;

	for (size_t i = 0; i < b->run_count; i++) {
		b->runs[i].first = (uint32_t)number;
		number += b->runs[i].count;
		if (number > BLOCKS_MAX)
			return -E2BIG;
	}
	b->block_count = (uint32_t)number;
	b->near = malloc(((number >> NEAR_SHIFT) + 1) * sizeof(*b->near));
	b->block_types = malloc((number + 1) * sizeof(*b->block_types));
	b->counts = calloc(number + 1, sizeof(*b->counts));
	if (!b->near || !b->block_types || !b->counts)
		return -ENOMEM;
	for (size_t i = 0; i < b->run_count; i++) {
		while ((uint64_t)entry << NEAR_SHIFT < b->runs[i].first + b->runs[i].count)
			b->near[entry++] = (uint32_t)i;
	}
	return 0;
}

/* Claims each page of the run for the block that holds the page's first byte, else for the first
 * block in the page. `before` is where the run before ends: a page that it reaches into stays with
 * that run. */
static int claim_chunks(struct heap_blocks *b, const struct heap_run *run, uint64_t before)
{
	int err = 0;

	for (uint32_t i = 0; i < run->count && !err; i++) {
		uint64_t start = run->start + (uint64_t)(b->chunks[run->chunk + i] & ~1u) * 8;
		uint64_t end = run->start + (uint64_t)(b->chunks[run->chunk + i + 1] & ~1u) * 8;
		uint64_t page = start & ~(uint64_t)(CLAIM_BYTES - 1);

		if (page < start && (i || before > page))
			page += CLAIM_BYTES;
		if (page < end)
			err = claim(b, page, end, (run->first + i) << CLAIM_BITS | CLAIM_MALLOC,
				    true);
	}
	return err;
}

static int claim_numbered(struct heap_blocks *b)
{
	uint64_t before = 0;
	int err = 0;

	for (size_t i = 0; i < b->run_count && !err; i++) {
		const struct heap_run *run = &b->runs[i];

		if (run->kind == RUN_POOL) {
			err = claim(b, run->start, run->end, (uint32_t)i << CLAIM_BITS | CLAIM_POOL,
				    true);
		} else if (run->kind == RUN_MAPPED) {
			err = claim(b, run->start, run->end,
				    run->first << CLAIM_BITS | CLAIM_MAPPED_CHUNK, true);
		} else {
			err = claim_chunks(b, run, before);
			before = run->end;
		}
	}
	return err;
}

/* --- finding --- */

/* Bytes that CPython's debug hooks put before the user's memory, in a block of `size` bytes at
 * `memory`: the size, a byte that names the allocator, seven times 0xfd. All of that comes twice if
 * pymalloc has asked malloc. */
uint32_t blocks_debug_bytes(const unsigned char *memory, uint64_t size)
{
	static const unsigned char forbidden[7] = {0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd, 0xfd};
	uint32_t bytes = 0;

	while (bytes < 2 * PY_HEAP_DEBUG_BEFORE && size - bytes >= PY_HEAP_DEBUG_BEFORE &&
	       memcmp(memory + bytes + 9, forbidden, sizeof(forbidden)) == 0)
		bytes += PY_HEAP_DEBUG_BEFORE;
	return bytes;
}

/* No type is in a pool: it is larger than any block of a pool. */
static bool is_in_a_pool(const void *arg, uint64_t addr)
{
	return heap_blocks_claim(arg, addr) == CLAIM_POOL;
}

int blocks_find_runs(struct heap_blocks *b)
{
	int err = page_map_init(&b->claims, CLAIM_SHIFT);

	classify_init(b);
	if (!err)
		err = pools_find(b);
	if (!err)
		err = chunks_find(b);
	if (!err)
		err = claim_found(b);
	if (!err)
		err = mapped_find(b);
	if (!err)
		sort_runs(b);
	heap_types_set_refuse(b->types, is_in_a_pool, b);
	return err;
}

void blocks_sort_out(struct heap_blocks *b, const struct heap_run *run, int32_t *types)
{
	for (uint32_t i = 0; i < run->count; i++)
		types[i] = BLOCK_BUFFER;
	if (run->kind == RUN_POOL)
		pool_sort_out(b, run, types);
	else if (run->kind == RUN_CHUNKS)
		chunks_sort_out(b, run, types);
	classify_run(b, run, types);
}

static int find_all(struct heap_blocks *b)
{
	int err = blocks_find_runs(b);

	if (!err)
		err = number_blocks(b);
	if (!err)
		err = claim_numbered(b);
	b->drop = snapshot_is_large(b->snapshot);
	/* Pools first: they say for sure whether there are debug hooks. */
	for (size_t i = 0; i < b->run_count && !err; i++) {
		if (b->runs[i].kind != RUN_POOL)
			continue;
		blocks_sort_out(b, &b->runs[i], &b->block_types[b->runs[i].first]);
		leaves_drop(b, &b->runs[i], &b->block_types[b->runs[i].first]);
	}
	leaves_drop_rest(b);
	for (size_t i = 0; i < b->run_count && !err; i++) {
		if (b->runs[i].kind != RUN_POOL)
			blocks_sort_out(b, &b->runs[i], &b->block_types[b->runs[i].first]);
	}
	if (!err)
		values_find(b);
	return err;
}

int heap_blocks_find(struct snapshot *snapshot, const struct py_heap_layout *layout,
		     struct heap_types *types, struct heap_blocks **blocks)
{
	struct heap_blocks *b = calloc(1, sizeof(*b));
	int err;

	*blocks = NULL;
	if (!b)
		return -ENOMEM;
	b->snapshot = snapshot;
	b->layout = layout;
	b->types = types;
	err = find_all(b);
	if (err) {
		heap_blocks_free(b);
		return err;
	}
	*blocks = b;
	return 0;
}

void blocks_fini(struct heap_blocks *b)
{
	heap_types_set_refuse(b->types, NULL, NULL);
	page_map_fini(&b->claims);
	free(b->runs);
	free(b->arenas);
	free(b->segments);
	free(b->chunks);
	free(b->near);
	free(b->block_types);
	free(b->counts);
}

void heap_blocks_free(struct heap_blocks *b)
{
	if (!b)
		return;
	blocks_fini(b);
	free(b);
}

/* --- asking --- */

uint32_t heap_blocks_count(const struct heap_blocks *b)
{
	return b->block_count;
}

const struct heap_run *blocks_run_of(const struct heap_blocks *b, uint32_t block)
{
	const struct heap_run *run = &b->runs[b->near[block >> NEAR_SHIFT]];

	while (block - run->first >= run->count)
		run++;
	return run;
}

/* Bounds of the memory that block number `index` of the run gives to its user. */
void blocks_bounds_in(const struct heap_blocks *b, const struct heap_run *run, uint32_t index,
		      uint64_t *start, uint64_t *end)
{
	const uint32_t *place;

	switch (run->kind) {
	case RUN_POOL:
		*start = run->start + b->pool_first + (uint64_t)index * run->stride;
		*end = *start + run->stride;
		return;
	case RUN_CHUNKS:
		place = &b->chunks[run->chunk + index];
		*start = run->start + (uint64_t)(place[0] & ~1u) * 8 + 2 * CHUNK_OVERHEAD;
		*end = run->start + (uint64_t)(place[1] & ~1u) * 8 + CHUNK_OVERHEAD;
		if (*end > run->end)
			*end = run->end;
		return;
	case RUN_MAPPED:
		*start = run->start + run->stride + 2 * CHUNK_OVERHEAD;
		*end = run->end;
		return;
	}
}

void blocks_space(const struct heap_blocks *b, const struct heap_run *run, uint32_t index,
		  uint64_t *start, uint64_t *end)
{
	const uint32_t *place;

	switch (run->kind) {
	case RUN_POOL:
		blocks_bounds_in(b, run, index, start, end);
		return;
	case RUN_CHUNKS:
		place = &b->chunks[run->chunk + index];
		*start = run->start + (uint64_t)(place[0] & ~1u) * 8;
		*end = run->start + (uint64_t)(place[1] & ~1u) * 8;
		return;
	case RUN_MAPPED:
		*start = run->start;
		*end = run->end;
		return;
	}
}

void blocks_bounds(const struct heap_blocks *b, uint32_t block, uint64_t *start, uint64_t *end)
{
	const struct heap_run *run = blocks_run_of(b, block);

	blocks_bounds_in(b, run, block - run->first, start, end);
}

uint64_t heap_blocks_addr(const struct heap_blocks *b, uint32_t block)
{
	uint64_t start, end;

	blocks_bounds(b, block, &start, &end);
	return start;
}

uint64_t heap_blocks_size(const struct heap_blocks *b, uint32_t block)
{
	uint64_t start, end;

	blocks_bounds(b, block, &start, &end);
	return end - start;
}

int32_t heap_blocks_type(const struct heap_blocks *b, uint32_t block)
{
	int32_t type = __atomic_load_n(&b->block_types[block], __ATOMIC_RELAXED);

	return type < BLOCK_CACHED ? BLOCK_BUFFER : type;
}

uint8_t heap_blocks_references(const struct heap_blocks *b, uint32_t block)
{
	return b->counts[block];
}

void heap_blocks_forget_counts(struct heap_blocks *b)
{
	free(b->counts);
	b->counts = NULL;
}

/* In a heap that changed during the copy, or in a hostile one, two objects may claim one buffer.
 * Either may mark it. */
void heap_blocks_mark(struct heap_blocks *b, uint32_t block, uint32_t mark)
{
	if (heap_blocks_type(b, block) == BLOCK_BUFFER)
		__atomic_store_n(&b->block_types[block], (int32_t)(MARKED | mark),
				 __ATOMIC_RELAXED);
}

uint32_t heap_blocks_marked(const struct heap_blocks *b, uint32_t block)
{
	int32_t type = __atomic_load_n(&b->block_types[block], __ATOMIC_RELAXED);

	return type < BLOCK_CACHED ? (uint32_t)type & ~MARKED : 0;
}

void heap_blocks_unmark(struct heap_blocks *b, uint32_t block)
{
	if (heap_blocks_type(b, block) == BLOCK_BUFFER)
		__atomic_store_n(&b->block_types[block], BLOCK_BUFFER, __ATOMIC_RELAXED);
}

uint64_t heap_blocks_object(const struct heap_blocks *b, uint32_t block)
{
	uint64_t start, end, debug = 0;
	int32_t type = heap_blocks_type(b, block);
	const unsigned char *memory;

	blocks_bounds(b, block, &start, &end);
	if (type < 0)
		return start;
	if (b->has_debug_hooks) {
		memory = snapshot_at(b->snapshot, start, 2 * PY_HEAP_DEBUG_BEFORE);
		debug = memory ? blocks_debug_bytes(memory, 2 * PY_HEAP_DEBUG_BEFORE) : 0;
	}
	return start + debug + heap_types_get(b->types, type)->before;
}

bool heap_blocks_pooled(const struct heap_blocks *b, uint32_t block)
{
	return blocks_run_of(b, block)->kind == RUN_POOL;
}

const struct heap_allocators *heap_blocks_allocators(const struct heap_blocks *b)
{
	return &b->allocators;
}

int heap_blocks_add_use(const struct heap_blocks *b, struct pool_use *use)
{
	int err = 0;

	for (size_t i = 0; i < b->run_count && !err; i++)
		err = run_add_use(&b->runs[i], &b->block_types[b->runs[i].first], use);
	return err;
}

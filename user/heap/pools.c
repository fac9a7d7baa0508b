/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: find CPython's pools of small objects without a symbol. An interpreter need not export
 * one, and nothing else leads to its table of arenas.
 *
 * A pool is known by its own head: it begins at a multiple of its size, and its fields confirm each
 * other (Objects/obmalloc.c, struct pool_header; init in pymalloc_alloc()). No such head is there
 * by chance. A head that a target has forged can do no harm: all reads are bounded.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "heap/blocks_private.h"

#define SIZE_CLASSES	 32
#define SIZE_CLASS_BYTES 16

static uint32_t get32(const unsigned char *head, unsigned offset)
{
	uint32_t value;

	memcpy(&value, head + offset, sizeof(value));
	return value;
}

static uint64_t get64(const unsigned char *head, unsigned offset)
{
	uint64_t value;

	memcpy(&value, head + offset, sizeof(value));
	return value;
}

/* Is `offset` that of a block in the pool that `run` describes? */
static bool is_block_offset(const struct heap_run *run, uint32_t first, uint64_t offset)
{
	return offset >= first && offset < (uint64_t)first + (uint64_t)run->count * run->stride &&
	       (offset - first) % run->stride == 0;
}

/* Fills `run` from the head at `addr`. False: it is no head of a pool. */
static bool read_head(const struct heap_blocks *b, uint64_t addr, const unsigned char *head,
		      struct heap_run *run)
{
	const struct py_heap_layout *l = b->layout;
	uint32_t class = get32(head, l->pool_szidx), next = get32(head, l->pool_next_offset);
	uint32_t used = get32(head, l->pool_ref);
	uint64_t free_block = get64(head, l->pool_freeblock);
	uint32_t size = (class + 1) * SIZE_CLASS_BYTES, first = b->pool_first;

	if (class >= SIZE_CLASSES || get32(head, l->pool_max_next_offset) != l->pool_size - size)
		return false;
	if (next < first + size || next > l->pool_size || (next - first) % size)
		return false;
	*run = (struct heap_run){
		.start = addr,
		.end = addr + l->pool_size,
		.count = (next - first) / size,
		.stride = size,
		.arena = get32(head, l->pool_arena),
		.kind = RUN_POOL,
	};
	if (used > run->count)
		return false;
	if (free_block) {
		if (!is_block_offset(run, first, free_block - addr))
			return false;
		run->free_list = (uint32_t)(free_block - addr);
	}
	if (!used)
		run->count = 0;
	return true;
}

/* Notes the arena of a pool; pools come in order of address. An arena's first pool is carved first,
 * so the lowest one is where its pools begin. If a pool is larger than a page, the arena itself may
 * begin up to a pool's size less a page earlier, and end that much earlier. */
static int note_arena(struct heap_blocks *b, const struct heap_run *pool)
{
	struct heap_arena *last = b->arena_count ? &b->arenas[b->arena_count - 1] : NULL;
	uint64_t size = b->layout->arena_size;
	uint64_t unsure = b->layout->pool_size - snapshot_page_size(b->snapshot);

	if (last && last->number == pool->arena && pool->start - last->start < size) {
		if (last->end < pool->end)
			last->end = pool->end;
		return 0;
	}
	if (last && last->end > pool->start)
		last->end = pool->start;
	if (!ARRAY_HAS_ROOM(b->arenas, b->arena_count, b->arena_room))
		return -ENOMEM;
	if (b->layout->pool_size < snapshot_page_size(b->snapshot))
		unsure = 0;
	b->arenas[b->arena_count++] =
		(struct heap_arena){pool->start, pool->start + size - unsure, pool->arena};
	return 0;
}

/* Adds a run for a pool. One without a block in use gets no run: it is only counted and claimed. */
static int add_pool(struct heap_blocks *b, const struct heap_run *pool)
{
	struct heap_run *run;
	int err = note_arena(b, pool);

	if (err)
		return err;
	b->allocators.pools++;
	if (!pool->count) {
		b->allocators.free_pools++;
		b->allocators.free_pool_bytes +=
			snapshot_resident(b->snapshot, pool->start, pool->end);
		return blocks_claim(b, pool->start, pool->end, CLAIM_POOL, CLAIM_NO_NUMBER);
	}
	run = blocks_add_run(b);
	if (!run)
		return -ENOMEM;
	*run = *pool;
	return 0;
}

/* --- looking for them --- */

/* Addresses at which a pool may begin, gathered until there are enough for one read. */
struct batch {
	struct heap_blocks *b;
	size_t count;
	uint64_t addrs[SNAPSHOT_HEADS];
	unsigned char heads[SNAPSHOT_HEADS * SNAPSHOT_HEAD_BYTES];
};

static int look_at_batch(struct batch *batch)
{
	struct heap_blocks *b = batch->b;
	struct heap_run pool;
	int err = snapshot_fetch_heads(b->snapshot, batch->addrs, batch->count, b->pool_first,
				       batch->heads);

	for (size_t i = 0; i < batch->count && !err; i++) {
		if (read_head(b, batch->addrs[i], batch->heads + i * b->pool_first, &pool))
			err = add_pool(b, &pool);
	}
	batch->count = 0;
	return err;
}

/* Looks at all such addresses in [start, end), pages next to each other. */
static int find_in(struct batch *batch, const struct region *r, uint64_t start, uint64_t end)
{
	uint64_t size = batch->b->layout->pool_size;
	int err = 0;

	for (uint64_t at = (start + size - 1) & ~(size - 1);
	     at >= start && at < end && size <= r->end - at && !err; at += size) {
		batch->addrs[batch->count++] = at;
		if (batch->count == SNAPSHOT_HEADS)
			err = look_at_batch(batch);
	}
	return err;
}

static int find_all(struct batch *batch)
{
	const struct snapshot *snapshot = batch->b->snapshot;
	unsigned page = snapshot_page_size(snapshot);
	const struct snapshot_run *runs;
	size_t count = snapshot_runs(snapshot, &runs);
	const struct region *r = NULL;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (!snapshot_run_is_readable(&runs[i]))
			continue;
		if (!r || r->end <= runs[i].start)
			r = snapshot_region_of(snapshot, runs[i].start);
		if (r->kind == REGION_ANONYMOUS && r->writable)
			err = find_in(batch, r, runs[i].start,
				      runs[i].start + (uint64_t)runs[i].pages * page);
	}
	return err ? err : look_at_batch(batch);
}

int pools_find(struct heap_blocks *b)
{
	struct batch *batch;
	int err;

	b->pool_first = b->layout->pool_overhead;
	if (b->layout->flags & PY_HEAP_FREE_THREADED || !b->layout->pool_size ||
	    b->pool_first > SNAPSHOT_HEAD_BYTES)
		return 0;
	batch = malloc(sizeof(*batch));
	if (!batch)
		return -ENOMEM;
	batch->b = b;
	batch->count = 0;
	err = find_all(batch);
	free(batch);
	return err;
}

/* --- free blocks --- */

/* Follows a pool's list of free blocks and marks them in `types`. Returns how many there are; -1:
 * the list leads out of the pool or in a circle, or can't be read. */
static int64_t mark_free(const struct heap_blocks *b, const struct heap_run *run, int32_t *types)
{
	uint64_t next = run->free_list ? run->start + run->free_list : 0;
	uint32_t free_blocks = 0;

	while (next) {
		uint64_t offset = next - run->start;
		int32_t *type;

		if (!is_block_offset(run, b->pool_first, offset))
			return -1;
		type = &types[(uint32_t)(offset - b->pool_first) / run->stride];
		if (*type == BLOCK_FREE) /* a circle */
			return -1;
		*type = BLOCK_FREE;
		free_blocks++;
		if (!snapshot_read(b->snapshot, run->start + offset, &next, sizeof(next)))
			return -1;
	}
	return free_blocks;
}

static void count_pool(struct heap_blocks *b, const struct heap_run *run, uint32_t free_blocks)
{
	struct heap_allocators *a = &b->allocators;
	uint64_t blocks = run->start + b->pool_first;
	uint64_t there = snapshot_resident(b->snapshot, run->start, run->end);
	/* What is not resident was never touched, or is swapped. */
	uint64_t carved =
		snapshot_resident(b->snapshot, blocks, blocks + (uint64_t)run->count * run->stride);
	uint64_t used = (uint64_t)(run->count - free_blocks) * run->stride;
	unsigned tenth;

	if (used > carved)
		used = carved;
	a->pool_used_bytes += used;
	a->pool_free_bytes += carved - used;
	a->pool_header_bytes += there - carved;
	tenth = (unsigned)(10 * (uint64_t)(run->count - free_blocks) * run->stride /
			   (b->layout->pool_size - b->pool_first));
	a->pools_by_fullness[tenth > 9 ? 9 : tenth] += used;
}

void pool_sort_out(struct heap_blocks *b, const struct heap_run *run, int32_t *types)
{
	int64_t free_blocks = mark_free(b, run, types);
	uint32_t used = 0;

	snapshot_read(b->snapshot, run->start + b->layout->pool_ref, &used, sizeof(used));
	/* If these differ, the process was in its allocator while it was copied. Then the list
	 * counts. */
	if (free_blocks < 0 || free_blocks + used != run->count)
		b->allocators.broken_pools++;
	if (free_blocks < 0)
		free_blocks = used < run->count ? run->count - used : 0;
	count_pool(b, run, (uint32_t)free_blocks);
}

int pools_claim_arenas(struct heap_blocks *b)
{
	int err = 0;

	for (size_t i = 0; i < b->arena_count && !err; i++)
		err = blocks_claim(b, b->arenas[i].start, b->arenas[i].end, CLAIM_ARENA,
				   CLAIM_NO_NUMBER);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every block that an allocator handed out, as numbered nodes in order of address: blocks of
 * pymalloc's pools, chunks of glibc's malloc. Each is an object, a buffer, or free.
 *
 * Memory: at 15 million blocks a GiB, each byte per block counts. Addresses and sizes of pools'
 * blocks follow from the pool; four bytes a block are its type.
 */
#ifndef HEAP_BLOCKS_H
#define HEAP_BLOCKS_H

#include <stdint.h>

#include "heap/types.h"

#define BLOCK_NONE UINT32_MAX

/* In place of a type's index. */
enum block_type {
	BLOCK_BUFFER = -1, /* in use, and no object */
	BLOCK_FREE = -2,   /* free, as the allocator says */
	BLOCK_CACHED = -3, /* an object on one of CPython's free lists */
};

struct heap_blocks;

/* Of a large snapshot (snapshot_is_large()) the copies of pages that hold nothing but free blocks,
 * numbers, bytes and plain text are given back.
 *
 * Finds pools and chunks and classifies their blocks. 0, -ENOMEM, -E2BIG more than 2^29 - 2 blocks.
 * The caller owns *blocks. */
int heap_blocks_find(struct snapshot *snapshot, const struct py_heap_layout *layout,
		     struct heap_types *types, struct heap_blocks **blocks);
void heap_blocks_free(struct heap_blocks *blocks);

uint32_t heap_blocks_count(const struct heap_blocks *blocks);
uint64_t heap_blocks_addr(const struct heap_blocks *blocks, uint32_t block);
/* Usable bytes of it. */
uint64_t heap_blocks_size(const struct heap_blocks *blocks, uint32_t block);
/* Index of its object's type, or an enum block_type. */
int32_t heap_blocks_type(const struct heap_blocks *blocks, uint32_t block);
/* Its object's reference count, BLOCK_COUNT_MOST: that or more; 0: it holds none. Not to be asked
 * after heap_blocks_forget_counts(). */
#define BLOCK_COUNT_MOST UINT8_MAX
uint8_t heap_blocks_references(const struct heap_blocks *blocks, uint32_t block);
void heap_blocks_forget_counts(struct heap_blocks *blocks);
/* A number of 31 bits, not above 7 * 2^28 - 1, beside a buffer's type, 0 at first; of all else it
 * is 0 always. Several threads may set and ask. heap_blocks_unmark() makes it 0 again. */
void heap_blocks_mark(struct heap_blocks *blocks, uint32_t block, uint32_t mark);
uint32_t heap_blocks_marked(const struct heap_blocks *blocks, uint32_t block);
void heap_blocks_unmark(struct heap_blocks *blocks, uint32_t block);
/* Address of the object in it (the block's own if it holds none). */
uint64_t heap_blocks_object(const struct heap_blocks *blocks, uint32_t block);
/* The block that holds `addr`, anywhere in it; BLOCK_NONE. Some nanoseconds. */
uint32_t heap_blocks_find_addr(const struct heap_blocks *blocks, uint64_t addr);
/* Is it in a pool? Else it is malloc's. */
bool heap_blocks_pooled(const struct heap_blocks *blocks, uint32_t block);

/* What the allocators say of themselves; all byte figures count resident memory only. */
struct heap_allocators {
	uint64_t pools, free_pools;		   /* number */
	uint64_t pool_header_bytes;		   /* headers and tails that no block fits into */
	uint64_t pool_used_bytes, pool_free_bytes; /* blocks */
	uint64_t free_pool_bytes;		   /* pools without a used block */
	uint64_t arena_free_bytes;		   /* never carved, or free, pools of arenas */
	uint64_t malloc_used_bytes, malloc_free_bytes,
		malloc_top_bytes;	      /* chunks with their headers */
	uint64_t malloc_trimmable_bytes;      /* whole pages inside free chunks, and the top */
	uint64_t mapped_chunk_bytes;	      /* chunks that are mappings of their own */
	uint64_t cached_bytes;		      /* CPython's own free lists */
	uint64_t broken_pools, broken_chunks; /* inconsistent: it ran while it was copied */
	/* Fullness of pools: of the pools with a used block, bytes used by tenth of fullness. */
	uint64_t pools_by_fullness[10];
	const char *opaque; /* NULL, or why malloc could not be read: "musl", "jemalloc" … */
};
const struct heap_allocators *heap_blocks_allocators(const struct heap_blocks *blocks);

/* Adds all pools. 0 or -ENOMEM. */
struct pool_use;
int heap_blocks_add_use(const struct heap_blocks *blocks, struct pool_use *use);

/* Which allocator or other thing each resident page of [start, end) belongs to is claimed by
 * whoever recognises it; what nobody claims is the balance's "other anonymous". */
enum page_claim {
	CLAIM_NONE,
	CLAIM_POOL,
	CLAIM_ARENA, /* of an arena, and in no pool */
	CLAIM_MALLOC,
	CLAIM_MAPPED_CHUNK,
	CLAIM_STACK,
	CLAIM_DATA_STACK,
};
enum page_claim heap_blocks_claim(const struct heap_blocks *blocks, uint64_t addr);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All blocks that an allocator handed out, numbered in order of address: blocks of pymalloc's
 * pools, chunks of glibc's malloc. Each is an object, a buffer, or free.
 *
 * Memory: there may be 15 million blocks in a GiB, so each byte per block counts. Addresses and
 * sizes of pools' blocks follow from the pool. What a block takes for good is four bytes for its
 * type.
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

/* Finds pools and chunks and classifies their blocks. Of a large snapshot (snapshot_is_large()) it
 * gives back the copies of pages that hold nothing but free blocks, numbers, bytes and plain text.
 * 0, -ENOMEM, -E2BIG: more than 2^29 - 2 blocks. The caller owns *blocks. */
int heap_blocks_find(struct snapshot *snapshot, const struct py_heap_layout *layout,
		     struct heap_types *types, struct heap_blocks **blocks);
void heap_blocks_free(struct heap_blocks *blocks);

uint32_t heap_blocks_count(const struct heap_blocks *blocks);
uint64_t heap_blocks_addr(const struct heap_blocks *blocks, uint32_t block);
/* Its usable bytes. */
uint64_t heap_blocks_size(const struct heap_blocks *blocks, uint32_t block);
/* Index of its object's type, or an enum block_type. */
int32_t heap_blocks_type(const struct heap_blocks *blocks, uint32_t block);
/* The reference count of its object; BLOCK_COUNT_MOST: that or more; 0: it holds no object. Not to
 * be called after heap_blocks_forget_counts(). */
#define BLOCK_COUNT_MOST UINT8_MAX
uint8_t heap_blocks_references(const struct heap_blocks *blocks, uint32_t block);
void heap_blocks_forget_counts(struct heap_blocks *blocks);
/* A buffer may have a mark, a number from 0 to 7 * 2^28 - 1. It is 0 at first and after
 * heap_blocks_unmark(). Other blocks always have 0. Several threads may set and ask. */
void heap_blocks_mark(struct heap_blocks *blocks, uint32_t block, uint32_t mark);
uint32_t heap_blocks_marked(const struct heap_blocks *blocks, uint32_t block);
void heap_blocks_unmark(struct heap_blocks *blocks, uint32_t block);
/* Address of the object in the block; of a block without one, its own address. */
uint64_t heap_blocks_object(const struct heap_blocks *blocks, uint32_t block);
/* The block that holds `addr`, at any of its bytes; BLOCK_NONE: none. Takes some nanoseconds. */
uint32_t heap_blocks_find_addr(const struct heap_blocks *blocks, uint64_t addr);
/* Is it in a pool? Else it is malloc's. */
bool heap_blocks_pooled(const struct heap_blocks *blocks, uint32_t block);

/* Figures of the allocators. Bytes are of resident memory only. */
struct heap_allocators {
	uint64_t pools, free_pools;		   /* number */
	uint64_t pool_header_bytes;		   /* headers and tails that no block fits into */
	uint64_t pool_used_bytes, pool_free_bytes; /* blocks */
	uint64_t free_pool_bytes;		   /* pools without a used block */
	uint64_t arena_free_bytes;		   /* never carved, or free, pools of arenas */
	uint64_t malloc_used_bytes, malloc_free_bytes,
		malloc_top_bytes;	 /* chunks with their headers */
	uint64_t malloc_trimmable_bytes; /* whole pages inside free chunks, and the top */
	uint64_t mapped_chunk_bytes;	 /* chunks that are mappings of their own */
	uint64_t cached_bytes;		 /* CPython's own free lists */
	uint64_t broken_pools,
		broken_chunks; /* inconsistent: the process ran while it was copied */
	/* Bytes of used blocks, by the fullness of their pool in tenths. */
	uint64_t pools_by_fullness[10];
	const char *opaque; /* NULL, or why malloc could not be read: "musl", "jemalloc" … */
};
const struct heap_allocators *heap_blocks_allocators(const struct heap_blocks *blocks);

/* Adds all pools to *use. 0 or -ENOMEM. */
struct pool_use;
int heap_blocks_add_use(const struct heap_blocks *blocks, struct pool_use *use);

/* What a page that is resident or swapped belongs to. The code that recognises an allocator or a
 * stack claims its pages. Pages that nothing claims are the balance's "other anonymous". */
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

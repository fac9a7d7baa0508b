/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files that find blocks share (pools.c, chunks.c, mapped.c, classify.c, blocks.c). */
#ifndef BLOCKS_PRIVATE_H
#define BLOCKS_PRIVATE_H

#include "heap/blocks.h"
#include "heap/pool_use.h"

/* Claims are kept for each 4 KiB, whatever the size of a page, as there are pools of 4 KiB. A
 * claim's value is a number times 8, plus an enum page_claim. The number is that of a run
 * (CLAIM_POOL) or of a block. For CLAIM_MAPPED_CHUNK it is the chunk; for CLAIM_MALLOC the block
 * that holds the first byte of these 4 KiB, else the first that begins in them. */
#define CLAIM_SHIFT	12
#define CLAIM_BYTES	(1u << CLAIM_SHIFT)
#define CLAIM_BITS	3
#define CLAIM_MASK	((1u << CLAIM_BITS) - 1)
#define CLAIM_NO_NUMBER ((1u << (32 - CLAIM_BITS)) - 1)
#define BLOCKS_MAX	((1u << 29) - 2)
#define NEAR_SHIFT	5 /* heap_blocks.near has one entry for 2^NEAR_SHIFT blocks */
#define CHUNK_OVERHEAD	8 /* bytes of a chunk that its user can't use; a mapped chunk has 8 more */

#define MARKED (1u << 31)

enum run_kind {
	RUN_POOL,
	RUN_CHUNKS, /* a part of a heap of malloc's that was walked without a break */
	RUN_MAPPED, /* one chunk, a mapping of its own */
};

/* Blocks next to each other. */
struct heap_run {
	uint64_t start, end; /* of the pool with its head; of the chunks; of the mapping */
	uint32_t first;	     /* number of its first block */
	uint32_t count;
	uint32_t stride; /* RUN_POOL: bytes of a block. RUN_MAPPED: bytes from `start` to the chunk
			  */
	uint32_t chunk; /* RUN_CHUNKS: index of its first chunk in heap_blocks.chunks, where its end
			   follows its last chunk */
	uint32_t arena; /* RUN_POOL: number of its arena */
	uint32_t free_list; /* RUN_POOL: offset of its first free block, 0: none */
	enum run_kind kind;
	bool ends_heap; /* RUN_CHUNKS: its last chunk is the top */
};

/* From its first pool to its end. */
struct heap_arena {
	uint64_t start, end;
	uint32_t number; /* its own: index in CPython's table of arenas */
};

/* A heap of malloc's. What is in no run was not understood. */
struct heap_segment {
	uint64_t start, end;
};

struct heap_blocks {
	struct snapshot *snapshot;
	const struct py_heap_layout *layout;
	struct heap_types *types;
	struct heap_run *runs; /* in order of address, once all are found */
	size_t run_count, run_room;
	struct heap_arena *arenas;
	size_t arena_count, arena_room;
	struct heap_segment *segments;
	size_t segment_count, segment_room;
	uint32_t *chunks; /* addresses as (address - run.start) / 8, lowest bit: in use */
	size_t chunk_count, chunk_room;
	uint32_t *near; /* [block >> NEAR_SHIFT]: the run of that block */
	/* Types. A buffer with a mark has MARKED and the mark in place of BLOCK_BUFFER. */
	int32_t *block_types;
	uint8_t *counts; /* reference counts, by block; NULL: not needed, or not any more */
	bool drop;	 /* give back copies of pages that are not needed any more (leaves.c) */
	uint64_t dropped_from, dropped_to; /* addresses: what is to be given back next */
	uint32_t block_count;
	uint32_t pool_first;  /* bytes of a pool's head */
	bool has_debug_hooks; /* blocks begin with PY_HEAP_DEBUG_BEFORE bytes or twice that */
	uint32_t offsets[4];  /* of objects in their blocks */
	unsigned offset_count;
	struct page_map claims;
	struct heap_allocators allocators;
};

/* --- pools.c --- */

/* Adds a run for each pool. 0 or -ENOMEM. */
int pools_find(struct heap_blocks *blocks);
/* Marks the free blocks among `types`, one for each block of the pool, and counts. */
void pool_sort_out(struct heap_blocks *blocks, const struct heap_run *pool, int32_t *types);
/* Claims what lies between an arena's pools. 0 or -ENOMEM. */
int pools_claim_arenas(struct heap_blocks *blocks);

/* --- chunks.c --- */

/* Adds runs for glibc's heaps, or sets allocators.opaque. 0, -ENOMEM, -E2BIG. */
int chunks_find(struct heap_blocks *blocks);
/* As pool_sort_out(). */
void chunks_sort_out(struct heap_blocks *blocks, const struct heap_run *run, int32_t *types);

/* --- mapped.c --- */

/* Adds runs for chunks that are mappings, and claims data stacks and threads' stacks, in memory
 * that is not claimed yet. 0 or -ENOMEM. */
int mapped_find(struct heap_blocks *blocks);

/* --- classify.c --- */

void classify_init(struct heap_blocks *blocks);
/* Finds the objects among a run's blocks whose type in `types` is not BLOCK_FREE. */
void classify_run(struct heap_blocks *blocks, const struct heap_run *run, int32_t *types);

/* Gives back the pages of a pool whose copies are not needed once its blocks are sorted out.
 * Neighbouring pages are gathered first: leaves_drop_rest() gives back the last of them. */
void leaves_drop(struct heap_blocks *blocks, const struct heap_run *pool, const int32_t *types);
void leaves_drop_rest(struct heap_blocks *blocks);

/* --- values.c --- */

/* Makes buffers of the blocks in which instances have their values. To be called after
 * classify_run(). */
void values_find(struct heap_blocks *blocks);

/* Adds a run, if it is a pool; `types`: of its blocks. 0 or -ENOMEM. */
static inline int run_add_use(const struct heap_run *run, const int32_t *types,
			      struct pool_use *use)
{
	struct pool_blocks pool = {
		.addr = run->start,
		.bytes = run->end - run->start,
		.count = run->count,
		.size = run->stride,
		.types = types,
	};

	return run->kind == RUN_POOL ? pool_use_add(use, &pool) : 0;
}

/* --- blocks.c --- */

/* Finds runs, claims what they take, and sorts them; numbers nothing. 0 or -errno. */
int blocks_find_runs(struct heap_blocks *blocks);
/* Frees what `blocks` owns, but not itself. */
void blocks_fini(struct heap_blocks *blocks);
/* Fills `types`, which has room for one for each of the run's blocks. */
void blocks_sort_out(struct heap_blocks *blocks, const struct heap_run *run, int32_t *types);
/* Bytes that debug hooks put before the user's memory, in a block of `size` bytes at `memory`. */
uint32_t blocks_debug_bytes(const unsigned char *memory, uint64_t size);
/* NULL: out of memory. */
struct heap_run *blocks_add_run(struct heap_blocks *blocks);
/* Claims each 4 KiB of [start, end) that is not claimed yet and is resident or swapped. 0, -ENOMEM.
 */
int blocks_claim(struct heap_blocks *blocks, uint64_t start, uint64_t end, enum page_claim claim,
		 uint32_t number);

/* The run of a block. */
const struct heap_run *blocks_run_of(const struct heap_blocks *blocks, uint32_t block);
/* Bounds of all that block number `index` takes of its run, with its head. */
void blocks_space(const struct heap_blocks *blocks, const struct heap_run *run, uint32_t index,
		  uint64_t *start, uint64_t *end);
/* Bounds of the memory that a block gives to its user. */
void blocks_bounds(const struct heap_blocks *blocks, uint32_t block, uint64_t *start,
		   uint64_t *end);
void blocks_bounds_in(const struct heap_blocks *blocks, const struct heap_run *run, uint32_t index,
		      uint64_t *start, uint64_t *end);

#endif

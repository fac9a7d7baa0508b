/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lies in anonymous memory that is neither pool nor heap: chunks that malloc maps one by one,
 * chunks of Python's data stacks, stacks of threads.
 *
 * A mapped chunk has its head at its beginning, or behind padding where it was asked to be aligned
 * (glibc, sysmalloc_mmap(), _int_memalign()). To 2.42 its size is that of the mapping less the
 * padding, from 2.43 on less a head in addition; mapped is a whole number of pages in either case.
 */
#include <errno.h>

#include "heap/blocks_private.h"

#define IS_MAPPED	2u /* IS_MMAPPED */
#define SIZE_FLAGS	7u
#define HUGE_PAGES	1u /* MMAP_HP, in the word before (2.43) */
#define HEAD_BYTES	16
#define STACK_CHUNK_MIN 16384 /* DATA_STACK_CHUNK_SIZE */

/* Unclaimed memory: `at` is its first byte, `end` that of its region. */
struct place {
	struct heap_blocks *b;
	uint64_t at, end;
	uint64_t page;
};

/* Bytes of the mapping of a chunk whose head is `padding` behind its start; 0: there is none. */
static uint64_t mapped_bytes(const struct place *p, uint64_t padding)
{
	uint64_t head[2], size, bytes;

	if (!snapshot_read(p->b->snapshot, p->at + padding, head, sizeof(head)) ||
	    (head[0] & ~(uint64_t)HUGE_PAGES) != padding || (head[1] & SIZE_FLAGS) != IS_MAPPED)
		return 0;
	size = head[1] & ~(uint64_t)SIZE_FLAGS;
	if (size % 16 || size > p->end - p->at)
		return 0;
	bytes = size + padding;
	if (bytes % p->page)
		bytes += HEAD_BYTES;
	return bytes % p->page == 0 && bytes >= 2 * p->page && bytes <= p->end - p->at ? bytes : 0;
}

static int add_mapped(const struct place *p, uint64_t padding, uint64_t bytes)
{
	struct heap_run *run = blocks_add_run(p->b);

	if (!run)
		return -ENOMEM;
	*run = (struct heap_run){
		.start = p->at,
		.end = p->at + bytes,
		.count = 1,
		.stride = (uint32_t)padding,
		.kind = RUN_MAPPED,
	};
	p->b->allocators.mapped_chunk_bytes +=
		snapshot_resident(p->b->snapshot, run->start, run->end);
	return 0;
}

/* Adds a chunk that begins there. Bytes of it; 0: none begins there; -ENOMEM. */
static int64_t try_mapped(const struct place *p, bool padded)
{
	for (uint64_t padding = 0; padding < (padded ? p->page : 1); padding += HEAD_BYTES) {
		uint64_t bytes = mapped_bytes(p, padding);

		if (bytes)
			return add_mapped(p, padding, bytes) ?: (int64_t)bytes;
	}
	return 0;
}

/* struct _PyStackChunk: previous chunk, its size, how many words of it are taken. Bytes of it, or
 * 0. */
static int64_t try_data_stack(const struct place *p)
{
	const struct py_heap_layout *l = p->b->layout;
	uint64_t previous, size, top;

	if (l->chunk_size == PY_NONE)
		return 0;
	if (!snapshot_read(p->b->snapshot, p->at + l->chunk_previous, &previous,
			   sizeof(previous)) ||
	    !snapshot_read(p->b->snapshot, p->at + l->chunk_size, &size, sizeof(size)) ||
	    !snapshot_read(p->b->snapshot, p->at + l->chunk_top, &top, sizeof(top)))
		return 0;
	if (size < STACK_CHUNK_MIN || size % p->page || size > p->end - p->at ||
	    top > size / sizeof(uint64_t))
		return 0;
	if (previous && (previous % p->page || !snapshot_at(p->b->snapshot, previous, 1)))
		return 0;
	return blocks_claim(p->b, p->at, p->at + size, CLAIM_DATA_STACK, CLAIM_NO_NUMBER)
		       ?: (int64_t)size;
}

static bool is_unclaimed(const struct heap_blocks *b, uint64_t addr)
{
	return heap_blocks_claim(b, addr) == CLAIM_NONE;
}

/* Looks at each unclaimed page of [start, end), which are copied. `*skip`: to where what was found
 * reaches. */
static int look_at(struct heap_blocks *b, const struct region *r, uint64_t start, uint64_t end,
		   uint64_t *skip)
{
	struct place p = {.b = b, .end = r->end, .page = snapshot_page_size(b->snapshot)};
	uint64_t left = UINT64_MAX, from, to;

	for (p.at = start; p.at < end; p.at += p.page) {
		int64_t bytes;

		if (p.at < *skip || !is_unclaimed(b, p.at))
			continue;
		/* Only what follows something else can begin with padding. */
		if (left != p.at)
			left = snapshot_mapping_of(b->snapshot, p.at, &from, &to) ? from : 0;
		bytes = b->allocators.opaque ? 0 : try_mapped(&p, p.at == left || p.at == *skip);
		if (!bytes)
			bytes = try_data_stack(&p);
		if (bytes < 0)
			return (int)bytes;
		if (bytes)
			*skip = p.at + (uint64_t)bytes;
	}
	return 0;
}

static int find_mapped(struct heap_blocks *b)
{
	unsigned page = snapshot_page_size(b->snapshot);
	const struct snapshot_run *runs;
	size_t count = snapshot_runs(b->snapshot, &runs);
	const struct region *r = NULL;
	uint64_t skip = 0;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (!(runs[i].state & PAGE_COPIED))
			continue;
		if (!r || r->end <= runs[i].start)
			r = snapshot_region_of(b->snapshot, runs[i].start);
		if (r->kind == REGION_ANONYMOUS && r->writable)
			err = look_at(b, r, runs[i].start,
				      runs[i].start + (uint64_t)runs[i].pages * page, &skip);
	}
	return err;
}

/* --- stacks --- */

static int claim_stack_of(struct heap_blocks *b, uint64_t stack_pointer)
{
	const struct region *r = snapshot_region_of(b->snapshot, stack_pointer);
	uint64_t start, end;

	if (!r || r->kind != REGION_ANONYMOUS ||
	    !snapshot_mapping_of(b->snapshot, stack_pointer, &start, &end))
		return 0;
	return blocks_claim(b, start, end, CLAIM_STACK, CLAIM_NO_NUMBER);
}

static int find_stacks(struct heap_blocks *b)
{
	const struct snapshot_thread *threads;
	size_t count = snapshot_threads(b->snapshot, &threads);
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (threads[i].stack_pointer)
			err = claim_stack_of(b, threads[i].stack_pointer);
	}
	return err;
}

int mapped_find(struct heap_blocks *b)
{
	int err = find_stacks(b);

	return err ? err : find_mapped(b);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds what lies in anonymous memory that is neither pool nor heap: chunks that malloc maps one by
 * one, chunks of Python's data stacks, stacks of threads.
 *
 * A mapped chunk has its head at the beginning of its mapping, or behind padding if it was asked to
 * be aligned (glibc, sysmalloc_mmap(), _int_memalign()). Up to 2.42 its size is that of the mapping
 * less the padding; from 2.43 on a head is taken off, too. The mapping is a whole number of pages
 * in either case.
 */
#include <errno.h>
#include <stdlib.h>

#include "heap/blocks_private.h"

#define IS_MAPPED	2u /* IS_MMAPPED */
#define SIZE_FLAGS	7u
#define HUGE_PAGES	1u /* MMAP_HP, in the word before (2.43) */
#define HEAD_BYTES	16
#define STACK_CHUNK_MIN 16384 /* DATA_STACK_CHUNK_SIZE */

static bool is_unclaimed(const struct heap_blocks *b, uint64_t addr)
{
	return heap_blocks_claim(b, addr) == CLAIM_NONE;
}

/* Unclaimed memory: `at` is its first byte, `head` the bytes there, `end` the end of its region. */
struct place {
	struct heap_blocks *b;
	uint64_t at, end;
	uint64_t page;
	const unsigned char *head;
};

#define LOOKED_AT 32 /* bytes of `head` */

static uint64_t word_at(const struct place *p, unsigned offset)
{
	uint64_t word;

	memcpy(&word, p->head + offset, sizeof(word));
	return word;
}

/* Bytes of a chunk's mapping. `before` and `head` are the two words of its head, which is `padding`
 * bytes behind the start. 0: it is none. */
static uint64_t mapped_bytes(const struct place *p, uint64_t padding, uint64_t before,
			     uint64_t head)
{
	uint64_t size = head & ~(uint64_t)SIZE_FLAGS, bytes = size + padding;

	if ((before & ~(uint64_t)HUGE_PAGES) != padding || (head & SIZE_FLAGS) != IS_MAPPED ||
	    size % HEAD_BYTES || size > p->end - p->at)
		return 0;
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
	return snapshot_fetch(p->b->snapshot, p->at, p->at + p->page);
}

/* Adds a chunk that was asked to be aligned: its head is somewhere in the first page of its
 * mapping. Returns as try_mapped(). */
static int64_t try_padded(const struct place *p)
{
	uint64_t padding, head[2], bytes, start, end;
	int err;

	if (!snapshot_mapping_of(p->b->snapshot, p->at, &start, &end) || start != p->at)
		return 0;
	err = snapshot_fetch(p->b->snapshot, p->at, p->at + p->page);
	for (padding = HEAD_BYTES; !err && padding < p->page; padding += HEAD_BYTES) {
		if (!snapshot_read(p->b->snapshot, p->at + padding, head, sizeof(head)))
			continue;
		bytes = mapped_bytes(p, padding, head[0], head[1]);
		if (bytes)
			return add_mapped(p, padding, bytes) ?: (int64_t)bytes;
	}
	return err;
}

/* Adds the chunk that begins there. Its bytes; 0: none begins there; -errno. */
static int64_t try_mapped(const struct place *p)
{
	uint64_t bytes = mapped_bytes(p, 0, word_at(p, 0), word_at(p, 8));

	return bytes ? add_mapped(p, 0, bytes) ?: (int64_t)bytes : try_padded(p);
}

/* Claims a chunk of a data stack, struct _PyStackChunk: the previous chunk, its size, how many
 * words are taken. Its bytes; 0: there is none; -errno. */
static int64_t try_data_stack(const struct place *p)
{
	const struct py_heap_layout *l = p->b->layout;
	uint64_t previous, size, top;

	if (l->chunk_size == PY_NONE || l->chunk_top > LOOKED_AT - sizeof(top) ||
	    l->chunk_size > LOOKED_AT - sizeof(size))
		return 0;
	previous = word_at(p, l->chunk_previous);
	size = word_at(p, l->chunk_size);
	top = word_at(p, l->chunk_top);
	if (size < STACK_CHUNK_MIN || size % p->page || size > p->end - p->at ||
	    top > size / sizeof(uint64_t))
		return 0;
	if (previous &&
	    (previous % p->page || !(snapshot_page(p->b->snapshot, previous) & PAGE_RESIDENT)))
		return 0;
	return blocks_claim(p->b, p->at, p->at + size, CLAIM_DATA_STACK, CLAIM_NO_NUMBER)
		       ?: (int64_t)size;
}

/* Unclaimed pages, gathered until there are enough for one read. */
struct batch {
	struct heap_blocks *b;
	const struct region *region;
	uint64_t skip; /* the end of what was found last */
	size_t count;
	uint64_t addrs[SNAPSHOT_HEADS];
	unsigned char heads[SNAPSHOT_HEADS * LOOKED_AT];
};

static int look_at_batch(struct batch *batch)
{
	struct place p = {.b = batch->b, .page = snapshot_page_size(batch->b->snapshot)};
	int err = snapshot_fetch_heads(p.b->snapshot, batch->addrs, batch->count, LOOKED_AT,
				       batch->heads);

	for (size_t i = 0; i < batch->count && !err; i++) {
		int64_t bytes;

		p.at = batch->addrs[i];
		if (p.at < batch->skip)
			continue;
		p.end = batch->region->end;
		p.head = batch->heads + i * LOOKED_AT;
		bytes = p.b->allocators.opaque ? 0 : try_mapped(&p);
		if (!bytes)
			bytes = try_data_stack(&p);
		if (bytes < 0)
			err = (int)bytes;
		else if (bytes)
			batch->skip = p.at + (uint64_t)bytes;
	}
	batch->count = 0;
	return err;
}

/* Looks at each unclaimed page of [start, end). */
static int find_in(struct batch *batch, uint64_t start, uint64_t end)
{
	unsigned page = snapshot_page_size(batch->b->snapshot);
	int err = 0;

	for (uint64_t at = start; at < end && !err; at += page) {
		if (at < batch->skip || !is_unclaimed(batch->b, at))
			continue;
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
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (!snapshot_run_is_readable(&runs[i]))
			continue;
		if (!batch->region || batch->region->end <= runs[i].start) {
			err = look_at_batch(batch);
			batch->region = snapshot_region_of(snapshot, runs[i].start);
		}
		if (!err && batch->region->kind == REGION_ANONYMOUS && batch->region->writable)
			err = find_in(batch, runs[i].start,
				      runs[i].start + (uint64_t)runs[i].pages * page);
	}
	return err ? err : look_at_batch(batch);
}

static int find_mapped(struct heap_blocks *b)
{
	struct batch *batch = malloc(sizeof(*batch));
	int err;

	if (!batch)
		return -ENOMEM;
	batch->b = b;
	batch->region = NULL;
	batch->skip = batch->count = 0;
	err = find_all(batch);
	free(batch);
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

#if defined(__x86_64__)
/* The stack pointer of a running thread can't be read. But behind a stack that the C library made
 * lies the thread's control block, which has its own address in it twice (tcbhead_t: tcb, self). */
#define SELF_STEP  64
#define SELF_AGAIN 16
#define SEARCH_MAX (64ull << 20)

static bool is_control_block(const unsigned char *at, uint64_t addr)
{
	uint64_t self, again;

	memcpy(&self, at, sizeof(self));
	memcpy(&again, at + SELF_AGAIN, sizeof(again));
	return self == addr && again == addr;
}

static int look_for_control_block(struct heap_blocks *b, uint64_t page, unsigned bytes)
{
	const unsigned char *memory = snapshot_at(b->snapshot, page, bytes);
	uint64_t start, end;

	for (unsigned at = 0; memory && at < bytes; at += SELF_STEP) {
		if (is_control_block(memory + at, page + at) &&
		    snapshot_mapping_of(b->snapshot, page, &start, &end))
			return blocks_claim(b, start, page + bytes, CLAIM_STACK, CLAIM_NO_NUMBER);
	}
	return 0;
}

static int find_stacks_of_running(struct heap_blocks *b)
{
	unsigned page = snapshot_page_size(b->snapshot);
	const struct snapshot_run *runs;
	size_t count = snapshot_runs(b->snapshot, &runs);
	uint64_t searched = 0;
	int err = 0;

	for (size_t i = 0; i < count && searched < SEARCH_MAX && !err; i++) {
		const struct region *r = snapshot_region_of(b->snapshot, runs[i].start);

		if (!(runs[i].state & PAGE_COPIED) || r->kind != REGION_ANONYMOUS)
			continue;
		for (uint32_t k = 0; k < runs[i].pages && searched < SEARCH_MAX && !err; k++) {
			uint64_t at = runs[i].start + (uint64_t)k * page;

			if (!is_unclaimed(b, at))
				continue;
			err = look_for_control_block(b, at, page);
			searched += page;
		}
	}
	return err;
}
#else
static int find_stacks_of_running(struct heap_blocks *b)
{
	(void)b;
	return 0;
}
#endif

/* Claims mapped chunks before they have numbers: else what is in them would be unclaimed, and might
 * look like anything. */
static int claim_mapped(struct heap_blocks *b)
{
	int err = 0;

	for (size_t i = 0; i < b->run_count && !err; i++) {
		if (b->runs[i].kind == RUN_MAPPED)
			err = blocks_claim(b, b->runs[i].start, b->runs[i].end, CLAIM_MAPPED_CHUNK,
					   CLAIM_NO_NUMBER);
	}
	return err;
}

int mapped_find(struct heap_blocks *b)
{
	int err = find_stacks(b);

	if (!err)
		err = find_mapped(b);
	if (!err)
		err = claim_mapped(b);
	return err ? err : find_stacks_of_running(b);
}

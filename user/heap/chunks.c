/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: what is in no pool of CPython's is malloc's, and only the head of each chunk says where
 * it ends (glibc, malloc/malloc.c, "malloc_chunk details"; malloc/arena.c, heap_info).
 *
 * The main heap is walked chunk by chunk from the beginning of [heap]. So are the heaps of other
 * arenas, which begin at multiples of 64 MiB. A head that can't be true ends a run; the walk goes
 * on where several heads in a row are plausible.
 *
 * Left out: the heaps of other C libraries and allocators, which are opaque and reported by name;
 * what a main heap got elsewhere because brk() could not extend it.
 */
#include <errno.h>

#include "base/array.h"
#include "heap/blocks_private.h"

#define IN_USE_BEFORE	1u /* PREV_INUSE: the chunk before it is in use */
#define SIZE_MASK	(~7ull)
#define HEAD_BYTES	16
#define ALIGNMENT	16
#define FENCEPOST_BYTES 16
#define HEAP_BYTES	(64ull << 20) /* HEAP_MAX_SIZE */
/* At most so long is a run: the places of its chunks are numbers of 32 bits. */
#define RUN_BYTES_MAX (30ull << 30)
#define RESYNC_CHUNKS 6 /* plausible ones in a row */
/* sizeof(struct malloc_state), by release: 2.43 has no fast bins. */
#define STATE_BYTES_MIN 2000
#define STATE_BYTES_MAX 2304

/* The size and flags of the chunk at `addr`; 0: it can't be read. */
static uint64_t head_of(const struct heap_blocks *b, uint64_t addr)
{
	return snapshot_word(b->snapshot, addr + 8);
}

/* Size of the chunk at `addr` if that can be one, in memory that ends at `end`; else 0. */
static uint64_t plausible_size(const struct heap_blocks *b, uint64_t addr, uint64_t end)
{
	uint64_t size;

	if (end - addr < HEAD_BYTES)
		return 0;
	size = head_of(b, addr) & SIZE_MASK;
	if (size < FENCEPOST_BYTES || size % ALIGNMENT || size > end - addr)
		return 0;
	return size;
}

/* --- runs --- */

struct walk {
	struct heap_blocks *b;
	struct heap_run *run; /* NULL: none is open */
	uint64_t end;	      /* of the memory */
};

static int add_place(struct walk *w, uint64_t addr, bool in_use)
{
	struct heap_blocks *b = w->b;

	if (!ARRAY_HAS_ROOM(b->chunks, b->chunk_count, b->chunk_room))
		return -ENOMEM;
	b->chunks[b->chunk_count++] = (uint32_t)((addr - w->run->start) / 8) | in_use;
	return 0;
}

static int open_run(struct walk *w, uint64_t addr)
{
	w->run = blocks_add_run(w->b);
	if (!w->run)
		return -ENOMEM;
	if (w->b->chunk_count >= BLOCKS_MAX)
		return -E2BIG;
	*w->run = (struct heap_run){
		.start = addr,
		.chunk = (uint32_t)w->b->chunk_count,
		.kind = RUN_CHUNKS,
	};
	return 0;
}

static int close_run(struct walk *w, uint64_t addr)
{
	int err;

	if (!w->run)
		return 0;
	err = add_place(w, addr, false);
	w->run->end = addr;
	w->run->ends_heap = addr == w->end;
	w->run->count = (uint32_t)(w->b->chunk_count - w->run->chunk) - 1;
	w->run = NULL;
	return err;
}

static int add_chunk(struct walk *w, uint64_t addr, bool in_use)
{
	int err = 0;

	if (w->run && addr - w->run->start > RUN_BYTES_MAX)
		err = close_run(w, addr);
	if (!err && !w->run)
		err = open_run(w, addr);
	return err ? err : add_place(w, addr, in_use);
}

/* --- walking --- */

/* Are there several chunks in a row at `addr`, or some up to the end? */
static bool chain_is_plausible(const struct heap_blocks *b, uint64_t addr, uint64_t end)
{
	for (unsigned i = 0; i < RESYNC_CHUNKS; i++) {
		uint64_t size = plausible_size(b, addr, end);

		if (size < 2 * FENCEPOST_BYTES)
			return false;
		addr += size;
		if (addr == end)
			return i > 0;
	}
	return true;
}

/* Where the walk can go on behind `addr`; `end`: nowhere. */
static uint64_t resync(const struct heap_blocks *b, uint64_t addr, uint64_t end)
{
	uint64_t page = snapshot_page_size(b->snapshot), next;

	addr += ALIGNMENT;
	while (addr < end) {
		next = snapshot_next_resident(b->snapshot, addr);
		if (next > addr)
			addr = next;
		next = (addr | (page - 1)) + 1;
		for (; addr < next && addr < end; addr += ALIGNMENT) {
			if (chain_is_plausible(b, addr, end))
				return addr;
		}
	}
	return end;
}

/* Is it the last head of a heap that is followed by others of its arena? Its size is 0. */
static bool is_closing_head(const struct heap_blocks *b, uint64_t addr, uint64_t end)
{
	return end - addr <= 2 * HEAD_BYTES && (head_of(b, addr) & SIZE_MASK) == 0;
}

static int walk(struct heap_blocks *b, uint64_t start, uint64_t end)
{
	struct walk w = {.b = b, .end = end};
	uint64_t at = start;
	int err = 0;

	while (at < end && !err) {
		uint64_t size = plausible_size(b, at, end);

		if (size == FENCEPOST_BYTES) { /* a fencepost, which is no chunk */
			err = close_run(&w, at);
			at += size;
			continue;
		}
		if (size) {
			/* The chunk that ends with the memory is the top, which is free. */
			err = add_chunk(&w, at,
					at + size < end && head_of(b, at + size) & IN_USE_BEFORE);
			at += size;
			continue;
		}
		err = close_run(&w, at);
		if (is_closing_head(b, at, end))
			break;
		b->allocators.broken_chunks++;
		at = resync(b, at, end);
	}
	return err ? err : close_run(&w, at);
}

static int add_heap(struct heap_blocks *b, uint64_t first_chunk, uint64_t start, uint64_t end)
{
	size_t before = b->segment_count;

	if (!ARRAY_HAS_ROOM(b->segments, b->segment_count, b->segment_room))
		return -ENOMEM;
	b->segments[before] = (struct heap_segment){start, end};
	b->segment_count++;
	return walk(b, first_chunk, end);
}

/* --- heaps of other arenas --- */

struct heap_info {
	uint64_t arena, previous, size, writable;
};

/* Reads what is at `heap`. 1: done; 0: its page is not resident; -errno. */
static int read_heap_info(struct heap_blocks *b, uint64_t heap, struct heap_info *info)
{
	int err;

	if (!(snapshot_page(b->snapshot, heap) & PAGE_RESIDENT))
		return 0;
	err = snapshot_fetch_heads(b->snapshot, &heap, 1, sizeof(*info), (unsigned char *)info);
	return err ? err : 1;
}

static bool is_plausible(const struct heap_blocks *b, uint64_t heap, const struct region *r,
			 const struct heap_info *info)
{
	unsigned page = snapshot_page_size(b->snapshot);
	uint64_t offset = info->arena & (HEAP_BYTES - 1);

	return info->size && info->size <= HEAP_BYTES && info->size <= r->end - heap &&
	       info->size % page == 0 && info->writable >= info->size &&
	       info->writable <= HEAP_BYTES && info->previous % HEAP_BYTES == 0 &&
	       offset >= sizeof(*info) && offset <= 2 * sizeof(*info);
}

/* Number of chunks from `addr` on that are plausible, at most `most`. If they reach `end`: `most`.
 */
static unsigned plausible_chunks(const struct heap_blocks *b, uint64_t addr, uint64_t end,
				 unsigned most)
{
	unsigned count = 0;

	while (count < most) {
		uint64_t size = plausible_size(b, addr, end);

		if (!size)
			break;
		addr += size;
		count++;
		if (addr == end)
			return most;
	}
	return count;
}

/* Address of the first chunk behind the arena's struct malloc_state, whose size differs between
 * releases; 0: none is plausible. */
static uint64_t first_chunk_behind(const struct heap_blocks *b, uint64_t state, uint64_t end)
{
	uint64_t best = 0;
	unsigned most = 0;

	for (uint64_t at = (state + STATE_BYTES_MIN) & ~15ull; at < state + STATE_BYTES_MAX;
	     at += ALIGNMENT) {
		unsigned count;

		/* The first chunk says that what is before it is in use. */
		if (!(head_of(b, at) & IN_USE_BEFORE))
			continue;
		count = plausible_chunks(b, at, end, 64);
		if (count > most) {
			most = count;
			best = at;
		}
	}
	return best;
}

/* Adds the heap at `heap`, if there is one. */
static int try_heap(struct heap_blocks *b, uint64_t heap, const struct region *r)
{
	struct heap_info info, first;
	uint64_t end, chunk, first_heap;
	int found = read_heap_info(b, heap, &info);

	if (found <= 0 || !is_plausible(b, heap, r, &info))
		return found < 0 ? found : 0;
	end = heap + info.size;
	first_heap = info.arena & ~(HEAP_BYTES - 1);
	chunk = heap + (info.arena - first_heap);
	if (first_heap != heap) {
		/* Another heap of that arena: only a heap_info is before its chunks. */
		found = read_heap_info(b, first_heap, &first);
		if (found <= 0 || first.arena != info.arena)
			return found < 0 ? found : 0;
	}
	found = snapshot_fetch(b->snapshot, heap, end);
	if (found)
		return found;
	if (first_heap == heap)
		chunk = first_chunk_behind(b, info.arena, end);
	return chunk ? add_heap(b, chunk, heap, end) : 0;
}

/* --- all --- */

static const struct {
	const char *part; /* of a mapped file's name */
	const char *name;
} other_allocators[] = {
	{"/ld-musl-", "musl"},	      {"/libjemalloc", "jemalloc"}, {"/libtcmalloc", "tcmalloc"},
	{"/libmimalloc", "mimalloc"}, {"/libhoard", "hoard"},	    {"/libsnmalloc", "snmalloc"},
	{"/librpmalloc", "rpmalloc"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *other_allocator(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot_regions(snapshot); i++) {
		const struct region *r = snapshot_region(snapshot, i);

		for (size_t k = 0; r->kind == REGION_FILE && k < COUNT(other_allocators); k++) {
			if (strstr(r->name, other_allocators[k].part))
				return other_allocators[k].name;
		}
	}
	return NULL;
}

/* Heaps of other arenas begin at multiples of HEAP_BYTES, with a page that is resident. */
static int find_heaps(struct heap_blocks *b, const struct region *r)
{
	uint64_t at = snapshot_next_resident(b->snapshot, r->start);
	int err = 0;

	while (at < r->end && !err) {
		if (at % HEAP_BYTES == 0)
			err = try_heap(b, at, r);
		else
			at &= ~(HEAP_BYTES - 1);
		if (at + HEAP_BYTES < at)
			break;
		at = snapshot_next_resident(b->snapshot, at + HEAP_BYTES);
	}
	return err;
}

int chunks_find(struct heap_blocks *b)
{
	int err = 0;

	b->allocators.opaque = other_allocator(b->snapshot);
	if (b->allocators.opaque)
		return 0;
	for (size_t i = 0; i < snapshot_regions(b->snapshot) && !err; i++) {
		const struct region *r = snapshot_region(b->snapshot, i);

		if (!r->resident_bytes || !r->writable || !r->readable)
			continue;
		if (r->kind == REGION_HEAP) {
			err = snapshot_fetch(b->snapshot, r->start, r->end);
			if (!err)
				err = add_heap(b, r->start, r->start, r->end);
		} else if (r->kind == REGION_ANONYMOUS) {
			err = find_heaps(b, r);
		}
	}
	return err;
}

/* --- what they hold --- */

/* Whole pages of a free chunk, which malloc_trim() gives back: all but what its head and links
 * take. */
static uint64_t trimmable(const struct heap_blocks *b, uint64_t start, uint64_t end)
{
	uint64_t page = snapshot_page_size(b->snapshot);

	start = (start + 3 * HEAD_BYTES + page - 1) & ~(page - 1);
	end &= ~(page - 1);
	return start < end ? snapshot_resident(b->snapshot, start, end) : 0;
}

void chunks_sort_out(struct heap_blocks *b, const struct heap_run *run, int32_t *types)
{
	struct heap_allocators *a = &b->allocators;

	for (uint32_t i = 0; i < run->count; i++) {
		uint32_t place = b->chunks[run->chunk + i];
		uint64_t start = run->start + (uint64_t)(place & ~1u) * 8;
		uint64_t end = run->start + (uint64_t)(b->chunks[run->chunk + i + 1] & ~1u) * 8;
		uint64_t bytes = snapshot_resident(b->snapshot, start, end);

		if (place & 1) {
			a->malloc_used_bytes += bytes;
			continue;
		}
		types[i] = BLOCK_FREE;
		a->malloc_trimmable_bytes += trimmable(b, start, end);
		if (run->ends_heap && i + 1 == run->count)
			a->malloc_top_bytes += bytes;
		else
			a->malloc_free_bytes += bytes;
	}
}

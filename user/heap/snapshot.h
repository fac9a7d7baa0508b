/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a census chases pointers through all of a process's memory, at 3 us a call if it asks
 * the kernel for each word. A snapshot is a copy, made in few calls, of what is resident in its
 * anonymous memory and in its written private file pages, with the state of every page of every
 * mapping beside it.
 *
 * A child process makes the copy, because a target can hold up whoever reads its memory
 * (userfaultfd, FUSE). It writes into a sparse memory file (memfd) that both map; a child that
 * makes no progress is given up. The file is the snapshot: saved to disk, it is what tests and
 * fuzzers read.
 *
 * Invariants: what is read is bounded by the copy; a page that was not copied is never looked at;
 * all of it is hostile. The resident bytes of all regions add up to `rss_bytes`.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "heap/page_map.h"

enum region_kind {
	REGION_ANONYMOUS, /* mmap without a file: arenas, malloc, stacks of threads */
	REGION_HEAP,	  /* brk */
	REGION_STACK,	  /* of the main thread */
	REGION_FILE,	  /* a file, private: its pages are the file's but for those written */
	REGION_SHARED,	  /* MAP_SHARED, of a file or not */
	REGION_SPECIAL,	  /* vdso and its like: hardly any of it is in RSS */
};

struct region {
	uint64_t start, end; /* of adjacent anonymous mappings with the same rights: one region */
	enum region_kind kind;
	bool readable, writable, executable;
	const char *name; /* path or "[heap]", "" */
	uint64_t resident_bytes, swapped_bytes;
	uint64_t copied_bytes;
};

/* State of a page, snapshot_page(). */
enum page_state {
	PAGE_RESIDENT = 1 << 0,
	PAGE_SWAPPED = 1 << 1,
	PAGE_FILE = 1 << 2, /* its content is the file's, or shared */
	PAGE_COPIED = 1 << 3,
	PAGE_HUGE = 1 << 4, /* part of a transparent huge page, where the kernel tells */
};

struct snapshot_options {
	bool pause;		   /* stop its threads (PTRACE_SEIZE) while it is copied */
	uint64_t copy_limit_bytes; /* refuse (-EFBIG) to copy more; 0: no limit */
	bool (*interrupted)(void); /* asked while waiting; may be NULL */
	bool later;		   /* copy nothing yet: see snapshot_fetch(). Not with `pause` */
};

struct snapshot;

/* What the fast path needs of a snapshot: its first member. A page's value is its number in `data`
 * times 32, and its state (enum page_state). */
struct snapshot_memory {
	struct page_map pages;
	const unsigned char *data;
};
#define SNAPSHOT_STATE_BITS 5

/* From now on snapshots are made by children of a keeper, which is forked now and keeps the rights
 * to read other processes' memory, and with `pause` to stop them; so the program needs neither any
 * more (confine.h: CONFINE_EXAMINE, to end a child that hangs). To be called early. 0 or -errno. */
int snapshot_start(bool pause);
void snapshot_stop(void);

/* Copies. 0; -ESRCH gone; -EPERM/-EACCES may not be read, or (pause) another debugger is attached:
 * -EBUSY; -ETIME the target held the reading up; -EFBIG; -EINTR; -ENOMEM; other -errno.
 * The caller owns *snapshot: snapshot_free(). */
int snapshot_take(pid_t pid, const struct snapshot_options *options, struct snapshot **snapshot);
void snapshot_free(struct snapshot *snapshot);

/* From and to a file (tests, fuzzers). `data` is hostile. 0, -EINVAL, -errno. */
int snapshot_load(int fd, struct snapshot **snapshot);
int snapshot_save(const struct snapshot *snapshot, int fd);

pid_t snapshot_pid(const struct snapshot *snapshot);
uint64_t snapshot_rss_bytes(const struct snapshot *snapshot); /* resident pages of all regions */
/* Of so much and more the copy is given back piece by piece, as soon as a piece has been made sense
 * of (snapshot_release()), since what is made of it takes memory, too. What is wanted later (names)
 * is then read from the process: what has changed since has none. */
#define SNAPSHOT_LARGE_BYTES (128ull << 20)
bool snapshot_is_large(const struct snapshot *snapshot);
uint64_t snapshot_swapped_bytes(const struct snapshot *snapshot);
double snapshot_paused_ms(const struct snapshot *snapshot); /* < 0: it was not paused */
unsigned snapshot_page_size(const struct snapshot *snapshot);

size_t snapshot_regions(const struct snapshot *snapshot);
const struct region *snapshot_region(const struct snapshot *snapshot, size_t index);
/* The region that holds `addr`, or NULL. */
const struct region *snapshot_region_of(const struct snapshot *snapshot, uint64_t addr);
/* Bounds of the mapping that holds `addr`, as the kernel has it: not merged with others. False:
 * there is none. */
bool snapshot_mapping_of(const struct snapshot *snapshot, uint64_t addr, uint64_t *start,
			 uint64_t *end);
/* enum page_state of the page of `addr`; 0: not resident, or no mapping. */
unsigned snapshot_page(const struct snapshot *snapshot, uint64_t addr);
/* Resident bytes within [start, end). */
uint64_t snapshot_resident(const struct snapshot *snapshot, uint64_t start, uint64_t end);

/* Pages of one state next to each other, in one region. */
struct snapshot_run {
	uint64_t start;
	uint32_t pages, state; /* enum page_state, and: */
};
#define RUN_READABLE (1u << 8) /* not copied (options.later), and can be */

static inline bool snapshot_run_is_readable(const struct snapshot_run *run)
{
	return run->state & (PAGE_COPIED | RUN_READABLE);
}

/* All runs of pages that are resident or swapped, in order of address: what is looked for page by
 * page is looked for in these, since an address space is mostly empty. */
size_t snapshot_runs(const struct snapshot *snapshot, const struct snapshot_run **runs);
/* Number of the first run that ends behind `addr`; how many there are if there is none. */
size_t snapshot_first_run(const struct snapshot *snapshot, uint64_t addr);
/* First byte of the first page from that of `addr` on that is resident; UINT64_MAX: there is none.
 */
uint64_t snapshot_next_resident(const struct snapshot *snapshot, uint64_t addr);

/* Threads at that time, with the stack pointer of each (0: not known). */
struct snapshot_thread {
	pid_t tid;
	uint64_t stack_pointer;
};
size_t snapshot_threads(const struct snapshot *snapshot, const struct snapshot_thread **threads);

/* Are all pages from that of `addr` to that of `last` copied, one behind the other? */
bool snapshot_is_whole(const struct snapshot_memory *memory, uint64_t addr, uint64_t last);

/* The copy of [addr, addr + len), valid as long as the snapshot; NULL unless all of it was copied.
 * Any alignment. The fast path: some nanoseconds. */
static inline const void *snapshot_at(const struct snapshot *snapshot, uint64_t addr, size_t len)
{
	const struct snapshot_memory *memory = (const struct snapshot_memory *)snapshot;
	unsigned shift = memory->pages.page_shift;
	uint64_t last = addr + (len ? len - 1 : 0), page;

	page = page_map_get(&memory->pages, addr);
	if (!(page & PAGE_COPIED) || last < addr)
		return NULL;
	page >>= SNAPSHOT_STATE_BITS;
	if ((addr ^ last) >> shift && !snapshot_is_whole(memory, addr, last))
		return NULL;
	return memory->data + (page << shift) + (addr & ((1u << shift) - 1));
}

/* Copies that lie apart, as after snapshot_fetch(), one by one. */
bool snapshot_read_apart(const struct snapshot *snapshot, uint64_t addr, void *buf, size_t len);

/* True: all of it was copied. */
static inline bool snapshot_read(const struct snapshot *snapshot, uint64_t addr, void *buf,
				 size_t len)
{
	const void *at = snapshot_at(snapshot, addr, len);

	if (!at)
		return snapshot_read_apart(snapshot, addr, buf, len);
	memcpy(buf, at, len);
	return true;
}

/* A word; 0 if it was not copied. */
static inline uint64_t snapshot_word(const struct snapshot *snapshot, uint64_t addr)
{
	uint64_t word = 0;

	snapshot_read(snapshot, addr, &word, sizeof(word));
	return word;
}

/* Gives the copies of all whole pages in [start, end) back to the kernel: they count as not copied
 * from now on. Not to be called while another thread reads them. */
void snapshot_release(struct snapshot *snapshot, uint64_t start, uint64_t end);

/* Reads what was not copied (read-only data of a file: a static type's name) by
 * process_vm_readv through the child; slow, cached by page. 0 or -errno. */
int snapshot_read_live(struct snapshot *snapshot, uint64_t addr, void *buf, size_t len);

/* --- copying piece by piece (options.later) ---
 *
 * All that is said of pages holds from the beginning; pages that can be had are resident, and
 * become copied as they are fetched. What was taken as a whole has all of it already: there these
 * do nothing. Errors: those of snapshot_take(). */

/* Copies what there is of [start, end), to stay. 0 (also where there is nothing) or -errno. */
int snapshot_fetch(struct snapshot *snapshot, uint64_t start, uint64_t end);

/* The first `len` bytes (at most SNAPSHOT_HEAD_BYTES) at each of `count` addresses (at most
 * SNAPSHOT_HEADS), which may not cross a page, one behind the other into `heads`; zeros where they
 * can't be read. */
#define SNAPSHOT_HEADS	    1024
#define SNAPSHOT_HEAD_BYTES 64
int snapshot_fetch_heads(struct snapshot *snapshot, const uint64_t *addrs, size_t count, size_t len,
			 unsigned char *heads);

/* A window is copied for a while: begin() asks for [start, end), at most SNAPSHOT_WINDOW_BYTES of
 * whole pages; await() returns when it is there, and while it is there, another one (`slot` 0 or 1)
 * can be on its way. begin() ends the one that was in its slot. */
#define SNAPSHOT_WINDOW_BYTES (2u << 20)
#define SNAPSHOT_WINDOWS      2
int snapshot_window_begin(struct snapshot *snapshot, unsigned slot, uint64_t start, uint64_t end);
int snapshot_window_await(struct snapshot *snapshot, unsigned slot);

/* The copy if there is one, else as snapshot_read_live(). True: all of it was read. */
bool snapshot_read_any(struct snapshot *snapshot, uint64_t addr, void *buf, size_t len);

#endif

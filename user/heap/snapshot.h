/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a census follows pointers through all of a process's memory. To ask the kernel for each
 * word would take 3 us a word. A snapshot is a copy that is made in few calls. It has the resident
 * pages of anonymous memory and the private pages of files that were written to, and beside these
 * the state of every page of every mapping.
 *
 * A child process makes the copy, because a target can hold up any process that reads its memory
 * (userfaultfd, FUSE). It writes into a sparse memory file (memfd) that both map. A child that
 * makes no progress is given up. The file is the snapshot: tests and fuzzers read it from disk.
 *
 * Invariants: reads are bounded by the copy; a page that was not copied is never looked at; the
 * contents may be hostile. The resident bytes of all regions add up to `rss_bytes`.
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
	REGION_FILE,	/* a private mapping of a file: pages that were written to are anonymous */
	REGION_SHARED,	/* MAP_SHARED, of a file or not */
	REGION_SPECIAL, /* vdso and its like: hardly any of it is in RSS */
};

struct region {
	uint64_t start, end; /* adjacent anonymous mappings with the same rights are one region */
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
	PAGE_FILE = 1 << 2, /* its content is that of a file, or shared memory */
	PAGE_COPIED = 1 << 3,
	PAGE_HUGE = 1 << 4, /* part of a transparent huge page, if the kernel says so */
};

struct snapshot_options {
	bool pause;		   /* stop its threads (PTRACE_SEIZE) while it is copied */
	uint64_t copy_limit_bytes; /* refuse (-EFBIG) to copy more; 0: no limit */
	bool (*interrupted)(void); /* asked while waiting; may be NULL */
	bool later; /* copy nothing yet: pages are copied by snapshot_fetch() and windows. Not with
		       `pause` */
};

struct snapshot;

/* What the fast path needs: the first member of a snapshot. The map's value for a page is the
 * page's number in `data` times 32, plus its state (enum page_state). */
struct snapshot_memory {
	struct page_map pages;
	const unsigned char *data;
};
#define SNAPSHOT_STATE_BITS 5

/* Forks a keeper, which keeps the rights to read other processes' memory and, with `pause`, to stop
 * them. Its children make all snapshots from now on, so the program itself needs neither right any
 * more (confine.h: CONFINE_EXAMINE, to end a child that hangs). To be called early. 0 or -errno. */
int snapshot_start(bool pause);
void snapshot_stop(void);

/* Takes a snapshot. 0; -ESRCH: the process is gone; -EPERM, -EACCES: it may not be read; -EBUSY:
 * (pause) another debugger has it; -ETIME: it held the reading up; -EFBIG: more than may be copied;
 * -EINTR: options->interrupted(); -ENOMEM; other -errno. The caller owns *snapshot:
 * snapshot_free(). */
int snapshot_take(pid_t pid, const struct snapshot_options *options, struct snapshot **snapshot);
void snapshot_free(struct snapshot *snapshot);

/* Reads a snapshot from a file, writes one to a file (tests, fuzzers). What is loaded may be
 * hostile. 0, -EINVAL, -errno. */
int snapshot_load(int fd, struct snapshot **snapshot);
int snapshot_save(const struct snapshot *snapshot, int fd);

pid_t snapshot_pid(const struct snapshot *snapshot);
uint64_t snapshot_rss_bytes(const struct snapshot *snapshot); /* resident pages of all regions */
/* From this size on, the copy is given back piece by piece, as soon as a piece is not needed any
 * more (snapshot_release()): what is made of it takes memory, too. What is needed later (names) is
 * then read from the process, and is missing if it has changed. */
#define SNAPSHOT_LARGE_BYTES (128ull << 20)
bool snapshot_is_large(const struct snapshot *snapshot);
uint64_t snapshot_swapped_bytes(const struct snapshot *snapshot);
double snapshot_paused_ms(const struct snapshot *snapshot); /* < 0: it was not paused */
unsigned snapshot_page_size(const struct snapshot *snapshot);

size_t snapshot_regions(const struct snapshot *snapshot);
const struct region *snapshot_region(const struct snapshot *snapshot, size_t index);
/* The region that holds `addr`, or NULL. */
const struct region *snapshot_region_of(const struct snapshot *snapshot, uint64_t addr);
/* Bounds of the kernel's own mapping that holds `addr`, not merged with others. False: there is
 * none. */
bool snapshot_mapping_of(const struct snapshot *snapshot, uint64_t addr, uint64_t *start,
			 uint64_t *end);
/* enum page_state of the page of `addr`; 0: neither resident nor swapped, or not mapped. */
unsigned snapshot_page(const struct snapshot *snapshot, uint64_t addr);
/* Resident bytes within [start, end). */
uint64_t snapshot_resident(const struct snapshot *snapshot, uint64_t start, uint64_t end);

/* Pages of one state next to each other, in one region. */
struct snapshot_run {
	uint64_t start;
	uint32_t pages, state; /* `state`: enum page_state, and RUN_READABLE */
};
#define RUN_READABLE (1u << 8) /* its pages are not copied yet (options.later), and can be */

static inline bool snapshot_run_is_readable(const struct snapshot_run *run)
{
	return run->state & (PAGE_COPIED | RUN_READABLE);
}

/* All runs of pages that are resident or swapped, in order of address. Code that goes through pages
 * uses these runs, as most of an address space is empty. Returns their number. */
size_t snapshot_runs(const struct snapshot *snapshot, const struct snapshot_run **runs);
/* Index of the first run that ends behind `addr`; if there is none, the number of runs. */
size_t snapshot_first_run(const struct snapshot *snapshot, uint64_t addr);
/* Address of the first resident page, from the page of `addr` on; UINT64_MAX: there is none. */
uint64_t snapshot_next_resident(const struct snapshot *snapshot, uint64_t addr);

/* The threads at that time, each with its stack pointer (0: not known). */
struct snapshot_thread {
	pid_t tid;
	uint64_t stack_pointer;
};
size_t snapshot_threads(const struct snapshot *snapshot, const struct snapshot_thread **threads);

/* Are all pages from that of `addr` to that of `last` copied, and neighbours in the copy? */
bool snapshot_is_whole(const struct snapshot_memory *memory, uint64_t addr, uint64_t last);

/* The copy of [addr, addr + len), of any alignment, valid as long as the snapshot. NULL: not all of
 * it was copied, or the pages are not neighbours in the copy. This is the fast path: some
 * nanoseconds. */
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

/* Reads copies whose pages need not be neighbours, as after snapshot_fetch(). True: all of it was
 * copied. */
bool snapshot_read_apart(const struct snapshot *snapshot, uint64_t addr, void *buf, size_t len);

/* Reads from the copy. True: all of it was copied. */
static inline bool snapshot_read(const struct snapshot *snapshot, uint64_t addr, void *buf,
				 size_t len)
{
	const void *at = snapshot_at(snapshot, addr, len);

	if (!at)
		return snapshot_read_apart(snapshot, addr, buf, len);
	memcpy(buf, at, len);
	return true;
}

/* The word at `addr`; 0: it was not copied. */
static inline uint64_t snapshot_word(const struct snapshot *snapshot, uint64_t addr)
{
	uint64_t word = 0;

	snapshot_read(snapshot, addr, &word, sizeof(word));
	return word;
}

/* Gives the copies of all whole pages in [start, end) back to the kernel. These pages count as not
 * copied from now on. Not to be called while another thread reads them. */
void snapshot_release(struct snapshot *snapshot, uint64_t start, uint64_t end);

/* Reads what was not copied (read-only data of a file: a static type's name) through the child. It
 * is slow, and pages are cached. 0 or -errno. */
int snapshot_read_live(struct snapshot *snapshot, uint64_t addr, void *buf, size_t len);

/* --- copying piece by piece (options.later) ---
 *
 * The states of pages are known from the beginning. Pages that can be copied are in runs with
 * RUN_READABLE, and become PAGE_COPIED as they are fetched. A snapshot that was taken as a whole
 * has all of them already: there these functions do nothing. Errors are those of snapshot_take().
 */

/* Copies the pages of [start, end) that can be copied, for good. 0 (also if there are none) or
 * -errno. */
int snapshot_fetch(struct snapshot *snapshot, uint64_t start, uint64_t end);

/* Reads the first `len` bytes (at most SNAPSHOT_HEAD_BYTES) at each of `count` addresses (at most
 * SNAPSHOT_HEADS) into `heads`, one behind the other. A head may not cross a page. Heads that can't
 * be read are zeros. */
#define SNAPSHOT_HEADS	    1024
#define SNAPSHOT_HEAD_BYTES 64
int snapshot_fetch_heads(struct snapshot *snapshot, const uint64_t *addrs, size_t count, size_t len,
			 unsigned char *heads);

/* A window is a copy for a while. begin() asks for [start, end), at most SNAPSHOT_WINDOW_BYTES of
 * whole pages, and ends the window that was in `slot` (0 or 1) before. await() returns when the
 * window is there. Meanwhile the other one can be asked for. */
#define SNAPSHOT_WINDOW_BYTES (2u << 20)
#define SNAPSHOT_WINDOWS      2
int snapshot_window_begin(struct snapshot *snapshot, unsigned slot, uint64_t start, uint64_t end);
int snapshot_window_await(struct snapshot *snapshot, unsigned slot);

/* Reads from the copy if there is one, else as snapshot_read_live(). True: all of it was read. */
bool snapshot_read_any(struct snapshot *snapshot, uint64_t addr, void *buf, size_t len);

#endif

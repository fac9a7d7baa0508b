/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The PSS of the processes of a host, as they were read one after the other: which one is the next
 * to be read, what is known of each and since when, and sums by group that say what they lack.
 *
 * Order of the calls: once a reading pss_book_begin(), pss_book_note() of each process that runs,
 * pss_book_settle(); in between pss_book_next() and, when that process was read, pss_book_add(). */
#ifndef PSS_BOOK_H
#define PSS_BOOK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/group_sums.h"

/* What is known of the PSS of a process, and what became of a reading. */
#define PSS_STATES(X)                                                                    \
	X(PSS_READ, "read")                                                              \
	X(PSS_WAITS, "waits")	      /* its turn has not come yet */                    \
	X(PSS_ENDED, "ended")	      /* it ended, or has no memory any more */          \
	X(PSS_REFUSED, "refused")     /* the kernel does not let it be read */           \
	X(PSS_HELD_UP, "held-up")     /* it, or others of its owner, hold readings up */ \
	X(PSS_NO_FILE, "no-file")     /* the kernel has no smaps_rollup */               \
	X(PSS_TOO_LARGE, "too-large") /* to read it would hold it up: PSS_RSS_MOST */    \
	X(PSS_NO_HELPER, "no-helper") /* the process that reads is gone */               \
	X(PSS_FAILED, "failed")

enum pss_state {
#define PSS_STATE(id, name) id,
	PSS_STATES(PSS_STATE)
#undef PSS_STATE
		PSS_STATE_COUNT,
};

/* "read", "waits"… */
const char *pss_state_name(enum pss_state state);
/* The state of a process whose reading returned `err`, 0 or -errno of pss_reader.h. */
enum pss_state pss_state_of(int err);

/* Bytes of RSS of a process that is read. The kernel walks through a mapping in one piece, and the
 * process can't change its mappings meanwhile. */
#define PSS_RSS_MOST (16LL << 30)

/* For how many ns nobody is read after a reading that took `took_ns` and returned `err`, 0 or
 * -errno of pss_reader.h: so long that readings take a 500th of the time. */
uint64_t pss_rest_ns(int err, uint64_t took_ns);

struct pss_book;

/* pss_book_free() frees it; NULL is allowed there. NULL: out of memory. */
struct pss_book *pss_book_new(void);
void pss_book_free(struct pss_book *book);

struct pss_process { /* one that runs */
	uint32_t image;
	pid_t pid;
	uint64_t start_boottime_ns;
	int64_t rss_bytes;
};

/* Notes which processes run now. pss_book_note(): 0, or -ENOMEM: it is not in the book, and waits.
 * pss_book_settle() forgets those that were not noted since pss_book_begin(). The book has some 100
 * bytes for each. */
void pss_book_begin(struct pss_book *book);
int pss_book_note(struct pss_book *book, const struct pss_process *process);
void pss_book_settle(struct pss_book *book);

/* The process to read next; image 0: none is due, at `now` (CLOCK_MONOTONIC, in seconds).
 *
 * In a round each process that runs at its beginning has one turn, the largest first; the next
 * round begins after some seconds at least. Every other turn is for a process that came since and
 * was never read, the largest first: however many come, the round goes on. In the first round the
 * smallest comes first: after a large one nobody is read for minutes, and nothing is known yet.
 * Those that are PSS_TOO_LARGE have no turn. */
struct pss_process pss_book_next(struct pss_book *book, double now);

/* What became of a reading, which began at `now`: PSS_READ, with bytes; or why there is none. Then
 * what was read before counts no more. Without effect if the process has ended. */
void pss_book_add(struct pss_book *book, uint32_t image, enum pss_state state, int64_t bytes,
		  int64_t swap_bytes, double now);
/* Nobody reads any more: all are PSS_NO_HELPER from now on. */
void pss_book_give_up(struct pss_book *book);

/* Fills the `pss` of all rows, which metric_book_sums() has made of the model: of the processes
 * that run, those that were read. `states` (PSS_STATE_COUNT; may be NULL) becomes the number of the
 * model's processes that run by what is known of them. 0 or -ENOMEM. */
int pss_book_put(const struct pss_book *book, const struct model *model, enum model_by by,
		 double now, struct group_sums *sums, size_t *states);

#endif

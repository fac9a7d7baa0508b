/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One process watched on one block (pymem_block.h), for `serve` and `memit`. */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pymem_block.h"
#include "kernel/session.h"

struct watch {
	struct session *session;
	const struct pymem_block *block; /* the session's; NULL: nothing is watched */
	int number;			 /* of the block */
	uint32_t images;		 /* that have begun, as far as watch_execed() has told */
	int64_t start_pages, start_tree_pages; /* RSS when it began */
};

/* RSS in pages, as read together: the peaks are never below the amounts of now. */
struct watch_figures {
	int64_t start, start_tree; /* when watching began */
	int64_t image_start;	   /* when the process last called exec, if it has since then */
	int64_t rss, peak, tree, tree_peak;
	bool partial; /* the sums lack descendants, for want of room */
};

/* Watches process `pid`, and the sum over it and its descendants, on a new block. `start_ticks` as
 * and `payer` as in struct session_target. 0, -ESRCH: it has ended, or another has that PID;
 * -EBUSY: what it runs on is watched already; -EDQUOT: the payer has too many; -ENOSPC: too many
 * processes or blocks; -errno. */
int watch_begin(struct watch *watch, struct session *session, pid_t pid, uint64_t start_ticks,
		unsigned payer);

/* Has the process called exec since this was last asked? */
bool watch_execed(struct watch *watch);

/* Both peaks of a slot begin anew. 0 or -errno. */
int watch_reset(struct watch *watch, unsigned slot);

/* For a process that is to become a command: peaks begin at its exec. Before that.
 * 0 or -errno. */
int watch_from_exec(struct watch *watch);

/* The figures of now, or the last ones; peaks are those of slot 0. */
struct watch_figures watch_read(const struct watch *watch);

/* The block says that it has ended. At once; the rest, which takes some milliseconds, is for
 * watch_end(). */
void watch_close(struct watch *watch);

/* Forgets the process and its children. The block says so, and stays as it is for who has
 * mapped it. Harmless if nothing is watched. */
void watch_end(struct watch *watch);

#endif

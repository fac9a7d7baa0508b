/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Watches one process with one counter block (pymem_block.h), for `serve` and `memit`. */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pymem_block.h"
#include "kernel/session.h"

struct watch {
	struct session *session;
	const struct pymem_block *block; /* belongs to the session; NULL: nothing is watched */
	int number;			 /* of the counter block */
	uint32_t images; /* number of images that had begun when watch_execed() was called last */
	int64_t start_pages, start_tree_pages; /* RSS when the watch began */
};

/* RSS in pages, read together: a peak is never below the amount now. */
struct watch_figures {
	int64_t start, start_tree; /* when the watch began */
	int64_t image_start;	   /* when the process called exec last; `start` if it has not */
	int64_t rss, peak, tree, tree_peak;
	bool partial; /* the sums lack some descendants for want of room */
};

/* Watches process `pid`, and the sum over it and its descendants, in a new counter block.
 * `start_ticks` and `payer` are as in struct session_target. 0; -ESRCH: it has ended, or another
 * process has its PID; -EBUSY: its image is watched already; -EDQUOT: the payer has too many;
 * -ENOSPC: too many processes or counter blocks; -errno. */
int watch_begin(struct watch *watch, struct session *session, pid_t pid, uint64_t start_ticks,
		unsigned payer);

/* True if the process has called exec since the last call. */
bool watch_execed(struct watch *watch);

/* Resets both peaks of a slot. 0 or -errno. */
int watch_reset(struct watch *watch, unsigned slot);

/* For a process that will become a command, before its exec: peaks begin at the exec. 0 or
 * -errno. */
int watch_from_exec(struct watch *watch);

/* The figures of now, or the last ones. Peaks are those of slot 0. */
struct watch_figures watch_read(const struct watch *watch);

/* Marks the counter block as ended. This is quick; watch_end() does the rest, which takes some
 * milliseconds. */
void watch_close(struct watch *watch);

/* Forgets the process and its children. The counter block is marked as ended, and stays readable
 * for those who have it mapped. Does nothing if nothing is watched. */
void watch_end(struct watch *watch);

#endif

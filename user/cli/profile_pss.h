/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The PSS of what is recorded, while it is recorded: record --pss.
 *
 * Reading it costs the kernel time, and holds up a process that changes its mappings
 * (pss_reader.h). So processes are read one after the other, once a second at most, and after each
 * reading comes a rest of PSS_REST times as long. The larger processes are, and the more there are,
 * the less often each is read. One of more than 16 GiB of RSS (PSS_RSS_MOST) is not read: that
 * would hold it up for long. */
#ifndef PROFILE_PSS_H
#define PROFILE_PSS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/loop.h"
#include "python/pss_reader.h"
#include "record/recorder.h"

#define PSS_REST 49 /* a fiftieth of the time is spent on reading */

struct profile_pss { /* all zeros: it is not read, and all functions do nothing */
	struct pss_reader reader;
	struct loop *loop;
	struct loop_fd answers;
	struct loop_timer next;
	struct recorder *recorder;
	uint32_t image;	 /* the last one that was asked for in this round; 0: none */
	uint64_t due_ns; /* when the next round begins */
	bool wanted;
	unsigned made, failed;
	unsigned too_large;	/* processes of a round that are left out, at most: PSS_RSS_MOST */
	unsigned too_large_now; /* the same of this round, so far */
	bool gave_up;		/* the helper was lost: nothing is read from then on */
};

/* Forks the helper. Call it first, so that the helper has no copy of anything that comes later. 0
 * or -errno. */
int profile_pss_fork(struct profile_pss *pss);
/* Reads the PSS of each process of the recorder from now on. 0 or -errno. */
int profile_pss_watch(struct profile_pss *pss, struct loop *loop, struct recorder *recorder);
/* Nothing is read any more. To be called before the loop and the recorder are freed. */
void profile_pss_end(struct profile_pss *pss);

#endif

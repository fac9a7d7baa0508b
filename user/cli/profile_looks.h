/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks at the heaps of what is recorded, every now and then: record --heap-every.
 *
 * A look takes seconds, and rights that the recorder gives up. So a helper that was forked before
 * makes it, by running `pymem-bpf heap`; the recorder goes on meanwhile. There is one look at a
 * time. */
#ifndef PROFILE_LOOKS_H
#define PROFILE_LOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/loop.h"
#include "record/recorder.h"

struct profile_looks { /* all zeros: there are none, and all functions do nothing */
	pid_t helper;
	int socket, pidfd;
	struct loop *loop;
	struct loop_fd answers;
	struct loop_timer next;
	struct recorder *recorder;
	double every;	 /* seconds */
	uint32_t image;	 /* the last one that was asked for in this round; 0: none */
	uint64_t due_ns; /* when the next round begins */
	double asked;	 /* when, in seconds since the epoch */
	char *answer;	 /* as far as it has come */
	size_t size, room;
	unsigned made, failed;
	bool gave_up; /* the helper was lost: there are no looks from then on */
};

/* Forks the helper. Call it first, so that the helper has no copy of anything that comes later. 0
 * or -errno. */
int profile_looks_fork(struct profile_looks *looks, double every);
/* Looks at each process of the recorder from now on. 0 or -errno. */
int profile_looks_watch(struct profile_looks *looks, struct loop *loop, struct recorder *recorder);
/* No look is begun any more, and one that goes on is dropped. To be called before the loop and the
 * recorder are freed. */
void profile_looks_end(struct profile_looks *looks);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks at heaps in brief (model/heap_brief.h), for the last words of the processes that they were
 * at: of each process the last one, and of many only the newest. */
#ifndef KEPT_LOOKS_H
#define KEPT_LOOKS_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#define KEPT_LOOKS_MOST 32 /* processes; 64 KiB each at most */

struct kept_looks { /* all zeros: empty */
	struct kept_look {
		pid_t pid;
		uint64_t start_ticks; /* proc_start_ticks() */
		double time;	      /* when the look ended, seconds since the epoch */
		char *brief;	      /* NULL: the place is free */
	} all[KEPT_LOOKS_MOST];
};

/* Keeps the brief that the file `fd` has, which is not trusted. 0; -EINVAL: it is none; another
 * -errno: it can't be read. Then the one before is kept. */
int kept_looks_take(struct kept_looks *kept, pid_t pid, uint64_t start_ticks, double time, int fd);
void kept_looks_free(struct kept_looks *kept);

/* The brief of that process, with "time" and "age_s", which is how old it was at `at` (seconds
 * since the epoch); null: there is none. The caller owns it. NULL: out of memory. */
json_t *kept_looks_find(const struct kept_looks *kept, pid_t pid, uint64_t start_ticks, double at);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: see which line makes an object, or puts one into a container, for a short while and at
 * little cost.
 *
 * Owner of the BPF object of births (bpf/births/): probes on the return of functions, which come
 * and go together where the kernel has uprobe_multi links (6.6), and debug registers on the sizes
 * of containers. One process at a time; nothing is written into its memory but the breakpoints of
 * its probes, by the kernel. */
#ifndef BIRTH_PROBES_H
#define BIRTH_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "py_layout.h"
#include "pymem_birth.h"

struct birth_target {
	pid_t pid;
	size_t watches;	  /* containers that are to be watched; 0: functions are to be probed */
	uint64_t runtime; /* address of _PyRuntime */
	struct py_layout layout;
};

struct birth_counts {
	uint64_t seen;	   /* events */
	uint64_t lost;	   /* of these: no room to tell of them */
	uint64_t unwalked; /* of these: no Python stack was found */
	uint64_t ends; /* objects of which nothing more is known: freed, or made beyond `most` */
};

struct birth_probes;

/* Offsets in a file. */
struct birth_places {
	const uint64_t *offsets;
	size_t count;
};

/* Loads the programs that are needed: each takes the verifier some time. 0: the caller owns
 * *probes; -ENOTSUP: functions can't be probed many at a time (uprobe_multi, 6.6), and one by one,
 * detaching takes 50 ms and more for each; or -errno, of libbpf and bpf(2). */
int birth_probes_open(const struct birth_target *target, struct birth_probes **probes);
/* Detaches everything. NULL is allowed. */
void birth_probes_close(struct birth_probes *probes);

/* Attaches to the return of functions that make objects, and to the beginning of functions that
 * free the one that is their first argument, in the file `fd`. 0; -ENOTSUP; -errno. Then nothing is
 * attached. */
int birth_probes_attach(struct birth_probes *probes, int fd, const struct birth_places *makers,
			const struct birth_places *destroyers);
/* Begins to detach from functions, in threads. The kernel takes the breakpoints away first, in less
 * than a millisecond, and then waits 15 ms and more for those who may still be in a probe. Where no
 * thread can be had, birth_probes_detach() does it all. */
void birth_probes_detach_begin(struct birth_probes *probes);
/* Detaches from functions, or waits until what was begun is done. */
void birth_probes_detach(struct birth_probes *probes);

/* Debug registers work, here and now? Tried on a variable of this process, since some hypervisors
 * let them be set and ignore them. 0; -ENOTSUP: they don't; -errno of perf_event_open(2). */
int birth_probes_try_watch(void);

/* Watches the sizes of at most BIRTH_WATCHES containers, or the places that lead to them, in all
 * threads that there are now; threads that come later inherit it. Those without an object are left
 * out.
 * 0; -ESRCH; -ENOSPC: there are not enough debug registers; -errno. Ended by
 * birth_probes_unwatch(). */
int birth_probes_watch(struct birth_probes *probes, const struct birth_watch *watches,
		       size_t count);
void birth_probes_unwatch(struct birth_probes *probes);
/* Has that container died, since another one was made at its address? Nothing more is told of it.
 */
bool birth_probes_watch_ended(const struct birth_probes *probes, size_t number);
/* Lets go of the debug registers for a while, and takes them again: a trap takes 10 us of the
 * target's time. */
void birth_probes_watch_on(struct birth_probes *probes, bool on);

/* From now on events are recorded, or none. Beyond `most` (0: any number) of them they have no
 * stack: only that whatever was at an address is not known any more, an event without a change. */
void birth_probes_enable(struct birth_probes *probes, bool on, uint64_t most);
/* As if `most` had been met: what comes has no stack. */
void birth_probes_no_more(struct birth_probes *probes);

/* Hands over what was recorded, without waiting. The number of events; -errno; or what `fn`
 * returned if not 0. An event is hostile: its pointers are the target's. */
typedef int birth_event_fn(void *arg, const struct birth_event *event);
int birth_probes_read(struct birth_probes *probes, birth_event_fn *fn, void *arg);

/* Was there no room for such an event since the last birth_probes_enable()? Then any other one may
 * be out of date. */
bool birth_probes_spoilt(const struct birth_probes *probes);

struct birth_counts birth_probes_counts(const struct birth_probes *probes);

#endif

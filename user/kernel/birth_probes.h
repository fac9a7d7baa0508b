/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: see which line makes an object, or puts one into a container, for a short while and at
 * little cost.
 *
 * This file owns the BPF object of births (bpf/births/). It has two means: probes on the return of
 * functions, which are attached and detached together where the kernel has uprobe_multi links
 * (6.6); and debug registers on the sizes of containers. It looks at one process at a time. Nothing
 * is written into that process's memory but the probes' breakpoints, by the kernel. */
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
	size_t watches;	  /* containers to be watched; 0: functions are to be probed */
	uint64_t runtime; /* address of _PyRuntime */
	struct py_layout layout;
};

struct birth_counts {
	uint64_t seen;	   /* events */
	uint64_t lost;	   /* of these: lost, as the ring buffer had no room */
	uint64_t unwalked; /* of these: no Python stack was found */
	uint64_t ends;	   /* objects not known any more: freed, or made beyond `most` */
};

struct birth_probes;

/* File offsets at which functions begin. */
struct birth_places {
	const uint64_t *offsets;
	size_t count;
};

/* Loads the programs that are needed; each takes the verifier some time. 0: the caller owns *probes
 * and frees it with birth_probes_close(). -ENOTSUP: this kernel can't probe many functions at a
 * time (uprobe_multi, 6.6). One by one, detaching would take 50 ms and more for each. Else -errno
 * of libbpf or bpf(2). */
int birth_probes_open(const struct birth_target *target, struct birth_probes **probes);
/* Detaches everything. NULL is allowed. */
void birth_probes_close(struct birth_probes *probes);

/* Attaches to functions in the file `fd`, which stays the caller's: to the return of `makers`,
 * which return a new object, and to the entry of `destroyers`, which free their first argument, if
 * there are any. 0.
 * After -ENOTSUP or another -errno, nothing is attached. */
int birth_probes_attach(struct birth_probes *probes, int fd, const struct birth_places *makers,
			const struct birth_places *destroyers);
/* Begins to detach from functions, in threads. The kernel removes the breakpoints first, mostly
 * within a millisecond, and then waits 15 ms and more for threads that may still be in a probe. If
 * no thread of ours can be started, birth_probes_detach() does it all. */
void birth_probes_detach_begin(struct birth_probes *probes);
/* Detaches from functions. If that was begun, waits until it is done. */
void birth_probes_detach(struct birth_probes *probes);

/* Tries whether debug registers work now, on a variable of this process: some hypervisors let them
 * be set and never raise a trap. 0: they work; -ENOTSUP: they don't; -errno of
 * perf_event_open(2). */
int birth_probes_try_watch(void);

/* Watches the sizes of at most BIRTH_WATCHES containers, or the places that lead to them, in all
 * threads that exist now; threads that these start inherit it. Watches without an object are left
 * out. 0; -ESRCH; -ENOSPC: there are not enough debug registers; -errno. Ended by
 * birth_probes_unwatch(). */
int birth_probes_watch(struct birth_probes *probes, const struct birth_watch *watches,
		       size_t count);
void birth_probes_unwatch(struct birth_probes *probes);
/* True if container `number` of birth_probes_watch() has died: another object was made at its
 * address. No more events of it come. */
bool birth_probes_watch_ended(const struct birth_probes *probes, size_t number);
/* Switches the watches off (`on` false) and on again. Each trap takes 10 us of the target's
 * time. */
void birth_probes_watch_on(struct birth_probes *probes, bool on);

/* Begins to record events (`on`), or ends that. Only the first `most` events (0: all) are recorded
 * with a stack. The change of a later one is 0: it only says that the object at its address is not
 * the recorded one any more. */
void birth_probes_enable(struct birth_probes *probes, bool on, uint64_t most);
/* As if `most` had been reached: later events have no stack. */
void birth_probes_no_more(struct birth_probes *probes);

/* Calls `fn` for each event that was recorded, without waiting; the event is valid during the call.
 * Returns the number of events, -errno, or what `fn` returned if that is less than 0. An event is
 * hostile input: its pointers are the target's. */
typedef int birth_event_fn(void *arg, const struct birth_event *event);
int birth_probes_read(struct birth_probes *probes, birth_event_fn *fn, void *arg);

/* True if an event with change 0 was lost since the last birth_probes_enable(). Then any event may
 * be of an object that another one has replaced. */
bool birth_probes_spoilt(const struct birth_probes *probes);

/* The counts since birth_probes_open(). */
struct birth_counts birth_probes_counts(const struct birth_probes *probes);

#endif

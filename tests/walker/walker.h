/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The BPF walker as part of a program, and what it needs from its surroundings.
 *
 * walker_bpf.c compiles bpf/account/account.bpf.h unchanged, with all that it includes: finding the
 * thread, the walk, fingerprints, announcements. There are two builds, as in the product: with
 * bpf_loop(), and with unrolled loops (PYMEM_LEGACY). */
#ifndef WALKER_H
#define WALKER_H

#include "pymem.h"

#ifndef __VMLINUX_H__
#include <stdbool.h>
#endif

/* What may fail besides reads. */
enum walker_step {
	WALKER_RING,   /* no room in the ring */
	WALKER_STACKS, /* no room in the map of stacks */
	WALKER_CODES,  /* no room in the map of code objects */
};

/* What the surroundings provide. */
int image_read(void *to, __u32 size, __u64 from); /* 0, or -EFAULT */
bool step_fails(enum walker_step step);
void ring_take(const void *data, __u64 size);
void walker_broken(const char *what) __attribute__((noreturn));

extern struct pymem_proc walker_proc;
extern struct pymem_thread walker_thread;

/* Starts with a process and a thread that were not seen before. What is in the ring stays. */
void walker_reset(const struct pymem_layout *layout, __u64 runtime, __u64 interp_head);

/* From now on, for this process: names.bpf.h. `rate` 0: no limit. */
void walker_limit_names(__u32 rate, __s32 left);
/* So many units of 2^20 ns pass. */
void walker_clock_on(__u64 ticks);

/* An event of the thread with that thread pointer. 0: its stack is that of walker_stack_hash();
 * else -(loss + 1). */
int walker_event(__u64 thread_pointer);
__u64 walker_stack_hash(void);
const char *walker_build(void);

/* Up to 6.1 the records of threads are a table with a quota. True if each is held by the image on
 * which it began, and given back by that image. Call walker_reset() afterwards. */
bool walker_thread_places(void);

__u32 walker_search_steps(void); /* the most thread states that an event looks at */
__u32 walker_search_limit(void); /* the most of one list, in any number of events */
__u32 walker_interpreters(void); /* the most interpreters that an event looks at */

#endif

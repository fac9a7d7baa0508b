/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The BPF walker as a part of a program, and what it asks of its surroundings.
 *
 * walker_bpf.c compiles bpf/account/account.bpf.h, unchanged, with all that this includes: finding
 * the thread, the walk, fingerprints, announcements. Two builds as in the product: bpf_loop(), and
 * unrolled loops with PYMEM_LEGACY. */
#ifndef WALKER_H
#define WALKER_H

#include "pymem.h"

#ifndef __VMLINUX_H__
#include <stdbool.h>
#endif

/* What may fail besides reads. */
enum walker_step {
	WALKER_RING,   /* no room in the ring */
	WALKER_STACKS, /* no room in a map: of stacks */
	WALKER_CODES,  /* of code objects */
};

/* Of the surroundings. */
int image_read(void *to, __u32 size, __u64 from); /* 0, or -EFAULT */
bool step_fails(enum walker_step step);
void ring_take(const void *data, __u64 size);
void walker_broken(const char *what) __attribute__((noreturn));

extern struct pymem_proc walker_proc;
extern struct pymem_thread walker_thread;

/* As for a process and a thread not seen before; what is in the ring stays. */
void walker_reset(const struct pymem_layout *layout, __u64 runtime, __u64 interp_head);

/* An event of the thread whose thread pointer that is. 0: its stack is the one of
 * walker_stack_hash(); else -(loss + 1). */
int walker_event(__u64 thread_pointer);
__u64 walker_stack_hash(void);
const char *walker_build(void);

/* Up to 6.1 the records of threads are a table with a quota: is each held by the image that it
 * began on, and given back by that one? Afterwards walker_reset(). */
bool walker_thread_places(void);

__u32 walker_search_steps(void); /* thread states that an event looks at, at most */
__u32 walker_search_limit(void); /* and of one list, in as many events as it takes */
__u32 walker_interpreters(void); /* interpreters likewise */

#endif

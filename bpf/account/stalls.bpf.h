/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stalls: waits of a thread for memory, by kind (enum pymem_stall), each nanosecond in one kind.
 *
 * The stack is walked at the end of a stall: a thread that is in the kernel runs no Python code. A
 * beginning is remembered with its kind, and only an end of the same kind ends it. So an end
 * without a beginning, as right after attaching, counts nothing; and neither does a beginning
 * without an end, as each beginning replaces the one before. Reclaim and compaction never begin
 * within one another: what frees memory (PF_MEMALLOC) gets its own memory without reclaim. But a
 * thread may be throttled within either; and all of these may be within what is done at a group's
 * memory.high. What is within is taken off what is around it.
 */
#ifndef STALLS_BPF_H
#define STALLS_BPF_H

#include "account/vmcalls.bpf.h"

/* Adds a stall of the current thread th of p, of `ns`, to the stack that it has now. */
static __always_inline void stall_add(struct pymem_proc *p, struct pymem_thread *th,
				      enum pymem_stall stall, __u64 ns, __u64 pages)
{
	struct pymem_vmcalls *v = NULL;

	/* Stalls are rare and long, so each can have its stack confirmed. */
	th->confirm = 1;
	if (!vmcalls_walk(p, th)) {
		v = vmcalls_now(p, th);
		if (!v)
			__sync_fetch_and_add(&dropped_stalls, 1);
	}
	if (!v) {
		__sync_fetch_and_add(&p->lost_stalls, 1);
		__sync_fetch_and_add(&p->lost_stall_ns, ns);
		return;
	}
	__sync_fetch_and_add(&v->stalls[stall], 1);
	__sync_fetch_and_add(&v->stall_ns[stall], ns);
	/* Of a constant 0, clang makes an atomic operation that 5.10 does not know. */
	ADD_IF(v->reclaimed_pages, pages);
}

/* How often the current task has gone to sleep so far: not how often its CPU was taken from it. */
static __always_inline __u64 times_slept(void)
{
	return BPF_CORE_READ(current_task(), nvcsw);
}

static __always_inline int stall_begins(enum pymem_stall stall)
{
	struct pymem_thread *th;
	struct pymem_proc *p;

	th = current_thread(&p);
	if (!th)
		return 0;
	th->stall = stall + 1;
	th->stall_inside = 0;
	th->stall_since = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int stall_ends(enum pymem_stall stall, __u64 pages)
{
	struct pymem_thread *th;
	struct pymem_proc *p;
	__u64 ns;

	th = current_thread(&p);
	if (!th || th->stall != stall + 1)
		return 0;
	ns = bpf_ktime_get_ns() - th->stall_since;
	th->stall = 0;
	if (th->high_since) {
		th->high_inside += ns;
		th->high_slept = times_slept();
	}
	stall_add(p, th, stall, ns - th->stall_inside, pages);
	return 0;
}

/* The current thread was throttled for `ns`, which ends now. The kernel tells that in its ticks: it
 * may be more than has passed since the stall around it began. */
static __always_inline int stall_throttled(__u64 ns)
{
	struct pymem_thread *th;
	struct pymem_proc *p;
	__u64 most;

	th = current_thread(&p);
	if (!th)
		return 0;
	if (th->stall) {
		most = bpf_ktime_get_ns() - th->stall_since - th->stall_inside;
		ns = ns < most ? ns : most;
		th->stall_inside += ns;
	} else if (th->high_since) {
		th->high_inside += ns;
	}
	stall_add(p, th, PYMEM_STALL_THROTTLED, ns, 0);
	return 0;
}

/* The current thread is about to do what it has to as its group is beyond its memory.high. */
static __always_inline int high_begins(void)
{
	struct pymem_thread *th;
	struct pymem_proc *p;

	th = current_thread(&p);
	if (!th)
		return 0;
	th->high_inside = 0;
	th->high_slept = times_slept();
	th->high_since = bpf_ktime_get_ns();
	return 0;
}

/* It has reclaimed, which is counted by itself, and then the kernel may have let it sleep. */
static __always_inline int high_ends(void)
{
	struct pymem_thread *th;
	struct pymem_proc *p;
	__u64 ns;

	th = current_thread(&p);
	if (!th || !th->high_since)
		return 0;
	ns = bpf_ktime_get_ns() - th->high_since;
	th->high_since = 0;
	if (th->high_slept != times_slept() && ns > th->high_inside)
		stall_add(p, th, PYMEM_STALL_HIGH, ns - th->high_inside, 0);
	return 0;
}

#endif

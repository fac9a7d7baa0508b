/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What goes to swap and comes back, and what other tasks take of an image.
 *
 * A page comes back in the fault that needs it: RSS grows, and right after that there are as many
 * swap entries less (do_swap_page()). Where entries go without such growth, what was swapped out
 * was freed. A page goes to swap by reclaim, mostly another task's. Its address is not told, so
 * nobody knows which line had touched it.
 */
#ifndef SWAP_BPF_H
#define SWAP_BPF_H

#include "account/huge.bpf.h"

/* Where to count for the stack that the current thread th of p collects for. NULL: in no stack. */
static __always_inline struct pymem_vmcalls *swap_stack(struct pymem_proc *p,
							struct pymem_thread *th)
{
	struct pymem_vmcalls *v = NULL;

	if (recent_current(th)) {
		v = vmcalls_now(p, th);
		if (!v)
			__sync_fetch_and_add(&dropped_swap, 1);
	}
	return v;
}

/* The current thread has changed a counter of its image, which runs on `mm`, by the stack that it
 * collects for. */
SEPARATE __s64 swap_change(__u64 mm, __u64 member, __s64 change)
{
	__u64 number = fault_number(current_task()), since;
	struct pymem_vmcalls *v;
	struct pymem_thread *th;
	struct pymem_proc *p;
	__s64 grew;

	if (!watch_swap)
		return 0;
	p = bpf_map_lookup_elem(&procs, &mm);
	th = thread_of(current_task());
	if (!p || !th)
		return 0;
	grew = th->grew_in == number ? th->grew : 0;
	th->grew = member == PYMEM_SWAP || change < 0 ? 0 : change;
	th->grew_in = number;
	if (member != PYMEM_SWAP || (change < 0 && (!watch_waits || grew < -change)))
		return 0;
	v = swap_stack(p, th);
	if (change > 0) { /* MADV_PAGEOUT */
		extra_add(p, v, PYMEM_EXTRA_SWAPPED_OUT, change);
		return 0;
	}
	extra_add(p, v, PYMEM_EXTRA_SWAPPED_IN, -change);
	if (!batched_counters && touch_found(&since))
		extra_add(p, v, PYMEM_EXTRA_SWAPIN_NS, bpf_ktime_get_ns() - since);
	return 0;
}

/* Another task, or reclaim, has changed the number of swap entries. */
static __always_inline void swap_by_others(struct pymem_proc *p, __u32 member, __s64 change)
{
	if (member != PYMEM_SWAP)
		return;
	if (change > 0)
		__sync_fetch_and_add(&p->lost_extras[PYMEM_EXTRA_SWAPPED_OUT], change);
	else
		__sync_fetch_and_add(&p->lost_extras[PYMEM_EXTRA_SWAPPED_IN], -change);
}

/* The place of the current task among those that took pages of p. NULL: there are no more. */
static __always_inline struct pymem_taker *taker_of(struct pymem_proc *p)
{
	__u32 pid = (__u32)bpf_get_current_pid_tgid();

#pragma unroll
	for (int i = 0; i < PYMEM_TAKERS; i++) {
		struct pymem_taker *taker = &p->takers[i];

		if (!taker->pid && first_to_claim(&taker->pid, pid))
			bpf_get_current_comm(taker->comm, sizeof(taker->comm));
		if (taker->pid == pid)
			return taker;
	}
	return NULL;
}

/* The current task, of which `mm` is not the one, has changed RSS of the image that runs there. */
SEPARATE __s64 taken(__u64 mm, __u64 member, __s64 change)
{
	struct pymem_taker *taker;
	struct pymem_proc *p;

	if (!watch_takers || member == PYMEM_SWAP || change >= 0)
		return 0;
	p = bpf_map_lookup_elem(&procs, &mm);
	if (!p)
		return 0;
	__sync_fetch_and_add(&p->lost_extras[PYMEM_EXTRA_TAKEN], -change);
	taker = taker_of(p);
	if (taker)
		__sync_fetch_and_add(&taker->pages, -change);
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Huge pages that become resident as a whole: RSS grows by all their pages at once. Nothing else
 * makes anonymous memory grow by so much in one event, whether a fault did it or a system call. */
#ifndef HUGE_BPF_H
#define HUGE_BPF_H

#include "account/vmcalls.bpf.h"

/* Adds `count` to a figure of the stack that the current thread th of p (NULL: another task)
 * collects for, or else to what no stack has. */
static __always_inline void extra_add(struct pymem_proc *p, struct pymem_vmcalls *v,
				      enum pymem_extra extra, __u64 count)
{
	ADD_IF(*(v ? &v->extras[extra] : &p->lost_extras[extra]), count);
}

/* The current thread has changed a counter of its image, which runs on `mm`, by the stack that it
 * collects for. */
SEPARATE __s64 huge_change(__u64 mm, __u64 member, __s64 change)
{
	struct pymem_vmcalls *v = NULL;
	struct pymem_thread *th;
	struct pymem_proc *p;

	if (!watch_huge || member != PYMEM_ANON || change <= 0 || (__u64)change % watch_huge)
		return 0;
	p = bpf_map_lookup_elem(&procs, &mm);
	th = thread_of(current_task());
	if (!p || !th)
		return 0;
	if (recent_current(th)) {
		v = vmcalls_now(p, th);
		if (!v)
			__sync_fetch_and_add(&dropped_huge, 1);
	}
	extra_add(p, v, PYMEM_EXTRA_HUGE_PAGES, (__u64)change / watch_huge);
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: the sleep of a thread whose control group uses more than its memory.high. There is no
 * tracepoint for it. It is from the begin to the end of the function in which the kernel lets such
 * a thread reclaim and then sleep, mostly before it returns to user mode; what it reclaims there is
 * counted by source_reclaim, and taken off.
 *
 * psi_memstall_enter() and _leave() enclose the sleep as well, but also waits for pages that come
 * back from a disk, and nothing tells these apart.
 */
#define OWN_SCRATCH call
#include "python/own_scratch.bpf.h"

#include "account/stalls.bpf.h"

struct task_struct___high {
	unsigned int memcg_nr_pages_over_high;
} __attribute__((preserve_access_index));

/* User space puts the function's other name here, where it has that (source_reclaim.c). */
SEC("fentry/mem_cgroup_handle_over_high")
int high_begin(void *ctx __attribute__((unused)))
{
	const struct task_struct___high *task = (const void *)current_task();

	/* Up to 6.17 it is called whenever a thread that had something to do on its way returns to
	 * user mode, which mostly was something else. */
	return BPF_CORE_READ(task, memcg_nr_pages_over_high) ? high_begins() : 0;
}

SEC("fexit/mem_cgroup_handle_over_high")
int high_end(void *ctx __attribute__((unused)))
{
	return high_ends();
}

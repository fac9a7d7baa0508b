/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: small pages of a process that the kernel puts together into a huge one (a collapse). What
 * had no page there gets one, filled with zeros. khugepaged does it for all processes, and a thread
 * for its own, or for another process, by MADV_COLLAPSE (6.1).
 *
 * How many pages were missing is told when the small ones are taken, whether it succeeded is told
 * at its end, both by the task that does it. In between it is kept by PID: another task may have
 * the same place, and then the collapse is counted without the pages that it added.
 *
 * Huge pages that become resident as a whole are counted where RSS changes (account/huge.bpf.h).
 */
#define OWN_SCRATCH stall
#include "python/own_scratch.bpf.h"

#include "account/huge.bpf.h"

#define SCAN_SUCCEED 1 /* mm/khugepaged.c, enum scan_result */

#define COLLAPSING 64 /* a power of two */

/* By PID: that PID, and in the lower half what is missing. 0: nothing. */
__u64 collapsing[COLLAPSING];

static __always_inline __u64 *collapse_of(__u32 pid)
{
	return &collapsing[pid & (COLLAPSING - 1)];
}

/* (folio or page, pages that were missing or of zeros, referenced, …, status): the same order from
 * 5.10 to 7.2. */
SEC("raw_tp/mm_collapse_huge_page_isolate")
int collapse_isolates(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 pid = (__u32)bpf_get_current_pid_tgid();

	*collapse_of(pid) = (__u64)pid << 32 | (__u32)ctx->args[1];
	return 0;
}

/* What the current task has added in the collapse that ends now, in pages. */
static __always_inline __u32 collapse_filled(void)
{
	__u32 pid = (__u32)bpf_get_current_pid_tgid(), missing;
	__u64 *collapse = collapse_of(pid), found = *collapse;

	if (found >> 32 != pid)
		return 0;
	*collapse = 0;
	missing = (__u32)found;
	return missing <= watch_huge ? missing : 0;
}

/* (mm, isolated, status). */
SEC("raw_tp/mm_collapse_huge_page")
int collapse_ends(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 mm = ctx->args[0], filled;
	struct pymem_vmcalls *v = NULL;
	struct pymem_thread *th = NULL;
	struct pymem_proc *p;

	if (!mm_filter[mm_slot(mm)])
		return 0;
	p = bpf_map_lookup_elem(&procs, &mm);
	if (!p || p->dying)
		return 0;
	filled = collapse_filled();
	if ((__s32)ctx->args[2] != SCAN_SUCCEED)
		return 0;
	if (current_runs_on(mm))
		th = thread_get(p);
	if (th && !vmcalls_walk(p, th)) {
		v = vmcalls_now(p, th);
		if (!v)
			__sync_fetch_and_add(&dropped_huge, 1);
	}
	extra_add(p, v, PYMEM_EXTRA_COLLAPSES, 1);
	extra_add(p, v, PYMEM_EXTRA_COLLAPSE_FILLED, filled);
	return 0;
}

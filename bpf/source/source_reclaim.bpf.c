/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sources: stalls, in which a thread frees memory itself before it gets some. Three kinds: direct
 * reclaim, since the host is short of memory; reclaim of a control group that is at its limit; and
 * compaction, to get a large page.
 *
 * The stack is walked at the end of a stall: a thread that is in the kernel runs no Python code. A
 * beginning is remembered with its kind, and only an end of the same kind ends it. So an end
 * without a beginning, as right after attaching, counts nothing; and neither does a beginning
 * without an end, as each beginning replaces the one before. The kernel never begins one of them
 * within another: what frees memory (PF_MEMALLOC) gets its own memory without reclaim.
 *
 * Not in here: kswapd and other tasks, which make nobody wait; and the sleep of a group beyond its
 * memory.high, for which there is no tracepoint.
 */
#define OWN_SCRATCH stall
#include "python/own_scratch.bpf.h"

#include "account/vmcalls.bpf.h"

static __always_inline int stall_begins(enum pymem_stall stall)
{
	struct pymem_thread *th;
	struct pymem_proc *p;

	th = current_thread(&p);
	if (!th)
		return 0;
	th->stall = stall + 1;
	th->stall_since = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int stall_ends(enum pymem_stall stall, __u64 pages)
{
	struct pymem_vmcalls *v = NULL;
	struct pymem_thread *th;
	struct pymem_proc *p;
	__u64 ns;

	th = current_thread(&p);
	if (!th || th->stall != stall + 1)
		return 0;
	ns = bpf_ktime_get_ns() - th->stall_since;
	th->stall = 0;
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
		return 0;
	}
	__sync_fetch_and_add(&v->stalls[stall], 1);
	__sync_fetch_and_add(&v->stall_ns[stall], ns);
	/* Of a constant 0, clang makes an atomic operation that 5.10 does not know. */
	ADD_IF(v->reclaimed_pages, pages);
	return 0;
}

SEC("raw_tp/mm_vmscan_direct_reclaim_begin")
int direct_begin(struct bpf_raw_tracepoint_args *ctx __attribute__((unused)))
{
	return stall_begins(PYMEM_STALL_DIRECT);
}

SEC("raw_tp/mm_vmscan_direct_reclaim_end")
int direct_end(struct bpf_raw_tracepoint_args *ctx)
{
	return stall_ends(PYMEM_STALL_DIRECT, ctx->args[0]);
}

SEC("raw_tp/mm_vmscan_memcg_reclaim_begin")
int memcg_begin(struct bpf_raw_tracepoint_args *ctx __attribute__((unused)))
{
	return stall_begins(PYMEM_STALL_MEMCG);
}

SEC("raw_tp/mm_vmscan_memcg_reclaim_end")
int memcg_end(struct bpf_raw_tracepoint_args *ctx)
{
	return stall_ends(PYMEM_STALL_MEMCG, ctx->args[0]);
}

SEC("raw_tp/mm_compaction_begin")
int compaction_begin(struct bpf_raw_tracepoint_args *ctx __attribute__((unused)))
{
	return stall_begins(PYMEM_STALL_COMPACTION);
}

SEC("raw_tp/mm_compaction_end")
int compaction_end(struct bpf_raw_tracepoint_args *ctx __attribute__((unused)))
{
	return stall_ends(PYMEM_STALL_COMPACTION, 0);
}

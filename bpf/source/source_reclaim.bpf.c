/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sources: stalls that tracepoints tell of (account/stalls.bpf.h). In three kinds of them a thread
 * frees memory itself before it gets some: direct reclaim, since the host is short of memory;
 * reclaim of a control group that is at its limit; and compaction, to get a large page. In the
 * fourth it is made to wait within these, until others have freed or written some.
 *
 * Not in here: kswapd and other tasks, which make nobody wait.
 */
#define OWN_SCRATCH stall
#include "python/own_scratch.bpf.h"

#include "account/stalls.bpf.h"

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

/* (node, timeout in us, of which so much has passed, reason): told at its end, since 5.16. */
SEC("raw_tp/mm_vmscan_throttled")
int throttled(struct bpf_raw_tracepoint_args *ctx)
{
	return stall_throttled((__u64)(__u32)ctx->args[2] * 1000);
}

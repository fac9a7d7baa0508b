/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waits of threads that free memory themselves (bpf/source/source_reclaim.bpf.c). A source for each
 * kind: kernels without control groups, or without compaction, lack the tracepoints of these. */
#include "kernel/event_source.h"

static bool stalls_are_asked(const struct session_options *options)
{
	return options->stalls;
}

const struct event_source source_reclaim = {
	.name = "reclaim",
	.programs = {"direct_begin", "direct_end"},
	.asked = stalls_are_asked,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("mm_vmscan_direct_reclaim_begin"),
					  KERNEL_TRACEPOINT("mm_vmscan_direct_reclaim_end")},
				.what = "tracepoints vmscan:mm_vmscan_direct_reclaim_* (for "
					"--events reclaim)",
				.remedy = "waits for reclaim of the host's memory are not counted",
				.note = "this kernel has no mm_vmscan_direct_reclaim tracepoints: "
					"waits for reclaim of the host's memory are not counted",
			},
		},
	.dropped = "dropped_stalls",
	.dropped_text = "waits for reclaim are in no line: table full; raise --max-stacks",
};

const struct event_source source_memcg = {
	.name = "memcg",
	.programs = {"memcg_begin", "memcg_end"},
	.asked = stalls_are_asked,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("mm_vmscan_memcg_reclaim_begin"),
					  KERNEL_TRACEPOINT("mm_vmscan_memcg_reclaim_end")},
				.what = "tracepoints vmscan:mm_vmscan_memcg_reclaim_* (for "
					"--events "
					"reclaim)",
				.detail = "not the sleep of a group beyond its memory.high",
				.remedy = "waits for reclaim in a control group are not counted",
				.note = "this kernel has no mm_vmscan_memcg_reclaim tracepoints: "
					"waits for reclaim in a control group are not counted",
			},
		},
};

const struct event_source source_compaction = {
	.name = "compaction",
	.programs = {"compaction_begin", "compaction_end"},
	.asked = stalls_are_asked,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("mm_compaction_begin"),
					  KERNEL_TRACEPOINT("mm_compaction_end")},
				.what = "tracepoints compaction:mm_compaction_begin, _end (for "
					"--events reclaim)",
				.remedy = "waits for compaction are not counted",
				.note = "this kernel has no mm_compaction tracepoints: waits for "
					"compaction are not counted",
			},
		},
};

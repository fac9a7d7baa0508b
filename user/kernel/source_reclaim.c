/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Waits of threads for memory (bpf/source/source_reclaim.bpf.c, source_high.bpf.c). A source for
 * each kind: kernels without control groups, or without compaction, lack the tracepoints of these.
 */
#include <bpf/libbpf.h>

#include "kernel/event_source.h"
#include "kernel/session_private.h"

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

const struct event_source source_throttled = {
	.name = "throttled",
	.programs = {"throttled"},
	.asked = stalls_are_asked,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("mm_vmscan_throttled")},
				.what = "tracepoint vmscan:mm_vmscan_throttled (for --events "
					"reclaim)",
				.remedy = "waits until others have freed memory are not told apart",
				.note = "this kernel has no mm_vmscan_throttled tracepoint: waits "
					"until others have freed memory count as reclaim",
			},
		},
};

/* The function in which a thread sleeps whose group is beyond its memory.high; from 6.18 on it is
 * called only if there is something to do, and has another name. */
static const struct kernel_btf_wanted plain_name = KERNEL_FUNCTION("mem_cgroup_handle_over_high"),
				      other_name = KERNEL_FUNCTION("__mem_cgroup_handle_over_high");

static void configure_high(struct session *session, bool loaded)
{
	struct session_source *high = &session->sources[EVENT_SOURCE_high];

	if (!loaded || kernel_has(&session->kernel, &plain_name))
		return;
	/* If it fails, so will the load: there is no function of the name that they have. */
	for (int i = 0; i < SOURCE_PROGRAMS_MAX && high->programs[i]; i++)
		bpf_program__set_attach_target(high->programs[i], 0, other_name.name);
}

const struct event_source source_high = {
	.name = "high",
	.programs = {"high_begin", "high_end"},
	.asked = stalls_are_asked,
	.needs =
		{
			{
				.types = {KERNEL_FUNCTION("mem_cgroup_handle_over_high"),
					  KERNEL_FUNCTION("__mem_cgroup_handle_over_high")},
				.one_of = true,
				.met = kernel_has_function_ends,
				.what = "BPF programs at mem_cgroup_handle_over_high (for --events "
					"reclaim)",
				.remedy = "the sleep of a group beyond its memory.high is not "
					  "counted",
				.note = "this kernel lets no BPF program be attached to "
					"mem_cgroup_handle_over_high: the sleep of a group beyond "
					"its memory.high is not counted",
			},
		},
	.passed_text = "sleeps of groups beyond their memory.high, of all processes, were passed "
		       "over by the kernel: one of another thread was just being counted on that "
		       "CPU; so many may be missing",
	.configure = configure_high,
};

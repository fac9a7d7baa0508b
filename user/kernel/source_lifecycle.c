/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fork, exec and exit: the beginnings and ends of images. Also the programs that user space runs:
 * to track a process, to settle images, to read what threads have collected
 * (bpf/source/source_lifecycle.bpf.c). */
#include "kernel/event_source.h"

const struct event_source source_lifecycle = {
	.name = "lifecycle",
	.programs = {"process_exit", "process_exec", "process_fork"},
	.others = {"attach_wanted", "settle", "collect"},
	.turn = SOURCE_LIFECYCLE,
	.needs =
		{
			{
				.types = {KERNEL_ENUMERATOR("bpf_map_type", "BPF_MAP_TYPE_RINGBUF"),
					  KERNEL_STRUCT("bpf_iter__task")},
				.what = "BPF ring buffer, task iterator",
				.remedy = "use kernel 5.10 or newer",
				.refusal = "the kernel is too old (no BPF ring buffer or task "
					   "iterator): 5.10 or newer is needed",
			},
			{
				/* The counters of an image are found when it begins. */
				.applies = kernel_is_batched,
				.what = "RSS counters",
				.detail =
					"batched per task (6.1 and older): read at each page fault",
			},
			{
				.applies = kernel_is_per_cpu,
				.types = {KERNEL_ENUMERATOR("bpf_func_id",
							    "BPF_FUNC_map_lookup_percpu_elem")},
				.what = "RSS counters",
				.detail = "per CPU (6.2 and newer): exact at each change",
				.remedy = "this kernel mixes features of different releases; "
					  "please report it",
				.refusal = "the kernel lacks bpf_map_lookup_percpu_elem: 5.19 or "
					   "newer has it",
			},
		},
};

/* Where programs of tracepoints can be preempted, the kernel passes over events. So these are seen
 * twice there, and an exit three times (bpf/account/lifecycle.bpf.h). */
const struct event_source source_again = {
	.name = "again",
	.programs = {"exit_again", "exec_again", "fork_again", "process_free"},
	.turn = SOURCE_LIFECYCLE,
	.part_of = &source_lifecycle,
	.only_on = kernel_is_preemptible,
};

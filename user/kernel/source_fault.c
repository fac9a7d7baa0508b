/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Page faults (bpf/source/source_fault.bpf.c). If the kernel counts RSS in batches per task,
 * changes are seen at page faults only: there each session needs them. */
#include "kernel/event_source.h"
#include "kernel/session_private.h"

static bool faults_are_asked(const struct session_options *options)
{
	return options->faults;
}

static void configure(struct session *session, bool loaded)
{
	*session->bpf.knob.count_faults = loaded;
}

const struct event_source source_fault = {
	.name = "fault",
	.programs = {"fault_user", "fault_kernel"},
	.asked = faults_are_asked,
	.required = kernel_is_batched,
	.needs =
		{
			{
				.applies = kernel_is_batched,
				.types = {KERNEL_TRACEPOINT("page_fault_user"),
					  KERNEL_TRACEPOINT("page_fault_kernel")},
				.what = "page fault tracepoints",
				.remedy = "without them, this kernel's counters are seen only "
					  "about every 64 faults: use 6.2 or newer",
				/* Without page faults a change is seen only when the task's cache
				 * is emptied, about every 64 faults. It could not be charged to a
				 * line. */
				.refusal = "before 6.2, the kernel's counters must be read at each "
					   "page fault, and this one has no page fault tracepoints "
					   "(arm64 has none): 6.2 or newer is needed",
			},
			{
				.applies = kernel_is_per_cpu,
				.types = {KERNEL_TRACEPOINT("page_fault_user"),
					  KERNEL_TRACEPOINT("page_fault_kernel")},
				.what = "page fault tracepoints",
				.remedy = "arm64 has none; faults and copies on write are not "
					  "counted, amounts are not affected",
				.note = "this kernel has no page fault tracepoints: faults and "
					"copies on write are not counted",
			},
		},
	.shed = "page faults",
	.touches = true,
	.configure = configure,
};

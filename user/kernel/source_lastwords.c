/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the threads of a process were when a signal ended it (bpf/source/source_lastwords.bpf.c).
 * What tells the OOM killer from others is a source of its own. */
#include "kernel/event_source.h"

static bool words_are_asked(const struct session_options *options)
{
	return options->last_words;
}

const struct event_source source_lastwords = {
	.name = "lastwords",
	.programs = {"signal_sent", "signal_delivered"},
	.asked = words_are_asked,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("signal_generate"),
					  KERNEL_TRACEPOINT("signal_deliver")},
				.what = "tracepoints signal:signal_generate, _deliver",
				.remedy = "reports do not say where a process was when it was "
					  "killed",
				.note = "this kernel has no signal_generate and signal_deliver "
					"tracepoints: where a process was when it was killed is "
					"not known",
			},
		},
	.dropped = "dropped_words",
	.dropped_text =
		"threads of processes that were killed are missing: ring buffer full; raise "
		"--ring-size",
};

const struct event_source source_victims = {
	.name = "victims",
	.programs = {"victim_marked"},
	.part_of = &source_lastwords,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("mark_victim")},
				.what = "tracepoint oom:mark_victim",
				.remedy = "kills by the OOM killer are not told from others",
				.note = "this kernel has no mark_victim tracepoint: kills by the "
					"OOM killer are not told from others",
			},
		},
};

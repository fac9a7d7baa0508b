/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which stack makes page tables grow (bpf/source/source_tables.bpf.c). At page faults it is a
 * source of its own: arm64 has no tracepoints there. */
#include "kernel/event_source.h"
#include "kernel/session_private.h"

static bool kernel_is_asked(const struct session_options *options)
{
	return options->kernel;
}

static void configure(struct session *session, bool loaded)
{
	bpf_map__set_autocreate(session->bpf.map.kernel_sums, loaded);
	if (loaded)
		session_set_size(session, session->bpf.map.kernel_sums,
				 session->options.max_stacks / 4);
	*session->bpf.knob.watch_kernel = loaded;
}

const struct event_source source_tables = {
	.name = "tables",
	.programs = {"tables_rss"},
	.turn = SOURCE_BEFORE_LIFECYCLE,
	.asked = kernel_is_asked,
	.needs =
		{
			{
				/* All kernels from 4.15 on have it. */
				.what = "sizes of page tables (for --events kernel)",
			},
		},
	.configure = configure,
};

const struct event_source source_table_faults = {
	.name = "table_faults",
	.programs = {"tables_fault_user", "tables_fault_kernel"},
	.turn = SOURCE_BEFORE_LIFECYCLE,
	.part_of = &source_tables,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("page_fault_user"),
					  KERNEL_TRACEPOINT("page_fault_kernel")},
				.what = "page fault tracepoints (for --events kernel)",
				.remedy = "page tables that come without a change of RSS are at a "
					  "later line",
				.note = "this kernel has no page fault tracepoints: page tables "
					"that come without a change of RSS are at a later line",
			},
		},
};

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Huge pages: those that become resident as a whole, which programs of the source `rss` count if
 * the knob says so (bpf/account/huge.bpf.h), and those that the kernel puts together
 * (bpf/source/source_huge.bpf.c). */
#include <unistd.h>

#include "kernel/event_source.h"
#include "kernel/session_private.h"

static bool huge_is_asked(const struct session_options *options)
{
	return options->huge;
}

static void configure(struct session *session, bool loaded)
{
	size_t pages = session->kernel.huge_page_bytes / (size_t)sysconf(_SC_PAGESIZE);

	*session->bpf.knob.watch_huge = loaded ? (__u32)pages : 0;
}

const struct event_source source_huge = {
	.name = "huge",
	.asked = huge_is_asked,
	.needs =
		{
			{
				.met = kernel_has_huge_pages,
				.what = "transparent huge pages (for --events huge)",
				.remedy = "this kernel has none, so there are none to count",
				.note = "this kernel has no transparent huge pages: there are none "
					"to count",
			},
		},
	.dropped = "dropped_huge",
	.dropped_text = "huge pages are in no line: table full; raise --max-stacks",
	.configure = configure,
};

const struct event_source source_collapse = {
	.name = "collapse",
	.programs = {"collapse_isolates", "collapse_ends"},
	.part_of = &source_huge,
	.needs =
		{
			{
				.applies = kernel_has_huge_pages,
				.types = {KERNEL_TRACEPOINT("mm_collapse_huge_page_isolate"),
					  KERNEL_TRACEPOINT("mm_collapse_huge_page")},
				.what = "tracepoints huge_memory:mm_collapse_huge_page, _isolate "
					"(for --events huge)",
				.remedy = "small pages that become huge ones are not counted",
				.note = "this kernel has no mm_collapse_huge_page tracepoints: "
					"small pages that become huge ones are not counted",
			},
		},
};

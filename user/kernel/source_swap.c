/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What goes to swap and comes back, and what other tasks take of a process. They have no programs
 * of their own: those of the source `rss` count it, if the knobs say so (bpf/account/swap.bpf.h).
 */
#include "kernel/event_source.h"
#include "kernel/session_private.h"

static bool swap_is_asked(const struct session_options *options)
{
	return options->swap;
}

static bool external_is_asked(const struct session_options *options)
{
	return options->external;
}

static void configure_swap(struct session *session, bool loaded)
{
	*session->bpf.knob.watch_swap = loaded;
}

static void configure_swap_in(struct session *session, bool loaded)
{
	*session->bpf.knob.watch_waits = loaded;
}

static void configure_external(struct session *session, bool loaded)
{
	*session->bpf.knob.watch_takers = loaded;
}

const struct event_source source_swap = {
	.name = "swap",
	.asked = swap_is_asked,
	.dropped = "dropped_swap",
	.dropped_text = "pages of swap are in no line: table full; raise --max-stacks",
	.configure = configure_swap,
};

const struct event_source source_swap_in = {
	.name = "swap_in",
	.part_of = &source_swap,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("page_fault_user"),
					  KERNEL_TRACEPOINT("page_fault_kernel")},
				.met = kernel_is_per_cpu,
				.what = "page faults told one by one (for --events swap)",
				.remedy = "which lines bring pages back from swap is not counted: "
					  "that needs 6.2 or newer, and page fault tracepoints "
					  "(arm64 has none)",
				.note = "which lines bring pages back from swap, and how long they "
					"wait, is not counted: that needs Linux 6.2 or newer, and "
					"page fault tracepoints (arm64 has none)",
			},
		},
	.configure = configure_swap_in,
};

const struct event_source source_external = {
	.name = "external",
	.asked = external_is_asked,
	.configure = configure_external,
};

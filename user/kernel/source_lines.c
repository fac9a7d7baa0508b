/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CPython's own probes, with one event for each line that runs: the exact engine
 * (bpf/source/source_usdt.bpf.c). session_probes.c attaches them to files. */
#include "kernel/event_source.h"
#include "kernel/session_private.h"

#define PLACES		16384 /* of probes in processes; a process has about ten */
#define LINE_STACKS_MIN 1024

static bool lines_are_asked(const struct session_options *options)
{
	return options->lines;
}

static bool has_uprobes(const struct kernel_features *kernel)
{
	return kernel->uprobes;
}

static void configure(struct session *session, bool loaded)
{
	const struct session_options *options = &session->options;
	unsigned stacks = options->max_stacks, images = options->max_images;
	struct bpf_map *const maps[] = {session->bpf.map.lines, session->bpf.map.line_stacks,
					session->bpf.map.line_blank, session->bpf.map.places};

	session->bpf.variable.table_rooms[PYMEM_TABLE_LINES] = stacks;
	*session->bpf.knob.by_function = options->functions;
	/* The last two, and the knob, exist only in the legacy build. */
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		if (maps[i] && !loaded)
			bpf_map__set_autocreate(maps[i], false);
	if (session->bpf.knob.probe_cookies)
		*session->bpf.knob.probe_cookies = session->cookies;
	if (!loaded)
		return;
	session_set_size(session, session->bpf.map.lines, stacks);
	if (session->kernel.batched_counters) {
		/* 8 KiB each, allocated at the load. */
		session_set_size(session, session->bpf.map.line_stacks,
				 images < LINE_STACKS_MIN ? LINE_STACKS_MIN : images);
		session_set_size(session, session->bpf.map.places, session->cookies ? 1 : PLACES);
	}
}

const struct event_source source_lines = {
	.name = "lines",
	.programs = {"lines_exit", "lines_exec"},
	.others = {"line", "function_entry", "function_return", "gc_start", "gc_done",
		   "lines_settle"},
	.turn = SOURCE_BEFORE_LIFECYCLE,
	.asked = lines_are_asked,
	.needs =
		{
			{
				.met = has_uprobes,
				.what = "uprobes with reference counts (for --lines, --functions)",
				.remedy = "--lines and --functions can't be used: this kernel "
					  "lacks CONFIG_UPROBE_EVENTS",
				.refusal =
					"--lines and --functions need uprobes with reference "
					"counts, which this kernel lacks (CONFIG_UPROBE_EVENTS); "
					"leave them out",
			},
			{
				.applies = has_uprobes,
				.allowed = kernel_allows_uprobes,
				.what = "privileges for --lines, --functions",
				.remedy = "--lines and --functions can't be used: this kernel asks "
					  "for CAP_SYS_ADMIN where a uprobe is opened; run as "
					  "root, or "
					  "add it",
			},
		},
	.configure = configure,
};

/* See source_again. */
const struct event_source source_lines_again = {
	.name = "lines_again",
	.programs = {"lines_exit_again", "lines_exec_again"},
	.turn = SOURCE_BEFORE_LIFECYCLE,
	.part_of = &source_lines,
	.only_on = kernel_is_preemptible,
};

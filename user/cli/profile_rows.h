/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rows of the main job that `record` and `report` have, too, so that an option has the same letter,
 * bounds and words in all of them. As in shared_rows.h, each file with rows defines AT(field); the
 * fields are those of struct profile_options. */
#ifndef PROFILE_ROWS_H
#define PROFILE_ROWS_H

#include "cli/profile_options.h"
#include "cli/shared_rows.h"

#define PROFILE_ROW_DURATION                                                                  \
	{                                                                                     \
		.name = "duration", .letter = 'd', .argument = "SEC", .type = OPTION_SECONDS, \
		AT(duration), .most = 1e9, .help = "stop after SEC seconds; 30s, 5m, 1h"      \
	}
#define PROFILE_ROW_LINES                                                                    \
	{                                                                                    \
		.name = "lines", .letter = 'l', .type = OPTION_VALUE, AT(engine),            \
		.value = PROFILE_LINES, .help = "the exact engine, on CPython's line probes" \
	}
#define PROFILE_ROW_FUNCTIONS                                                                      \
	{                                                                                          \
		.name = "functions", .type = OPTION_VALUE, AT(engine), .value = PROFILE_FUNCTIONS, \
		.help = "calls and amounts of each function, by CPython's probes\n"                \
			"of functions"                                                             \
	}
#define PROFILE_ROW_TOUCHED(text)                                                 \
	{                                                                         \
		.name = "touched", .type = OPTION_FLAG, AT(touched), .help = text \
	}
#define PROFILE_ROW_THREADS                                                              \
	{                                                                                \
		.name = "threads", .type = OPTION_FLAG, AT(threads),                     \
		.help = "tell threads apart, in stacks: flame graphs, pprof, --tree …" \
	}
#define PROFILE_ROW_EVENTS                                                            \
	{                                                                             \
		.name = "events", .argument = "LIST", .type = OPTION_SET, AT(events), \
		.choices = profile_events,                                            \
		.help = "count these; the first three are counted anyway:\n{}"        \
	}
#define PROFILE_ROW_NO_FAULTS                                            \
	{                                                                \
		.name = "no-faults", .type = OPTION_FLAG, AT(no_faults), \
		.help = "do not count page faults"                       \
	}
#define PROFILE_ROW_NO_SYSCALLS                                              \
	{                                                                    \
		.name = "no-syscalls", .type = OPTION_FLAG, AT(no_syscalls), \
		.help = "do not count brk, mmap, munmap, mremap, madvise"    \
	}
#define PROFILE_ROW_SYS_EXIT                                                    \
	{                                                                       \
		.name = "sys-exit", .type = OPTION_FLAG, AT(sys_exit),          \
		.help = "count them, madvise too, also where that makes each\n" \
			"system call of the host dearer"                        \
	}
#define PROFILE_ROW_FUNCTION                                                                \
	{                                                                                   \
		.name = "function", .letter = 'f', .argument = "NAME", .type = OPTION_TEXT, \
		AT(function), .noun = "a function's name",                                  \
		.help = "annotated source of that function"                                 \
	}
#define PROFILE_ROW_SORT                                                                           \
	{                                                                                          \
		.name = "sort", .letter = 's', .argument = "KEY", .type = OPTION_CHOICE, AT(sort), \
		.choices = profile_sorts, .help = "{}"                                             \
	}
#define PROFILE_ROW_BY                                                                 \
	{                                                                              \
		.name = "by", .argument = "WHAT", .type = OPTION_CHOICE, AT(by),       \
		.choices = profile_bys, .help = "what grew most, instead of lines: {}" \
	}
#define PROFILE_ROW_TREE                                          \
	{                                                         \
		.name = "tree", .type = OPTION_FLAG, AT(tree),    \
		.help = "all callers as a tree, instead of lines" \
	}
#define PROFILE_ROW_METRIC                                                               \
	{                                                                                \
		.name = "metric", .argument = "NAME", .type = OPTION_CHOICE, AT(metric), \
		.choices = profile_metrics, .preset = "grown",                           \
		.help = "with --format folded; what flamegraph and html show first: {}"  \
	}
#define PROFILE_ROW_REDACT                                                                \
	{                                                                                 \
		.name = "redact", .type = OPTION_FLAG, AT(redact),                        \
		.help = "for others: no source, no arguments, no paths above the package" \
	}
#define PROFILE_ROW_PEAK(text)                                              \
	{                                                                   \
		.name = "peak", .type = OPTION_FLAG, AT(peak), .help = text \
	}

#endif

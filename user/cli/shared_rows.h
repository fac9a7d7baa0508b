/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rows of options (options.h) that several commands have. So an option has the same letter, bounds
 * and default wherever it is.
 *
 * The command's struct has a field of the name that is in AT() here. Each file with rows defines
 * the macro AT(field), by OPTION_AT(). `text` is the help, where commands differ in it. What is
 * passed as `...` is added to the row. */
#ifndef SHARED_ROWS_H
#define SHARED_ROWS_H

#include "cli/options.h"

/* For commands that make or read recordings. */
#define LACKS_MEMORY                                                                              \
	{                                                                                         \
		"memory", "--memory: recordings have no figures of control groups; "              \
			  "pymem-bpf -p PID --memory cgroup --record FILE prints them and makes " \
			  "a recording"                                                           \
	}

/* Bounds of a PID: 2^22 is PID_MAX_LIMIT, include/linux/threads.h. */
#define ROW_PID_BOUNDS .least = 1, .most = 1 << 22

/* pid_t *pids; size_t pid_count, in `struct_type`. */
#define ROW_PIDS(struct_type, text, ...)                                                     \
	{                                                                                    \
		.name = "pid", .letter = 'p', .argument = "PID[,PID…]", .type = OPTION_PIDS, \
		AT(pids), .count_offset = offsetof(struct_type, pid_count), ROW_PID_BOUNDS,  \
		.help = text, __VA_ARGS__                                                    \
	}

/* bool all. */
#define ROW_ALL(text)                                                                    \
	{                                                                                \
		.name = "all", .letter = 'a', .type = OPTION_FLAG, AT(all), .help = text \
	}

/* double seconds. */
#define ROW_DURATION(text)                                                                    \
	{                                                                                     \
		.name = "duration", .letter = 'd', .argument = "SEC", .type = OPTION_SECONDS, \
		AT(seconds), .least = 0.001, .most = 1e9, .help = text                        \
	}

/* const char *output. */
#define ROW_OUTPUT(text)                                                                  \
	{                                                                                 \
		.name = "output", .letter = 'o', .argument = "FILE", .type = OPTION_FILE, \
		AT(output), .noun = "a file name", .help = text                           \
	}
#define ROW_OUTPUT_HELP "write the report to FILE; -: standard output"

/* mode_t mode. `what`: the files that get these permissions. */
#define ROW_MODE(what)                                                             \
	{                                                                          \
		.name = "mode", .argument = "MODE", .type = OPTION_MODE, AT(mode), \
		.preset = "600",                                                   \
		.help = "permissions of " what ", octal ({}: for its owner alone)" \
	}

/* unsigned width. `what`: the output that gets this width. */
#define ROW_WIDTH(what)                                                                            \
	{                                                                                          \
		.name = "width", .argument = "N", .type = OPTION_UNSIGNED, AT(width), .least = 20, \
		.most = 10000,                                                                     \
		.help = "columns of " what "; otherwise COLUMNS, or those of the terminal"         \
	}

/* bool pager. */
#define ROW_PAGER                                                          \
	{                                                                  \
		.name = "pager", .type = OPTION_FLAG, AT(pager),           \
		.help = "show the report page by page, with PAGER or less" \
	}

/* unsigned top. */
#define ROW_TOP(most_shown, text)                                                                \
	{                                                                                        \
		.name = "top", .letter = 'n', .argument = "N", .type = OPTION_UNSIGNED, AT(top), \
		.most = 1000000, .preset = most_shown, .help = text                              \
	}

/* const char *format; `format_names` returns word `i`, or NULL. */
#define ROW_FORMAT(format_names)                                                       \
	{                                                                              \
		.name = "format", .argument = "NAME", .type = OPTION_NAME, AT(format), \
		.names = format_names, .preset = "table", .help = "{}"                 \
	}

/* bool no_children. */
#define ROW_NO_CHILDREN                                                          \
	{                                                                        \
		.name = "no-children", .type = OPTION_FLAG, AT(no_children),     \
		.help = "leave out children, those that exist and those to come" \
	}

/* unsigned max_stacks, max_processes; size_t ring_bytes. The defaults are given as `...`. */
#define ROW_MAX_STACKS                                                                          \
	{                                                                                       \
		.name = "max-stacks", .argument = "N", .type = OPTION_UNSIGNED, AT(max_stacks), \
		.least = 16, .most = 1 << 24, .preset = "65536",                                \
		.help = "distinct stacks kept ({})"                                             \
	}
#define ROW_MAX_PROCESSES(...)                                                     \
	{                                                                          \
		.name = "max-processes", .argument = "N", .type = OPTION_UNSIGNED, \
		AT(max_processes), .least = 1, .most = 1 << 20,                    \
		.help = "process images at one time ({})", __VA_ARGS__             \
	}
#define ROW_RING_SIZE(...)                                                                        \
	{                                                                                         \
		.name = "ring-size", .argument = "KIB", .type = OPTION_KIB_POWER, AT(ring_bytes), \
		.least = 64, .most = 1 << 20, .help = "buffer to user space ({})", __VA_ARGS__    \
	}

/* size_t ended_bytes. `mib`: the default. */
#define ROW_ENDED_MEMORY(mib)                                                                   \
	{                                                                                       \
		.name = "ended-memory", .argument = "MIB", .type = OPTION_MIB, AT(ended_bytes), \
		.least = 1, .most = 1 << 20, .preset = mib,                                     \
		.help = "for lines of processes that have ended ({})"                           \
	}

/* unsigned ended_processes. */
#define ROW_ENDED_PROCESSES                                                          \
	{                                                                            \
		.name = "ended-processes", .argument = "N", .type = OPTION_UNSIGNED, \
		AT(ended_processes), .least = 1, .most = 1 << 20, .preset = "200",   \
		.help = "ended processes of a program kept one by one ({})"          \
	}

/* bool quiet. `what`: all that is still said. */
#define ROW_QUIET(what)                                                         \
	{                                                                       \
		.name = "quiet", .letter = 'q', .type = OPTION_FLAG, AT(quiet), \
		.help = "say nothing but " what " and errors"                   \
	}

/* int verbosity. */
#define ROW_VERBOSE(text)                                                              \
	{                                                                              \
		.name = "verbose", .letter = 'v', .type = OPTION_COUNT, AT(verbosity), \
		.help = text                                                           \
	}

#endif

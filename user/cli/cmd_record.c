/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf record`: the main job with a recording in place of a report. */
#include <unistd.h>

#include "cli/command.h"
#include "cli/profile_rows.h"

#define AT(field) OPTION_AT(struct profile_options, field)

static const struct option_row rows[] = {
	ROW_PIDS(struct profile_options,
		 "record these running processes, and their children; a program's name\n"
		 "means all its processes",
		 .names_offset = offsetof(struct profile_options, names)),
	ROW_ALL("record every Python process of the host, present and future"),
	PROFILE_ROW_DURATION,
	{.name = "output",
	 .letter = 'o',
	 .argument = "FILE",
	 .type = OPTION_FILE,
	 AT(record),
	 .noun = "a file name",
	 .help = "the new recording"},
	ROW_MODE("FILE"),
	{.name = "max-size",
	 .argument = "MIB",
	 .type = OPTION_MIB,
	 AT(record_bytes),
	 .least = 1,
	 .most = 1 << 20,
	 .help = "gather what is old earlier, so that FILE stays smaller"},
	{.name = "heap-every",
	 .argument = "SEC",
	 .type = OPTION_SECONDS,
	 AT(heap_every),
	 .least = 1,
	 .most = 1e9,
	 .help = "look at the heap of each process every SEC seconds, too: types, holders"},
	{.name = "pss",
	 .type = OPTION_FLAG,
	 AT(pss),
	 .help = "read PSS, too, in which shared pages count once: a line in the plot of time"},
	{.name = "no-sources",
	 .type = OPTION_FLAG,
	 AT(no_sources),
	 .help = "do not keep the text of source files"},
	PROFILE_ROW_LINES,
	PROFILE_ROW_FUNCTIONS,
	PROFILE_ROW_TOUCHED("who touched first what is resident at the end"),
	PROFILE_ROW_THREADS,
	{.name = "format",
	 .argument = "NAME",
	 .type = OPTION_NAME,
	 AT(format),
	 .names = profile_format_name,
	 .help = "print a report at the end, too: {}"},
	ROW_NO_CHILDREN,
	PROFILE_ROW_EVENTS,
	PROFILE_ROW_NO_FAULTS,
	PROFILE_ROW_NO_SYSCALLS,
	PROFILE_ROW_SYS_EXIT,
	ROW_MAX_STACKS,
	ROW_MAX_PROCESSES(.preset = "256", .preset_all = "4096"),
	ROW_RING_SIZE(.preset = "1024", .preset_all = "8192"),
	ROW_ENDED_MEMORY("256"),
	ROW_ENDED_PROCESSES,
	ROW_QUIET("a report that was asked for,"),
	ROW_VERBOSE("what is given up after loading; libbpf's warnings (-vv: all)"),
	OPTION_HELP_ROW,
	{.argument = "CMD …",
	 .type = OPTION_COMMAND,
	 AT(command),
	 .help = "start CMD and record it"},
	{},
};

static int check(const struct command *command, void *options)
{
	struct profile_options *o = options;
	const struct renderer *renderer = renderer_find(o->format ?: "table");

	o->top = 20;
	if (!o->record)
		return options_complain(command, "say where the recording goes: -o FILE");
	if (renderer->binary && isatty(STDOUT_FILENO))
		return profile_refuse_terminal(command, renderer);
	return profile_options_check_jobs(command, o);
}

static int run(void *options)
{
	return profile_run(&command_record, options);
}

static const struct option_lacking lacking[] = {LACKS_MEMORY, {}};

const struct command command_record = {
	.name = "record",
	.synopsis = "record -p PID -o FILE",
	.summary = "keep what changes, second by second",
	.usage = "-p PID[,PID…] -o FILE [options]    record running processes\n"
		 "-a -o FILE [options]               every Python process of the host\n"
		 "-o FILE [options] -- CMD …         start CMD and record it",
	.about =
		"Records which lines change memory, second by second. pymem-bpf report shows the\n"
		"recording, or a part of it, as the main job would; pymem-bpf diff compares two.\n",
	.rows = rows,
	.lacking = lacking,
	.exits = EXITS_BPF,
	.exits_more = "; with -- CMD, the command's own",
	.options_size = sizeof(struct profile_options),
	.check = check,
	.run = run,
};

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The options of the main job, in the order of its help. */
#include "cli/profile_options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/shared_rows.h"

#define AT(field) OPTION_AT(struct profile_options, field)

static const char *format_name(size_t i)
{
	return renderers[i] ? renderers[i]->name : NULL;
}

static const struct option_choice sorts[] = {
	{"increment", MODEL_SORT_INCREMENT}, {"total", MODEL_SORT_TOTAL},
	{"peak", MODEL_SORT_PEAK},	     {"grown", MODEL_SORT_GROWN},
	{"freed", MODEL_SORT_FREED},	     {"cow", MODEL_SORT_COW},
	{"resident", MODEL_SORT_RESIDENT},   {},
};

static const struct option_choice metrics[] = {
	{"grown", RENDER_GROWN},
	{"net", RENDER_NET},
	{"freed", RENDER_FREED},
	{"copied", RENDER_COPIED},
	{"faults", RENDER_FAULTS},
	{"resident", RENDER_RESIDENT},
	{},
};

/* Of -l and --engine, the last one counts. But `auto` does not undo -l: it asks for no engine. */
static const struct option_choice engines[] = {
	{"auto", OPTION_KEEP},
	{"walk", PROFILE_WALK},
	{"lines", PROFILE_LINES},
	{},
};

const struct option_row profile_rows[] = {
	ROW_PIDS(struct profile_options,
		 "profile these running processes, and their children; a program's name\n"
		 "means all its processes",
		 .names_offset = offsetof(struct profile_options, names)),
	ROW_ALL("profile every Python process of the host, present and future"),
	{.name = "duration",
	 .letter = 'd',
	 .argument = "SEC",
	 .type = OPTION_SECONDS,
	 AT(duration),
	 .most = 1e9,
	 .help = "stop after SEC seconds; 30s, 5m, 1h"},
	ROW_OUTPUT(ROW_OUTPUT_HELP),
	ROW_MODE("FILE"),
	ROW_WIDTH("the report"),
	ROW_PAGER,
	ROW_TOP("20", "show the first N lines of each process ({}); 0: all"),
	{.name = "function",
	 .letter = 'f',
	 .argument = "NAME",
	 .type = OPTION_TEXT,
	 AT(function),
	 .noun = "a function's name",
	 .help = "annotated source of that function"},
	{.name = "lines",
	 .letter = 'l',
	 .type = OPTION_VALUE,
	 AT(engine),
	 .value = PROFILE_LINES,
	 .help = "the exact engine, on CPython's line probes"},
	{.name = "sort",
	 .letter = 's',
	 .argument = "KEY",
	 .type = OPTION_CHOICE,
	 AT(sort),
	 .choices = sorts,
	 .help = "{}"},
	{.name = "tree",
	 .type = OPTION_FLAG,
	 AT(tree),
	 .help = "all callers as a tree, instead of lines"},
	{.name = "touched",
	 .type = OPTION_FLAG,
	 AT(touched),
	 .help = "a column of what is resident now, by the line that touched it first"},
	ROW_FORMAT(format_name),
	{.name = "metric",
	 .argument = "NAME",
	 .type = OPTION_CHOICE,
	 AT(metric),
	 .choices = metrics,
	 .preset = "grown",
	 .help = "with --format folded: {}"},
	{.name = "peak",
	 .type = OPTION_FLAG,
	 AT(peak),
	 .help = "with --lines -f: a column of peaks"},
	{.name = "engine",
	 .argument = "NAME",
	 .type = OPTION_CHOICE,
	 AT(engine),
	 .choices = engines,
	 .help = "{}"},
	ROW_NO_CHILDREN,
	{.name = "no-faults",
	 .type = OPTION_FLAG,
	 AT(no_faults),
	 .help = "do not count page faults"},
	{.name = "no-syscalls",
	 .type = OPTION_FLAG,
	 AT(no_syscalls),
	 .help = "do not count brk, mmap, munmap, mremap, madvise"},
	ROW_MAX_STACKS,
	ROW_MAX_PROCESSES(.preset = "256", .preset_all = "4096"),
	ROW_RING_SIZE(.preset = "1024", .preset_all = "8192"),
	ROW_ENDED_MEMORY("256"),
	ROW_QUIET("the report"),
	ROW_VERBOSE("each process, all lines and figures; libbpf's warnings (-vv: all)"),
	{.name = "version", .type = OPTION_VERSION, .help = "print the version"},
	OPTION_HELP_ROW,
	{.argument = "CMD …",
	 .type = OPTION_COMMAND,
	 AT(command),
	 .help = "start CMD and profile it"},
	{},
};

int profile_refuse_terminal(const struct command *command, const struct renderer *renderer)
{
	return options_complain(command,
				"--format %s is binary, and not for a terminal: add -o FILE, or a "
				"pipe behind it",
				renderer->name);
}

/* Options that the format can't obey. 0 or -EINVAL. */
static int check_format(const struct command *command, const struct profile_options *o)
{
	const struct renderer *renderer = renderer_find(o->format ?: "table");
	bool to_stdout = !o->output || !strcmp(o->output, "-");

	if (o->metric && !renderer->takes_metric)
		return options_complain(command, "--metric is for --format folded");
	if (o->tree && (renderer->stacks || renderer->only_rows))
		return options_complain(command, "--tree is for --format table: leave it out");
	if (o->function && (renderer->stacks || renderer->only_rows))
		return options_complain(command,
					"-f is for --format table: --format %s has all functions",
					renderer->name);
	if (!renderer->binary)
		return 0;
	if (o->pager)
		return options_complain(command, "--format %s is binary: leave out --pager",
					renderer->name);
	if (to_stdout && isatty(STDOUT_FILENO))
		return profile_refuse_terminal(command, renderer);
	return 0;
}

int profile_options_check(const struct command *command, void *options)
{
	struct profile_options *o = options;
	int jobs = (o->pid_count || o->names) + o->all + (o->command != NULL);

	o->lines = o->engine == PROFILE_LINES;
	o->touched |= o->sort == MODEL_SORT_RESIDENT || o->metric == RENDER_RESIDENT;
	if (check_format(command, o))
		return -EINVAL;
	if (o->touched && (o->no_faults || o->no_syscalls))
		return options_complain(command,
					"--touched needs page faults and system calls: leave out "
					"--no-faults and --no-syscalls");
	if (o->no_faults && (o->metric == RENDER_COPIED || o->metric == RENDER_FAULTS))
		return options_complain(command, "this --metric needs page faults: leave out "
						 "--no-faults");
	if (o->pager && o->output)
		return options_complain(command, "--pager and -o exclude one another");
	if (o->tree && o->function)
		return options_complain(command, "--tree and -f exclude each other");
	if (jobs == 1)
		return 0;
	if (jobs)
		return options_complain(command, "-p, -a and -- CMD exclude one another");
	return options_complain(command,
				"say what to profile: -p PID, -a, or -- CMD …; --help tells more");
}

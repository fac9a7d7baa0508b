/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The options of `heap`, in the order of its help. */
#include "cli/heap_options.h"

#include "cli/command.h"
#include "heap/births.h"
#include "render/heap_render.h"

_Static_assert((int)BIRTHS_AUTO == BIRTHS_METHOD_AUTO && (int)BIRTHS_WATCH == BIRTHS_METHOD_WATCH &&
		       (int)BIRTHS_BURST == BIRTHS_METHOD_BURST,
	       "the words of --births are the methods");

#define AT(field) OPTION_AT(struct heap_command_options, field)

static const char *format_name(size_t i)
{
	return heap_renderers[i] ? heap_renderers[i]->name : NULL;
}

static const struct option_choice births[] = {
	{"auto", BIRTHS_AUTO},
	{"watch", BIRTHS_WATCH},
	{"burst", BIRTHS_BURST},
	{"off", BIRTHS_OFF},
	{},
};

static const struct option_choice touched[] = {
	{"on", TOUCHED_ON},
	{"off", TOUCHED_OFF},
	{},
};

const struct option_row heap_rows[] = {
	{.name = "pid",
	 .letter = 'p',
	 .argument = "PID[,PID…]",
	 .type = OPTION_PIDS,
	 AT(pids),
	 .count_offset = offsetof(struct heap_command_options, pid_count),
	 .names_offset = offsetof(struct heap_command_options, names),
	 .least = 1,
	 .most = 1 << 22,
	 .help = "look at these running processes; a program's name means all its processes"},
	{.name = "duration",
	 .letter = 'd',
	 .argument = "SEC",
	 .type = OPTION_SECONDS,
	 AT(seconds),
	 .least = 0.001,
	 .most = 1e9,
	 .help = "look twice, SEC seconds apart: what came in between and stayed"},
	{.name = "until-input",
	 .type = OPTION_FLAG,
	 AT(until_input),
	 .help = "with -d: the second look comes as soon as there is input, such as Return"},
	{.name = "pause",
	 .type = OPTION_FLAG,
	 AT(pause),
	 .help = "stop the process while its memory is copied"},
	{.name = "types-only",
	 .type = OPTION_FLAG,
	 AT(types_only),
	 .help = "what there is of which type, not who holds it: in little time and memory"},
	{.name = "births",
	 .argument = "HOW",
	 .type = OPTION_CHOICE,
	 AT(births),
	 .choices = births,
	 .help = "with -d, how lines are found that fill what grew: {}"},
	{.name = "touched",
	 .argument = "HOW",
	 .type = OPTION_CHOICE,
	 AT(touched),
	 .choices = touched,
	 .help = "with -d, which lines touched what came, and what lives there now: {}"},
	{.name = "top",
	 .letter = 'n',
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(top),
	 .most = 1000000,
	 .preset = "10",
	 .help = "show the first N holders, types and lines ({}); 0: all"},
	{.name = "format",
	 .argument = "NAME",
	 .type = OPTION_NAME,
	 AT(format),
	 .names = format_name,
	 .preset = "table",
	 .help = "{}"},
	{.name = "output",
	 .letter = 'o',
	 .argument = "FILE",
	 .type = OPTION_FILE,
	 AT(output),
	 .noun = "a file name",
	 .help = "write the report to FILE; -: standard output"},
	{.name = "mode",
	 .argument = "MODE",
	 .type = OPTION_MODE,
	 AT(mode),
	 .preset = "600",
	 .help = "permissions of FILE, octal ({}: for its owner alone)"},
	{.name = "width",
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(width),
	 .least = 20,
	 .most = 10000,
	 .help = "columns of the report; otherwise COLUMNS, or those of the terminal"},
	{.name = "pager",
	 .type = OPTION_FLAG,
	 AT(pager),
	 .help = "show the report page by page, with PAGER or less"},
	{.name = "quiet",
	 .letter = 'q',
	 .type = OPTION_FLAG,
	 AT(quiet),
	 .help = "say nothing but the report and errors"},
	{.name = "verbose",
	 .letter = 'v',
	 .type = OPTION_COUNT,
	 AT(verbosity),
	 .help = "say which rights are given up"},
	OPTION_HELP_ROW,
	{},
};

int heap_options_check(const struct command *command, void *options)
{
	const struct heap_command_options *o = options;

	if (o->pager && o->output)
		return options_complain(command, "--pager and -o exclude one another");
	if (!o->pid_count && !o->names)
		return options_complain(command, "say whose heap: -p PID; --help tells more");
	if (!o->seconds && (o->until_input || o->births || o->touched))
		return options_complain(command, "--%s goes with -d",
					o->until_input ? "until-input"
					: o->births    ? "births"
						       : "touched");
	if (o->types_only && (o->pause || o->births || o->touched))
		return options_complain(
			command, o->pause ? "--pause is for a copy, and --types-only makes none"
				 : o->births
					 ? "--births is for holders, and --types-only finds none"
					 : "--touched is for a copy, and --types-only makes none");
	return 0;
}

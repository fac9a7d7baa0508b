/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The options of `heap`, in the order of its help. */
#include "cli/heap_options.h"

#include "cli/command.h"
#include "cli/shared_rows.h"
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
	ROW_PIDS(struct heap_command_options,
		 "look at these running processes; a program's name means all its processes",
		 .names_offset = offsetof(struct heap_command_options, names)),
	ROW_DURATION("look twice, SEC seconds apart: what came in between and stayed"),
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
	ROW_TOP("10", "show the first N holders, types and lines ({}); 0: all"),
	ROW_FORMAT(format_name),
	ROW_OUTPUT(ROW_OUTPUT_HELP),
	ROW_MODE("FILE"),
	ROW_WIDTH("the report"),
	ROW_PAGER,
	ROW_QUIET("the report"),
	ROW_VERBOSE("say which rights are given up"),
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

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The options of the main job, in the order of its help. */
#include "cli/profile_options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/profile_rows.h"

#define AT(field) OPTION_AT(struct profile_options, field)

const char *profile_format_name(size_t i)
{
	return renderers[i] ? renderers[i]->name : NULL;
}

const struct option_choice profile_sorts[] = {
	{"increment", MODEL_SORT_INCREMENT},
	{"total", MODEL_SORT_TOTAL},
	{"peak", MODEL_SORT_PEAK},
	{"grown", MODEL_SORT_GROWN},
	{"freed", MODEL_SORT_FREED},
	{"cow", MODEL_SORT_COW},
	{"resident", MODEL_SORT_RESIDENT},
	{"stalled", MODEL_SORT_STALLED},
	{"cached", MODEL_SORT_CACHED},
	{"kernel", MODEL_SORT_KERNEL},
	{"huge", MODEL_SORT_HUGE},
	{"swapped", MODEL_SORT_SWAPPED},
	{},
};

const struct option_choice profile_bys[] = {
	{"program", MODEL_BY_PROGRAM}, {"container", MODEL_BY_CONTAINER}, {"unit", MODEL_BY_UNIT},
	{"user", MODEL_BY_USER},       {"process", MODEL_BY_PROCESS},	  {},
};

const struct option_choice profile_metrics[] = {
	{"grown", RENDER_GROWN},
	{"net", RENDER_NET},
	{"freed", RENDER_FREED},
	{"copied", RENDER_COPIED},
	{"faults", RENDER_FAULTS},
	{"resident", RENDER_RESIDENT},
	{"stalled", RENDER_STALLED},
	{"cached", RENDER_CACHED},
	{"kernel", RENDER_KERNEL},
	{"huge", RENDER_HUGE},
	{"swapped", RENDER_SWAPPED_IN},
	{"swap-wait", RENDER_SWAP_WAIT},
	{},
};

const struct option_choice profile_events[] = {
	{"faults", PROFILE_FAULTS},	{"copies", PROFILE_COPIES},
	{"syscalls", PROFILE_SYSCALLS}, {"reclaim", PROFILE_RECLAIM},
	{"cache", PROFILE_CACHE},	{"huge", PROFILE_HUGE},
	{"swap", PROFILE_SWAP},		{"external", PROFILE_EXTERNAL},
	{"kernel", PROFILE_KERNEL},	{},
};

/* Of -l, --functions and --engine, the last one counts. But `auto` does not undo the others: it
 * asks for no engine. */
static const struct option_choice engines[] = {
	{"auto", OPTION_KEEP},
	{"walk", PROFILE_WALK},
	{"lines", PROFILE_LINES},
	{"functions", PROFILE_FUNCTIONS},
	{},
};

static const struct option_choice memories[] = {
	{"rss", PROFILE_RSS},
	{"cgroup", PROFILE_CGROUP},
	{},
};

const struct option_row profile_rows[] = {
	ROW_PIDS(struct profile_options,
		 "profile these running processes, and their children; a program's name\n"
		 "means all its processes",
		 .names_offset = offsetof(struct profile_options, names)),
	ROW_ALL("profile every Python process of the host, present and future"),
	PROFILE_ROW_DURATION,
	ROW_OUTPUT(ROW_OUTPUT_HELP),
	ROW_MODE("FILE"),
	ROW_WIDTH("the report"),
	ROW_PAGER,
	ROW_TOP("20", "show the first N lines of each process ({}); 0: all"),
	PROFILE_ROW_FUNCTION,
	PROFILE_ROW_LINES,
	PROFILE_ROW_FUNCTIONS,
	PROFILE_ROW_SORT,
	PROFILE_ROW_BY,
	{.name = "memory",
	 .argument = "WHOSE",
	 .type = OPTION_CHOICE,
	 AT(memory),
	 .choices = memories,
	 .help = "of processes, or of their control groups, too: {}"},
	PROFILE_ROW_TREE,
	PROFILE_ROW_TOUCHED("a column of what is resident now, by the line that touched it first"),
	PROFILE_ROW_THREADS,
	ROW_FORMAT(profile_format_name),
	PROFILE_ROW_METRIC,
	PROFILE_ROW_REDACT,
	PROFILE_ROW_PEAK("with --lines -f: a column of peaks"),
	{.name = "engine",
	 .argument = "NAME",
	 .type = OPTION_CHOICE,
	 AT(engine),
	 .choices = engines,
	 .help = "{}"},
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
	{.name = "record",
	 .argument = "FILE",
	 .type = OPTION_FILE,
	 AT(record),
	 .noun = "a file name",
	 .help = "keep a recording, too: for report and diff"},
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
				"--format %s is %s, and not for a terminal: add -o FILE, or a "
				"pipe behind it",
				renderer->name, renderer->page ? "a web page" : "binary");
}

struct render_options profile_render_options(const struct profile_options *o,
					     struct source_cache *sources)
{
	return (struct render_options){
		.top = o->top,
		.sort = o->sort,
		.function = o->function,
		.peak = o->peak,
		.verbose = o->verbosity > 0,
		.tree = o->tree,
		.by = o->by,
		.cgroup = o->memory == PROFILE_CGROUP,
		.metric = o->metric,
		.sources = sources,
		.host = o->all,
		.every = o->verbosity > 0,
	};
}

int profile_check_page(const struct command *command, const struct renderer *renderer,
		       const char *output, bool pager)
{
	bool to_stdout = !output || !strcmp(output, "-");

	if (renderer->absent)
		return options_complain(command, "--format %s: %s", renderer->name,
					renderer->absent);
	if (!renderer->binary)
		return 0;
	if (pager)
		return options_complain(command, "--format %s is %s: leave out --pager",
					renderer->name, renderer->page ? "a web page" : "binary");
	if (to_stdout && isatty(STDOUT_FILENO))
		return profile_refuse_terminal(command, renderer);
	return 0;
}

int profile_options_check_format(const struct command *command, const struct profile_options *o)
{
	const struct renderer *renderer = renderer_find(o->format ?: "table");

	if (o->metric && !renderer->takes_metric)
		return options_complain(command,
					"--metric is for --format folded, flamegraph and html");
	if (o->by && !renderer->groups)
		return options_complain(command,
					"--by is for --format table, json and openmetrics");
	if (o->memory == PROFILE_CGROUP && (!renderer->memory || o->function))
		return options_complain(command, "--memory cgroup is for --format table and json, "
						 "and not for -f");
	if (o->by && (o->tree || o->function))
		return options_complain(command, "--by and %s exclude each other",
					o->tree ? "--tree" : "-f");
	if (o->tree && (renderer->stacks || renderer->only_rows))
		return options_complain(command, "--tree is for --format table: leave it out");
	if (o->function && o->redact)
		return options_complain(command, "--redact and -f exclude each other: it has no "
						 "source text");
	if (o->function && (renderer->stacks || renderer->only_rows))
		return options_complain(command,
					"-f is for --format table: --format %s has all functions",
					renderer->name);
	if (o->pager && o->output)
		return options_complain(command, "--pager and -o exclude one another");
	if (o->tree && o->function)
		return options_complain(command, "--tree and -f exclude each other");
	if (o->threads && !o->record && !o->tree && !renderer->stacks)
		return options_complain(
			command, "--threads needs stacks: --tree, --format flamegraph, html, "
				 "folded, pprof or speedscope, or --record");
	return profile_check_page(command, renderer, o->output, o->pager);
}

int profile_redact(const struct profile_options *o, struct model *model,
		   struct render_options *options)
{
	int err = o->redact ? model_redact(model, options->sources) : 0;

	if (!o->redact || err)
		return err;
	options->sources = NULL;
	options->redacted = true;
	return 0;
}

/* Events that are asked for and ruled out. 0 or -EINVAL. */
static int check_events(const struct command *command, const struct profile_options *o)
{
	if (o->no_faults && o->events & (PROFILE_FAULTS | PROFILE_COPIES))
		return options_complain(command, "--no-faults and --events %s exclude each other",
					o->events & PROFILE_FAULTS ? "faults" : "copies");
	if (o->no_faults && o->events & PROFILE_SWAP)
		return options_complain(command,
					"--no-faults and --events swap exclude each other");
	if (o->no_syscalls && o->sys_exit)
		return options_complain(command, "--no-syscalls and --sys-exit exclude each other");
	if (o->no_syscalls && o->events & PROFILE_SYSCALLS)
		return options_complain(command,
					"--no-syscalls and --events syscalls exclude each other");
	return 0;
}

/* Formats that have no place for functions would show nothing of what was asked for. */
static int check_functions(const struct command *command, const struct profile_options *o)
{
	const struct renderer *renderer = renderer_find(o->format ?: "table");

	if (!o->functions)
		return 0;
	if (o->by)
		return options_complain(command, "--functions and --by exclude each other: groups "
						 "have lines only");
	if (renderer->functions)
		return 0;
	return options_complain(
		command,
		"--functions is for --format table, json and csv: --format %s has lines only",
		renderer->name);
}

int profile_options_check_jobs(const struct command *command, struct profile_options *o)
{
	if (o->record && o->output && !strcmp(o->record, o->output))
		return options_complain(command, "-o and --record name the same file");
	int jobs = (o->pid_count || o->names) + o->all + (o->command != NULL);

	o->lines = o->engine != PROFILE_WALK;
	o->functions = o->engine == PROFILE_FUNCTIONS;
	o->touched |= o->sort == MODEL_SORT_RESIDENT || o->metric == RENDER_RESIDENT;
	if (o->touched && (o->no_faults || o->no_syscalls))
		return options_complain(command,
					"--touched needs page faults and system calls: leave out "
					"--no-faults and --no-syscalls");
	if (o->sort == MODEL_SORT_STALLED || o->metric == RENDER_STALLED)
		o->events |= PROFILE_RECLAIM;
	if (o->sort == MODEL_SORT_CACHED || o->metric == RENDER_CACHED)
		o->events |= PROFILE_CACHE;
	if (o->memory == PROFILE_CGROUP)
		o->events |= PROFILE_CACHE | PROFILE_KERNEL;
	if (o->sort == MODEL_SORT_KERNEL || o->metric == RENDER_KERNEL)
		o->events |= PROFILE_KERNEL;
	if (o->sort == MODEL_SORT_HUGE || o->metric == RENDER_HUGE)
		o->events |= PROFILE_HUGE;
	if (o->sort == MODEL_SORT_SWAPPED || o->metric == RENDER_SWAPPED_IN ||
	    o->metric == RENDER_SWAP_WAIT)
		o->events |= PROFILE_SWAP;
	if (check_events(command, o) || check_functions(command, o))
		return -EINVAL;
	if (jobs == 1)
		return 0;
	if (jobs)
		return options_complain(command, "-p, -a and -- CMD exclude one another");
	return options_complain(command,
				"say what to profile: -p PID, -a, or -- CMD …; --help tells more");
}

int profile_options_check(const struct command *command, void *options)
{
	struct profile_options *o = options;

	if (profile_options_check_format(command, o))
		return -EINVAL;
	if (o->no_faults && (o->metric == RENDER_COPIED || o->metric == RENDER_FAULTS))
		return options_complain(command, "this --metric needs page faults: leave out "
						 "--no-faults");
	return profile_options_check_jobs(command, o);
}

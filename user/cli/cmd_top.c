/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf top`: the live screen (screen/screen.h) of some processes, or of all Pythons.
 *
 * Order: first comes all that can be refused, while messages can still be read on the terminal.
 * Then the stewards and the profiler's helpers are forked, BPF programs are loaded, rights are
 * given up, and processes are added. Only then the screen begins. A signal before that ends the
 * command at once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/find_program.h"
#include "cli/privilege.h"
#include "cli/shared_rows.h"
#include "os/confine.h"
#include "os/loop.h"
#include "os/output.h"
#include "report/profiler.h"
#include "screen/screen.h"
#include "screen/screen_steward.h"
#include "screen/screen_terminal.h"

/* Rows of the screen are not folded: what has ended is limited by its memory only. */
#define ENDED_PROCESSES (1u << 20)

struct top_options {
	pid_t *pids;
	size_t pid_count;
	char **names; /* programs of -p, ends with NULL; NULL: none */
	bool all;
	const char *output;
	mode_t mode;
	bool no_children, no_mouse;
	unsigned max_stacks, max_processes;
	size_t ring_bytes, ended_bytes;
	int verbosity;
};

struct top {
	struct top_options *options;
	struct profiler *profiler;
	struct loop *loop;
	size_t added;
};

/* The steward for heaps runs this in a process of its own, when the user presses `k`. */
static int look_at_heap(pid_t pid, unsigned columns)
{
	char width[16], number[16], *argv[] = {"heap", "-q", "-p", number, NULL};

	snprintf(width, sizeof(width), "%u", columns);
	setenv("COLUMNS", width, 1);
	snprintf(number, sizeof(number), "%d", (int)pid);
	return command_run(&command_heap, 4, argv);
}

/* --- the beginning --- */

static int refuse_terminal(const struct top_options *o, const char *why)
{
	const char *what = o->all ? "-a" : "-p PID";

	fprintf(stderr,
		"pymem-bpf top: %s\n"
		"Without a screen: pymem-bpf %s -d SEC prints a report after SEC seconds\n",
		why, what);
	return EXIT_FAILED;
}

/* Refuses a file of -o now if it can't be written. 0 or an exit status. */
static int check_output(const struct top_options *o)
{
	struct output output;
	int err = output_open(&output, o->output, o->mode);
	bool terminal;

	if (err) {
		fprintf(stderr, "pymem-bpf top: -o %s: %s\n", o->output, output_explain(err));
		return EXIT_FAILED;
	}
	terminal = !output.path || isatty(fileno(output.file));
	output_discard(&output);
	if (!terminal)
		return 0;
	fprintf(stderr, "pymem-bpf top: -o %s: the screen is there; give the name of a file\n",
		o->output);
	return EXIT_USAGE;
}

static int start_stewards(const struct top_options *o)
{
	int status = o->output ? check_output(o) : 0, err;

	if (status)
		return status;
	err = steward_start(look_at_heap, o->output, o->mode);
	if (!err)
		return 0;
	fprintf(stderr, "pymem-bpf top: a helper process can't be started: %s\n", strerror(-err));
	return EXIT_FAILED;
}

static int new_profiler(struct top *top)
{
	const struct top_options *o = top->options;
	struct profiler_options options = {
		.session =
			{
				.watch_host = o->all,
				.many = o->all || o->pid_count > 1,
				.follow_children = !o->no_children,
				.faults = true,
				.syscalls = true,
				.max_stacks = o->max_stacks,
				.max_images = o->max_processes,
				.ring_bytes = o->ring_bytes,
				.verbosity = o->verbosity,
			},
		.ended_bytes = o->ended_bytes,
		.ended_processes = ENDED_PROCESSES,
		.gather_imports = true,
		.shares = o->all,
	};
	char why[640] = "";
	int err;

	top->profiler = profiler_new(&options, why, sizeof(why));
	if (!top->profiler) {
		fprintf(stderr, "pymem-bpf top: %s\n", why);
		return EXIT_FAILED;
	}
	err = profiler_open(top->profiler, why, sizeof(why));
	if (!err)
		return confine_or_say(profiler_needs(top->profiler), "top", o->verbosity);
	fprintf(stderr,
		"pymem-bpf top: %s\n"
		"pymem-bpf check lists what is needed.\n",
		why);
	return EXIT_ENVIRONMENT;
}

static int add_pids(struct top *top)
{
	const struct top_options *o = top->options;
	char why[512];

	for (size_t i = 0; i < o->pid_count; i++) {
		if (!profiler_add_pid(top->profiler, o->pids[i], why, sizeof(why))) {
			top->added++;
			continue;
		}
		fprintf(stderr, "pymem-bpf top: ");
		text_print(stderr, why, 0, false);
		fprintf(stderr, "%s\n", o->pid_count > 1 ? "; skipped" : "");
	}
	return top->added ? 0 : EXIT_FAILED;
}

static int add_all(struct top *top)
{
	int count;

	fprintf(stderr, "attaching to all Pythons\n");
	count = profiler_add_all(top->profiler);
	if (count >= 0)
		return 0;
	fprintf(stderr, "pymem-bpf top: /proc can't be read: %s\n", strerror(-count));
	return EXIT_FAILED;
}

/* --- the command --- */

static int show(struct top *top)
{
	const struct top_options *o = top->options;
	struct screen_options options = {.report = o->output,
					 .mouse = !o->no_mouse,
					 .one_process = top->added == 1 && o->pid_count == 1};
	char what[64] = "all Pythons";
	int err;

	if (!o->all && o->pid_count == 1)
		snprintf(what, sizeof(what), "pid %d", (int)o->pids[0]);
	else if (!o->all)
		snprintf(what, sizeof(what), "%zu pids", top->added);
	options.what = what;
	err = screen_run(top->profiler, top->loop, &options);
	if (!err)
		return EXIT_DONE;
	fprintf(stderr, "pymem-bpf top: %s\n", strerror(-err));
	return EXIT_FAILED;
}

static int run(struct top *top)
{
	struct top_options *o = top->options;
	char why[200];
	int status;

	status = screen_terminal_suits(why, sizeof(why)) ? refuse_terminal(o, why)
							 : privilege_check("top");
	if (!status)
		status = find_programs(&command_top, o->names, &o->pids, &o->pid_count);
	if (status)
		return status;
	top->loop = loop_new();
	if (!top->loop) {
		fprintf(stderr, "pymem-bpf top: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	status = start_stewards(o) ?: new_profiler(top);
	if (!status)
		status = o->all ? add_all(top) : add_pids(top);
	return status ? status : show(top);
}

static int run_top(void *options)
{
	struct top top = {.options = options};
	int status = run(&top);

	profiler_close(top.profiler);
	loop_free(top.loop);
	steward_stop();
	return status;
}

static int check(const struct command *command, void *options)
{
	struct top_options *o = options;

	/* The steward that writes reports has none of our descriptors, so -o must name a file. */
	if (o->output && (!strcmp(o->output, "-") || output_is_descriptor(o->output)))
		return options_complain(command, "-o %s: w writes to a file; give its name",
					o->output);
	if ((o->pid_count || o->names) && o->all)
		return options_complain(command, "-p and -a exclude one another");
	o->all = !o->pid_count && !o->names;
	return 0;
}

#define AT(field) OPTION_AT(struct top_options, field)

static const struct option_row rows[] = {
	ROW_PIDS(struct top_options, "watch these processes, or those of a program of that name",
		 .names_offset = offsetof(struct top_options, names)),
	ROW_ALL("watch every Python of the host, as without -p"),
	ROW_OUTPUT("where the key w writes reports; otherwise it asks"),
	ROW_MODE("reports"),
	ROW_NO_CHILDREN,
	{.name = "no-mouse",
	 .type = OPTION_FLAG,
	 AT(no_mouse),
	 .help = "leave the mouse to the terminal: to select text with it"},
	ROW_MAX_STACKS,
	ROW_MAX_PROCESSES(.preset = "4096"),
	ROW_RING_SIZE(.preset = "8192"),
	ROW_ENDED_MEMORY("16"),
	ROW_VERBOSE("what rights were given up, before the screen begins"),
	OPTION_HELP_ROW,
	{},
};

const struct command command_top = {
	.name = "top",
	.synopsis = "top [-p PID|-a]",
	.summary = "a live screen: programs, processes, lines",
	.usage = "[-p PID[,PID…]|-a] [-o FILE]",
	.about = "Shows which programs, processes and lines grow, once a second. Enter goes into a "
		 "row,\nBackspace out of it, ? lists the keys, q quits.\n",
	.rows = rows,
	.exits = EXITS_BPF,
	.options_size = sizeof(struct top_options),
	.check = check,
	.run = run_top,
};

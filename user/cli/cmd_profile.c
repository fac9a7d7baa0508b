/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The profile command: attaches, redraws while processes run, and prints a report at the end.
 *
 * It ends at Ctrl-C, SIGTERM, the end of -d, or with the last process that was asked for. A second
 * Ctrl-C gives up the report. The targets are not affected by any of this: all that is attached
 * belongs to this process and ends with it. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/find_program.h"
#include "cli/privilege.h"
#include "cli/profile_live.h"
#include "cli/profile_options.h"
#include "cli/profile_record.h"
#include "cli/report_output.h"
#include "os/confine.h"
#include "os/loop.h"
#include "os/progress.h"
#include "os/signals.h"
#include "os/terminal.h"
#include "render/render.h"
#include "report/profiler.h"

#define NS_PER_SECOND 1000000000ULL
#define REDRAW_NS     NS_PER_SECOND
#define FIRST_DRAW_NS (NS_PER_SECOND / 10)

struct profile {
	const struct command *command; /* the main job, or `record` */
	struct profile_options options;
	struct profiler *profiler;
	struct loop *loop;
	struct loop_fd signals;
	struct loop_timer limit, redraw;
	struct report_output output;
	const struct renderer *renderer;
	struct profile_record record;
	bool live;   /* redraw on a terminal */
	bool silent; /* there is no report, only a recording */
	struct render_memory shown;
	int error; /* -errno: the profile can't go on */
};

/* In a table, what the import system changes counts at the line that imports. -v shows its own
 * lines. */
static bool gathers_imports(const struct profile *p)
{
	return p->renderer->for_people && !p->options.verbosity;
}

/* --- begin --- */

/* Attaches to the processes that were asked for. 0, or an exit status. */
static int attach_pids(struct profile *p)
{
	struct profile_options *o = &p->options;
	int err, status = find_programs(p->command, o->names, &o->pids, &o->pid_count);
	size_t i, good = 0;
	char reason[512];

	for (i = 0; i < o->pid_count && !status; i++) {
		/* A signal that came before an examination does not end that one. */
		if (signals_interrupted()) {
			progress_done();
			fprintf(stderr, "pymem-bpf: interrupted before PID %d was attached to\n",
				(int)o->pids[i]);
			break;
		}
		progress_say("attaching to process %zu of %zu", i + 1, o->pid_count);
		err = profiler_add_pid(p->profiler, o->pids[i], reason, sizeof(reason));
		good += !err;
		if (!*reason || (!err && o->quiet))
			continue;
		progress_done();
		fprintf(stderr, "pymem-bpf: ");
		text_print(stderr, reason, 0, false);
		fprintf(stderr, "%s\n", err && o->pid_count > 1 ? "; skipped" : "");
	}
	return status ? status : good ? 0 : EXIT_FAILED;
}

/* Says that all that was asked for is now watched. */
static void say_attached(const struct profile *p, int count)
{
	size_t children = profiler_taken_along(p->profiler);
	const char *end =
		p->silent ? "Ctrl-C ends the recording" : "Ctrl-C ends and prints the report";

	if (p->options.all)
		fprintf(stderr,
			"attached to %d Python process%s, and to all that will start; "
			"Ctrl-C ends\n",
			count, count == 1 ? "" : "es");
	else if (children)
		fprintf(stderr, "attached, with %zu process%s that %s started before; %s\n",
			children, children == 1 ? "" : "es",
			p->options.pid_count == 1 ? "it" : "they", end);
	else if (p->options.pid_count)
		fprintf(stderr, "attached; %s\n", end);
}

static int start_command(struct profile *p)
{
	int err;
	enum profiler_started started = profiler_start_command(p->profiler, &err);
	bool untracked = started == PROFILER_UNTRACKED;

	if (started == PROFILER_STARTED)
		return 0;
	if (started == PROFILER_ENDED)
		return profiler_command_status(p->profiler);
	fprintf(stderr, "pymem-bpf: ");
	text_print(stderr, p->options.command[0], 0, false);
	fprintf(stderr, "%s: %s\n", untracked ? " was not started: it can't be tracked" : "",
		strerror(-err));
	return untracked ? EXIT_FAILED : err == -ENOENT ? 127 : 126;
}

static int attach(struct profile *p)
{
	const struct profile_options *o = &p->options;
	int status = 0, count = 0;

	if (o->pid_count || o->names) {
		status = attach_pids(p);
	} else if (o->all) {
		progress_say("attaching to all Python processes");
		count = signals_interrupted() ? -EINTR : profiler_add_all(p->profiler);
		progress_done();
		/* After a signal, what has been attached so far is reported. */
		if (count == -EINTR)
			return 0;
		if (count < 0) {
			fprintf(stderr, "pymem-bpf: /proc can't be read: %s\n", strerror(-count));
			status = EXIT_FAILED;
		}
	} else {
		status = start_command(p);
	}
	progress_done();
	if (!status && !o->quiet)
		say_attached(p, count);
	return status;
}

static int open_profiler(struct profile *p)
{
	char why[640];
	int err;

	progress_say("loading");
	err = profiler_open(p->profiler, why, sizeof(why));
	progress_done();
	if (!err) {
		profile_record_begin(&p->record, p->profiler);
		return 0;
	}
	fprintf(stderr,
		"pymem-bpf: %s\n"
		"pymem-bpf check lists what is needed.\n",
		why);
	return EXIT_ENVIRONMENT;
}

static int new_profiler(struct profile *p)
{
	const struct profile_options *o = &p->options;
	struct profiler_options po = {
		.session =
			{
				.watch_host = o->all,
				.many = o->all || o->names || o->pid_count > 1,
				.follow_children = !o->no_children,
				.faults = !o->no_faults,
				.syscalls = !o->no_syscalls,
				.sys_exit = o->sys_exit,
				.stalls = o->events & PROFILE_RECLAIM,
				.cache = o->events & PROFILE_CACHE,
				.huge = o->events & PROFILE_HUGE,
				.swap = o->events & PROFILE_SWAP,
				.external = o->events & PROFILE_EXTERNAL,
				.kernel = o->events & PROFILE_KERNEL,
				.last_words = true,
				.touched = o->touched,
				.threads = o->threads,
				.changes = o->record != NULL,
				.lines = o->lines,
				.functions = o->functions,
				.max_stacks = o->max_stacks,
				.max_images = o->max_processes,
				.ring_bytes = o->ring_bytes,
				.verbosity = o->verbosity,
			},
		.command = o->command,
		.ended_bytes = o->ended_bytes,
		.ended_processes = o->ended_processes,
		.gather_imports = gathers_imports(p),
		.keep_trees = o->tree || p->renderer->stacks,
		.groups = !p->silent && o->events & (PROFILE_CACHE | PROFILE_KERNEL),
		/* It costs a walk through all pages: only where sums over processes are shown. */
		.shares = o->all || o->by,
		.seldom = o->record != NULL,
		.interrupted = signals_interrupted,
	};
	char why[512];

	if (o->record) {
		po.between = profile_record_between;
		po.between_arg = &p->record;
	}

	p->profiler = profiler_new(&po, why, sizeof(why));
	if (!p->profiler)
		fprintf(stderr, "pymem-bpf: %s\n", why);
	return p->profiler ? 0 : EXIT_FAILED;
}

/* Called as soon as the command has a process: a signal that ends it before it runs must reach us,
 * too. 0 or an exit status. */
static int catch_signals(struct profile *p)
{
	const char *what = "pidfd_open";
	int err = 0;

	if (p->options.command)
		err = signals_give_to(profiler_command(p->profiler));
	if (!err) {
		what = "the loop can't be set up";
		p->loop = loop_new();
		err = p->loop ? signals_catch(p->options.command) : -errno;
	}
	if (err)
		fprintf(stderr, "pymem-bpf: %s: %s\n", what, strerror(-err));
	return err ? EXIT_FAILED : 0;
}

static int prepare(struct profile *p)
{
	struct profile_options *o = &p->options;
	int status;

	status = privilege_check(NULL);
	if (!status && o->lines)
		status = privilege_check_lines(o->functions);
	/* First, so that its helper has no copy of anything that comes later. */
	status = status ?: profile_record_fork(&p->record, o);
	if (status)
		return status;
	p->silent = !o->format;
	p->renderer = renderer_find(o->format ?: "table");
	p->output.width = o->width;
	p->output.quiet = o->quiet;
	status = report_output_open(&p->output, p->command, o->output, o->mode);
	if (status)
		return status;
	/* -o may name one, such as /dev/tty. */
	if (p->renderer->binary && isatty(fileno(p->output.output.file))) {
		profile_refuse_terminal(p->command, p->renderer);
		return EXIT_USAGE;
	}
	/* A command writes to the same terminal: do not draw over its output. */
	p->live = !o->output && isatty(STDOUT_FILENO) && terminal_has_escapes() &&
		  p->renderer->redraws && !o->quiet && !o->command && !p->silent;
	status = new_profiler(p);
	if (!status && o->record)
		status = profile_record_open(&p->record, p->command, o, p->profiler);
	status = status ?: catch_signals(p);
	if (!status && o->pager)
		status = report_output_page(&p->output);
	if (!status)
		progress_start(!o->quiet && !o->command);
	return status;
}

/* Data that targets control are read only after this. 0 or an exit status. */
static int give_up_privileges(struct profile *p)
{
	unsigned needs = profiler_needs(p->profiler) | report_output_needs(&p->output) |
			 profile_record_needs(&p->record);

	return confine_or_say(needs, NULL, p->options.verbosity);
}

/* --- while it runs --- */

static void end_watch(struct profile *p, int err)
{
	if (!p->error)
		p->error = err;
	loop_stop(p->loop);
}

static void on_polled(void *arg, int err)
{
	struct profile *p = arg;

	if (err) {
		end_watch(p, err);
	} else if (profiler_is_over(p->profiler)) {
		signals_take_back();
		end_watch(p, 0);
	}
}

static void on_signal(void *arg, uint32_t events)
{
	(void)events;
	end_watch(arg, 0);
}

static void on_limit(void *arg)
{
	end_watch(arg, 0);
}

static void on_redraw(void *arg)
{
	struct profile *p = arg;
	int err = profile_live_draw(&p->options, p->profiler, p->renderer, &p->shown);

	if (err)
		end_watch(p, err);
}

/* The recording can't go on. What was measured so far is reported. */
static void on_record(void *arg, int err)
{
	(void)err; /* profile_record_say() tells */
	end_watch(arg, 0);
}

/* Waits until all processes have ended, time is up, or a signal asks for the end. 0 or -errno. */
static int watch(struct profile *p)
{
	uint64_t limit_ns = (uint64_t)(p->options.duration * NS_PER_SECOND);
	int err;

	err = loop_add(p->loop, &p->signals, signals_fd(), EPOLLIN, on_signal, p);
	if (!err)
		err = profiler_watch(p->profiler, p->loop, on_polled, p);
	if (err)
		return err;
	if (p->options.duration)
		loop_timer_start(p->loop, &p->limit, limit_ns, 0, on_limit, p);
	if (p->live)
		loop_timer_start(p->loop, &p->redraw, FIRST_DRAW_NS, REDRAW_NS, on_redraw, p);
	err = profile_record_watch(&p->record, p->loop, on_record, p);
	if (err)
		return err;
	err = signals_interrupted() ? 0 : loop_run(p->loop);
	return err ?: p->error;
}

/* --- the end --- */

static void say_no_function(const struct profile *p)
{
	fprintf(stderr, "pymem-bpf: -f ");
	text_print(stderr, p->options.function, 0, false);
	fprintf(stderr,
		": no such function %s while it was watched; without -f the report lists those "
		"that did%s\n",
		p->options.lines && !p->options.functions ? "ran"
		: p->options.functions			  ? "was called or changed memory"
							  : "changed memory",
		gathers_imports(p) ? ", with -v those of the import system too" : "");
}

/* Says that there are no figures of --metric. What is resident of processes that have ended is
 * none, and no error; a page has other figures. Otherwise -ENOENT. */
static int lacks_metric(const struct profile *p, const struct model *model)
{
	enum render_metric metric = p->options.metric;
	char why[256];

	if (!render_metric_missing(model, metric, false, why, sizeof(why)))
		return 0;
	options_complain(&command_profile, "%s", why);
	return metric == RENDER_RESIDENT || p->renderer->page ? 0 : -ENOENT;
}

/* Ends the measuring and writes the last report. 0 or -errno. */
static int final_report(struct profile *p)
{
	struct render_options ro =
		profile_render_options(&p->options, profiler_sources(p->profiler));
	struct model *model;
	FILE *out;
	int err;

	progress_say(p->silent ? "ending the recording" : "writing the report");
	profile_record_ends(&p->record);
	model = profiler_snapshot(p->profiler, true);
	err = model ? 0 : -errno;
	profile_record_finish(&p->record, model);
	if (!err && !p->silent)
		err = profile_redact(&p->options, model, &ro);
	if (err || p->silent)
		return err;
	signals_screen(false);
	if (!p->output.output.path)
		progress_done();
	out = report_output_begin(&p->output, &ro.width, &ro.color);
	err = lacks_metric(p, model) ?: p->renderer->emit(out, model, &ro);
	progress_done();
	if (err == -ENOENT && p->options.function)
		say_no_function(p);
	if (!err && p->renderer->only_rows && !p->options.quiet)
		render_asides(stderr, model);
	return err;
}

static int commit_report(struct profile *p)
{
	int err = final_report(p);

	progress_done();
	if (!p->silent)
		return report_output_end(&p->output, err);
	if (err)
		fprintf(stderr, "pymem-bpf: %s\n", strerror(-err));
	return err ? EXIT_FAILED : 0;
}

static int run(struct profile *p)
{
	int status, err;

	status = prepare(p) ?: open_profiler(p) ?: give_up_privileges(p) ?: attach(p);
	if (status)
		return status;
	if (p->live)
		signals_screen(true);
	else
		progress_say("profiling");
	err = watch(p);
	progress_done();
	if (err) {
		fprintf(stderr, "pymem-bpf: %s\n", strerror(-err));
		return EXIT_FAILED;
	}
	status = commit_report(p);
	status = profile_record_say(&p->record, p->options.quiet) ?: status;
	if (p->options.command && !status)
		status = profiler_command_status(p->profiler);
	return status;
}

int profile_run(const struct command *command, struct profile_options *asked)
{
	struct profile p = {.command = command, .options = *asked};
	int status = run(&p);

	/* -p NAME may have added PIDs. The caller frees them. */
	asked->pids = p.options.pids;
	asked->pid_count = p.options.pid_count;
	signals_screen(false);
	profile_record_close(&p.record);
	profiler_close(p.profiler);
	loop_free(p.loop);
	report_output_fini(&p.output);
	progress_stop();
	return status;
}

static int profile(void *options)
{
	return profile_run(&command_profile, options);
}

const struct command command_profile = {
	.brief = "Which lines of a running Python program make its memory grow, and who keeps it.\n"
		 "\n"
		 "  sudo pymem-bpf -p PID              the lines that need memory; -p NAME, too\n"
		 "  sudo pymem-bpf heap -p PID -d 30   who keeps it, which line puts it there\n"
		 "  sudo pymem-bpf -a -d 10            which programs of the host grow, and where\n"
		 "\n"
		 "  pymem-bpf -- CMD …          start CMD and profile it\n",
	.brief_end =
		"\n"
		"  -d 30s for so long, -f NAME one function, -n N lines, -o FILE, --format json\n"
		"All options: pymem-bpf help options; of a command: pymem-bpf COMMAND --help.\n",
	.usage = "-p PID[,PID…] [options]    attach to running processes\n"
		 "-a [options]               every Python process of the host\n"
		 "[options] -- CMD …         start CMD and profile it",
	.about = "Line-level resident-memory profiler for CPython, from outside the process.\n",
	.rows = profile_rows,
	.exits = EXITS_BPF,
	.exits_more = "; with -- CMD, the command's own",
	.options_size = sizeof(struct profile_options),
	.check = profile_options_check,
	.run = profile,
};

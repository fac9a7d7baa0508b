/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Attaches, redraws while it runs, prints at the end.
 *
 * Ends at Ctrl-C, SIGTERM, the end of -d, or with the last process it was asked for. A
 * second Ctrl-C gives up the report. Whatever happens, the target goes on untouched:
 * everything attached belongs to this process and goes with it.
 */
#include "cli/cmd_profile.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit_status.h"
#include "base/text.h"
#include "os/confine.h"
#include "os/terminal.h"
#include "python/examiner.h"
#include "track/launch.h"
#include "cli/options.h"
#include "os/output.h"
#include "cli/privilege.h"
#include "os/proc.h"
#include "render/render.h"
#include "report/report.h"
#include "kernel/session.h"
#include "os/signals.h"
#include "track/tracker.h"

#define REDRAW_SECONDS 1.0
#define POLL_MS	       100

struct profile {
	struct options options;
	struct session *session;
	struct tracker tracker;
	struct report *report;
	bool tracking;
	struct launch launch;
	bool trace_given_up; /* ptrace(2) is refused from here on */
	struct output output;
	const struct renderer *renderer;
	struct source_cache *sources;
	bool live;     /* redraw on a terminal */
	unsigned rows; /* drawn last */
};

static int open_session(struct profile *p)
{
	const struct options *o = &p->options;
	struct session_options so = {
		.watch_host = o->all,
		.many = o->all || o->pid_count > 1,
		.follow_children = !o->no_children,
		.faults = !o->no_faults,
		.syscalls = !o->no_syscalls,
		.lines = o->lines,
		.max_stacks = o->max_stacks,
		.max_images = o->max_processes,
		.ring_bytes = o->ring_bytes,
		.verbosity = o->verbosity,
	};
	char why[512] = "";
	int err;

	p->session = session_new(&so, why, sizeof(why));
	if (!p->session) {
		fprintf(stderr, "pymem-bpf: %s\n", *why ? why : strerror(errno));
		fputs("pymem-bpf check lists what is needed.\n", stderr);
		return EXIT_ENVIRONMENT;
	}
	err = tracker_init(&p->tracker, p->session, o->all, o->lines);
	p->tracker.interrupted = signals_interrupted;
	p->tracking = true;
	if (!err)
		err = session_attach(p->session);
	if (err) {
		fprintf(stderr,
			"pymem-bpf: the event sources can't be attached: %s\n"
			"pymem-bpf check lists what is needed.\n",
			strerror(-err));
		return EXIT_ENVIRONMENT;
	}
	return 0;
}

/* Attaches to what was asked for; 0 or an exit status. */
static int attach_pids(struct profile *p)
{
	const struct options *o = &p->options;
	size_t i, good = 0;
	char reason[512];

	for (i = 0; i < o->pid_count; i++) {
		if (!tracker_attach(&p->tracker, o->pids[i], reason, sizeof(reason))) {
			good++;
			continue;
		}
		fprintf(stderr, "pymem-bpf: ");
		text_print(stderr, reason, 0, false);
		fprintf(stderr, "%s\n", o->pid_count > 1 ? "; skipped" : "");
	}
	if (!good)
		return EXIT_FAILED;
	return 0;
}

/* The command is held: is it known what it runs? What goes wrong here does so in the loop too. */
static bool command_known(void *arg)
{
	struct profile *p = arg;

	return tracker_examine_held(&p->tracker, p->launch.pid);
}

/* Gives up ptrace(2) once the command is not traced any more. 0 or -errno. */
static int give_up_trace(struct profile *p)
{
	if (!p->options.command || p->launch.traced || p->trace_given_up)
		return 0;
	p->trace_given_up = true;
	return confine_end_trace();
}

static int start_command(struct profile *p)
{
	bool held = launch_hold(&p->launch);
	int err = tracker_attach_launched(&p->tracker, p->launch.pid, p->options.command[0], held);
	bool tracked = !err;

	/* A signal has ended it before it ran: that is its end, and no failure of ours. Its memory
	 * is gone some time before it can be waited for. */
	for (int i = 0; err == -ESRCH && i < 100 && !launch_ended(&p->launch); i++)
		usleep(10000);
	if (!tracked && launch_ended(&p->launch))
		return launch_exit_status(&p->launch);
	if (tracked)
		err = launch_go(&p->launch, command_known, p);
	if (!err)
		err = give_up_trace(p);
	if (!err)
		return 0;
	fprintf(stderr, "pymem-bpf: ");
	text_print(stderr, p->options.command[0], 0, false);
	fprintf(stderr, "%s: %s\n", tracked ? "" : " was not started: it can't be tracked",
		strerror(-err));
	return !tracked ? EXIT_FAILED : err == -ENOENT ? 127 : 126;
}

static int attach(struct profile *p)
{
	const struct options *o = &p->options;
	int status = 0, count = 0;

	if (o->pid_count) {
		status = attach_pids(p);
	} else if (o->all) {
		count = tracker_attach_all(&p->tracker);
		/* A signal: what is attached so far is reported. */
		if (count == -EINTR)
			return 0;
		if (count < 0) {
			fprintf(stderr, "pymem-bpf: /proc can't be read: %s\n", strerror(-count));
			status = EXIT_FAILED;
		}
	} else {
		status = start_command(p);
	}
	if (status || o->quiet)
		return status;
	if (o->all)
		fprintf(stderr,
			"attached to %d Python process%s, and to all that will start; "
			"Ctrl-C ends\n",
			count, count == 1 ? "" : "es");
	else if (o->pid_count)
		fprintf(stderr, "attached; Ctrl-C ends and prints the report\n");
	return 0;
}

static int emit(struct profile *p, FILE *out, struct model *model)
{
	bool terminal = out == stdout && isatty(STDOUT_FILENO);
	struct render_options ro = {
		.width = terminal ? terminal_columns() : 0,
		.color = terminal && !getenv("NO_COLOR"),
		.top = p->options.top,
		.sort = p->options.sort,
		.function = p->options.function,
		.peak = p->options.peak,
		.sources = p->sources,
	};

	return p->renderer->emit(out, model, &ro);
}

/* Lines of each process: so many that the largest have a place on the screen, beside some ten lines
 * of text on each. */
static unsigned live_lines(unsigned rows, size_t processes)
{
	unsigned shown = rows / 14;

	if (shown > processes)
		shown = processes;
	rows /= shown ? shown : 1;
	return rows > 16 ? rows - 12 : 4;
}

/* Draws a live report: built in memory, cut to the screen, written at once. */
static int redraw(struct profile *p)
{
	struct model *model = report_build(p->report, false);
	unsigned rows = terminal_rows(), line;
	size_t size;
	char *text = NULL, *at, *end;
	FILE *memory;
	int err;

	if (!model)
		return -errno;
	memory = open_memstream(&text, &size);
	if (!memory)
		return -ENOMEM;
	{
		struct render_options ro = {
			.width = terminal_columns(),
			.color = !getenv("NO_COLOR"),
			.top = live_lines(rows, model->process_count),
			.sort = p->options.sort,
			.function = p->options.function,
			.peak = p->options.peak,
			.sources = p->sources,
			.live = true,
		};

		err = p->renderer->emit(memory, model, &ro);
	}
	fclose(memory);
	if (!err) {
		fputs("\033[H", stdout);
		for (at = text, line = 0; *at && line + 1 < rows; at = end + 1, line++) {
			end = strchrnul(at, '\n');
			fwrite(at, 1, end - at, stdout);
			fputs("\033[K\n", stdout);
			if (!*end)
				break;
		}
		fputs("\033[J", stdout);
		if (fflush(stdout))
			err = -errno;
	}
	free(text);
	return err == -ENOENT ? 0 : err;
}

/* Is anything left to watch? */
static bool ended(struct profile *p)
{
	size_t i;

	if (p->options.all)
		return false;
	if (p->options.command && launch_ended(&p->launch)) {
		signals_take_back();
		return true;
	}
	if (p->options.command)
		return false;
	if (tracker_any_asked_alive(&p->tracker))
		return false;
	/* Between the end of one image and the start of the next lies an exec. */
	for (i = 0; i < p->options.pid_count; i++) {
		struct proc_info info;
		bool alive;

		if (proc_stat_read(p->options.pids[i], &info))
			continue;
		alive = info.state != 'Z' && info.state != 'X';
		if (alive && tracker_follows(&p->tracker, p->options.pids[i]))
			return false;
	}
	return true;
}

static int watch(struct profile *p)
{
	double begin = clock_seconds(CLOCK_MONOTONIC), drawn = 0, t;
	double limit = p->options.duration;
	int err;

	while (!signals_interrupted()) {
		t = clock_seconds(CLOCK_MONOTONIC);
		if (limit && t - begin >= limit)
			break;
		err = tracker_poll(&p->tracker, limit && (begin + limit - t) * 1000 < POLL_MS
							? (int)((begin + limit - t) * 1000) + 1
							: POLL_MS);
		if (err < 0 && err != -EINTR)
			return err;
		/* With --lines it takes as long as a short process lives, which is then not known.
		 */
		err = p->options.lines && tracker_is_busy(&p->tracker)
			      ? 0
			      : report_fold(p->report, false);
		if (err)
			return err;
		if (ended(p))
			break;
		err = give_up_trace(p);
		if (err)
			return err;
		if (p->live && t - drawn >= REDRAW_SECONDS) {
			err = redraw(p);
			if (err)
				return err;
			drawn = t;
		}
	}
	return 0;
}

/* What the import system does is shown as its importer's, unless somebody wants to know. */
static bool folds_imports(const struct profile *p)
{
	return p->renderer->for_people && !p->options.verbosity;
}

/* The last word, with everything detached. */
static int final_report(struct profile *p)
{
	struct model *model;
	int err;

	session_detach(p->session);
	err = tracker_finish(&p->tracker);
	if (err)
		return err;
	model = report_build(p->report, true);
	if (!model)
		return -errno;
	/* It takes a while, which is no part of what was profiled. */
	err = tracker_find_unwatched(&p->tracker);
	if (err)
		return err;
	report_note_unwatched(p->report);
	signals_screen(false);
	p->live = false;
	err = emit(p, p->output.file, model);
	if (err == -ENOENT && p->options.function) {
		fprintf(stderr, "pymem-bpf: -f ");
		text_print(stderr, p->options.function, 0, false);
		fprintf(stderr,
			": no such function %s while it was watched; without -f the report "
			"lists those that did%s\n",
			p->options.lines ? "ran" : "changed memory",
			folds_imports(p) ? ", with -v those of the import system too" : "");
	}
	return err;
}

static int finish(struct profile *p)
{
	int err = final_report(p);

	if (!err)
		err = output_commit(&p->output);
	else
		output_discard(&p->output);
	if (err && err != -ENOENT) {
		fprintf(stderr, "pymem-bpf: the report could not be written%s%s: %s\n",
			p->options.output ? " to " : "", p->options.output ? p->options.output : "",
			strerror(-err));
		return EXIT_FAILED;
	}
	return err ? EXIT_FAILED : EXIT_DONE;
}

/* What is hostile is read only after this. */
static int give_up_privileges(struct profile *p)
{
	const struct options *o = &p->options;
	unsigned needs = CONFINE_LOOK | CONFINE_EXAMINE;

	if (o->lines)
		needs |= CONFINE_PROBES;
	if (o->command)
		needs |= CONFINE_TRACE | CONFINE_SIGNAL;
	if (o->output)
		needs |= CONFINE_REPORT;
	return confine_or_say(needs, NULL, o->verbosity);
}

static int prepare(struct profile *p)
{
	struct options *o = &p->options;
	int status, err;

	status = privilege_check(NULL);
	if (!status && o->lines)
		status = privilege_check_lines();
	if (status)
		return status;
	/* Before there is anything that it should not have a copy of. */
	err = examiner_start(signals_interrupted);
	if (err) {
		fprintf(stderr,
			"pymem-bpf: the examiner, a helper process that reads what targets can "
			"hold up, can't be started: %s\n",
			strerror(-err));
		return EXIT_FAILED;
	}
	p->renderer = renderer_find(o->format);
	err = output_open(&p->output, o->output, o->mode);
	if (err) {
		fprintf(stderr, "pymem-bpf: -o %s: %s\n", o->output, output_explain(err));
		return EXIT_FAILED;
	}
	p->sources = source_cache_new(examiner_read_source);
	if (!p->sources) {
		fprintf(stderr, "pymem-bpf: %s\n", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	p->live = !o->output && isatty(STDOUT_FILENO) && !strcmp(o->format, "table") && !o->quiet;
	/* The command shares our terminal: do not draw over what it prints. */
	if (o->command)
		p->live = false;
	if (o->command) {
		err = launch_prepare(&p->launch, o->command);
		if (err) {
			fprintf(stderr, "pymem-bpf: can't fork: %s\n", strerror(-err));
			return EXIT_FAILED;
		}
		/* From the start: what ends it before it runs is the command's, too. */
		err = signals_give_to(p->launch.pid);
		if (err) {
			fprintf(stderr, "pymem-bpf: pidfd_open: %s\n", strerror(-err));
			return EXIT_FAILED;
		}
	}
	return 0;
}

static int run(struct profile *p)
{
	int status = prepare(p), err;

	if (status)
		return status;
	signals_catch(p->options.command != NULL);
	status = open_session(p);
	if (status)
		return status;
	status = give_up_privileges(p);
	if (status)
		return status;
	p->report = report_new(tracker_counts(&p->tracker), clock_seconds(CLOCK_REALTIME),
			       p->options.ended_bytes, folds_imports(p), NULL);
	if (!p->report) {
		fprintf(stderr, "pymem-bpf: %s\n", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	status = attach(p);
	if (status)
		return status;
	if (p->live)
		signals_screen(true);
	err = watch(p);
	if (err) {
		fprintf(stderr, "pymem-bpf: %s\n", strerror(-err));
		return EXIT_FAILED;
	}
	status = finish(p);
	if (p->options.command && !status)
		status = launch_exit_status(&p->launch);
	return status;
}

int cmd_profile(int argc, char **argv)
{
	struct profile p = {.launch.pid = -1, .launch.go_fd = -1};
	int status;

	if (options_parse(&p.options, argc, argv)) {
		options_fini(&p.options);
		return EXIT_USAGE;
	}
	if (p.options.help) {
		options_help(stdout);
		return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
	}
	if (p.options.version) {
		puts("pymem-bpf " PYMEM_VERSION);
		return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
	}
	status = run(&p);
	signals_screen(false);
	launch_abandon(&p.launch);
	output_discard(&p.output);
	report_free(p.report);
	if (p.tracking)
		tracker_fini(&p.tracker);
	session_free(p.session);
	source_cache_free(p.sources);
	examiner_stop();
	options_fini(&p.options);
	return status;
}

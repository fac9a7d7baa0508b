/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `pymem-bpf memit`: how much memory a program takes. Prints one line like %memit, for any program:
 * the highest RSS, and how far that is above the RSS at the start.
 *
 * It uses the kernel's own figures, at each change, so it misses no peak, however short. It watches
 * a command from its exec on: the command then starts as an empty process, and our child before
 * that does not count. It leaves out children that run on after CMD has ended. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "os/confine.h"
#include "os/loop.h"
#include "os/signals.h"
#include "track/launch.h"
#include "cli/command.h"
#include "cli/privilege.h"
#include "cli/shared_rows.h"
#include "serve/serve_process.h"
#include "kernel/session.h"
#include "render/render.h"
#include "serve/watch.h"

struct memit_options {
	pid_t pid; /* 0: none */
	char **command;
	double seconds; /* 0: until the end */
	unsigned repeat;
	bool children, quiet;
	int verbosity;
};

struct memit {
	const struct memit_options *options;
	struct session *session;
	struct launcher launcher;
	struct loop *loop;
	bool interrupted;    /* a signal has ended the wait */
	bool hangup_ignored; /* as by nohup(1): a SIGHUP is passed on and ends nothing */
	pid_t child; /* > 0: our child; it gets the signals that we get, and is waited for */
	bool ended;  /* the process that is waited for has ended */
};

struct result {
	int64_t peak_pages, increment_pages;
};

/* --- waiting --- */

static void on_signal(void *arg, const struct signalfd_siginfo *info)
{
	struct memit *m = arg;
	bool ends = info->ssi_signo != SIGHUP || !m->hangup_ignored;

	m->interrupted |= ends;
	/* What the terminal sends (si_code > 0) reaches the command without us. */
	if (m->child > 0 && info->ssi_code <= 0)
		kill(m->child, (int)info->ssi_signo);
	else if (m->child <= 0 && ends)
		loop_stop(m->loop);
}

/* From now on signals arrive only during the wait, so none is missed between a check and the wait.
 * 0 or -errno. */
static int take_signals(struct memit *m)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	size_t i;
	int err = 0;

	m->hangup_ignored = signals_hangup_ignored();
	for (i = 0; !err && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		err = loop_take_signal(m->loop, numbers[i], on_signal, m);
	signal(SIGPIPE, SIG_IGN);
	return err;
}

static void on_end(void *arg, uint32_t events)
{
	struct memit *m = arg;

	(void)events;
	m->ended = true;
	loop_stop(m->loop);
}

static void on_limit(void *arg)
{
	struct memit *m = arg;

	loop_stop(m->loop);
}

/* Waits until the process ends, for `seconds` at most (0: no limit). If the process is not our
 * child, a signal ends the wait too. 1: it has ended; 0: it has not; or -errno. */
static int wait_for(struct memit *m, int pidfd, double seconds)
{
	struct loop_timer limit = {};
	struct loop_fd end = {};
	int err = loop_add(m->loop, &end, pidfd, EPOLLIN, on_end, m);

	if (err)
		return err;
	m->ended = false;
	if (seconds)
		loop_timer_start(m->loop, &limit, (uint64_t)(seconds * 1e9), 0, on_limit, m);
	err = loop_run(m->loop);
	loop_timer_stop(&limit);
	loop_remove(&end);
	return err ?: m->ended;
}

static struct result result_of(const struct memit *m, const struct watch *w)
{
	struct watch_figures f = watch_read(w);
	int64_t peak = m->options->children ? f.tree_peak : f.peak;
	int64_t start = m->options->command    ? f.image_start
			: m->options->children ? f.start_tree
					       : f.start;

	if (m->options->children && f.partial)
		fputs("pymem-bpf memit: the sum lacks descendants: too many processes at once\n",
		      stderr);
	return (struct result){.peak_pages = peak, .increment_pages = peak - start};
}

static int fail(const char *what, int err)
{
	fputs("pymem-bpf memit: ", stderr);
	text_print(stderr, what, 0, false);
	fprintf(stderr, ": %s\n", strerror(-err));
	return EXIT_FAILED;
}

static int print_result(struct result r)
{
	double mib = (double)sysconf(_SC_PAGESIZE) / (1 << 20);

	printf("peak memory: %.2f MiB, increment: %.2f MiB\n", (double)r.peak_pages * mib,
	       (double)r.increment_pages * mib);
	return fflush(stdout) ? fail("the report could not be written", -errno) : EXIT_DONE;
}

static int open_session(struct memit *m)
{
	struct session_options options = {
		.follow_children = m->options->children,
		.count_only = true,
		.max_stacks = 64,
		.max_images = 4096,
		.ring_bytes = 64 * 1024,
		.verbosity = m->options->verbosity,
	};
	char why[512] = "";
	int err;

	m->session = session_new(&options, why, sizeof(why));
	if (!m->session) {
		fprintf(stderr, "pymem-bpf memit: %s\npymem-bpf check lists what is needed.\n",
			*why ? why : strerror(errno));
		return EXIT_ENVIRONMENT;
	}
	err = session_attach(m->session);
	if (!err)
		return 0;
	fail("the event sources can't be attached", err);
	fputs("pymem-bpf check lists what is needed.\n", stderr);
	return EXIT_ENVIRONMENT;
}

/* --- a command --- */

/* Waits for the command's end and passes signals on. The PID can't be reused before we wait for
 * it. */
static int wait_for_command(struct memit *m, const struct launch *launch)
{
	int pidfd = (int)syscall(SYS_pidfd_open, launch->pid, 0), err;

	if (pidfd < 0)
		return -errno;
	m->child = launch->pid;
	err = wait_for(m, pidfd, 0);
	m->child = 0;
	close(pidfd);
	return err < 0 ? err : 0;
}

/* Runs the command once. 0, with the command's exit status in `*status`; or -1, with our own in
 * it. */
static int run_once(struct memit *m, struct result *result, int *status)
{
	struct launch launch;
	struct watch watch = {};
	int err;

	*status = EXIT_FAILED;
	err = launcher_prepare(&m->launcher, &launch);
	if (err) {
		fail("can't fork", err);
		return -1;
	}
	err = watch_begin(&watch, m->session, launch.pid, 0, 0);
	if (!err)
		err = watch_from_exec(&watch);
	if (err) {
		fail("the command can't be watched", err);
		launch_abandon(&launch);
		watch_end(&watch);
		return -1;
	}
	err = launch_go(&launch, NULL, NULL);
	if (err) {
		fail(m->options->command[0], err);
		*status = err == -ENOENT ? 127 : 126;
		launch_exit_status(&launch);
		watch_end(&watch);
		return -1;
	}
	err = wait_for_command(m, &launch);
	if (err)
		fail(m->options->command[0], err);
	*result = result_of(m, &watch);
	watch_end(&watch);
	*status = launch_exit_status(&launch);
	return err ? -1 : 0;
}

static int run_command(struct memit *m)
{
	struct result best = {}, result;
	int status = 0, first = 0, failed = 0;
	unsigned i;

	for (i = 0; i < m->options->repeat && !m->interrupted && !failed; i++) {
		failed = run_once(m, &result, &status);
		if (!failed && (!i || result.peak_pages > best.peak_pages))
			best = result;
		if (!first)
			first = status;
	}
	if (failed)
		return first;
	if (m->interrupted && i < m->options->repeat && !m->options->quiet)
		fprintf(stderr, "pymem-bpf memit: interrupted: the result of %u runs\n", i);
	return print_result(best) ? EXIT_FAILED : first;
}

/* --- a running process --- */

static int watch_pid(struct memit *m)
{
	static const struct serve_peer root = {.uid = 0};
	struct serve_process process;
	struct watch watch = {};
	struct result result;
	char why[256] = "";
	double begin;
	int err;

	if (serve_process_open(&root, m->options->pid, 0, &process, why, sizeof(why)) !=
	    PYMEM_SERVE_OK) {
		fputs("pymem-bpf memit: ", stderr);
		text_print(stderr, why, 0, false);
		fputc('\n', stderr);
		return EXIT_FAILED;
	}
	err = watch_begin(&watch, m->session, process.pid, process.start_ticks, 0);
	if (err) {
		close(process.pidfd);
		snprintf(why, sizeof(why), "pid %d", m->options->pid);
		return fail(why, err);
	}
	begin = clock_seconds(CLOCK_MONOTONIC);
	if (!m->options->quiet)
		fprintf(stderr, "attached; %s\n",
			m->options->seconds ? "Ctrl-C ends early"
					    : "Ctrl-C ends and prints the result");
	err = wait_for(m, process.pidfd, m->options->seconds);
	close(process.pidfd);
	result = result_of(m, &watch);
	watch_end(&watch);
	if (err < 0)
		return fail("waiting", err);
	if (err > 0 && !m->options->quiet)
		fprintf(stderr, "pymem-bpf memit: pid %d has ended, after %.1f s\n",
			m->options->pid, clock_seconds(CLOCK_MONOTONIC) - begin);
	return print_result(result);
}

/* --- command line --- */

#define AT(field) OPTION_AT(struct memit_options, field)

static const struct option_row rows[] = {
	{.name = "pid",
	 .letter = 'p',
	 .argument = "PID",
	 .type = OPTION_PID,
	 AT(pid),
	 ROW_PID_BOUNDS,
	 .help = "watch this process, from now on"},
	ROW_DURATION("for so long, not until it ends or Ctrl-C"),
	{.name = "repeat",
	 .letter = 'r',
	 .argument = "N",
	 .type = OPTION_UNSIGNED,
	 AT(repeat),
	 .least = 1,
	 .most = 1000000,
	 .preset = "1",
	 .help = "run CMD N times, one after the other, and tell the highest"},
	{.name = "children",
	 .letter = 'C',
	 .type = OPTION_FLAG,
	 AT(children),
	 .help = "add up the process and its children"},
	ROW_QUIET("the result"),
	ROW_VERBOSE("print libbpf's warnings; -vv: all it has to say"),
	OPTION_HELP_ROW,
	{.argument = "CMD …", .type = OPTION_COMMAND_BARE, AT(command), .help = "run CMD"},
	{},
};

static int check(const struct command *command, void *options)
{
	const struct memit_options *o = options;
	const char *wrong = NULL;

	if (!o->command == !o->pid)
		wrong = o->pid ? "-p and a command exclude one another"
			       : "say what to watch: -p PID, or -- CMD …";
	else if (o->command && o->seconds > 0)
		wrong = "-d goes with -p; a command is watched until it ends";
	else if (o->pid && o->repeat)
		wrong = "-r goes with a command";
	return wrong ? options_complain(command, "%s; --help tells more", wrong) : 0;
}

/* 0, or an exit status. The launcher is forked first: its commands then have all rights that we
 * have. */
static int prepare(struct memit *m)
{
	int err = m->options->command ? launcher_start(&m->launcher, m->options->command) : 0,
	    status;

	if (err)
		return fail("can't fork", err);
	m->loop = loop_new();
	if (!m->loop)
		return fail("waiting", -errno);
	status = open_session(m);
	if (status)
		return status;
	err = take_signals(m);
	if (err)
		return fail("signals", err);
	return confine_or_say(m->options->command ? CONFINE_SIGNAL : CONFINE_LOOK, "memit",
			      m->options->verbosity);
}

static int run(void *options)
{
	struct memit m = {.options = options};
	int status = privilege_check("memit");

	if (!status)
		status = prepare(&m);
	if (!status)
		status = m.options->command ? run_command(&m) : watch_pid(&m);
	session_free(m.session);
	loop_free(m.loop);
	launcher_end(&m.launcher);
	return status;
}

const struct command command_memit = {
	.name = "memit",
	.synopsis = "memit -- CMD …",
	.summary = "peak RSS of any program; -p PID: a running one",
	.usage = "[-r N] [-C] [-q] -- CMD …    run CMD\n"
		 "-p PID [-d SEC] [-C] [-q]    watch a running process",
	.about = "Prints the highest RSS of a program, and how far that is above its RSS at the "
		 "start.\nAny program will do. Needs root.\n",
	.rows = rows,
	.exits = EXITS_BPF,
	.exits_more = "; with -- CMD, the command's own (with -r the first that is not 0)",
	.options_size = sizeof(struct memit_options),
	.check = check,
	.run = run,
};

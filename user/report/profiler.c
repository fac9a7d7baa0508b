/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a command that prints a report at its end, a live screen, and a service that runs for
 * months do the same things in the same order. Most of these can't be undone, so the order matters.
 * It is kept here.
 *
 * Left out is what differs between them: what a signal means, where output goes, what else the
 * process may do (confine()), and when it ends.
 *
 * Most messages of the BPF side wake nobody, and what has failed is tried again after some time. So
 * the loop looks every POLL_NS, and also whenever the BPF side wakes it: for each new image, for
 * the end of one, and when its ring fills. To wake up is dearer than what is then done. So who
 * measures for days looks every IDLE_NS while nothing waits to be done. */
#include "report/profiler.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "os/confine.h"
#include "os/proc.h"
#include "python/examiner.h"
#include "python/inner_pid.h"
#include "track/launch.h"
#include "track/tracker.h"

#define POLL_NS		 100000000ULL
#define IDLE_NS		 500000000ULL
#define END_WAIT_STEP_US 10000
#define END_WAIT_STEPS	 100
#define SHARES_MS	 2000

struct profiler {
	struct profiler_options options;
	struct session *session;
	struct tracker tracker;
	struct report *report;
	double start; /* seconds since the epoch */
	struct source_cache *sources;
	struct launch launch;
	bool tracking;
	bool trace_given_up; /* ptrace(2) is refused from now on */
	bool ended;	     /* detached; the figures are final */
	pid_t *pids;	     /* those added by profiler_add_pid() */
	size_t pid_count, pid_room;
	size_t taken_along; /* their descendants */
	uint64_t digest;    /* state of profiler_has_changed(), at its last call */
	/* of profiler_watch() */
	struct loop *loop;
	struct loop_fd messages;
	struct loop_timer tick;
	profiler_polled_fn *polled;
	void *polled_arg;
};

/* --- begin --- */

struct profiler *profiler_new(const struct profiler_options *options, char *why, size_t size)
{
	struct profiler *p = calloc(1, sizeof(*p));
	const char *what;
	int err;

	if (!p) {
		snprintf(why, size, "%s", strerror(ENOMEM));
		return NULL;
	}
	p->options = *options;
	p->launch.pid = p->launch.go_fd = -1;
	/* First, so that the examiner has no copy of anything that comes later. */
	err = examiner_start(options->interrupted);
	what = "the examiner, a helper process that reads what targets can hold up, can't be "
	       "started: ";
	if (!err && options->command) {
		err = launch_prepare(&p->launch, options->command);
		what = "can't fork: ";
	}
	if (!err) {
		p->sources = source_cache_new(examiner_read_source);
		err = p->sources ? 0 : -ENOMEM;
		what = "";
	}
	if (!err)
		return p;
	snprintf(why, size, "%s%s", what, strerror(-err));
	profiler_close(p);
	errno = -err;
	return NULL;
}

static int begin_report(struct profiler *p)
{
	struct counts counts = tracker_counts(&p->tracker);

	if (p->options.between)
		counts = p->options.between(p->options.between_arg, counts);
	p->start = clock_seconds(CLOCK_REALTIME);
	p->report = report_new(counts, p->start, p->options.ended_bytes, p->options.gather_imports);
	if (p->report && p->options.ended_processes)
		report_keep_ended(p->report, p->options.ended_processes);
	if (p->report && p->options.gone)
		report_on_gone(p->report, p->options.gone, p->options.gone_arg);
	if (p->report && p->options.keep_trees)
		report_keep_trees(p->report);
	if (p->report && p->options.session.threads)
		report_tell_threads(p->report);
	if (p->report && p->options.killed)
		report_tell_killed(p->report, p->options.killed, p->options.killed_arg);
	return p->report ? 0 : -ENOMEM;
}

double profiler_start(const struct profiler *p)
{
	return p->start;
}

int profiler_open(struct profiler *p, char *why, size_t size)
{
	const struct session_options *so = &p->options.session;
	char text[512] = "";
	int err;

	p->session = session_new(so, text, sizeof(text));
	if (!p->session) {
		err = -errno;
		snprintf(why, size, "%s", *text ? text : strerror(errno));
		return err;
	}
	err = tracker_init(&p->tracker, p->session, so->watch_host, so->lines);
	p->tracker.interrupted = p->options.interrupted;
	p->tracking = true;
	if (!err && p->options.groups && !(p->tracker.groups = cgroup_book_new()))
		err = -ENOMEM;
	if (!err)
		err = session_attach(p->session);
	if (!err)
		err = begin_report(p);
	if (err)
		snprintf(why, size, "the event sources can't be attached: %s", strerror(-err));
	return err;
}

unsigned profiler_needs(const struct profiler *p)
{
	unsigned needs = CONFINE_LOOK | CONFINE_EXAMINE;

	if (p->options.session.lines)
		needs |= CONFINE_PROBES;
	if (p->options.command)
		needs |= CONFINE_TRACE | CONFINE_SIGNAL;
	return needs;
}

/* Nobody profiles `pid`: it may be a PID inside of a container. */
static void explain_pid(pid_t pid, char *why, size_t size)
{
	char inner[128];

	inner_pid_explain(pid, inner, sizeof(inner));
	snprintf(why + strlen(why), size - strlen(why), "%s", inner);
}

/* Profiles the Pythons that `pid`, which is none, has started. 0 or -ENOENT: there are none. */
static int add_through(struct profiler *p, pid_t pid, char *why, size_t size)
{
	size_t taken = tracker_attach_through(&p->tracker, pid);
	struct proc_info info = {};

	if (!taken)
		return -ENOENT;
	p->taken_along += taken;
	proc_stat_read(pid, &info);
	snprintf(why, size, "pid %d (%s) is not Python: profiled in its place: %zu that it started",
		 pid, info.comm, taken);
	return 0;
}

int profiler_add_pid(struct profiler *p, pid_t pid, char *why, size_t size)
{
	bool children = p->options.session.follow_children;
	int err;

	if (!ARRAY_HAS_ROOM(p->pids, p->pid_count, p->pid_room)) {
		snprintf(why, size, "pid %d: %s", pid, strerror(ENOMEM));
		return -ENOMEM;
	}
	err = tracker_attach(&p->tracker, pid, why, size);
	if (err == -ENOENT && children && !add_through(p, pid, why, size))
		return 0;
	if (err == -ENOENT || err == -ESRCH)
		explain_pid(pid, why, size);
	if (err)
		return err;
	snprintf(why, size, "%s", "");
	p->pids[p->pid_count++] = pid;
	if (children)
		p->taken_along += tracker_attach_children(&p->tracker, pid, false);
	return 0;
}

size_t profiler_taken_along(const struct profiler *p)
{
	return p->taken_along;
}

int profiler_add_all(struct profiler *p)
{
	return tracker_attach_all(&p->tracker);
}

/* --- the command --- */

/* True if it is known what the held command runs. The loop sees an error of this again. */
static bool command_known(void *arg)
{
	struct profiler *p = arg;

	return tracker_examine_held(&p->tracker, p->launch.pid);
}

/* Gives up ptrace(2) once the command is not traced any more. 0 or -errno. */
static int give_up_trace(struct profiler *p)
{
	if (!p->options.command || p->launch.traced || p->trace_given_up)
		return 0;
	p->trace_given_up = true;
	return confine_end_trace();
}

/* Handles the command's stops and its end. 0 or -errno. */
static int look_after_command(struct profiler *p)
{
	if (p->options.command)
		launch_ended(&p->launch);
	return give_up_trace(p);
}

enum profiler_started profiler_start_command(struct profiler *p, int *err)
{
	struct launch *launch = &p->launch;
	bool held = launch_hold(launch);

	*err = tracker_attach_launched(&p->tracker, launch->pid, p->options.command[0], held);
	/* A signal may have ended the command before it ran. That is the command's end and no
	 * failure of ours. Its memory is gone a little before the process can be waited for. */
	for (int i = 0; *err == -ESRCH && i < END_WAIT_STEPS && !launch_ended(launch); i++)
		usleep(END_WAIT_STEP_US);
	if (*err)
		return launch_ended(launch) ? PROFILER_ENDED : PROFILER_UNTRACKED;
	*err = launch_go(launch, command_known, p);
	if (*err)
		return PROFILER_NOT_RUN;
	*err = give_up_trace(p);
	return *err ? PROFILER_BROKEN : PROFILER_STARTED;
}

pid_t profiler_command(const struct profiler *p)
{
	return p->launch.pid;
}

int profiler_command_status(struct profiler *p)
{
	return launch_exit_status(&p->launch);
}

/* --- while it runs --- */

int profiler_poll(struct profiler *p)
{
	int err = tracker_poll(&p->tracker, 0);

	if (err < 0 && err != -EINTR)
		return err;
	/* With the exact engine, finishing takes as long as a short process lives, and that process
	 * would then not be identified. So it waits while processes start. */
	err = p->options.session.lines && tracker_is_busy(&p->tracker)
		      ? 0
		      : report_finish_ended(p->report, false);
	return err ?: look_after_command(p);
}

static void on_tick(void *arg)
{
	struct profiler *p = arg;
	int err = profiler_poll(p);
	bool idle = p->options.seldom && !tracker_has_work(&p->tracker);

	loop_timer_start(p->loop, &p->tick, idle ? IDLE_NS : POLL_NS, 0, on_tick, p);
	p->polled(p->polled_arg, err);
}

static void on_message(void *arg, uint32_t events)
{
	(void)events;
	on_tick(arg);
}

/* A traced command may have stopped: it must not wait until the next tick. */
static void on_child(void *arg, const struct signalfd_siginfo *info)
{
	struct profiler *p = arg;

	(void)info;
	p->polled(p->polled_arg, look_after_command(p));
}

int profiler_watch(struct profiler *p, struct loop *loop, profiler_polled_fn *fn, void *arg)
{
	int err = loop_add(loop, &p->messages, session_fd(p->session), EPOLLIN, on_message, p);

	if (!err && p->options.command)
		err = loop_take_signal(loop, SIGCHLD, on_child, p);
	if (err)
		return err;
	p->loop = loop;
	p->polled = fn;
	p->polled_arg = arg;
	/* Look at once: a SIGCHLD that came before the loop took the signal is seen by nobody. */
	loop_timer_start(loop, &p->tick, 0, 0, on_tick, p);
	return 0;
}

static void unwatch(struct profiler *p)
{
	loop_remove(&p->messages);
	loop_timer_stop(&p->tick);
	if (p->loop && p->options.command)
		loop_take_signal(p->loop, SIGCHLD, NULL, NULL);
	p->loop = NULL;
}

bool profiler_is_over(const struct profiler *p)
{
	if (p->options.session.watch_host)
		return false;
	if (tracker_awaits_victim(&p->tracker))
		return false;
	if (p->options.command)
		return p->launch.ended;
	if (tracker_any_asked_alive(&p->tracker))
		return false;
	/* Its PID may have a new image in a moment: between two images lies an exec. */
	for (size_t i = 0; i < p->pid_count; i++) {
		struct proc_info info;
		bool alive;

		if (proc_stat_read(p->pids[i], &info))
			continue;
		alive = info.state != 'Z' && info.state != 'X';
		if (alive && tracker_follows(&p->tracker, p->pids[i]))
			return false;
	}
	return true;
}

/* --- what is shown, and the end --- */

/* Detaches. The figures are final afterwards. 0 or -errno. */
static int end_profile(struct profiler *p)
{
	int err;

	unwatch(p);
	/* From now on nothing handles the command's stops, and writing the report may take as long
	 * as its reader likes. */
	err = p->options.command ? launch_let_go(&p->launch) : 0;
	session_detach(p->session);
	tracker_end_groups(&p->tracker);
	if (!err)
		err = tracker_end(&p->tracker);
	p->ended = !err;
	return err;
}

/* Sets pss_bytes of the processes, in which shared pages are not counted twice. After
 * SHARES_MS the others stay unknown. */
static void add_shares(struct model *model)
{
	uint64_t end_ms = clock_ms(CLOCK_MONOTONIC) + SHARES_MS;
	struct proc_rollup rollup;
	size_t i;

	for (i = 0; i < model->process_count && clock_ms(CLOCK_MONOTONIC) < end_ms; i++) {
		struct model_process *process = model->processes[i];

		if (!process->exited && !examiner_read_rollup(process->pid, &rollup))
			process->pss_bytes = rollup.pss_bytes;
	}
}

struct model *profiler_snapshot(struct profiler *p, bool final)
{
	bool ends = final && !p->ended;
	struct model *model;
	int err;

	/* The BPF side sends a message before it counts. So read all messages first. */
	err = ends ? end_profile(p) : p->ended ? 0 : tracker_poll(&p->tracker, 0);
	if (err < 0 && (ends || err != -EINTR)) {
		errno = -err;
		return NULL;
	}
	model = report_build(p->report, p->ended);
	/* This takes some time, so it comes after the end of the measured time. */
	err = model && ends ? tracker_find_unwatched(&p->tracker) : 0;
	if (err) {
		errno = -err;
		return NULL;
	}
	if (model && ends && p->options.shares)
		add_shares(model);
	err = model && ends ? report_add_cgroups(model) : 0;
	if (err) {
		errno = -err;
		return NULL;
	}
	if (model && p->ended)
		report_note_unwatched(p->report);
	return model;
}

struct model *profiler_brief(struct profiler *p)
{
	int err = tracker_poll(&p->tracker, 0);

	if (err < 0 && err != -EINTR) {
		errno = -err;
		return NULL;
	}
	return report_build_brief(p->report, tracker_counts(&p->tracker));
}

int profiler_has_changed(struct profiler *p, bool *changed)
{
	uint64_t digest = 0;
	int err = p->ended ? 0 : tracker_poll(&p->tracker, 0);

	if (err < 0 && err != -EINTR)
		return err;
	err = p->ended ? 0 : tracker_digest(&p->tracker, &digest);
	*changed = err || digest != p->digest;
	p->digest = digest;
	return err;
}

int profiler_shed(struct profiler *p, const struct tracker_shedding *shedding)
{
	return tracker_shed(&p->tracker, shedding);
}

void profiler_cpu_ns(const struct profiler *p, uint64_t *walks_ns, uint64_t *faults_ns)
{
	session_cpu_ns(p->session, walks_ns, faults_ns);
}

double profiler_shed_seconds(const struct profiler *p, enum tracker_sheds what)
{
	return p->tracker.shed.seconds[what];
}

unsigned profiler_untraced(const struct profiler *p)
{
	return p->tracker.shed.processes;
}

void profiler_facts(struct profiler *p, struct counts_facts *facts)
{
	report_facts(p->report, facts);
}

struct source_cache *profiler_sources(struct profiler *p)
{
	return p->sources;
}

void profiler_close(struct profiler *p)
{
	if (!p)
		return;
	unwatch(p);
	launch_abandon(&p->launch);
	report_free(p->report);
	if (p->tracking)
		tracker_fini(&p->tracker);
	session_free(p->session);
	source_cache_free(p->sources);
	examiner_stop();
	free(p->pids);
	free(p);
}

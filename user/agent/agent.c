/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: when somebody asks what made a service grow last night, it must have been recorded. So
 * an agent profiles all Python processes of the host all the time, and keeps as much of it as fits
 * into a folder of a fixed size.
 *
 * There is one loop. Every few seconds (--interval) a pass reads the figures and writes what has
 * changed (agent_files.c). Most of what a pass costs does not depend on how much has changed, so on
 * a quiet host it is the number of passes that costs. What must be soon does not wait for one:
 * alarms read sizes each second, without stacks; the BPF side wakes the loop for processes that
 * begin, end, or are killed; metrics are read when they are asked for.
 *
 * Nothing that happens to its files ends it. It ends at SIGTERM or SIGINT, and when the figures
 * themselves can't be read any more: then a service manager starts it anew. */
#include "agent/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent_private.h"
#include "base/clock.h"
#include "base/exit_status.h"
#include "os/confine.h"
#include "os/source.h"
#include "python/examiner.h"

#define NS	     1000000000ULL
#define ENDED_BYTES  (1u << 20)	  /* of a report that nobody reads */
#define READER_BYTES (256u << 20) /* of reports of a recording */
#define SOURCE_PART  64		  /* of the size of all recordings: source texts of one */
#define MIB(bytes)   ((double)(bytes) / (1 << 20))

static void print_line(const char *format, va_list args)
{
	fputs("pymem-bpf agent: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void agent_say(const struct agent *a, const char *format, ...)
{
	va_list args;

	if (a->options.quiet)
		return;
	va_start(args, format);
	print_line(format, args);
	va_end(args);
}

void agent_complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line(format, args);
	va_end(args);
}

/* --- while it runs --- */

void agent_end(struct agent *a, int err)
{
	a->error = a->error ?: err;
	loop_stop(a->loop);
}

static void on_polled(void *arg, int err)
{
	if (err)
		agent_end(arg, err);
	else
		agent_pass_early(arg);
}

static void on_end(void *arg, const struct signalfd_siginfo *info)
{
	struct agent *a = arg;

	agent_say(a, "ends: %s", strsignal((int)info->ssi_signo));
	agent_end(a, 0);
}

/* --- SIGHUP --- */

static void limit_heaps(struct agent *a)
{
	if (a->heap)
		alarm_heap_limit(a->heap, a->options.alarm_heap_bytes,
				 a->options.store_bytes / ALARM_PART);
}

static void keep(bool differs, const char *option)
{
	if (differs)
		agent_complain("%s can't be changed while it runs: restart it", option);
}

static void on_reload(void *arg, const struct signalfd_siginfo *info)
{
	struct agent *a = arg;
	struct agent_options *o = &a->options, asked = {}, before = *o;

	(void)info;
	if (!a->reload || a->reload(a->reload_arg, &asked) || agent_push_reload(a->push, &asked)) {
		agent_complain("goes on as it was");
		return;
	}
	keep(strcmp(asked.store, a->store.path) != 0, "--store");
	keep(asked.no_sources != o->no_sources, "--no-sources");
	keep(asked.max_stacks != o->max_stacks, "--max-stacks");
	keep(asked.max_processes != o->max_processes, "--max-processes");
	keep(asked.ring_bytes != o->ring_bytes, "--ring-size");
	agent_metrics_compare(a->metrics, &asked, keep);
	keep(!asked.push != !a->push, "--push");
	keep(asked.pprof != o->pprof, "--pprof");
	keep(asked.pprof_kept != o->pprof_kept, "--pprof-kept");
	keep(asked.pss != o->pss, "--pss");
	keep(asked.alarm_heap != o->alarm_heap, "--alarm-heap");
	o->metrics_lines = asked.metrics_lines;
	o->interval = asked.interval;
	a->too_small &= asked.store_bytes == o->store_bytes;
	o->store_bytes = asked.store_bytes;
	recorder_limit_sources(a->recorder, o->store_bytes / SOURCE_PART);
	o->rotate = asked.rotate;
	o->quiet = asked.quiet;
	o->budget = asked.budget;
	o->alarms = asked.alarms;
	o->alarm_heap_bytes = asked.alarm_heap_bytes;
	limit_heaps(a);
	alarms_set(a->alarms, &o->alarms);
	agent_start_timers(a, &before);
	agent_say(a, "--size is %.0f, --rotate %.0fs, --interval %gs, %zu alarm%s",
		  MIB(o->store_bytes), o->rotate, o->interval, o->alarms.count,
		  o->alarms.count == 1 ? "" : "s");
}

/* --- begin --- */

static void say_corrupt(void *arg, const char *name, const char *why)
{
	(void)arg;
	agent_complain("%s: %s", name, why);
}

static int open_store(struct agent *a)
{
	char why[320];
	int err = store_open(&a->store, a->options.store, why, sizeof(why));

	if (!err) {
		err = store_examine(&a->store, say_corrupt, NULL);
		snprintf(why, sizeof(why), "%s", strerror(-err));
	}
	if (err)
		agent_complain("%s: %s", a->options.store, why);
	return err ? EXIT_FAILED : 0;
}

/* Forks, so it comes early. */
static int open_heap(struct agent *a)
{
	if (!a->options.alarm_heap)
		return 0;
	if (!a->options.alarms.count) {
		agent_complain("--alarm-heap needs an --alarm: say what it is to be told of");
		return EXIT_USAGE;
	}
	a->heap = alarm_heap_new(&a->store, a->look_at_heap, ALARM_HEAP_MS);
	if (!a->heap) {
		agent_complain("--alarm-heap: the helper process that looks at heaps can't be "
			       "started: %s",
			       strerror(errno));
		return EXIT_FAILED;
	}
	limit_heaps(a);
	return 0;
}

static int open_alarms(struct agent *a)
{
	a->alarms = alarms_new(&a->store, a->heap);
	if (!a->alarms) {
		agent_complain("%s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	alarms_set(a->alarms, &a->options.alarms);
	return 0;
}

/* A recorder_collected_fn. */
static void collected(void *arg, uint32_t image, const uint64_t *collections)
{
	const struct agent *a = arg;

	agent_metrics_collected(a->metrics, image, collections);
}

static int open_recorder(struct agent *a)
{
	const struct agent_options *o = &a->options;
	struct recorder_options options = {
		.mode = 0600,
		.source_bytes = o->store_bytes / SOURCE_PART,
		.ended_bytes = READER_BYTES,
		.host = true,
		.collected = collected,
		.collected_arg = a,
	};
	char why[320];

	if (!o->no_sources) {
		options.sources = a->sources = source_cache_new(examiner_read_source);
		if (!a->sources) {
			agent_complain("%s", strerror(ENOMEM));
			return EXIT_FAILED;
		}
	}
	a->recorder = recorder_new(&options, why, sizeof(why));
	if (!a->recorder)
		agent_complain("%s", why);
	return a->recorder ? 0 : EXIT_FAILED;
}

static struct counts between(void *arg, struct counts counts)
{
	const struct agent *a = arg;

	if (a->pprof)
		counts = pprof_source_counts(a->pprof, counts);
	return recorder_counts(a->recorder, alarms_counts(a->alarms, counts));
}

static void on_gone(void *arg, const struct model_process *process)
{
	const struct agent *a = arg;

	if (a->metrics)
		agent_metrics_gone(a->metrics, process);
}

/* Early, since it forks the examiner. */
static int new_profiler(struct agent *a)
{
	const struct agent_options *o = &a->options;
	const struct profiler_options options = {
		.session =
			{
				.watch_host = true,
				.many = true,
				.follow_children = true,
				.faults = true,
				.syscalls = true,
				.changes = true,
				.limits_itself = true,
				.last_words = true,
				.touched = o->pprof_kept,
				.max_stacks = o->max_stacks,
				.max_images = o->max_processes,
				.ring_bytes = o->ring_bytes,
				.verbosity = o->verbosity,
			},
		.ended_bytes = ENDED_BYTES,
		.seldom = true,
		.between = between,
		.between_arg = a,
		.gone = on_gone,
		.gone_arg = a,
		.killed = agent_killed,
		.killed_arg = a,
	};
	char why[512];

	a->profiler = profiler_new(&options, why, sizeof(why));
	if (!a->profiler)
		agent_complain("%s", why);
	return a->profiler ? 0 : EXIT_FAILED;
}

static int open_loop(struct agent *a)
{
	int err;

	a->loop = loop_new();
	err = a->loop ? 0 : -errno;
	err = err ?: loop_take_signal(a->loop, SIGTERM, on_end, a);
	err = err ?: loop_take_signal(a->loop, SIGINT, on_end, a);
	err = err ?: loop_take_signal(a->loop, SIGHUP, on_reload, a);
	signal(SIGPIPE, SIG_IGN);
	if (err)
		agent_complain("the loop can't be set up: %s", strerror(-err));
	return err ? EXIT_FAILED : 0;
}

static int open_profiler(struct agent *a)
{
	char why[640];
	int err = notify_open(&a->notify);

	if (err) {
		agent_complain("the service manager can't be told (NOTIFY_SOCKET): %s",
			       strerror(-err));
		return EXIT_FAILED;
	}
	err = profiler_open(a->profiler, why, sizeof(why));
	if (!err)
		return 0;
	fprintf(stderr,
		"pymem-bpf: %s\n"
		"pymem-bpf check lists what is needed.\n",
		why);
	return EXIT_ENVIRONMENT;
}

static int begin(struct agent *a)
{
	int count, err;

	recorder_begin(a->recorder, profiler_start(a->profiler));
	agent_begin_file(a);
	count = profiler_add_all(a->profiler);
	if (count < 0) {
		agent_complain("/proc can't be read: %s", strerror(-count));
		return EXIT_FAILED;
	}
	err = profiler_watch(a->profiler, a->loop, on_polled, a);
	if (err) {
		agent_complain("the loop can't be set up: %s", strerror(-err));
		return EXIT_FAILED;
	}
	if ((a->metrics && agent_metrics_watch(a->metrics)) || agent_pss_watch(a))
		return EXIT_FAILED;
	agent_push_watch(a->push);
	err = a->heap ? alarm_heap_watch(a->heap, a->loop) : 0;
	if (err) {
		agent_complain("the loop can't be set up: %s", strerror(-err));
		return EXIT_FAILED;
	}
	agent_start_timers(a, NULL);
	agent_start_telling(a);
	notify_send(&a->notify, "READY=1");
	agent_say(a, "records %d Python process%s, and all that will start, to %s", count,
		  count == 1 ? "" : "es", a->store.path);
	return 0;
}

/* --- the end --- */

static int finish(struct agent *a)
{
	struct model *model;
	int err;

	notify_send(&a->notify, "STOPPING=1\nSTATUS=ending the recording");
	agent_stop_timers(a);
	agent_push_stop(a->push);
	agent_metrics_close(a->metrics);
	a->metrics = NULL;
	agent_pss_close(a);
	recorder_ends(a->recorder);
	model = profiler_snapshot(a->profiler, true);
	agent_tell_more_deaths(a, true);
	err = model ? 0 : -errno;
	if (recorder_pauses(a->recorder))
		return err ? EXIT_FAILED : 0;
	if (recorder_finish(a->recorder, model))
		agent_complain("%s: %s", a->path, recorder_why(a->recorder));
	else if (!err)
		return agent_trim(a) ? EXIT_FAILED : 0;
	if (err)
		agent_complain("the last figures can't be read: %s", strerror(-err));
	return EXIT_FAILED;
}

static int run(struct agent *a)
{
	int status = agent_pss_fork(a) ?: open_heap(a) ?: new_profiler(a) ?: agent_push_open(a, &a->push)
			     ?: agent_pprof_open(a) ?: agent_metrics_open(a, &a->metrics) ?: open_store(a)
			     ?: open_loop(a) ?: open_alarms(a) ?: open_recorder(a) ?: open_profiler(a);
	int err;

	/* Data that targets control are read only after this, but for what an agent before this one
	 * wrote: only root can put recordings into the folder. */
	status = status
			 ?: confine_or_say(profiler_needs(a->profiler) | CONFINE_CREATE |
						   (a->options.textfile ? CONFINE_REPLACE : 0) |
						   (a->push ? CONFINE_CONNECT : 0),
					   "agent", a->options.verbosity);
	status = status ?: begin(a);
	if (status)
		return status;
	err = loop_run(a->loop);
	err = err ?: a->error;
	if (err)
		agent_complain("%s", strerror(-err));
	status = finish(a);
	agent_push_finish(a->push);
	return err ? EXIT_FAILED : status;
}

int agent_run(const struct agent_options *options, agent_reload_fn *reload, void *arg,
	      looker_heap_fn *heap)
{
	struct agent agent = {
		.options = *options,
		.reload = reload,
		.reload_arg = arg,
		.look_at_heap = heap,
		.notify.fd = -1,
		.store.folder = -1,
	};
	int status = run(&agent);

	agent_metrics_close(agent.metrics);
	agent_pss_close(&agent);
	recorder_free(agent.recorder);
	source_cache_free(agent.sources);
	agent_push_free(agent.push);
	profiler_close(agent.profiler);
	pprof_source_free(agent.pprof);
	alarms_free(agent.alarms);
	alarm_heap_free(agent.heap);
	loop_free(agent.loop);
	notify_close(&agent.notify);
	store_close(&agent.store);
	return status;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: who keeps the memory? `heap` looks at the heaps of running processes, once or twice. It
 * prints what they are made of and who holds it. After two looks it also prints what came in
 * between.
 *
 * Only lines need BPF. A user who may read a process's memory may look at its heap. No code of ours
 * runs in the process. It is stopped only with --pause and, between two looks, by bursts that find
 * lines (--births).
 *
 * A signal ends the command at once, without a report. Between two looks the first Ctrl-C is an
 * exception: it makes the second look begin now, since a user who does not want to wait still wants
 * to know what has been seen.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "agent/looker.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/find_program.h"
#include "cli/heap_options.h"
#include "cli/heap_subject.h"
#include "cli/report_output.h"
#include "heap/births.h"
#include "heap/look.h"
#include "heap/snapshot.h"
#include "heap/touches.h"
#include "model/heap_brief.h"
#include "os/confine.h"
#include "os/progress.h"
#include "os/signals.h"
#include "python/examiner.h"
#include "render/heap_render.h"

#define TOUCHES_POLL_NS 100000000
#define BOTH_WIDTH	100 /* columns, and rows, of heap_look_both() */
#define BOTH_TOP	10
#define GONE_NS		1000000000 /* ns between checks whether processes still exist */

struct heap_run {
	struct heap_command_options *options;
	struct heap_options look;
	struct subject *subjects;
	struct heap_report report;
	struct report_output output;
	struct heap_touches *touches;	     /* NULL: not asked for, or not possible */
	int status;			     /* an exit status; not 0: the command can't go on */
	FILE *text, *json, *verdict, *brief; /* of heap_look_both(); NULL: options say where */
	uint64_t start_ticks;		     /* of the process that is meant; 0: whichever it is */
};

/* --- messages --- */

/* Leaves the process out. Both the report and stderr say why. */
static void give_up(struct heap_run *run, struct subject *subject, const char *why)
{
	pid_t pid = subject->target.pid;

	subject->given_up = true;
	progress_done();
	fprintf(stderr, "pymem-bpf heap: pid %d", (int)pid);
	if (*subject->info.comm) {
		fputs(" (", stderr);
		text_print(stderr, subject->info.comm, 0, false);
		fputc(')', stderr);
	}
	fputs(": ", stderr);
	text_print(stderr, why, 0, false);
	fprintf(stderr, "%s\n", run->options->pid_count > 1 ? "; skipped" : "");
	if (heap_report_skip(&run->report, pid, subject->info.comm, why)) {
		fprintf(stderr, "pymem-bpf heap: %s\n", strerror(ENOMEM));
		run->status = EXIT_FAILED;
	}
}

/* --- looks --- */

static void explain_look(const struct subject *subject, int err, char *why, size_t size)
{
	if (err == -EPERM || err == -EACCES)
		heap_subject_forbidden(subject->target.pid, why, size);
}

/* Records from now on which lines touch the process's pages. If that fails, `untouched` says why,
 * and the report does, too. */
static void watch_touches(struct heap_run *run, struct subject *subject)
{
	if (!run->touches || heap_touches_watch(run->touches, subject->target.pid,
						subject->untouched, sizeof(subject->untouched)))
		return;
	subject->target.touches = run->touches;
	*subject->untouched = '\0';
}

static void look_first(struct heap_run *run, struct subject *subject)
{
	char why[320] = "";
	int err;

	watch_touches(run, subject);
	progress_say("looking at the heap of PID %d", (int)subject->target.pid);
	err = heap_look_first(&subject->target, &run->look, &subject->past, why, sizeof(why));
	if (!err && heap_subject_is_same(subject))
		return;
	if (err)
		explain_look(subject, err, why, sizeof(why));
	give_up(run, subject, err ? why : "has ended");
}

static void look_last(struct heap_run *run, struct subject *subject)
{
	struct heap_look *look = NULL;
	char why[320] = "";
	int err;

	if (!heap_subject_is_same(subject)) {
		give_up(run, subject, "has ended");
		return;
	}
	progress_say("looking at the heap of PID %d", (int)subject->target.pid);
	err = heap_look_make(&subject->target, &run->look, subject->past, &look, why, sizeof(why));
	if (!err) {
		err = heap_subject_describe(subject, look);
		if (!err)
			err = heap_report_add(&run->report, look);
		if (!err)
			return;
		heap_look_free(look);
		snprintf(why, sizeof(why), "%s", strerror(-err));
	}
	explain_look(subject, err, why, sizeof(why));
	give_up(run, subject, why);
}

static size_t each_left(struct heap_run *run, void (*fn)(struct heap_run *, struct subject *))
{
	size_t left = 0;

	for (size_t i = 0; i < run->options->pid_count && !run->status; i++) {
		if (run->subjects[i].given_up)
			continue;
		if (fn)
			fn(run, &run->subjects[i]);
		left += !run->subjects[i].given_up;
	}
	return left;
}

static void identify_all(struct heap_run *run)
{
	char why[320] = "";

	for (size_t i = 0; i < run->options->pid_count && !run->status; i++) {
		run->subjects[i].target.pid = run->options->pids[i];
		if (heap_subject_identify(&run->subjects[i], why, sizeof(why)))
			give_up(run, &run->subjects[i], why);
		else if (run->start_ticks && run->subjects[i].info.start_ticks != run->start_ticks)
			give_up(run, &run->subjects[i], "has ended");
		run->subjects[i].target.start_ticks = run->subjects[i].info.start_ticks;
	}
}

/* Names of lines come as messages. A message that is not read in time is lost. */
static void poll_touches(struct heap_run *run)
{
	int err = run->touches ? heap_touches_poll(run->touches) : 0;

	if (!err)
		return;
	for (size_t i = 0; i < run->options->pid_count; i++) {
		struct subject *subject = &run->subjects[i];

		if (subject->target.touches)
			snprintf(subject->untouched, sizeof(subject->untouched), "%s",
				 strerror(-err));
		subject->target.touches = NULL;
	}
	heap_touches_close(run->touches);
	run->touches = NULL;
}

static bool are_all_gone(const struct heap_run *run)
{
	for (size_t i = 0; i < run->options->pid_count; i++)
		if (!run->subjects[i].given_up && heap_subject_is_same(&run->subjects[i]))
			return false;
	return true;
}

/* Waits until the time is over, no process is left, SIGINT has come, or (--until-input) standard
 * input has data or has ended. SIGINT is blocked except in ppoll(), which has the mask
 * `unblocked`. */
static void wait_for_last(struct heap_run *run, const sigset_t *unblocked)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(run->options->seconds * 1e9), now;
	struct pollfd polled[2] = {
		{.fd = run->options->until_input ? STDIN_FILENO : -1, .events = POLLIN},
		{.fd = run->touches ? heap_touches_fd(run->touches) : -1, .events = POLLIN},
	};
	uint64_t left, looked = 0;

	while (!signals_wait_ended() && (now = clock_ns(CLOCK_MONOTONIC)) < end) {
		/* A signal is not looked at where a descriptor is ready. */
		ppoll(NULL, 0, &(struct timespec){0}, unblocked);
		poll_touches(run);
		if (!run->touches)
			polled[1].fd = -1;
		if (now - looked >= GONE_NS) {
			if (are_all_gone(run))
				return;
			looked = now;
		}
		left = end - now < GONE_NS ? end - now : GONE_NS;
		if (run->touches && left > TOUCHES_POLL_NS)
			left = TOUCHES_POLL_NS;
		if (ppoll(polled, 2,
			  &(struct timespec){(time_t)(left / 1000000000),
					     (long)(left % 1000000000)},
			  unblocked) > 0 &&
		    polled[0].revents)
			return;
	}
}

/* Waits between the two looks at `count` processes. */
static void wait_between(struct heap_run *run, size_t count)
{
	uint64_t begun = clock_ns(CLOCK_MONOTONIC);
	sigset_t unblocked;

	/* Before the message: once it is printed, Ctrl-C does what it says. */
	signals_begin_wait(&unblocked);
	if (!run->options->quiet)
		fprintf(stderr,
			"looked at %zu process%s; the second look follows in %g s; Ctrl-C makes it "
			"now\n",
			count, count == 1 ? "" : "es", run->options->seconds);
	if (!run->options->until_input)
		progress_say("waiting for the second look");
	wait_for_last(run, &unblocked);
	signals_end_wait(&unblocked);
	if (!signals_wait_ended() || run->options->quiet)
		return;
	progress_done();
	fprintf(stderr, "the second look comes now, after %.1f s; Ctrl-C gives up\n",
		(double)(clock_ns(CLOCK_MONOTONIC) - begun) / 1e9);
}

/* With -d, takes the first look at each process, and waits. False: no process is left, or the
 * command can't go on. */
static bool look_before(struct heap_run *run)
{
	size_t left;

	if (!run->options->seconds)
		return each_left(run, NULL) > 0;
	left = each_left(run, look_first);
	progress_done();
	if (!left || run->status)
		return false;
	wait_between(run, left);
	run->look.touched = true;
	return true;
}

/* --- the report --- */

static int emit(struct heap_run *run, const char *format, FILE *out,
		const struct render_options *options)
{
	struct utsname host;

	if (uname(&host))
		return -errno;
	run->report.host = host.nodename;
	run->report.kernel = host.release;
	run->report.version = PYMEM_VERSION;
	run->report.end = clock_seconds(CLOCK_REALTIME);
	return heap_renderer_find(format)->emit(out, &run->report, options);
}

/* What is cut, or not there, is in the report. The file refuses a write beyond its size. */
static void put_verdict(const struct heap_run *run)
{
	char *verdict = heap_verdict_line(run->report.looks[0]);

	if (verdict)
		fprintf(run->verdict, "%.*s", LOOKER_VERDICT_MOST, verdict);
	free(verdict);
}

/* Without memory for it there is none. */
static void put_brief(const struct heap_run *run)
{
	json_t *brief = heap_brief_value(run->report.looks[0]);

	if (!brief || json_write(run->brief, brief, JSON_COMPACT))
		fputs("pymem-bpf heap: the look in brief can't be written\n", stderr);
	json_decref(brief);
}

static int finish_both(struct heap_run *run)
{
	const struct render_options options = {.top = run->options->top, .width = BOTH_WIDTH};
	int err = emit(run, "table", run->text, &options) ?: emit(run, "json", run->json, &options);

	if (err)
		fprintf(stderr, "pymem-bpf heap: the report can't be written: %s\n",
			strerror(-err));
	put_verdict(run);
	put_brief(run);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static int finish(struct heap_run *run)
{
	struct render_options options = {.top = run->options->top};
	FILE *out;

	if (run->text)
		return finish_both(run);
	out = report_output_begin(&run->output, &options.width, &options.color);
	return report_output_end(&run->output, emit(run, run->options->format, out, &options));
}

/* --- the command --- */

/* Forks the helper of each process, which keeps rights that this process gives up. 0 or an exit
 * status. */
static int prepare_births(struct heap_run *run)
{
	for (size_t i = 0; i < run->options->pid_count; i++) {
		struct heap_target *target = &run->subjects[i].target;
		int err = heap_births_prepare(&target->births);

		target->births_method = run->options->births;
		if (!err)
			continue;
		fprintf(stderr, "pymem-bpf heap: a helper process can't be started: %s\n",
			strerror(-err));
		return EXIT_FAILED;
	}
	return 0;
}

/* Needs the rights to use BPF and to trace. Without them the report says why these lines are not
 * known. */
static void open_touches(struct heap_run *run)
{
	const struct heap_command_options *o = run->options;
	char why[512] = "";
	int err;

	if (!o->seconds || o->touched == TOUCHED_OFF)
		return;
	err = heap_touches_open(&run->touches, o->verbosity > 1, why, sizeof(why));
	for (size_t i = 0; i < o->pid_count && err; i++)
		snprintf(run->subjects[i].untouched, sizeof(run->subjects[i].untouched), "%s",
			 err == -EPERM || err == -EACCES
				 ? "it needs the rights to use BPF and to trace: root"
			 : *why ? why
				: strerror(-err));
}

/* Finds the processes. Their number must be known before rights are given up, since each process
 * needs a helper that keeps some rights. Until then, command lines and working directories are all
 * that this process itself reads of data that targets control. 0 or an exit status. */
static int find_subjects(struct heap_run *run)
{
	struct heap_command_options *o = run->options;
	int status = find_programs(&command_heap, o->names, &o->pids, &o->pid_count);

	if (status)
		return status;
	run->subjects = calloc(o->pid_count, sizeof(*run->subjects));
	if (run->subjects)
		return 0;
	fprintf(stderr, "pymem-bpf heap: %s\n", strerror(ENOMEM));
	return EXIT_FAILED;
}

static int begin(struct heap_run *run)
{
	const struct heap_command_options *o = run->options;
	unsigned needs = CONFINE_LOOK | CONFINE_EXAMINE;
	int err;

	run->report.start = clock_seconds(CLOCK_REALTIME);
	run->output.width = o->width;
	run->output.quiet = o->quiet;
	err = report_output_open(&run->output, &command_heap, o->output, o->mode);
	if (err)
		return err;
	signals_end_at_once();
	err = examiner_start(NULL);
	if (err) {
		fprintf(stderr,
			"pymem-bpf heap: the examiner, a helper process that reads what targets "
			"can "
			"hold up, can't be started: %s\n",
			strerror(-err));
		return EXIT_FAILED;
	}
	err = snapshot_start(o->pause);
	if (err) {
		fprintf(stderr,
			"pymem-bpf heap: the helper process that copies targets' memory can't be "
			"started: %s\n",
			strerror(-err));
		return EXIT_FAILED;
	}
	needs |= report_output_needs(&run->output);
	err = find_subjects(run);
	if (!err && o->seconds && o->births != BIRTHS_OFF && !o->types_only)
		err = prepare_births(run);
	if (!err && o->pager)
		err = report_output_page(&run->output);
	progress_start(!err && !o->quiet);
	/* After all helpers are forked. */
	if (!err && !o->types_only)
		open_touches(run);
	return err ? err : confine_or_say(needs, "heap", o->verbosity);
}

static int look_at_all(struct heap_run *run)
{
	int status = begin(run);

	if (status)
		return status;
	identify_all(run);
	if (!run->status && look_before(run))
		each_left(run, look_last);
	if (run->options->seconds)
		heap_report_sort(&run->report);
	progress_done();
	if (run->status)
		return run->status;
	return run->report.look_count ? finish(run) : EXIT_FAILED;
}

static int look(const struct heap_run *asked)
{
	struct heap_command_options *o = asked->options;
	struct heap_run run = {
		.options = o,
		.text = asked->text,
		.json = asked->json,
		.verdict = asked->verdict,
		.brief = asked->brief,
		.start_ticks = asked->start_ticks,
		.look = {.pause = o->pause,
			 .types_only = o->types_only,
			 .holders = HEAP_LOOK_HOLDERS},
	};
	int status = look_at_all(&run);

	for (size_t i = 0; run.subjects && i < o->pid_count; i++) {
		proc_info_fini(&run.subjects[i].info);
		heap_past_free(run.subjects[i].past);
		heap_births_free(run.subjects[i].target.births);
	}
	heap_touches_close(run.touches);
	free(run.subjects);
	heap_report_fini(&run.report);
	report_output_fini(&run.output);
	progress_stop();
	snapshot_stop();
	examiner_stop();
	return status;
}

static int run(void *options)
{
	return look(&(struct heap_run){.options = options});
}

int heap_look_both(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
		   FILE *brief)
{
	struct heap_command_options options = {
		.pids = &pid,
		.pid_count = 1,
		.quiet = true,
		.top = BOTH_TOP,
		.mode = 0600,
	};

	return look(&(struct heap_run){
		.options = &options,
		.text = text,
		.json = json,
		.verdict = verdict,
		.brief = brief,
		.start_ticks = start_ticks,
	});
}

const struct command command_heap = {
	.name = "heap",
	.synopsis = "heap -p PID",
	.summary = "who keeps the memory; -d SEC: and what has grown",
	.usage = "-p PID[,PID…] [-d SEC] [--pause | --types-only] [--births HOW] [--touched HOW] "
		 "[-n N] [--format "
		 "NAME] [-o FILE]",
	.about = "Prints what the RSS of Python processes is made of, and who holds it. With -d, "
		 "also what "
		 "came\nin between two looks and stayed. Works without root for processes whose "
		 "memory you "
		 "may read.\n",
	.rows = heap_rows,
	.exits = EXITS_PLAIN | 1u << EXIT_ENVIRONMENT,
	.options_size = sizeof(struct heap_command_options),
	.check = heap_options_check,
	.run = run,
};

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the cost of a screen that is drawn once a second grows with what it shows. So a sample
 * that takes long makes the next one wait: all of them together may take SHARE of a CPU, however
 * many processes there are.
 *
 * The model belongs to the profiler and is gone with its next step. So the screen shows a copy
 * (screen_data.c). Source texts are read while the model is there, since it has the processes'
 * views of their files. */
#include "screen/screen.h"

#include <curses.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "render/render.h"
#include "screen/screen_state.h"
#include "screen/screen_terminal.h"

#define SECOND_NS	1000000000ULL
#define FIRST_NS	(SECOND_NS / 5)
#define SLOWEST_NS	(10 * SECOND_NS)
#define SHARE		0.01	  /* of a CPU, for samples and drawing */
#define PSS_FIRST_NS	200000000 /* ns, for the first reading of Pss */
#define PSS_NS		2000000	  /* ns, for each later reading */
#define TEXTS_AT_ONCE	64	  /* source lines read in a sample */
#define SOURCE_AROUND	2000	  /* lines of a file kept before and after the one asked for */
#define MESSAGE_SECONDS 8
#define STILL_SECONDS	5.0 /* after so long, changes that left all RSS as it was are shown */

static double now(void)
{
	return clock_seconds(CLOCK_MONOTONIC);
}

void screen_say(struct screen *screen, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(screen->message, sizeof(screen->message), format, args);
	va_end(args);
	screen->message_until = now() + MESSAGE_SECONDS;
}

void screen_end(struct screen *screen, int err)
{
	if (!screen->error)
		screen->error = err;
	loop_stop(screen->loop);
}

/* --- samples --- */

/* Reads source texts of lines that have none yet, while the model is there. 0 or -ENOMEM. */
static int read_texts(struct screen *screen, const struct model *model)
{
	struct screen_process *open = screen_data_process(&screen->data, screen->data.open_process);
	const struct model_process *process = open ? screen_data_find(model, open) : NULL;
	struct screen_line *line, *next;
	unsigned left = TEXTS_AT_ONCE;
	const char *text;

	if (!process)
		return 0;
	HASH_ITER(hh, screen->data.lines, line, next)
	{
		if (line->text_read || !line->object.now.growth_bytes || !left)
			continue;
		left--;
		line->text_read = true;
		text = source_line(profiler_sources(screen->profiler), &process->root, line->file,
				   line->key.line, NULL);
		line->text = text ? strndup(text, SOURCE_AROUND) : NULL;
		if (text && !line->text)
			return -ENOMEM;
	}
	return 0;
}

int screen_remake(struct screen *screen)
{
	return screen_rows_make(&screen->rows, &screen->data, &screen->view);
}

/* If one PID is watched, begins with its lines. */
static void begin_inside(struct screen *screen)
{
	if (!screen->options->one_process || screen->data.sample != 1 || !screen->data.processes)
		return;
	screen_data_open(&screen->data, screen->data.processes->object.number);
	screen->view.level = LEVEL_LINES;
}

static int take(struct screen *screen, const struct model *model)
{
	int err = screen_data_take(&screen->data, model, now());

	if (err)
		return err;
	screen->built = screen->data.now;
	if (screen->data.has_containers)
		screen->view.outermost = LEVEL_CONTAINERS;
	if (screen->data.sample == 1) {
		screen->view.level = screen->view.outermost;
		begin_inside(screen);
		if (screen->data.open_process)
			err = screen_data_take(&screen->data, model, now());
	}
	return err ? err : read_texts(screen, model);
}

int screen_sample(struct screen *screen)
{
	struct model *model = profiler_snapshot(screen->profiler, screen->over);
	bool first = !screen->data.sample;
	int err;

	if (!model)
		return -errno;
	err = take(screen, model);
	if (!err)
		err = screen_proc_read(screen->proc, &screen->data, first ? PSS_FIRST_NS : PSS_NS);
	return err ? err : screen_remake(screen);
}

/* Takes a sample if something has changed. To find that out is cheaper than to compute the figures
 * of all stacks. 0 or -errno. */
static int look(struct screen *screen)
{
	bool changed = true;
	int err = 0;

	if (!screen->over)
		err = profiler_has_changed(screen->profiler, &changed);
	if (err)
		return err;
	if (changed || !screen->data.sample || now() - screen->built >= STILL_SECONDS)
		return screen_sample(screen);
	err = screen_data_pass(&screen->data, now());
	if (!err)
		err = screen_proc_read(screen->proc, &screen->data, PSS_NS);
	return err ? err : screen_remake(screen);
}

/* Shows the time between samples as soon as it changes: a user who must wait for ten seconds should
 * know it at the beginning. */
static void say_pace(struct screen *screen, double seconds)
{
	if (screen->pace_seconds == seconds)
		return;
	screen->pace_seconds = seconds;
	screen_draw(screen);
}

static void on_tick(void *arg)
{
	struct screen *screen = arg;
	uint64_t began = clock_ns(CLOCK_PROCESS_CPUTIME_ID), next;
	int err = 0;

	if (!screen->paused)
		err = look(screen);
	if (err) {
		screen_end(screen, err);
		return;
	}
	screen_draw(screen);
	if (screen->over)
		return;
	next = (uint64_t)((double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began) / SHARE);
	next = next < SECOND_NS ? SECOND_NS : next > SLOWEST_NS ? SLOWEST_NS : next;
	say_pace(screen, round((double)next / SECOND_NS));
	loop_timer_start(screen->loop, &screen->tick, next, 0, on_tick, screen);
}

/* --- what keys ask for --- */

int screen_reset(struct screen *screen)
{
	struct model *model = profiler_snapshot(screen->profiler, screen->over);
	int err;

	if (!model)
		return -errno;
	err = screen_data_reset(&screen->data, model, now());
	screen_say(screen, "growth counts from now on");
	return err ? err : screen_remake(screen);
}

/* Copies the lines of the view's file around its line. 0; -ENOENT: there are none; -ENOMEM. */
static int copy_source(struct screen *screen, const struct model_process *process)
{
	struct source_cache *cache = profiler_sources(screen->profiler);
	const char *file = screen->view.file, *text;
	int count = source_line_count(cache, &process->root, file), first, last, err;
	int line = screen->view.line;

	if (count <= 0)
		return -ENOENT;
	first = line > SOURCE_AROUND ? line - SOURCE_AROUND : 1;
	last = line > count - SOURCE_AROUND ? count : line + SOURCE_AROUND;
	if (last < first)
		return -ENOENT;
	err = screen_source_begin(&screen->data, file, first, last - first + 1);
	for (int i = first; i <= last && !err; i++) {
		text = source_line(cache, &process->root, file, i, NULL);
		screen->data.source.texts[i - first] = text ? strndup(text, SOURCE_AROUND) : NULL;
		if (text && !screen->data.source.texts[i - first])
			err = -ENOMEM;
	}
	screen_source_fill(&screen->data);
	return err;
}

int screen_open_source(struct screen *screen)
{
	struct screen_process *open = screen_data_process(&screen->data, screen->data.open_process);
	struct model *model = profiler_snapshot(screen->profiler, screen->over);
	const struct model_process *process;
	struct screen_place *place = screen_place(&screen->view);
	int err, at;

	if (!model)
		return -errno;
	process = open ? screen_data_find(model, open) : NULL;
	err = process ? copy_source(screen, process) : -ENOENT;
	if (err)
		return err;
	at = screen->view.line - screen->data.source.first;
	if (at >= 0 && at < screen->data.source.count) {
		place->selected = screen->data.source.objects[at].number;
		place->top = (size_t)at > screen_list_rows() / 3
				     ? (size_t)at - screen_list_rows() / 3
				     : 0;
	}
	return screen_remake(screen);
}

static const struct renderer *renderer_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return renderer_find(dot && !strcmp(dot, ".json") ? "json" : "table");
}

/* Renders into a file in memory; `*bytes` becomes its size. Returns a descriptor at its beginning,
 * which the caller closes, or -errno. */
static int render(struct screen *screen, const char *name, size_t *bytes)
{
	struct render_options options = {.sources = profiler_sources(screen->profiler), .top = 20};
	struct model *model = profiler_snapshot(screen->profiler, screen->over);
	int fd, err = -errno;
	FILE *out;

	if (!model)
		return err;
	fd = memfd_create("report", MFD_CLOEXEC);
	out = fd >= 0 ? fdopen(dup(fd), "w") : NULL;
	if (!out) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	err = renderer_of(name)->emit(out, model, &options);
	if (!err && fflush(out))
		err = -errno;
	*bytes = (size_t)lseek(fd, 0, SEEK_END);
	fclose(out);
	if (!err && lseek(fd, 0, SEEK_SET))
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

int screen_write_report(struct screen *screen, const char *name)
{
	const char *file = *name ? name : screen->options->report;
	int fd = render(screen, file, &screen->report_bytes), err;

	if (fd < 0)
		return fd;
	err = steward_write(fd, name);
	close(fd);
	if (err) {
		screen_say(screen, "the report could not be written: %s", strerror(-err));
		return 0;
	}
	snprintf(screen->report_name, sizeof(screen->report_name), "%s", file);
	screen_say(screen, "writing the report");
	return 0;
}

static void on_written(void *arg, uint32_t events)
{
	struct screen *screen = arg;
	int err = steward_written();

	(void)events;
	if (err == -EAGAIN)
		return;
	if (err == -EEXIST)
		screen_say(screen, "%s is there already: give another name", screen->report_name);
	else if (err)
		screen_say(screen, "the report could not be written: %s", strerror(-err));
	else
		screen_say(screen, "report written: %s (%.1f KB)", screen->report_name,
			   (double)screen->report_bytes / 1000);
	/* The scribe has ended: no more results come. */
	if (err == -EPIPE)
		loop_remove(&screen->written);
	*screen->report_name = '\0';
	screen_draw(screen);
}

/* --- the loop --- */

#define ESCAPE 27

/* Called after an Esc. A key that the terminal's description does not know sends Esc and more
 * characters: drops the rest of its sequence. False: it was a plain Esc. */
static bool skip_sequence(void)
{
	wint_t key;
	int kind = get_wch(&key);

	if (kind == ERR)
		return false;
	if (kind != OK || (key != '[' && key != 'O')) {
		unget_wch((wchar_t)key);
		return false;
	}
	while (get_wch(&key) == OK && (key < 0x40 || key > 0x7e))
		;
	return true;
}

static void on_input(void *arg, uint32_t events)
{
	struct screen *screen = arg;
	bool any = false;
	wint_t key;
	int kind;

	while ((kind = get_wch(&key)) != ERR) {
		any = true;
		if (kind == OK && key == ESCAPE && skip_sequence())
			continue;
		screen_key(screen, (unsigned)key, kind == KEY_CODE_YES);
	}
	if (any)
		screen_draw(screen);
	else if (events & (EPOLLHUP | EPOLLERR))
		screen_end(screen, 0);
}

static void on_polled(void *arg, int err)
{
	struct screen *screen = arg;

	if (err) {
		screen_end(screen, err);
	} else if (!screen->over && profiler_is_over(screen->profiler)) {
		screen->over = true;
		loop_timer_start(screen->loop, &screen->tick, 0, 0, on_tick, screen);
	}
}

static void on_end_signal(void *arg, const struct signalfd_siginfo *info)
{
	(void)info;
	screen_end(arg, 0);
}

static void on_resize(void *arg, const struct signalfd_siginfo *info)
{
	(void)info;
	screen_terminal_resized();
	screen_draw(arg);
}

static void on_suspend(void *arg, const struct signalfd_siginfo *info)
{
	(void)info;
	screen_terminal_suspend();
	screen_draw(arg);
}

static int take_signals(struct screen *screen)
{
	static const struct {
		int number;
		loop_signal_fn *fn;
	} signals[] = {
		{SIGINT, on_end_signal},  {SIGTERM, on_end_signal}, {SIGHUP, on_end_signal},
		{SIGQUIT, on_end_signal}, {SIGWINCH, on_resize},    {SIGTSTP, on_suspend},
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]) && !err; i++)
		err = loop_take_signal(screen->loop, signals[i].number, signals[i].fn, screen);
	return err;
}

static int show(struct screen *screen)
{
	int err = take_signals(screen);

	if (!err)
		err = screen_terminal_begin(screen->options->mouse);
	if (err)
		return err;
	screen->utf8 = screen_terminal_is_utf8();
	screen->color = screen_terminal_has_colors();
	err = loop_add(screen->loop, &screen->input, STDIN_FILENO, EPOLLIN, on_input, screen);
	if (!err)
		err = loop_add(screen->loop, &screen->written, steward_fd(), EPOLLIN, on_written,
			       screen);
	if (!err)
		err = profiler_watch(screen->profiler, screen->loop, on_polled, screen);
	if (err)
		return err;
	screen_draw(screen);
	loop_timer_start(screen->loop, &screen->tick, FIRST_NS, 0, on_tick, screen);
	err = loop_run(screen->loop);
	return err ? err : screen->error;
}

int screen_run(struct profiler *profiler, struct loop *loop, const struct screen_options *options)
{
	struct screen screen = {
		.profiler = profiler,
		.loop = loop,
		.options = options,
		.pager = {.fd = -1},
		.pace_seconds = 1,
	};
	int err = -ENOMEM;

	screen_data_init(&screen.data, now());
	screen_view_init(&screen.view, false);
	screen.proc = screen_proc_new();
	if (screen.proc)
		err = show(&screen);
	screen_terminal_end();
	screen_pager_close(&screen);
	loop_remove(&screen.input);
	loop_remove(&screen.written);
	loop_timer_stop(&screen.tick);
	screen_rows_fini(&screen.rows);
	screen_view_fini(&screen.view);
	screen_data_fini(&screen.data);
	screen_proc_free(screen.proc);
	return err;
}

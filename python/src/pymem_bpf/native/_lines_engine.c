/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts the runs of lines: how often, what the thread changed meanwhile, how much RSS there was.
 *
 * Amounts come from the block that the kernel keeps up to date (include/pymem_block.h): a run
 * costs a few loads. For each thread there is a stack of the frames of profiled code that it
 * is in, each with the line that it runs and the thread's own net change of RSS when the run
 * began. The frame's next event ends the run; its increment is the difference, callees included.
 *
 * Without a helper the block has no figures. Then those of /proc (_lines_proc.c) are read at each
 * event, and stand for each thread: what other threads change meanwhile is in them.
 *
 * Several recorders may be enabled at once and may share code objects: each has its own
 * counters (a sink), and takes what began after it was enabled.
 *
 * A function is its code object and those inside it: comprehensions, lambdas, inner functions.
 * Where they share a line, and where the function calls itself on it, what the line changed is
 * counted once (on_row()).
 *
 * In free-threaded builds each thread has its own counters of a sink, and what threads share
 * changes only while none is inside an event (_lines_threads.c).
 *
 * Greenlets share their thread's stack of frames: a switch inside profiled code ends the runs of
 * the frames that it leaves.
 */
#include "_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_EVERY 1024 /* runs of a thread between two looks for the end of the helper */

static struct {
	const volatile struct pymem_block *block;
	struct recorder *enabled;
	uint64_t epoch; /* one more each time a recorder is enabled */
	bool cut;	/* the block is frozen */
	int64_t alarm_pages;
	unsigned int slow;  /* how many of those enabled want PSS or USS */
	bool estimated;	    /* the enabled recorders are */
	unsigned int trees; /* how many of these want the children's memory */
	/* The only recorder that is enabled, if it wants nothing but the block's RSS. */
	struct recorder *plain;
} engine = {.alarm_pages = INT64_MAX};

static void find_plain(void)
{
	struct recorder *r = engine.enabled;
	bool is_plain =
		r && !r->next && !engine.estimated && !r->children && r->metric == METRIC_RSS;

	engine.plain = is_plain ? r : NULL;
}

/* In the child of a fork: the block is the parent's. */
void lines_after_fork(void)
{
	struct recorder *r;

	for (r = engine.enabled; r; r = r->next) {
		r->enabled = false;
		r->cut = true;
	}
	lines_set(engine.enabled, NULL);
	engine.block = NULL;
	engine.alarm_pages = INT64_MAX;
	engine.slow = 0;
	engine.trees = 0;
	if (engine.estimated)
		lines_resident_end();
	engine.estimated = false;
	find_plain();
}

/* What a thread has changed, in pages. A thread without a place in the block has changed nothing.
 */
static int64_t net_now(struct thread *t)
{
	const volatile struct pymem_block_thread *place = t->place;
	uint32_t i;

	if (place && place->tid == t->tid)
		return place->net_pages;
	t->place = NULL;
	for (i = 0; i < PYMEM_BLOCK_PROBES; i++) {
		place = &t->block->threads[(t->tid + i) % PYMEM_BLOCK_THREADS];
		if (place->tid != t->tid)
			continue;
		t->place = place;
		return place->net_pages;
	}
	return 0;
}

static void sample_block(struct sample *now, struct thread *t)
{
	now->net = net_now(t);
	now->rss = t->block->rss_pages;
	now->other = t->block->tree_pages - now->rss;
}

static inline struct sample sample_now(struct thread *t)
{
	struct sample now = {0};

	if (engine.estimated)
		lines_sample_estimate(&now, engine.trees);
	else
		sample_block(&now, t);
	if (engine.slow)
		lines_sample_smaps(&now);
	return now;
}

/* --- runs --- */

bool lines_enabled(void)
{
	return lines_get(engine.enabled) != NULL;
}

bool lines_estimating(void)
{
	return engine.enabled && engine.estimated;
}

/* Has the helper gone? Then the block is frozen. */
static void look(void)
{
	bool cut = lines_get(engine.cut) || engine.block->state != PYMEM_BLOCK_LIVE;
	struct recorder *r;
	ssize_t n;
	char byte;

	for (r = engine.enabled; r && !cut; r = r->next) {
		if (r->fd < 0)
			continue;
		n = recv(r->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
		cut = !n || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
	}
	if (!cut)
		return;
	lines_set(engine.cut, true);
	for (r = engine.enabled; r; r = r->next)
		lines_set(r->cut, true);
}

struct recorder *lines_recorders(void)
{
	return engine.enabled;
}

struct thread *lines_this_thread(void)
{
	return lines_thread_now(engine.block);
}

bool lines_counts(const struct recorder *r, const struct thread *t)
{
	return r->enabled && (!r->thread || r->thread == t->serial);
}

/* Is a run's change to be added to its row? A run includes its callees. So one inside another run
 * of the row adds nothing: be it of the same code (recursion), or of other code of the function (a
 * comprehension). */
static bool on_row(const struct sink *sink, const struct thread *t, const struct frame *f)
{
	const struct recorder *r = sink->recorder;
	const struct frame *outer;

	for (outer = t->frames; outer < f; outer++)
		if (outer->line == f->line && outer->epoch >= r->epoch &&
		    lines_sink(outer->code, r, sink->function))
			return false;
	return true;
}

static int64_t smaps_pages(const struct recorder *r, const struct sample *at)
{
	return (r->metric == METRIC_PSS ? at->smaps.pss_bytes : at->smaps.uss_bytes) /
	       sysconf(_SC_PAGESIZE);
}

/* Adds a run that ends now to what one recorder counts. */
static void charge(struct sink *sink, struct thread *t, const struct frame *f,
		   const struct sample *now)
{
	struct recorder *r = sink->recorder;
	unsigned int index = f->line - f->code->first;
	int64_t change = now->net - f->begin.net, usage = now->rss;
	struct counts *counts;
	struct line *line;

	if (!lines_counts(r, t) || f->epoch < r->epoch || index >= (unsigned int)f->code->count)
		return;
	counts = lines_counts_of(sink, t);
	if (!counts)
		return;
	line = &counts->lines[index];
	if (r->metric != METRIC_RSS) {
		usage = smaps_pages(r, now);
		change = usage - smaps_pages(r, &f->begin);
	}
	if (r->children) {
		change += now->other - f->begin.other;
		usage += now->other;
	}
	line->runs += !(f->how & RESUMED);
	if (change && on_row(sink, t, f))
		line->pages += change;
	if (usage > line->usage_pages)
		line->usage_pages = usage;
}

/* Ends the run of a frame. The frames outside it must still be on the stack. */
static inline void run_end(struct thread *t, struct frame *f, const struct sample *now)
{
	struct sink *sink;

	for (sink = f->code->sinks; sink; sink = sink->next)
		charge(sink, t, f, now);
	if (!(++t->events % LOOK_EVERY))
		look();
}

static inline void run_begin(struct frame *f, int line, enum how how, const struct sample *now)
{
	f->line = line;
	f->how = how;
	f->epoch = engine.epoch;
	f->begin = *now;
}

static struct frame *push(struct thread *t, struct code *code)
{
	struct frame *frames;
	size_t room;

	if (t->depth == t->room) {
		room = t->room ? t->room * 2 : 32;
		frames = realloc(t->frames, room * sizeof(*frames));
		if (!frames)
			return NULL;
		t->frames = frames;
		t->room = room;
	}
	frames = &t->frames[t->depth++];
	frames->code = code;
	frames->number = ++t->numbers;
	return frames;
}

/* Ends the innermost frame. */
static void pop(struct thread *t, const struct sample *now)
{
	t->depth--;
	run_end(t, &t->frames[t->depth], now);
}

static inline void count_call(struct sink *sink, struct thread *t)
{
	struct counts *counts;

	if (!lines_counts(sink->recorder, t))
		return;
	counts = lines_counts_of(sink, t);
	if (counts)
		counts->calls++;
}

uint64_t lines_enter(struct code *code, int line, enum how how)
{
	struct thread *t = engine.enabled ? lines_thread_now(engine.block) : NULL;
	struct sample now;
	struct frame *f;
	struct sink *sink;

	if (!t)
		return 0;
	now = sample_now(t);
	f = push(t, code);
	if (!f)
		return 0;
	for (sink = code->sinks; sink && how != RESUMED; sink = sink->next)
		count_call(sink, t);
	run_begin(f, line, how, &now);
	return f->number;
}

/* The innermost frame of a code object; frames inside it are ended. If there is none, since it was
 * entered before it was profiled, a new one. NULL: the code is not profiled, or there is no memory.
 */
static struct frame *frame_of(struct thread *t, PyObject *object, const struct sample *now)
{
	struct code *code = lines_find(object);
	struct frame *f;
	size_t i;

	if (!code)
		return NULL;
	for (i = t->depth; i && t->frames[i - 1].code != code; i--)
		;
	if (!i) {
		f = push(t, code);
		if (f)
			run_begin(f, 0, BY_EVENT, now);
		return f;
	}
	while (t->depth > i)
		pop(t, now);
	return &t->frames[i - 1];
}

/* Does what lines_line() does, in a third of the time, where one recorder counts, the frame goes on
 * from one line to another, and the thread has changed nothing meanwhile. False: it has done
 * nothing, since that is not so, or since something is to be looked at. */
static inline bool line_plain(struct thread *t, struct frame *f, int line)
{
	const volatile struct pymem_block_thread *place = t->place;
	const struct recorder *r = engine.plain;
	struct sink *sink = f->code->sinks;
	unsigned int index = f->line - f->code->first;
	int64_t rss = t->block->rss_pages;
	struct counts *counts;
	struct line *ended;

	if (!r || sink->recorder != r || sink->next || (r->thread && r->thread != t->serial))
		return false;
	/* A run that began before the recorder is not its own. Lines are from 1 on. */
	if (f->epoch < r->epoch || line <= 0 || index >= (unsigned int)f->code->count)
		return false;
	if (!place || place->tid != t->tid || place->net_pages != f->begin.net)
		return false;
	if (f->how != BY_EVENT || rss >= engine.alarm_pages ||
	    t->events % LOOK_EVERY == LOOK_EVERY - 1)
		return false;
	counts = lines_counts_there(sink, t);
	if (!counts)
		return false;
	t->events++;
	ended = &counts->lines[index];
	ended->runs++;
	if (rss > ended->usage_pages)
		ended->usage_pages = rss;
	/* What else has begun with the run is the same, or of no use to this recorder. */
	f->line = line;
	return true;
}

/* What lines_line() does in general. A function of its own, so that the usual case saves no
 * registers for it. `f`: the innermost frame that is counted, or NULL. */
static __attribute__((noinline)) bool line_any(struct thread *t, struct frame *f, PyObject *object,
					       int line)
{
	struct sample now;

	if ((!f || f->code->object != object) && !lines_find(object))
		return false;
	now = sample_now(t);
	if (!f || f->code->object != object) {
		f = frame_of(t, object, &now);
		if (!f)
			return false;
	}
	/* An instruction without a line belongs to the line where the code begins. */
	if (line <= 0)
		line = f->code->begin;
	/* The line that a function begins on may be told twice, by its entry and by itself. */
	if (f->how & BY_ENTRY && f->line == line) {
		f->how &= ~BY_ENTRY;
		return false;
	}
	if (f->line)
		run_end(t, f, &now);
	run_begin(f, line, BY_EVENT, &now);
	t->alarm_rss = now.rss;
	return now.rss >= engine.alarm_pages && lines_alarm_is_due(t);
}

bool lines_line(PyObject *object, int line)
{
	struct thread *t = engine.enabled ? lines_thread_now(engine.block) : NULL;
	struct frame *f;

	if (!t)
		return false;
	f = t->depth ? &t->frames[t->depth - 1] : NULL;
	if (f && f->code->object == object && line_plain(t, f, line))
		return false;
	return line_any(t, f, object, line);
}

void lines_leave(uint64_t number)
{
	struct thread *t = engine.enabled && number ? lines_thread_now(engine.block) : NULL;
	struct sample now;
	size_t i;

	if (!t)
		return;
	for (i = t->depth; i && t->frames[i - 1].number != number; i--)
		;
	if (!i)
		return;
	now = sample_now(t);
	while (t->depth >= i)
		pop(t, &now);
}

void lines_leave_code(struct code *code)
{
	struct thread *t = engine.enabled ? lines_thread_now(engine.block) : NULL;
	size_t i;

	if (!t)
		return;
	for (i = t->depth; i && t->frames[i - 1].code != code; i--)
		;
	if (i)
		lines_leave(t->frames[i - 1].number);
}

bool lines_inside(void)
{
	struct thread *t = engine.enabled ? lines_thread_now(engine.block) : NULL;

	return t && t->depth;
}

/* --- recorders --- */

void lines_alarms_changed(void)
{
	engine.alarm_pages = lines_lowest_alarm();
}

static int enable(struct recorder *r, const struct thread *t)
{
	if (r->enabled)
		return 0;
	if (engine.enabled && (const void *)engine.block != r->block.buf)
		return -1;
	if (r->own_thread)
		r->thread = t->serial;
	if (!engine.enabled) {
		engine.block = r->block.buf;
		lines_set(engine.cut, false);
		engine.estimated = r->estimated;
	}
	if (r->estimated)
		lines_resident_begin();
	r->epoch = ++engine.epoch;
	r->next = engine.enabled;
	lines_set(engine.enabled, r);
	r->enabled = true;
	engine.slow += r->metric != METRIC_RSS;
	engine.trees += r->estimated && r->children;
	find_plain();
	lines_alarms_changed();
	look();
	lines_note_deep(r);
	return 0;
}

int lines_enable(struct recorder *r)
{
	const struct thread *t = r->own_thread ? lines_thread_here() : NULL;
	int err;

	if (r->own_thread && !t)
		return -2;
	lines_exclusive_begin();
	err = enable(r, t);
	lines_exclusive_end();
	return err;
}

/* Takes a recorder out of the list of those enabled. */
static void unlink_recorder(const struct recorder *r)
{
	struct recorder *before = engine.enabled;

	if (before == r) {
		lines_set(engine.enabled, r->next);
		return;
	}
	while (before->next != r)
		before = before->next;
	before->next = r->next;
}

/* Charges what a thread's runs changed until now; they go on as from now. */
static void settle(struct thread *t)
{
	struct sample now;
	struct frame *f;
	size_t i;

	if (!t->depth || t->block != engine.block)
		return;
	now = sample_now(t);
	for (i = t->depth; i--;)
		run_end(t, &t->frames[i], &now);
	for (i = 0; i < t->depth; i++) {
		f = &t->frames[i];
		f->how |= RESUMED;
		f->begin = now;
	}
}

void lines_disable(struct recorder *r)
{
	struct thread *t, *threads = lines_threads();

	if (!r->enabled)
		return;
	look();
	r->blind |= lines_blind(r->own_thread);
	for (t = threads; t; t = t->next)
		settle(t);
	unlink_recorder(r);
	r->enabled = false;
	engine.slow -= r->metric != METRIC_RSS;
	engine.trees -= r->estimated && r->children;
	find_plain();
	lines_alarms_changed();
	/* From now on frames end unseen. */
	for (t = engine.enabled ? NULL : threads; t; t = t->next)
		t->depth = 0;
	if (engine.enabled)
		return;
	engine.block = NULL;
	if (engine.estimated)
		lines_resident_end();
	engine.estimated = false;
}

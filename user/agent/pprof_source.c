/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a profile of some seconds must have what processes did that ended in that time. What has
 * ended is taken from the source once, by the report that everything else is made of. So each
 * window has a report of its own, and they all take at the same time:
 *
 *   take_ended() of ours ── take_next() ──► report_finish_ended() of the first window
 *                                              └─ its source's take_ended() ── take_next() ──► …
 *                                                   └─ the last one: take_ended() of what is behind
 *                                                        each image and stack ──► all readers
 *
 * A window that fails (it has no memory) fails alone: the others, and the recording, have all. */
#include "agent/pprof_source.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/alarm_since.h"
#include "base/clock.h"
#include "report/report.h"

#define ENDED_BYTES (1u << 20) /* of processes that end in a window; others are one sum */
#define KEPT_NS	    1000000000ULL

struct window { /* closed: all zeros */
	struct pprof_source *source;
	struct alarm_base *base;
	struct since since;
	struct report *report;
	int error;  /* -errno: it has not all that has ended */
	bool takes; /* what has ended just now */
};

/* Nanoseconds, of the wall's clock and of this thread's. */
struct spent {
	uint64_t wall, cpu;
};

struct pprof_source {
	struct counts counts;
	struct window windows[PPROF_WINDOWS];
	/* while what has ended is taken */
	bool taking, taken, all;
	unsigned next;		   /* window */
	struct spent behind;	   /* that the source needed for it */
	uint64_t cpu_ns, asked_ns; /* pprof_source_cpu_ns(), pprof_source_asked_ns() */
	int error;
	const struct counts_reader *reader;
	void *reader_arg;
};

struct pprof_source *pprof_source_new(void)
{
	return calloc(1, sizeof(struct pprof_source));
}

void pprof_source_free(struct pprof_source *p)
{
	for (unsigned i = 0; p && i < PPROF_WINDOWS; i++)
		pprof_source_close(p, i);
	free(p);
}

/* --- taking what has ended --- */

static struct spent spent_since(struct spent began)
{
	return (struct spent){
		.wall = clock_ns(CLOCK_MONOTONIC) - began.wall,
		.cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - began.cpu,
	};
}

static int tee_image(const struct counts_image *image, void *arg)
{
	struct pprof_source *p = arg;

	for (struct window *w = p->windows; w < p->windows + PPROF_WINDOWS; w++)
		if (w->takes && !w->error)
			w->error = since_take_image(&w->since, image);
	return p->reader->image(image, p->reader_arg);
}

static int tee_stack(const struct counts_stack *stack, void *arg)
{
	struct pprof_source *p = arg;

	for (struct window *w = p->windows; w < p->windows + PPROF_WINDOWS; w++)
		if (w->takes && !w->error)
			w->error = since_take_stack(&w->since, stack);
	return p->reader->stack(stack, p->reader_arg);
}

static int tee_line(const struct counts_line *line, void *arg)
{
	const struct pprof_source *p = arg;

	return p->reader->line(line, p->reader_arg);
}

static int take_behind(struct pprof_source *p)
{
	static const struct counts_reader tee = {
		.image = tee_image,
		.stack = tee_stack,
		.line = tee_line,
	};

	struct spent began = spent_since((struct spent){});

	p->taken = true;
	p->error = p->counts.ops->take_ended(p->counts.self, p->all, &tee, p);
	p->behind = spent_since(began);
	return p->error;
}

static int take_next(struct pprof_source *p)
{
	while (p->next < PPROF_WINDOWS) {
		struct window *w = &p->windows[p->next++];
		int err;

		if (!w->report || w->error)
			continue;
		err = report_finish_ended(w->report, p->all);
		w->takes = false;
		w->error = w->error ?: err;
		if (p->taken)
			return p->error;
	}
	return p->taken ? p->error : take_behind(p);
}

/* since.take of a window. */
static int take_window(void *arg)
{
	struct window *w = arg;

	/* Its own report, when it is built, has nothing to take. */
	if (!w->source->taking)
		return 0;
	w->takes = true;
	return take_next(w->source);
}

static bool is_asked(const struct pprof_source *p)
{
	for (unsigned i = 0; i < PPROF_PUSHED; i++)
		if (p->windows[i].report)
			return true;
	return false;
}

static int take_ended(void *self, bool all, const struct counts_reader *reader, void *arg)
{
	struct pprof_source *p = self;
	struct spent began = spent_since((struct spent){}), took;
	int err;

	p->taking = true;
	p->taken = false;
	p->all = all;
	p->next = 0;
	p->reader = reader;
	p->reader_arg = arg;
	err = take_next(p);
	p->taking = false;
	took = spent_since(began);
	p->cpu_ns += took.cpu - p->behind.cpu;
	p->asked_ns += is_asked(p) ? took.wall - p->behind.wall : 0;
	return err;
}

uint64_t pprof_source_asked_ns(const struct pprof_source *p)
{
	return p->asked_ns;
}

uint64_t pprof_source_cpu_ns(const struct pprof_source *p)
{
	return p->cpu_ns;
}

/* --- the rest of a source --- */

static int read_counts(void *self, const struct counts_reader *reader, void *arg)
{
	const struct pprof_source *p = self;

	return p->counts.ops->read(p->counts.self, reader, arg);
}

static bool is_running(void *self, pid_t pid, uint64_t start_boottime_ns)
{
	const struct pprof_source *p = self;

	return p->counts.ops->is_running(p->counts.self, pid, start_boottime_ns);
}

static void get_facts(void *self, struct counts_facts *facts)
{
	const struct pprof_source *p = self;

	p->counts.ops->facts(p->counts.self, facts);
}

static void each_note(void *self, enum counts_note which, void (*fn)(const char *text, void *arg),
		      void *arg)
{
	const struct pprof_source *p = self;

	p->counts.ops->each_note(p->counts.self, which, fn, arg);
}

struct counts pprof_source_counts(struct pprof_source *p, struct counts counts)
{
	/* Who touched pages is asked for by pprof_source_kept() only. */
	static const struct counts_ops ops = {
		.read = read_counts,
		.take_ended = take_ended,
		.is_running = is_running,
		.facts = get_facts,
		.each_note = each_note,
	};

	p->counts = counts;
	return (struct counts){&ops, p};
}

/* --- windows --- */

int pprof_source_open(struct pprof_source *p, unsigned window)
{
	struct window *w = &p->windows[window];
	int err;

	w->source = p;
	w->base = alarm_base_take(p->counts);
	err = w->base ? since_begin(&w->since, p->counts, w->base, 0) : -errno;
	w->since.take = take_window;
	w->since.take_arg = w;
	if (!err) {
		w->report = report_new(since_counts(&w->since), alarm_base_time(w->base),
				       ENDED_BYTES, false);
		err = w->report ? 0 : -ENOMEM;
	}
	if (err)
		pprof_source_close(p, window);
	else
		report_keep_trees(w->report);
	return err;
}

struct model *pprof_source_model(struct pprof_source *p, unsigned window)
{
	struct window *w = &p->windows[window];

	errno = -w->error;
	return w->report && !w->error ? report_build(w->report, false) : NULL;
}

void pprof_source_close(struct pprof_source *p, unsigned window)
{
	struct window *w = &p->windows[window];

	report_free(w->report);
	since_fini(&w->since);
	alarm_base_free(w->base);
	*w = (struct window){};
}

/* --- what is resident --- */

struct kept {
	struct counts counts;
	uint64_t end_ns;
	const struct counts_reader *reader;
	const struct counts_touched_reader *touched;
	void *arg;
};

static int kept_image(const struct counts_image *image, void *arg)
{
	const struct kept *k = arg;

	return image->ended ? 0 : k->reader->image(image, k->arg);
}

static enum counts_want kept_wants(const struct pymem_stack_key *key,
				   const struct pymem_counters *counters, bool thread, void *arg)
{
	(void)key, (void)counters, (void)thread, (void)arg;
	return COUNTS_NOTHING;
}

/* Never called: nothing is wanted. */
static int kept_stack(const struct counts_stack *stack, void *arg)
{
	(void)stack, (void)arg;
	return COUNTS_LEFT;
}

static int kept_line(const struct counts_line *line, void *arg)
{
	(void)line, (void)arg;
	return 0;
}

static int kept_read(void *self, const struct counts_reader *reader, void *arg)
{
	static const struct counts_reader images = {
		.image = kept_image,
		.stack = kept_stack,
		.thread = kept_stack,
		.line = kept_line,
		.wants = kept_wants,
	};
	struct kept *k = self;

	k->reader = reader;
	k->arg = arg;
	return k->counts.ops->read(k->counts.self, &images, k);
}

static int kept_take(void *self, bool all, const struct counts_reader *reader, void *arg)
{
	(void)self, (void)all, (void)reader, (void)arg;
	return 0;
}

static bool kept_is_running(void *self, pid_t pid, uint64_t start_boottime_ns)
{
	const struct kept *k = self;

	return k->counts.ops->is_running(k->counts.self, pid, start_boottime_ns);
}

/* Stacks are of no interest here, nor what could not be seen of them. */
static void kept_facts(void *self, struct counts_facts *facts)
{
	static const uint64_t none[COUNTS_GAP_COUNT];
	const struct kept *k = self;

	(void)k;
	*facts = (struct counts_facts){.end = clock_seconds(CLOCK_REALTIME), .gaps = none};
}

static void kept_note(void *self, enum counts_note which, void (*fn)(const char *text, void *arg),
		      void *arg)
{
	const struct kept *k = self;

	/* Of events: what was not seen of touched pages, and what was shed. */
	if (which == COUNTS_NOTE_KERNEL || which == COUNTS_NOTE_EVENTS)
		k->counts.ops->each_note(k->counts.self, which, fn, arg);
}

static int kept_resident(const struct counts_resident *resident, void *arg)
{
	const struct kept *k = arg;

	return k->touched->image(resident, k->arg);
}

static bool kept_late(void *arg)
{
	const struct kept *k = arg;

	return clock_ns(CLOCK_MONOTONIC) > k->end_ns;
}

static int kept_touched_stack(uint32_t image, const struct counts_stack *stack,
			      const struct counts_touched *touched, void *arg)
{
	const struct kept *k = arg;

	return k->touched->stack(image, stack, touched, k->arg);
}

static int kept_each_touched(void *self, const struct counts_touched_reader *reader, void *arg)
{
	static const struct counts_touched_reader passing = {kept_resident, kept_touched_stack,
							     kept_late, false};
	struct kept *k = self;
	int err;

	k->touched = reader;
	k->arg = arg;
	err = k->counts.ops->each_touched(k->counts.self, &passing, k);
	return err == -ETIME ? 0 : err;
}

struct model *pprof_source_kept(struct pprof_source *p, struct report **report)
{
	static const struct counts_ops ops = {
		.read = kept_read,
		.take_ended = kept_take,
		.is_running = kept_is_running,
		.facts = kept_facts,
		.each_note = kept_note,
		.each_touched = kept_each_touched,
	};
	struct kept kept = {.counts = p->counts, .end_ns = clock_ns(CLOCK_MONOTONIC) + KEPT_NS};
	struct model *model = NULL;

	*report = NULL;
	errno = ENOTSUP;
	if (!p->counts.ops || !p->counts.ops->each_touched)
		return NULL;
	*report = report_new((struct counts){&ops, &kept}, clock_seconds(CLOCK_REALTIME), 0, false);
	errno = ENOMEM;
	if (!*report)
		return NULL;
	report_keep_trees(*report);
	model = report_build(*report, false);
	/* `kept` ends here: the report is only read and freed from now on. */
	return model;
}

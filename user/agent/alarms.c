/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a recording says afterwards what made a service grow. Somebody must know before it is
 * killed that it grows at all, and must not be woken by each collection of garbage.
 *
 * What passes when the agent reads figures is noted here, and where it reads them less often than
 * once a second, the sizes alone are read in between (alarms_read()): that costs a part of it,
 * since no stacks are read. Samples are kept of a fixed number of bins (model/alarm_slope.h), so
 * memory is bounded by the number of processes. Slopes cost most: they are computed when a bin is
 * complete, and only where the size has changed enough. */
#include "agent/alarms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_private.h"
#include "agent/alarm_private.h"
#include "base/clock.h"

#define GROUPS_A_TICK 16   /* that are read, each with some system calls */
#define SLOPES_A_TICK 128  /* computed; some 0.3 ms each */
#define BASE_LEAST    30.0 /* seconds from one noting of all figures to the next */

struct alarms *alarms_new(struct store *store, struct alarm_heap *heap)
{
	struct alarms *a = calloc(1, sizeof(*a));

	if (a) {
		a->store = store;
		a->heap = heap;
	}
	return a;
}

static void free_bases(struct alarms *a)
{
	alarm_base_free(a->older);
	alarm_base_free(a->newer);
	a->older = a->newer = NULL;
}

void alarms_free(struct alarms *a)
{
	if (!a)
		return;
	alarms_free_subjects(a);
	free_bases(a);
	free(a);
}

/* What was told of a rule stays with it. */
static void move_told(struct alarms *a, const struct alarms *before)
{
	memset(a->told, 0, sizeof(a->told));
	for (size_t i = 0; i < a->rules.count; i++)
		for (size_t j = 0; j < before->rules.count; j++)
			if (alarm_rule_same(&a->rules.list[i], &before->rules.list[j]))
				a->told[i] = before->told[j];
}

void alarms_set(struct alarms *a, const struct alarm_rules *rules)
{
	const struct alarms before = *a;
	double window = 0;

	a->rules = *rules;
	move_told(a, &before);
	a->track_count = 0;
	for (size_t i = 0; i < a->rules.count; i++) {
		const struct alarm_rule *rule = &a->rules.list[i];

		a->track_of[i] = alarm_track_of(rule, a->tracks, &a->track_count);
		if (rule->what == ALARM_GROWTH && rule->window > window)
			window = rule->window;
	}
	/* Long enough for the slowest growth, whose figures are the smallest. */
	a->base_period = window / 2 > BASE_LEAST || window <= 0 ? window / 2 : BASE_LEAST;
	if (a->rules.count)
		alarms_change_subjects(a, &before);
	else
		alarms_free_subjects(a);
	if (window <= 0)
		free_bases(a);
}

/* --- readings that pass --- */

static int pass_image(const struct counts_image *image, void *arg)
{
	struct alarms *a = arg;

	alarms_note_image(a, image);
	return a->reader->image(image, a->reader_arg);
}

static int pass_stack(const struct counts_stack *stack, void *arg)
{
	const struct alarms *a = arg;

	return a->reader->stack(stack, a->reader_arg);
}

static int pass_thread(const struct counts_stack *stack, void *arg)
{
	const struct alarms *a = arg;

	return a->reader->thread(stack, a->reader_arg);
}

static int pass_line(const struct counts_line *line, void *arg)
{
	const struct alarms *a = arg;

	return a->reader->line(line, a->reader_arg);
}

static enum counts_want pass_wants(const struct pymem_stack_key *key,
				   const struct pymem_counters *counters, bool thread, void *arg)
{
	const struct alarms *a = arg;

	return a->reader->wants(key, counters, thread, a->reader_arg);
}

static bool pass_changes(void *arg)
{
	const struct alarms *a = arg;

	return a->reader->changes(a->reader_arg);
}

static void pass_stalled(const struct pymem_stack_key *key, const struct pymem_vmcalls *vmcalls,
			 void *arg)
{
	const struct alarms *a = arg;

	a->reader->stalled(key, vmcalls, a->reader_arg);
}

static int read_counts(void *self, const struct counts_reader *reader, void *arg)
{
	struct alarms *a = self;
	const struct counts_reader passing = {
		.image = pass_image,
		.stack = reader->stack ? pass_stack : NULL,
		.thread = pass_thread,
		.line = pass_line,
		.wants = reader->wants ? pass_wants : NULL,
		.changes = reader->changes ? pass_changes : NULL,
		.stalled = reader->stalled ? pass_stalled : NULL,
	};

	a->reading++;
	a->reader = reader;
	a->reader_arg = arg;
	return a->counts.ops->read(a->counts.self, &passing, a);
}

/* Nobody else wants it. */
static int drop_image(const struct counts_image *image, void *arg)
{
	(void)image, (void)arg;
	return 0;
}

int alarms_read(struct alarms *a)
{
	static const struct counts_reader images = {.image = drop_image};

	return read_counts(a, &images, NULL);
}

static int take_ended(void *self, bool all, const struct counts_reader *reader, void *arg)
{
	const struct alarms *a = self;

	return a->counts.ops->take_ended(a->counts.self, all, reader, arg);
}

static bool is_running(void *self, pid_t pid, uint64_t start_boottime_ns)
{
	const struct alarms *a = self;

	return a->counts.ops->is_running(a->counts.self, pid, start_boottime_ns);
}

static void get_facts(void *self, struct counts_facts *facts)
{
	const struct alarms *a = self;

	a->counts.ops->facts(a->counts.self, facts);
}

static void each_note(void *self, enum counts_note which, void (*fn)(const char *text, void *arg),
		      void *arg)
{
	const struct alarms *a = self;

	a->counts.ops->each_note(a->counts.self, which, fn, arg);
}

struct counts alarms_counts(struct alarms *a, struct counts counts)
{
	/* The agent does not ask who touched pages: each_touched and each_first are not here. */
	static const struct counts_ops ops = {
		.read = read_counts,
		.take_ended = take_ended,
		.is_running = is_running,
		.facts = get_facts,
		.each_note = each_note,
	};

	a->counts = counts;
	a->start = clock_seconds(CLOCK_REALTIME);
	return (struct counts){&ops, a};
}

/* --- what others ask --- */

static bool is_met(const struct alarms *a, const struct alarm_subject *subject)
{
	for (size_t i = 0; subject && i < a->rules.count; i++)
		if (subject->states[i].raised || subject->states[i].waits)
			return true;
	return false;
}

bool alarms_are_met(const struct alarms *a, uint32_t image)
{
	struct alarm_subject *s;

	HASH_FIND(hh, a->processes, &image, sizeof(image), s);
	return s && (is_met(a, s) || is_met(a, s->of_program) || is_met(a, s->of_group));
}

/* --- once a second --- */

/* Notes all figures from time to time. The older ones are as old as half of the longest window, or
 * up to all of it. */
static void renew_base(struct alarms *a, double now)
{
	struct alarm_base *base;

	if (a->base_period <= 0 || (a->newer && now - a->newer_time < a->base_period))
		return;
	base = alarm_base_take(a->counts);
	a->newer_time = now;
	if (!base) {
		if (!a->base_failed)
			agent_complain("alarms: what lines have grown can't be noted: %s",
				       strerror(errno));
		a->base_failed = true;
		return;
	}
	a->base_failed = false;
	alarm_base_free(a->older);
	a->older = a->newer;
	a->newer = base;
}

static bool watches_limits(const struct alarms *a)
{
	for (size_t i = 0; i < a->rules.count; i++)
		if (a->rules.list[i].what == ALARM_LIMIT)
			return true;
	return false;
}

/* Control groups take turns. */
static void read_groups(struct alarms *a, double now)
{
	size_t count = HASH_COUNT(a->others), number = 0, read = 0;
	struct alarm_subject *s;

	if (!watches_limits(a))
		return;
	a->group_turn = a->group_turn < count ? a->group_turn : 0;
	for (s = a->others; s && read < GROUPS_A_TICK; s = s->hh.next, number++) {
		if (number < a->group_turn || s->scope == ALARM_PROGRAM)
			continue;
		alarms_read_group(s, now);
		read++;
	}
	a->group_turn = s ? number : 0;
}

static void add_samples(struct alarms *a, struct alarm_subject *s, double now)
{
	for (size_t i = 0; i < a->track_count; i++) {
		const struct alarm_track *track = &a->tracks[i];
		int64_t bytes = track->used_bytes ? s->used : s->rss;

		/* A group is read in its turn: what was read before is no sample of now. */
		if (!(track->scopes & s->scope) || bytes < 0 ||
		    (track->used_bytes && s->read < now))
			continue;
		if (!s->series[i]) {
			s->series[i] = malloc(sizeof(*s->series[i]));
			if (!s->series[i]) /* it is tried again a second later */
				continue;
			alarm_series_init(s->series[i], track->window);
		}
		if (alarm_series_add(s->series[i], now, bytes))
			s->fresh |= 1u << i;
	}
}

static void tell(struct alarms *a, size_t rule, struct alarm_subject *s,
		 const struct alarm_slope *slope)
{
	a->told[rule]++;
	alarms_tell(a, &a->rules.list[rule], s, slope);
}

static void look_at_growth(struct alarms *a, size_t i, struct alarm_subject *s, double now,
			   unsigned *left)
{
	const struct alarm_rule *rule = &a->rules.list[i];
	const struct alarm_series *series = s->series[a->track_of[i]];
	struct alarm_slope slope = {};

	if (!alarm_series_is_flat(series, ALARM_CLEAR_PART * rule->threshold)) {
		alarm_series_slope(series, &slope);
		if (!slope.known)
			return;
		*left -= *left > 0;
	}
	if (alarm_state_step(&s->states[i], slope.rate, rule->threshold,
			     alarm_growth_is_met(&slope, rule->threshold), now) &&
	    alarm_gate_pass(&a->gate, &s->states[i], now))
		tell(a, i, s, &slope);
}

static void look_at_size(struct alarms *a, size_t i, struct alarm_subject *s, double now)
{
	const struct alarm_rule *rule = &a->rules.list[i];
	const struct alarm_series *series = s->series[a->track_of[i]];
	struct alarm_slope slope = {};
	double value = (double)s->rss; /* bytes or per cent */

	if (rule->what == ALARM_LIMIT) {
		const struct alarm_subject *group;
		int64_t part = alarms_part_of_limit(s, &group);

		if (!group)
			return;
		value = 100.0 * (double)part / (double)group->limit;
	}
	if (!alarm_state_step(&s->states[i], value, rule->threshold, value > rule->threshold,
			      now) ||
	    !alarm_gate_pass(&a->gate, &s->states[i], now))
		return;
	if (series)
		alarm_series_slope(series, &slope);
	tell(a, i, s, &slope);
}

/* `left`: how many slopes may still be computed. */
static void look(struct alarms *a, struct alarm_subject *s, double now, unsigned *left)
{
	unsigned waiting = 0;

	for (size_t i = 0; i < a->rules.count; i++) {
		const struct alarm_rule *rule = &a->rules.list[i];
		unsigned bit = 1u << a->track_of[i];

		if (!(rule->scopes & s->scope))
			continue;
		if (rule->what != ALARM_GROWTH)
			look_at_size(a, i, s, now);
		else if (s->fresh & bit && *left)
			look_at_growth(a, i, s, now, left);
		else
			waiting |= s->fresh & bit;
	}
	s->fresh = waiting;
}

static void look_at_processes(struct alarms *a, struct alarm_subject *from,
			      const struct alarm_subject *to, double now, unsigned *left)
{
	for (; from && from != to; from = from->hh.next) {
		look(a, from, now, left);
		if (from->fresh && !a->turn)
			a->turn = from->image;
	}
}

/* From the process on for which there was no time the last time. */
static void look_at_all_processes(struct alarms *a, double now, unsigned *left)
{
	struct alarm_subject *first;
	uint32_t turn = a->turn;

	HASH_FIND(hh, a->processes, &turn, sizeof(turn), first);
	first = first ?: a->processes;
	a->turn = 0;
	look_at_processes(a, first, NULL, now, left);
	look_at_processes(a, a->processes, first, now, left);
}

void alarms_tick(struct alarms *a, size_t most)
{
	double now = clock_seconds(CLOCK_MONOTONIC);
	unsigned held, left = SLOPES_A_TICK / 2;
	struct alarm_subject *s;

	held = alarm_gate_flush(&a->gate, now);
	if (held)
		agent_complain("alarms: %u more are met: at most %d are told in a minute, the "
			       "others later",
			       held, ALARM_LINES);
	if (!a->rules.count)
		return;
	a->most = most;
	alarms_settle(a);
	read_groups(a, now);
	for (s = a->processes; s; s = s->hh.next)
		add_samples(a, s, now);
	for (s = a->others; s; s = s->hh.next) {
		add_samples(a, s, now);
		look(a, s, now, &left);
	}
	/* However many programs and control groups there are, half of it is for processes. */
	left += SLOPES_A_TICK / 2;
	look_at_all_processes(a, now, &left);
	/* What is told is what came since the last time. */
	renew_base(a, now);
}

/* --- figures --- */

static unsigned count_raised(const struct alarm_subject *s, size_t rule, unsigned scopes)
{
	unsigned count = 0;

	for (; s; s = s->hh.next)
		count += (s->scope & scopes) && s->states[rule].raised;
	return count;
}

void alarms_each(const struct alarms *a,
		 void (*fn)(const char *text, const struct alarm_figures *figures, void *arg),
		 void *arg)
{
	for (size_t i = 0; i < a->rules.count; i++) {
		unsigned scopes = a->rules.list[i].scopes;
		const struct alarm_figures figures = {
			.raised = count_raised(a->processes, i, scopes) +
				  count_raised(a->others, i, scopes),
			.told = a->told[i],
		};

		fn(a->rules.list[i].text, &figures, arg);
	}
}

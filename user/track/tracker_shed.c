/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a profiler that runs all the time must not take more than it was given. What it does
 * less then must be known: from no report may it follow that nothing was there.
 *
 * What can be shed, the least valuable first: events that amounts can do without (session_shed.c);
 * the outer frames of stacks; the stacks of processes. A process that is not traced keeps its
 * record on the BPF side, so its RSS goes on to the page; what changes is lost as `shed`. That it
 * is not traced is part of its record, and its children inherit it, so nothing can fall between two
 * processes.
 *
 * Which processes: those that have changed least between the last two calls. One that is not traced
 * must have changed by more than RETURN_PAGES more than others to take their place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "track/tracker_private.h"

#define RETURN_BYTES (1u << 20)
#define UNTRACED     "not traced just now: the agent's budget has no room for it (--budget)"

struct candidate {
	struct image *image;
	uint64_t moved; /* pages */
};

struct choice {
	struct tracker *tracker;
	const struct tracker_shedding *shedding;
	uint64_t bonus; /* pages that count for those that are traced */
	struct candidate *list;
	size_t count, room;
	bool found; /* one that was not traced */
};

/* --- which processes --- */

/* An image whose stacks are, or were, walked. */
static int add_candidate(const struct pymem_proc *record, void *arg)
{
	struct choice *c = arg;
	struct image *image = tracker_image(c->tracker, record->id);
	int64_t rss = counts_rss_pages(record->now_pages), change;

	if (!image || image->dead || !image->identified || !tracker_is_reported(image))
		return 0;
	/* The record knows best: a child is what its parent was at the fork. */
	image->shed = record->layout == PYMEM_LAYOUT_SHED;
	c->found |= image->shed;
	change = rss - (image->shed_pages ?: counts_rss_pages(record->start_pages));
	image->shed_moved = (uint64_t)(change < 0 ? -change : change);
	image->shed_pages = rss;
	if (!ARRAY_HAS_ROOM(c->list, c->count, c->room))
		return -ENOMEM;
	if (c->shedding->keeps && c->shedding->keeps(image->id, c->shedding->arg))
		image->shed_moved = UINT64_MAX;
	c->list[c->count++] =
		(struct candidate){image, image->shed_moved < UINT64_MAX - c->bonus
						  ? image->shed_moved + (image->shed ? 0 : c->bonus)
						  : UINT64_MAX};
	return 0;
}

static int by_change(const void *a, const void *b)
{
	const struct candidate *one = a, *other = b;

	if (one->moved != other->moved)
		return one->moved < other->moved ? -1 : 1;
	return one->image->id < other->image->id ? -1 : one->image->id > other->image->id;
}

/* Those at the beginning of the list are not to be traced; returns their number. */
static size_t choose(struct choice *c)
{
	const struct tracker_shedding *s = c->shedding;
	size_t most = s->of ? c->count * s->parts / s->of : 0, i = 0;

	if (!most)
		return 0;
	qsort(c->list, c->count, sizeof(*c->list), by_change);
	while (i < most && c->list[i].moved != UINT64_MAX)
		i++;
	return i;
}

/* --- what becomes of them --- */

static int fill_target(struct tracker *tracker, const struct image *image, bool shed,
		       struct session_target *target)
{
	*target = (struct session_target){
		.pid = image->pid,
		.expect = image->id,
		.identified = true,
		.runtime = image->runtime,
		.interp_head = image->interp_head,
		.layout = (int)PYMEM_LAYOUT_SHED,
	};
	if (!shed)
		target->layout = session_add_layout(tracker->session, &image->layout);
	return !shed && target->layout < 0 ? target->layout : 0;
}

static void note(struct image *image, bool shed)
{
	image->shed = shed;
	snprintf(image->reason, sizeof(image->reason), "%s", shed ? UNTRACED : "");
}

/* Traces all but the first `untraced` ones. One pass over the kernel's tasks for all that change.
 */
static int apply(struct choice *c, size_t untraced)
{
	struct session_target *targets = calloc(c->count, sizeof(*targets));
	struct image **images = calloc(c->count, sizeof(struct image *));
	size_t count = 0;
	int err = targets && images ? 0 : -ENOMEM;

	for (size_t i = 0; i < c->count && !err; i++) {
		struct image *image = c->list[i].image;

		if (image->shed != (i < untraced)) {
			images[count] = image;
			err = fill_target(c->tracker, image, i < untraced, &targets[count++]);
		} else {
			note(image, image->shed);
		}
	}
	if (!err && count)
		err = session_track(c->tracker->session, targets, count);
	/* One that has ended, or has executed another program, is no error. */
	for (size_t i = 0; i < count && !err; i++)
		if (targets[i].result == PYMEM_WANTED_OK)
			note(images[i], !images[i]->shed);
	free(targets);
	free(images);
	return err;
}

static unsigned count_untraced(const struct choice *c)
{
	unsigned count = 0;

	for (size_t i = 0; i < c->count; i++)
		count += c->list[i].image->shed;
	return count;
}

static int shed_processes(struct tracker *tracker, const struct tracker_shedding *shedding)
{
	struct choice c = {
		.tracker = tracker,
		.shedding = shedding,
		.bonus = RETURN_BYTES / (uint64_t)sysconf(_SC_PAGESIZE),
	};
	int err = session_each_live(tracker->session, add_candidate, &c);

	if (!err && c.count)
		err = apply(&c, choose(&c));
	if (!err)
		tracker->shed.processes = count_untraced(&c);
	/* One that had just forked when it was traced again has a child that is not. */
	tracker->shed.again = err || c.found;
	free(c.list);
	return err;
}

/* --- all of it --- */

static void add_time(struct tracker_shed *shed)
{
	double now = clock_seconds(CLOCK_MONOTONIC),
	       passed = shed->since > 0 ? now - shed->since : 0;

	shed->since = now;
	shed->seconds[TRACKER_SHEDS_EVENTS] += shed->events ? passed : 0;
	shed->seconds[TRACKER_SHEDS_DEPTH] += shed->frames ? passed : 0;
	shed->seconds[TRACKER_SHEDS_PROCESSES] += shed->processes ? passed : 0;
}

int tracker_shed(struct tracker *tracker, const struct tracker_shedding *shedding)
{
	struct tracker_shed *shed = &tracker->shed;
	int err, failed;

	add_time(shed);
	err = session_shed_events(tracker->session, shedding->events);
	/* If they can't be attached again, they are shed still. */
	shed->events = shedding->events || err;
	session_limit_walks(tracker->session, shedding->frames);
	shed->frames = shedding->frames;
	if (!shedding->watch && !shedding->parts && !shed->processes && !shed->again)
		return err;
	failed = shed_processes(tracker, shedding);
	return err ?: failed;
}

struct sentence {
	char text[160];
	size_t length;
};

static void add_word(const char *what, void *arg)
{
	struct sentence *s = arg;
	int written = snprintf(s->text + s->length, sizeof(s->text) - s->length, "%s%s",
			       s->length ? ", " : "", what);

	if (written > 0 && s->length + (size_t)written < sizeof(s->text))
		s->length += (size_t)written;
}

void tracker_each_shed(const struct tracker *tracker, void (*fn)(const char *text, void *arg),
		       void *arg)
{
	const double *seconds = tracker->shed.seconds;
	unsigned long long stacks = session_shed_stacks(tracker->session);
	struct sentence what = {};
	char text[320];

	session_each_shed(tracker->session, add_word, &what);
	if (seconds[TRACKER_SHEDS_EVENTS] > 0 && what.length) {
		snprintf(text, sizeof(text),
			 "for %.0f s no events were counted that amounts can do without (%s): the "
			 "agent was beyond its budget (--budget)",
			 seconds[TRACKER_SHEDS_EVENTS], what.text);
		fn(text, arg);
	}
	if (stacks) {
		snprintf(text, sizeof(text),
			 "%llu stack%s without %s outermost frames, since the agent was beyond its "
			 "budget for %.0f s (--budget)",
			 stacks, stacks == 1 ? " is" : "s are", stacks == 1 ? "its" : "their",
			 seconds[TRACKER_SHEDS_DEPTH]);
		fn(text, arg);
	}
	if (seconds[TRACKER_SHEDS_PROCESSES] > 0) {
		snprintf(text, sizeof(text),
			 "for %.0f s not all processes were traced, since the agent was beyond its "
			 "budget (--budget): what they changed then is unattributed (shed)",
			 seconds[TRACKER_SHEDS_PROCESSES]);
		fn(text, arg);
	}
}

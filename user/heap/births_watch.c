/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Watching: debug registers on those candidates that grow most.
 *
 * A container may be replaced by another one (x = x + [1]; a dict that is made anew). If the place
 * that leads to it is known (births_candidates.c), the watch moves to the container that is there
 * now. If that happens again and again, the place itself is watched. If no place is known, the
 * watch ends when another object is made at the container's address, and its samples are dropped.
 * If no other watch has met an insertion soon after that, watching is given up for bursts, where
 * both are allowed: bursts take a sample now and then, and need what time is left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "heap/births_collect.h"

#define WATCH_READ_MS 20
#define EVENTS_MS     1
#define REST_MS	      2000
#define LOST_MS	      500 /* for which the other watches may still meet something */
#define GROWTH_MS     500 /* a candidate has to grow within that time to be watched */
#define GROWTH_TRIES  4
/* A place is watched itself once its watch has moved more than FUTILE_MOST times without an
 * insertion, or all watches together more than MOVES_MOST times. */
#define FUTILE_MOST 4
#define MOVES_MOST  200

/* One sample for all insertions into a container by one stack. */
static int take_write(void *arg, const struct birth_event *event)
{
	struct collecting *c = arg;
	size_t watch = 0, *number;
	uint32_t stack;
	int err = 0;

	while (watch < c->watch_count && c->watches[watch].object != event->object)
		watch++;
	if (event->change <= 0 || watch == c->watch_count)
		return 0;
	c->futile_moves[watch] = 0;
	stack = births_stack(c, event);
	if (stack == UINT32_MAX) {
		c->figures.unnamed++;
		return 0;
	}
	number = &c->by_index[stack]->writes[watch];
	if (*number) {
		c->made[*number - 1].sample.change += event->change;
		return 0;
	}
	err = births_take(c, event);
	if (err)
		return err;
	*number = c->made_count;
	c->made[c->made_count - 1].watch = watch;
	return 0;
}

/* --- where a container is --- */

static bool read_word(const struct collecting *c, uint64_t addr, uint64_t *word)
{
	return births_read(c->request->pid, addr, word, sizeof(*word));
}

/* The object that the watch's place points to now; 0: it has another type, or no place is known. */
static uint64_t object_in_slot(const struct collecting *c, const struct birth_watch *watch)
{
	uint64_t object, type;

	if (!watch->slot || !read_word(c, watch->slot, &object) ||
	    !read_word(c, object + watch->type_offset, &type) || type != watch->type)
		return 0;
	return object;
}

static void move_to(struct birth_watch *watch, uint64_t object)
{
	uint64_t by = object - watch->object;

	watch->object += by;
	watch->size_addr += by;
	watch->tracked_addr += by;
}

/* --- which ones --- */

/* Entries by which a candidate has grown since it was last read; 0: none, or it can't be read. */
static int64_t growth(const struct collecting *c, struct birth_watch *candidate)
{
	uint64_t object = object_in_slot(c, candidate);
	int64_t size, grown;

	if (!object)
		candidate->slot = 0; /* the place has moved, as a table does that grows */
	else
		move_to(candidate, object);
	if (!births_read(c->request->pid, candidate->size_addr, &size, sizeof(size)))
		return 0;
	grown = size - candidate->size;
	candidate->size = size;
	return grown > 0 ? grown : 0;
}

/* Keeps the BIRTH_WATCHES that have grown most, largest first. */
static void choose(struct collecting *c, const struct birth_watch *candidate, int64_t grown,
		   int64_t *best)
{
	size_t at = c->watch_count < BIRTH_WATCHES ? c->watch_count : BIRTH_WATCHES - 1;

	if (c->watch_count == BIRTH_WATCHES && grown <= best[at])
		return;
	for (; at && best[at - 1] < grown; at--) {
		best[at] = best[at - 1];
		c->watches[at] = c->watches[at - 1];
	}
	best[at] = grown;
	c->watches[at] = *candidate;
	if (c->watch_count < BIRTH_WATCHES)
		c->watch_count++;
}

/* Waits until a candidate grows. 0; -ENOENT: none has; -ENOMEM. */
static int choose_watches(struct collecting *c)
{
	const struct births_request *request = c->request;
	size_t count = request->candidate_count;
	struct birth_watch *candidates = malloc((count + 1) * sizeof(*candidates));
	int64_t best[BIRTH_WATCHES] = {};

	if (!candidates)
		return -ENOMEM;
	memcpy(candidates, request->candidates, count * sizeof(*candidates));
	for (size_t i = 0; i < count; i++)
		growth(c, &candidates[i]);
	for (int tries = 0; tries < GROWTH_TRIES && !c->watch_count && !births_ended(c, GROWTH_MS);
	     tries++) {
		for (size_t i = 0; i < count; i++) {
			int64_t grown = growth(c, &candidates[i]);

			if (grown)
				choose(c, &candidates[i], grown, best);
		}
	}
	free(candidates);
	return c->watch_count ? 0 : -ENOENT;
}

/* --- while they are watched --- */

/* Moves a watch to the container that is in its place now, or puts it on the place. True: it has
 * moved and must be set anew. */
static bool follow(struct collecting *c, size_t number)
{
	struct birth_watch *watch = &c->watches[number];
	bool ended = birth_probes_watch_ended(c->probes, number);
	uint64_t object;

	if (!watch->object || watch->by_slot)
		return false;
	object = object_in_slot(c, watch);
	if (!object && ended)
		watch->object = 0;
	if (!object || (object == watch->object && !ended))
		return false;
	move_to(watch, object);
	if (!births_read(c->request->pid, watch->size_addr, &watch->size, sizeof(watch->size)))
		watch->size = 0;
	watch->by_slot = ++c->futile_moves[number] > FUTILE_MOST || ++c->moves > MOVES_MOST;
	return true;
}

/* Moves watches to where their containers are. 0; -ENOENT: none is left; -errno. */
static int follow_all(struct collecting *c)
{
	bool moved = false, left = false;

	for (size_t i = 0; i < c->watch_count; i++) {
		moved |= follow(c, i);
		left |= c->watches[i].object != 0;
	}
	if (!left)
		return -ENOENT;
	if (!moved)
		return 0;
	birth_probes_unwatch(c->probes);
	return birth_probes_watch(c->probes, c->watches, c->watch_count);
}

/* Drops watches that may be of another container now. Traps were off: a container may have died
 * meanwhile, and another have been made at its address. If its place leads to a container, follow()
 * takes that one. */
static void forget_unplaced(struct collecting *c)
{
	for (size_t i = 0; i < c->watch_count; i++)
		if (!c->watches[i].by_slot && !object_in_slot(c, &c->watches[i]))
			c->watches[i].object = 0;
}

/* True if a watch was lost, and what is left has met nothing. */
static bool is_futile(const struct collecting *c)
{
	bool lost = false;

	for (size_t i = 0; i < c->watch_count; i++)
		lost |= !c->watches[i].object;
	for (size_t i = 0; i < c->made_count && lost; i++)
		lost = !c->watches[c->made[i].watch].object;
	return lost;
}

/* True once bursts tell more. `*futile_ms`: since when watching has been futile; 0: it is not. */
static bool gives_up(const struct collecting *c, uint64_t *futile_ms)
{
	uint64_t now = clock_ms(CLOCK_MONOTONIC);

	if (c->request->method != BIRTHS_METHOD_AUTO || !is_futile(c))
		*futile_ms = 0;
	else if (!*futile_ms)
		*futile_ms = now;
	return *futile_ms && now - *futile_ms >= LOST_MS;
}

/* Watches until births_ended() or gives_up(). While traps are few they stay on. Else they are
 * switched off in turns, so that there is at most one in EVENTS_MS milliseconds on average; a turn
 * without them lasts REST_MS at most. 0 or -errno. */
static int watch_by_turns(struct collecting *c)
{
	uint64_t begin_ms = clock_ms(CLOCK_MONOTONIC), off_ms = 0, futile_ms = 0;
	bool over = false;
	int count, err = 0;

	while (!err && !over && !gives_up(c, &futile_ms)) {
		unsigned rest;

		over = births_ended(c, WATCH_READ_MS);
		count = birth_probes_read(c->probes, take_write, c);
		err = count < 0 ? count : follow_all(c);
		if (err || over || count * EVENTS_MS <= WATCH_READ_MS)
			continue;
		rest = count * EVENTS_MS < REST_MS ? (unsigned)(count * EVENTS_MS) : REST_MS;
		birth_probes_watch_on(c->probes, false);
		off_ms -= clock_ms(CLOCK_MONOTONIC);
		over = births_ended(c, rest);
		off_ms += clock_ms(CLOCK_MONOTONIC);
		birth_probes_watch_on(c->probes, true);
		forget_unplaced(c);
	}
	c->figures.watched_part =
		1 - (double)off_ms / (double)(clock_ms(CLOCK_MONOTONIC) - begin_ms + 1);
	return err == -ENOENT ? 0 : err;
}

/* Gives each sample the address of its watch's container as it is now, or of the place. Drops
 * samples whose container is not known. */
static void settle(struct collecting *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->watch_count; i++) {
		struct birth_watch *watch = &c->watches[i];

		if (!watch->by_slot && birth_probes_watch_ended(c->probes, i))
			watch->object = 0;
		c->figures.replaced += !watch->object;
	}
	for (size_t i = 0; i < c->made_count; i++) {
		struct made *made = &c->made[i];
		const struct birth_watch *watch = &c->watches[made->watch];

		made->sample.by_slot = watch->by_slot;
		made->sample.object = watch->by_slot ? watch->slot : watch->object;
		if (made->sample.object)
			c->made[kept++] = *made;
	}
	c->made_count = kept;
}

int births_writes(struct collecting *c)
{
	int err = birth_probes_try_watch() ?: choose_watches(c) ?: births_open(c, c->watch_count);

	if (!err)
		err = birth_probes_watch(c->probes, c->watches, c->watch_count);
	if (err)
		return err;
	c->figures.watched = true;
	birth_probes_enable(c->probes, true, 0);
	err = watch_by_turns(c);
	birth_probes_enable(c->probes, false, 0);
	if (!err)
		err = birth_probes_read(c->probes, take_write, c);
	settle(c);
	birth_probes_unwatch(c->probes);
	return err < 0 ? err : 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Watching: of the containers that are known, those that grow most, by debug registers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "heap/births_collect.h"

#define WATCH_READ_MS 20
#define EVENTS_MS     1
#define REST_MS	      2000
#define GROWTH_MS     500 /* in which something has to grow to be watched */
#define GROWTH_TRIES  4

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
	*number = c->made_count;
	return err;
}

/* What a candidate has grown by since it was last read; 0: it can't be read, or has not. */
static int64_t growth(const struct collecting *c, struct birth_watch *candidate)
{
	int64_t size, grown;

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

/* Waits until something grows: 0; -ENOENT: nothing has until the end. */
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

/* Until it is over: for as long as traps are few; else in turns, so that they are no more than
 * EVENTS_MS milliseconds apart on average. The number of events or -errno. */
static int watch_by_turns(struct collecting *c)
{
	uint64_t begin_ms = clock_ms(CLOCK_MONOTONIC), off_ms = 0;
	bool over = false;
	int count = 0;

	while (count >= 0 && !over) {
		unsigned rest;

		over = births_ended(c, WATCH_READ_MS);
		count = birth_probes_read(c->probes, take_write, c);
		if (over || count * EVENTS_MS <= WATCH_READ_MS)
			continue;
		rest = count * EVENTS_MS < REST_MS ? (unsigned)(count * EVENTS_MS) : REST_MS;
		birth_probes_watch_on(c->probes, false);
		over = births_ended(c, rest);
		birth_probes_watch_on(c->probes, true);
		off_ms += rest;
	}
	c->figures.watched_part =
		1 - (double)off_ms / (double)(clock_ms(CLOCK_MONOTONIC) - begin_ms + 1);
	return count;
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
	if (err >= 0)
		err = birth_probes_read(c->probes, take_write, c);
	birth_probes_unwatch(c->probes);
	return err < 0 ? err : 0;
}

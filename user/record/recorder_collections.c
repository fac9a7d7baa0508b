/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Full garbage collections of what is recorded: marks of how many there were in an interval.
 *
 * The interpreter counts them itself. In each tick the examiner reads the counts of all processes,
 * or where there are many of some in turns, since each costs some microseconds. What they have
 * risen by is written. A process whose counts can't be read gets a mark that says so.
 *
 * Left out: collections before the first reading of a process, and after the last one before its
 * end; those of interpreters beside the main one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/array.h"
#include "base/clock.h"
#include "python/examiner.h"
#include "record/recorder_private.h"

#define FIND_MS	     20	      /* for processes that are new, for each second of the interval, */
#define FIND_MOST_MS 100      /* and for which nothing else is done */
#define READ_MOST    64	      /* in a second, of those that take turns */
#define TRIES	     3	      /* in a row that may fail */
#define COUNT_MOST   10000000 /* in an interval; more are none */
#define FALLS_MOST   1	      /* readings in a row that may have less: it was being written */
#define ALL_ARE_OFF  "the examiner has ended"

static void say_unseen(struct recorder *r, double now, uint32_t image, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "full collections are not seen: %s", why);
	recorder_mark_text(r, now, "unseen", image, text);
}

/* A reading of the image's counts has failed. They may come back, but not for ever. */
static void note_failure(struct recorder *r, struct rec_image *image, int err, const char *why,
			 double now)
{
	struct rec_collector *c = &image->collector;
	char text[EXAMINER_WHY];

	if (err == -ENOTCONN) {
		r->collections_off = true;
		say_unseen(r, now, 0, ALL_ARE_OFF);
		return;
	}
	/* It has ended, or the process is not to blame. */
	if (err == -ESRCH || err == -EINTR || err == -EAGAIN)
		return;
	if (err != -ENOTSUP && err != -ETIME && ++c->failures < TRIES)
		return;
	c->unseen = true;
	if (*why)
		say_unseen(r, now, image->id, why);
	else if (examiner_explain(err, text, sizeof(text)))
		say_unseen(r, now, image->id, text);
	else
		say_unseen(r, now, image->id, "their counts can't be read");
}

static bool is_readable(const struct recorder *r, const struct rec_image *image)
{
	/* Most processes that end within a second are never looked at. */
	return image->python && !image->ended && !image->taken && !image->collector.unseen &&
	       image->seen_reading == r->read_reading && image->began < r->since;
}

static void find_new(struct recorder *r, double now)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + MIN(FIND_MS * r->turns, FIND_MOST_MS);
	struct rec_image *image;
	char why[EXAMINER_WHY];

	for (image = r->images; image && !r->collections_off; image = image->hh.next) {
		struct rec_collector *c = &image->collector;
		int err;

		if (c->found || !is_readable(r, image))
			continue;
		err = examiner_find_collector(image->pid, &c->place, why);
		if (err)
			note_failure(r, image, err, why, now);
		else
			c->found = true;
		if (clock_ms(CLOCK_MONOTONIC) >= end)
			break;
	}
}

/* True if they can't be the next ones: one is less than before, or more than there can be. */
static bool are_odd(const uint64_t *before, const uint64_t *counts)
{
	bool odd = false;

	for (int i = 0; i < PY_GENERATIONS; i++)
		odd |= counts[i] < before[i] || counts[i] - before[i] > COUNT_MOST;
	return odd;
}

/* Tells who wants to know what the counts have risen by. */
static void tell_collected(const struct recorder *r, const struct rec_image *image,
			   const uint64_t *counts)
{
	const uint64_t *before = image->collector.counts;
	uint64_t risen[PY_GENERATIONS];
	bool any = false;

	for (int i = 0; i < PY_GENERATIONS; i++) {
		risen[i] = counts[i] - before[i];
		any |= risen[i] != 0;
	}
	if (any && r->options.collected)
		r->options.collected(r->options.collected_arg, image->id, risen);
}

static void take_counts(struct recorder *r, struct rec_image *image, const uint64_t *counts,
			double now)
{
	struct rec_collector *c = &image->collector;
	struct rec_counted counted = {.kind = "gc", .image = image->id};
	bool odd = c->known && are_odd(c->counts, counts);

	c->failures = 0;
	if (odd && c->falls++ < FALLS_MOST)
		return;
	c->falls = 0;
	for (int i = 0; i < PY_GENERATIONS && c->known && !odd; i++)
		*(i == PY_GENERATIONS - 1 ? &counted.count : &counted.more) +=
			counts[i] - c->counts[i];
	if (c->known && !odd)
		tell_collected(r, image, counts);
	memcpy(c->counts, counts, sizeof(c->counts));
	c->known = true;
	if (counted.count)
		recorder_mark_counts(r, now, &counted);
}

/* So many ticks there are from one reading of a process to the next. */
static unsigned ticks_apart(const struct recorder *r)
{
	unsigned count = 0, most = READ_MOST * r->turns;
	const struct rec_image *image;

	for (image = r->images; image; image = image->hh.next)
		count += image->collector.found && is_readable(r, image);
	return r->final || !count ? 1 : (count + most - 1) / most;
}

/* The images that are to be read now. */
static size_t list(struct recorder *r)
{
	struct rec_collected *all = &r->collected;
	unsigned turn = all->ticks++, apart = ticks_apart(r);
	struct rec_image *image;

	all->count = 0;
	for (image = r->images; image; image = image->hh.next) {
		if (!image->collector.found || !is_readable(r, image) || turn++ % apart)
			continue;
		if (!ARRAY_HAS_ROOM(all->counted, all->count, all->room) ||
		    !ARRAY_HAS_ROOM(all->images, all->count, all->image_room)) {
			NO_MEMORY(r);
			return 0;
		}
		all->images[all->count] = image;
		all->counted[all->count++] = (struct examiner_counted){
			.pid = image->pid, .collector = image->collector.place};
	}
	return all->count;
}

void recorder_write_collections(struct recorder *r, double now)
{
	struct rec_collected *all = &r->collected;

	if (r->collections_off)
		return;
	find_new(r, now);
	if (r->collections_off || !list(r))
		return;
	examiner_count_collections(all->counted, all->count);
	for (size_t i = 0; i < all->count && !r->collections_off; i++) {
		if (all->counted[i].error)
			note_failure(r, all->images[i], all->counted[i].error, "", now);
		else
			take_counts(r, all->images[i], all->counted[i].counts, now);
	}
}

struct recorder_collectors recorder_collectors(const struct recorder *r)
{
	struct recorder_collectors found = {};
	const struct rec_image *image;

	for (image = r->images; image; image = image->hh.next) {
		if (image->ended || image->taken)
			continue;
		if (r->collections_off || image->collector.unseen)
			found.unseen++;
		else if (image->collector.known)
			found.read++;
		else
			found.waits++;
	}
	return found;
}

void recorder_free_collections(struct recorder *r)
{
	free(r->collected.counted);
	free(r->collected.images);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Images that have ended: hands over their figures, once, and frees all that the BPF side and the
 * store keep of them. Places in the tables of the BPF side that are not given back would be missing
 * for other images as long as this program runs. */
#include <errno.h>
#include <stdlib.h>

#include "track/tracker_private.h"

/* A thread of a process that has ended may still have figures to add. */
#define TAKE_AFTER_MS 200
/* Longer, since all lines that ran are read for it. */
#define TAKE_LINES_AFTER_MS 2000
/* A thread may make an entry for an image that is just ending, after the image's record was read.
 * Nothing tells of such entries, so the tables are also swept at this interval. */
#define SWEEP_EVERY_MS 10000

struct taking {
	struct tracker *tracker;
	const struct counts_reader *reader;
	void *arg;
	struct image **images; /* those that ended long enough ago */
	size_t count, reported;
	bool thorough;			    /* it is time for a sweep */
	uint64_t before[PYMEM_TABLE_COUNT]; /* places given back before we began */
};

/* Images are looked at again at that time, or before it. With many images, looking at all of them
 * for each message would be most of the work. */
static void look_again(struct tracker *tracker, uint64_t ms)
{
	if (ms < tracker->take_ms)
		tracker->take_ms = ms;
}

static int choose(struct taking *t, bool all)
{
	struct tracker *tracker = t->tracker;
	uint64_t wait = tracker->probes ? TAKE_LINES_AFTER_MS : TAKE_AFTER_MS;
	uint64_t now = tracker_now_ms();
	struct image *image, *next;
	int table;

	tracker->take_ms = UINT64_MAX;
	t->images = calloc(tracker->unfinished, sizeof(struct image *));
	if (!t->images)
		return -ENOMEM;
	HASH_ITER(hh, tracker->images, image, next)
	{
		if (!image->ended_ms || image->finished)
			continue;
		if (!image->dead || (!all && now - image->ended_ms < wait)) {
			look_again(tracker, image->dead ? image->ended_ms + wait : now);
			continue;
		}
		if (t->count == tracker->unfinished) {
			look_again(tracker, now);
			break;
		}
		image->taking = true;
		image->handed_pages = 0;
		t->images[t->count++] = image;
		t->reported += tracker_is_reported(image);
	}
	t->thorough = t->count && now - tracker->swept_ms >= SWEEP_EVERY_MS;
	if (t->thorough)
		tracker->swept_ms = now;
	for (table = 0; table < PYMEM_TABLE_COUNT; table++)
		t->before[table] = session_forgotten(tracker->session, table);
	return 0;
}

/* The image `id` if it is being taken and belongs in the report; else NULL. */
static struct image *taken_image(struct taking *t, uint32_t id)
{
	struct image *image = tracker_image(t->tracker, id);

	return image && image->taking && tracker_is_reported(image) ? image : NULL;
}

/* Deletes a stack and its system calls, and hands them over if their image belongs in the report.
 */
static int take_stack(struct taking *t, const struct pymem_stack_key *key)
{
	struct image *image = taken_image(t, key->proc);
	struct pymem_stack stack;
	int err;

	if (!image)
		return session_forget_stack(t->tracker->session, key);
	err = session_take_stack(t->tracker->session, key, &stack);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = tracker_remember_stack(t->tracker, key, stack.id);
	if (err)
		return err;
	image->handed_pages += counts_rss_pages(stack.counters.pages);
	err = tracker_hand_stack(t->tracker, key, &stack.counters, t->reader->stack, HAND_TAKEN,
				 t->arg);
	return err < 0 ? err : 0;
}

/* Takes the stacks of an image that have arrived, and its code objects. */
static int take_delivered(struct taking *t, const struct store_image *kept)
{
	struct session *session = t->tracker->session;
	const struct store_stack *stack;
	const struct store_code *code;
	int err = 0;

	for (stack = kept->stacks; stack && !err; stack = stack->next)
		err = take_stack(t, &stack->key);
	for (code = kept->codes; code && !err; code = code->next)
		err = session_forget_code(session, code->key.proc, code->key.code,
					  code->key.fingerprint);
	return err;
}

/* Takes a stack that has not arrived, or that arrived late. */
static int take_undelivered(const struct pymem_stack_key *key, const struct pymem_stack *stack,
			    void *arg)
{
	struct taking *t = arg;

	(void)stack; /* it may have more by now */
	return taken_image(t, key->proc) ? take_stack(t, key) : 0;
}

static int take_line(const struct pymem_line_key *key, const struct pymem_line *counted, void *arg)
{
	struct taking *t = arg;

	if (!taken_image(t, key->proc))
		return 0;
	return tracker_hand_line(t->tracker, key, counted, t->reader, t->arg)
		       ?: session_forget_line(t->tracker->session, key);
}

/* True if the figures handed over add up to the change of RSS. */
static bool is_complete(const struct taking *t)
{
	const struct pymem_proc *record;
	int64_t pages;
	size_t i;
	int loss;

	for (i = 0; i < t->count; i++) {
		if (!tracker_is_reported(t->images[i]))
			continue;
		record = &t->images[i]->record;
		pages = t->images[i]->handed_pages;
		for (loss = 0; loss < PYMEM_LOSS_COUNT; loss++)
			pages += record->lost_pages[loss];
		if (pages !=
		    counts_rss_pages(record->now_pages) - counts_rss_pages(record->start_pages))
			return false;
	}
	return true;
}

/* True if the images may still hold places in this table: they had more than were given back. Code
 * objects may have been refused by the store, and stacks may never have arrived. For an image whose
 * record was dropped, the number is unknown. */
static bool is_left(const struct taking *t, enum pymem_table table)
{
	uint64_t held = 0;
	size_t i;

	for (i = 0; i < t->count; i++) {
		if (t->images[i]->dropped)
			return true;
		held += t->images[i]->record.places[table].held;
	}
	return held > session_forgotten(t->tracker->session, table) - t->before[table];
}

static bool is_taken(uint32_t proc, void *arg)
{
	const struct taking *t = arg;
	const struct image *image = tracker_image(t->tracker, proc);

	return image && image->taking;
}

/* True for images that are taken now, and for those that were finished earlier. Not for the table
 * of stacks: late stacks have amounts, which the report is to have (read_stack()). */
static bool is_taken_before(uint32_t proc, void *arg)
{
	const struct taking *t = arg;
	const struct image *image = tracker_image(t->tracker, proc);

	return image && (image->taking || image->finished);
}

static int sweep_tables(struct taking *t)
{
	int table, err = 0;

	for (table = 0; table <= PYMEM_TABLE_LINES && !err; table++) {
		if (t->thorough && table != PYMEM_TABLE_STACKS)
			err = session_sweep(t->tracker->session, table, is_taken_before, t);
		else if (is_left(t, table))
			err = session_sweep(t->tracker->session, table, is_taken, t);
	}
	return err;
}

static int hand_images(struct taking *t)
{
	int err = 0;
	size_t i;

	for (i = 0; i < t->count && !err; i++)
		if (tracker_is_reported(t->images[i]))
			err = tracker_hand_image(t->tracker, t->images[i], &t->images[i]->record,
						 t->reader, t->arg);
	return err;
}

static int hand_counts(struct taking *t)
{
	struct session *session = t->tracker->session;
	const struct store_image *kept;
	int err = 0;
	size_t i;

	for (i = 0; i < t->count && !err; i++) {
		kept = store_image(&t->tracker->store, t->images[i]->id);
		if (kept)
			err = take_delivered(t, kept);
	}
	if (!err && t->reported && (!is_complete(t) || is_left(t, PYMEM_TABLE_STACKS)))
		err = session_each_stack(session, take_undelivered, t);
	if (!err && t->reported)
		err = session_each_line(session, take_line, t);
	if (!err)
		err = tracker_take_cached(t->tracker, t->reader, t->arg)
			      ?: session_forget_cached(session, t->thorough, is_taken_before, t);
	if (!err)
		err = tracker_take_kernel(t->tracker, t->reader, t->arg)
			      ?: session_forget_kernel(session, is_taken_before, t);
	return err ?: sweep_tables(t);
}

int tracker_take_counts(void *self, bool all, const struct counts_reader *reader, void *arg)
{
	struct taking t = {.tracker = self, .reader = reader, .arg = arg};
	int err;
	size_t i;

	if (!t.tracker->unfinished || (!all && tracker_now_ms() < t.tracker->take_ms))
		return 0;
	err = choose(&t, all);
	if (!err && t.count)
		err = hand_images(&t) ?: hand_counts(&t);
	for (i = 0; i < t.count; i++)
		t.images[i]->taking = false;
	if (!err && t.count)
		err = tracker_forget_touched(t.tracker, t.images, t.count);
	for (i = 0; i < t.count && !err; i++)
		tracker_finish_image(t.tracker, t.images[i]);
	if (err)
		look_again(t.tracker, 0);
	free(t.images);
	return err;
}

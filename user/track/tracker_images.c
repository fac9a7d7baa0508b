/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All images. One that ran for a moment and was no Python is forgotten after its end: a host that
 * is watched for days has millions of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/proc.h"
#include "track/tracker_private.h"

/* A record is dropped just before its image leaves the table, so one sweep may still find the image
 * there. The sweep after that is sure not to. */
#define SWEEPS 2

#define ENDED_MS 1000

struct image *tracker_image(struct tracker *tracker, uint32_t id)
{
	struct image *image;

	HASH_FIND(hh, tracker->images, &id, sizeof(id), image);
	return image;
}

static struct image *image_new(struct tracker *tracker, uint32_t id, pid_t pid)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	image->id = id;
	image->pid = pid;
	image->root.root_fd = image->root.cwd_fd = -1;
	if (HASH_INSERT(tracker->images, id, image)) {
		image_free(image);
		return NULL;
	}
	return image;
}

static struct pid_image *pid_image(struct tracker *tracker, pid_t pid)
{
	struct pid_image *entry;

	HASH_FIND(hh, tracker->pids, &pid, sizeof(pid), entry);
	return entry;
}

/* Makes `image` the newest of its process; without `replace`, only if there is none. 0 or
 * -ENOMEM. */
static int index_image(struct tracker *tracker, struct image *image, bool replace)
{
	struct pid_image *entry = pid_image(tracker, image->pid);

	if (entry) {
		if (replace)
			entry->image = image;
		return 0;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->pid = image->pid;
	entry->image = image;
	if (HASH_INSERT(tracker->pids, pid, entry)) {
		free(entry);
		return -ENOMEM;
	}
	return 0;
}

static void forget(struct tracker *tracker, struct image *image)
{
	struct pid_image *entry = pid_image(tracker, image->pid);

	if (entry && entry->image == image) {
		HASH_DEL(tracker->pids, entry);
		free(entry);
	}
	HASH_DEL(tracker->images, image);
	image_free(image);
}

struct image *tracker_new_image(struct tracker *tracker, uint32_t id, pid_t pid)
{
	struct image *image = tracker_image(tracker, id);

	if (image)
		return image;
	image = image_new(tracker, id, pid);
	if (image && index_image(tracker, image, true)) {
		forget(tracker, image);
		return NULL;
	}
	return image;
}

struct image *tracker_newest_image(struct tracker *tracker, pid_t pid)
{
	struct pid_image *entry = pid_image(tracker, pid);

	return entry ? entry->image : NULL;
}

struct image *tracker_live_image(struct tracker *tracker, pid_t pid)
{
	struct image *image = tracker_newest_image(tracker, pid);

	return image && !image->dead ? image : NULL;
}

void tracker_free_images(struct tracker *tracker)
{
	struct image *image, *next;

	HASH_ITER(hh, tracker->images, image, next)
	{
		forget(tracker, image);
	}
}

/* True if the image belongs in no report, whatever messages about it may still come. */
static bool needless(const struct tracker *tracker, const struct image *image)
{
	return !image->identified && !image->asked && !image->hidden && !tracker->probes;
}

/* True if it was never found out what the image is. */
static bool unexamined(const struct image *image)
{
	return !image->identified && !image->examined && !image->hidden;
}

/* Notes for the report that an image has ended and nobody knows what it was. */
static void note_unexamined(struct tracker *tracker, const struct image *image)
{
	if (image->record.identified)
		tracker_skip(tracker, image->pid, image->comm,
			     "has ended, and the message of its start did not arrive; raise "
			     "--ring-size");
	else
		tracker_count_unexamined(tracker, image->comm);
}

/* True if the BPF side, or the store, still keeps something of the image. Then it was walked
 * without our knowledge. */
static bool holds_places(struct tracker *tracker, const struct image *image)
{
	int table;

	for (table = 0; table < PYMEM_TABLE_COUNT; table++)
		if (image->record.places[table].held)
			return true;
	return store_image(&tracker->store, image->id);
}

void tracker_forget_ended(struct tracker *tracker)
{
	struct image *image;

	/* Messages about what these did before their end have been read by now. */
	while ((image = tracker->ended)) {
		tracker->ended = image->next_ended;
		image->needless = false;
		if (unexamined(image))
			note_unexamined(tracker, image);
		/* tracker_take_counts() gives its places back, together with those of other
		 * images. */
		if (!needless(tracker, image) || holds_places(tracker, image))
			continue;
		if (!image->finished)
			tracker->unfinished--;
		forget(tracker, image);
	}
}

static void note_end(struct tracker *tracker, struct image *image)
{
	image->ended_ms = tracker_now_ms();
	tracker->unfinished++;
	tracker->take_ms = 0;
}

/* A new image for a record that no message announced, since there was no room for the message.
 * NULL: out of memory. */
static struct image *meet(struct tracker *tracker, const struct pymem_proc *record, bool dead)
{
	struct image *image = image_new(tracker, record->id, record->tgid);

	if (!image)
		return NULL;
	image->dead = dead;
	/* If it has ended, a newer image of the process may be known already. */
	if (index_image(tracker, image, !dead)) {
		forget(tracker, image);
		return NULL;
	}
	if (record->parent_id && tracker_image(tracker, record->parent_id)) {
		if (tracker_begin_child(tracker, image, record->parent_id, record->identified))
			return NULL;
	} else if (!dead) {
		tracker_describe(tracker, image);
		tracker_queue(tracker, image->pid, true);
	}
	image->ppid = record->ppid;
	return image;
}

/* Takes the image's final figures. What /proc did not tell comes from the record. */
static void describe_ended(struct image *image, const struct pymem_proc *record)
{
	image->record = *record;
	image->dead = true;
	if (!*image->comm)
		snprintf(image->comm, sizeof(image->comm), "%.16s", record->comm);
	if (!image->ppid)
		image->ppid = record->ppid;
}

static int take_dead(const struct pymem_proc *record, void *arg)
{
	struct tracker *tracker = arg;
	struct image *image = tracker_image(tracker, record->id);
	bool again = image && image->record.id;

	if (!image)
		image = meet(tracker, record, true);
	if (!image)
		return -ENOMEM;
	describe_ended(image, record);
	if (again)
		return 0;
	note_end(tracker, image);
	if (needless(tracker, image) || unexamined(image)) {
		image->needless = true;
		image->next_ended = tracker->ended;
		tracker->ended = image;
	}
	return 0;
}

static int see_live(const struct pymem_proc *record, void *arg)
{
	struct tracker *tracker = arg;
	struct image *image = tracker_image(tracker, record->id);

	if (!image)
		image = meet(tracker, record, false);
	if (!image)
		return -ENOMEM;
	image->sweep = tracker->sweep;
	return 0;
}

/* Notes images that are not alive and left no record: there was no room for it when they ended. */
static void note_dropped(struct tracker *tracker)
{
	struct image *image, *next;

	HASH_ITER(hh, tracker->images, image, next)
	{
		if (image->record.id || image->dropped || image->sweep == tracker->sweep)
			continue;
		image->dead = true;
		image->dropped = true;
		note_end(tracker, image);
		tracker_skip(tracker, image->pid, image->comm,
			     "ended when there was no room for its figures; raise "
			     "--max-processes");
	}
}

/* True if it is time to look for records of ended images. That goes through a whole table, so it is
 * done after a message of an end, whose record is there before; and once a second, as a message may
 * be lost. */
static bool may_have_ended(struct tracker *tracker)
{
	uint64_t now = tracker_now_ms();

	if (tracker->ended_ms < tracker->took_ms && now - tracker->took_ms < ENDED_MS)
		return false;
	tracker->took_ms = now;
	return true;
}

int tracker_take_ended(struct tracker *tracker, bool final)
{
	uint64_t dropped = session_dropped_images(tracker->session) +
			   session_dropped_messages(tracker->session);
	bool sweep;
	int err = 0;

	if (dropped != tracker->dropped)
		tracker->sweeps = SWEEPS;
	tracker->dropped = dropped;
	sweep = tracker->sweeps || (final && dropped);
	if (sweep) {
		tracker->sweep++;
		err = session_each_live(tracker->session, see_live, tracker);
	}
	if (!err && (final || sweep || may_have_ended(tracker)))
		err = session_take_dead(tracker->session, take_dead, tracker);
	if (!err && sweep)
		note_dropped(tracker);
	if (tracker->sweeps)
		tracker->sweeps--;
	return err;
}

bool tracker_any_asked_alive(const struct tracker *tracker)
{
	struct image *image, *next;

	HASH_ITER(hh, tracker->images, image, next)
	{
		if (image->asked && !image->dead)
			return true;
	}
	return false;
}

void tracker_finish_image(struct tracker *tracker, struct image *image)
{
	tracker->unfinished -= !image->finished;
	image->finished = true;
	if (image->ancestor)
		return;
	store_forget(&tracker->store, image->id);
	if (!image->asked && !image->needless)
		forget(tracker, image);
}

bool tracker_follows(const struct tracker *tracker, pid_t pid)
{
	struct image *image, *next;
	uint64_t start = proc_start_ticks(pid);

	HASH_ITER(hh, tracker->images, image, next)
	{
		if (image->pid == pid && image->record.id &&
		    image->record.start_boottime_ns / 10000000 == start)
			return true;
	}
	return false;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gives back what was noted of touched pages when images end: the leaves of directories that no
 * running image has. */
#include <errno.h>
#include <stdlib.h>

#include "track/tracker_private.h"

struct directory {
	uint32_t dir;
	UT_hash_handle hh;
};

static int add_directories(struct directory **dirs, const struct pymem_proc *record)
{
	struct directory *d;
	unsigned i;

	for (i = 0; i < PYMEM_TOUCHED_CHAIN && record->touched_dirs[i]; i++) {
		HASH_FIND(hh, *dirs, &record->touched_dirs[i], sizeof(uint32_t), d);
		if (d)
			continue;
		d = calloc(1, sizeof(*d));
		if (!d)
			return -ENOMEM;
		d->dir = record->touched_dirs[i];
		if (HASH_INSERT(*dirs, dir, d)) {
			free(d);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Takes the directories of a running image out of those to be forgotten. */
static int keep_directories(const struct pymem_proc *record, void *arg)
{
	struct directory **dirs = arg, *d;
	unsigned i;

	for (i = 0; i < PYMEM_TOUCHED_CHAIN && record->touched_dirs[i]; i++) {
		HASH_FIND(hh, *dirs, &record->touched_dirs[i], sizeof(uint32_t), d);
		if (d) {
			HASH_DEL(*dirs, d);
			free(d);
		}
	}
	return 0;
}

static bool is_gone(uint32_t dir, void *arg)
{
	struct directory *const *dirs = arg, *d;

	HASH_FIND(hh, *dirs, &dir, sizeof(dir), d);
	return d != NULL;
}

/* True if one of the image's directories is still needed. */
static bool is_needed(const struct image *image, struct directory *gone)
{
	unsigned i;

	for (i = 0; i < PYMEM_TOUCHED_CHAIN && image->record.touched_dirs[i]; i++)
		if (!is_gone(image->record.touched_dirs[i], &gone))
			return true;
	return false;
}

/* Forgets stacks of images that are no ancestors. */
static void forget_elders(struct tracker *tracker)
{
	const struct image *image;
	struct toucher *t, *next;

	HASH_ITER(hh, tracker->elders, t, next)
	{
		image = tracker_image(tracker, t->key.proc);
		if (image && image->ancestor)
			continue;
		HASH_DEL(tracker->elders, t);
		free(t);
	}
}

/* Sets `ancestor` of each image that has ended. */
static void choose_ancestors(struct tracker *tracker, struct image *const *images, size_t count,
			     struct directory *gone)
{
	struct image *image, *next;
	size_t i;

	for (i = 0; i < count; i++)
		images[i]->ancestor = is_needed(images[i], gone);
	HASH_ITER(hh, tracker->images, image, next)
	{
		if (!image->ancestor || is_needed(image, gone))
			continue;
		image->ancestor = false;
		tracker_finish_image(tracker, image);
	}
	forget_elders(tracker);
}

/* The directories of the images, and of all ancestors. */
static int find_directories(struct tracker *tracker, struct image *const *images, size_t count,
			    struct directory **dirs)
{
	struct image *image, *next;
	int err = 0;
	size_t i;

	for (i = 0; i < count && !err; i++)
		err = add_directories(dirs, &images[i]->record);
	HASH_ITER(hh, tracker->images, image, next)
	{
		if (image->ancestor && !err)
			err = add_directories(dirs, &image->record);
	}
	return err;
}

int tracker_forget_touched(struct tracker *tracker, struct image *const *images, size_t count)
{
	struct session *session = tracker->session;
	struct directory *dirs = NULL, *d, *next;
	int err;

	if (!session_sees_touches(session))
		return 0;
	err = find_directories(tracker, images, count, &dirs);
	if (!err)
		err = session_each_live(session, keep_directories, &dirs);
	if (!err && dirs)
		err = session_forget_touched(session, is_gone, &dirs);
	if (!err)
		choose_ancestors(tracker, images, count, dirs);
	HASH_ITER(hh, dirs, d, next)
	{
		HASH_DEL(dirs, d);
		free(d);
	}
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Marks of collections and reclaims for a timeline.
 *
 * There may be one a second for each process, for days. So those of a slice that are of the same
 * process or control group become one, with their counts added up; if these are still too many for
 * whoever shows them, longer spans than a slice do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/timing.h"

#define MARKS_MOST 5000
#define COUNT_MOST (1ll << 48) /* of a recording that may be hostile */

struct counted {
	struct counted_key {
		uint64_t event, image;
		uint64_t cgroup, group_length;
		uint64_t span;
	} key;
	struct timeline_mark mark;
	UT_hash_handle hh;
};

struct marking {
	struct timing *t;
	struct counted *all;
	size_t slices; /* in a span */
};

static uint64_t count_in(sqlite3_stmt *row, int column)
{
	int64_t count = sqlite3_column_int64(row, column);

	return count > 0 && count < COUNT_MOST ? (uint64_t)count : 0;
}

static int add_counted(struct marking *m, const struct counted_key *key,
		       const struct timeline_mark *mark)
{
	struct counted *found;

	HASH_FIND(hh, m->all, key, sizeof(*key), found);
	if (found) {
		found->mark.count += mark->count;
		found->mark.more += mark->more;
		if (mark->time > found->mark.time)
			found->mark.time = mark->time;
		return 0;
	}
	found = calloc(1, sizeof(*found));
	if (found)
		*found = (struct counted){.key = *key, .mark = *mark};
	if (!found || HASH_INSERT(m->all, key, found)) {
		free(found);
		return -ENOMEM;
	}
	return 0;
}

/* The first control group that is the one of the name, or below it; SIZE_MAX: none is known. */
static size_t group_of(const struct timeline *line, const char *name, size_t length)
{
	for (size_t i = 0; i < line->cgroup_count; i++)
		if (timeline_is_below(&line->cgroups[i], name, length))
			return i;
	return SIZE_MAX;
}

/* False: what it is of is not in the timeline, or unknown. */
static bool fill_mark(struct timing *t, sqlite3_stmt *row, struct timeline_mark *mark)
{
	const char *kind = (const char *)sqlite3_column_text(row, 1);
	bool of_image = sqlite3_column_type(row, 2) != SQLITE_NULL;
	const struct sampled *sampled = NULL;
	const char *name;

	if (of_image)
		sampled = timing_image(t, (uint32_t)sqlite3_column_int64(row, 2));
	if (!kind || (of_image && !sampled))
		return false;
	mark->time = sqlite3_column_double(row, 0);
	mark->process = sampled ? sampled->process->process : NULL;
	mark->cgroup = SIZE_MAX;
	mark->count = count_in(row, 4);
	mark->more = count_in(row, 5);
	mark->event = !strcmp(kind, "gc")	? TIMELINE_GC
		      : !strcmp(kind, "unseen") ? TIMELINE_UNSEEN
						: TIMELINE_HOST_RECLAIM;
	if (mark->event == TIMELINE_GC)
		return sampled != NULL;
	if (mark->event == TIMELINE_UNSEEN || sqlite3_column_type(row, 3) == SQLITE_NULL)
		return true;
	name = sqlite3_column_blob(row, 3);
	mark->event = TIMELINE_RECLAIM;
	mark->group_length = (size_t)sqlite3_column_bytes(row, 3);
	mark->cgroup = name ? group_of(t->timeline, name, mark->group_length) : SIZE_MAX;
	return mark->cgroup != SIZE_MAX;
}

static int take_mark(sqlite3_stmt *row, void *arg)
{
	struct marking *m = arg;
	struct timing *t = m->t;
	struct timeline_mark mark = {.time = 0};
	struct counted_key key;
	bool unseen;

	if (!fill_mark(t, row, &mark))
		return 0;
	unseen = mark.event == TIMELINE_UNSEEN;
	if (!unseen && (mark.time < t->timeline->start || mark.time > t->timeline->end))
		return 0;
	memset(&key, 0, sizeof(key));
	key.event = mark.event;
	key.image = mark.process ? mark.process->id : 0;
	key.cgroup = mark.cgroup;
	key.group_length = mark.group_length;
	key.span = unseen ? 0 : timing_slice_of_time(t, mark.time) / m->slices;
	if (unseen) {
		struct counted *found;

		/* One of each kind of them is enough. */
		HASH_FIND(hh, m->all, &key, sizeof(key), found);
		if (found)
			return 0;
		if (recording_text(row, 3, &mark.text))
			return -ENOMEM;
		/* It is true all the time, and so it is in each part. */
		mark.time = t->timeline->start;
	}
	return add_counted(m, &key, &mark);
}

static void forget(struct marking *m)
{
	struct counted *each, *next;

	HASH_ITER(hh, m->all, each, next)
	{
		HASH_DEL(m->all, each);
		free(each->mark.text);
		free(each);
	}
}

static int keep(struct marking *m)
{
	struct counted *each;
	int err = 0;

	for (each = m->all; each && !err; each = each->hh.next) {
		err = timing_mark(m->t, &each->mark);
		if (!err)
			each->mark.text = NULL; /* the timeline has it now */
	}
	return err;
}

int timing_add_counted(struct timing *t)
{
	struct marking m = {.t = t, .slices = 1};
	int err;

	for (;; m.slices *= 2) {
		err = recording_query(t->recording,
				      "SELECT time, kind, image, text, count, more FROM mark"
				      " WHERE kind IN ('gc', 'reclaim', 'unseen')",
				      NULL, 0, take_mark, &m);
		if (err || HASH_COUNT(m.all) <= MARKS_MOST || m.slices >= t->timeline->slices)
			break;
		forget(&m);
	}
	err = err ?: keep(&m);
	forget(&m);
	return err;
}

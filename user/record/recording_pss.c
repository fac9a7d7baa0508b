/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* PSS of a recording: at its end, of a whole host, and meanwhile, with --pss. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/timing.h"

#define PSS_MOST (1ll << 50) /* bytes */

int64_t recording_pss(sqlite3_stmt *row, int column)
{
	int64_t bytes = sqlite3_column_int64(row, column);

	return sqlite3_column_type(row, column) == SQLITE_NULL || bytes < 0 || bytes > PSS_MOST
		       ? -1
		       : bytes;
}

/* They come by time: the last one stays. */
static int take_last(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	uint32_t id = (uint32_t)sqlite3_column_int64(row, 0);
	struct played_image *image;

	HASH_FIND(hh, r->images, &id, sizeof(id), image);
	if (image)
		image->pss = recording_pss(row, 1);
	return 0;
}

int recording_load_pss(struct recording *r)
{
	struct played_image *image;

	if (r->ended)
		return 0;
	for (image = r->images; image; image = image->hh.next)
		image->pss = -1;
	return recording_query(r,
			       "SELECT image, bytes FROM pss WHERE interval <= ? ORDER BY interval",
			       &r->last, 1, take_last, r);
}

static int take_pss(sqlite3_stmt *row, void *arg)
{
	struct timing *t = arg;
	struct sampled *sampled = timing_image(t, (uint32_t)sqlite3_column_int64(row, 0));
	int64_t id = sqlite3_column_int64(row, 1), bytes = recording_pss(row, 2);
	size_t slice, slices = t->timeline->slices;
	struct timeline_process *to;

	if (!sampled)
		return 0;
	to = sampled->process;
	if (!to->pss_bytes) {
		to->pss_bytes = malloc(slices * sizeof(*to->pss_bytes));
		if (!to->pss_bytes)
			return -ENOMEM;
		memset(to->pss_bytes, 0xff, slices * sizeof(*to->pss_bytes));
	}
	for (slice = id < t->recording->first ? 0 : timing_slice(t, id);
	     slice < timing_slices_of(t, sampled); slice++)
		to->pss_bytes[slice] = bytes;
	return 0;
}

int timing_add_pss(struct timing *t)
{
	return recording_query(t->recording,
			       "SELECT image, interval, bytes FROM pss WHERE interval <= ?"
			       " ORDER BY interval",
			       &t->recording->last, 1, take_pss, t);
}

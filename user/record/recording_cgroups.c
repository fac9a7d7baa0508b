/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control groups of a timeline, and of a model. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "os/cgroup_memory.h"
#include "os/cgroup_parse.h"
#include "record/timing.h"

#define CGROUPS_MOST 4096 /* a recording may be made to have more than any machine has */

static int take_cgroup(sqlite3_stmt *row, void *arg)
{
	struct timing *t = arg;
	struct timeline *line = t->timeline;
	struct timeline_cgroup *to;
	struct sampled *sampled;

	/* Numbers go from 1 on. */
	if (sqlite3_column_int64(row, 0) != (int64_t)line->cgroup_count + 1)
		return recording_refuse(t->recording, "a control group is missing");
	if (line->cgroup_count == CGROUPS_MOST)
		return recording_refuse(t->recording, "it has too many control groups");
	if (!ARRAY_HAS_ROOM(line->cgroups, line->cgroup_count, t->cgroup_room))
		return -ENOMEM;
	to = &line->cgroups[line->cgroup_count];
	*to = (struct timeline_cgroup){};
	line->cgroup_count++;
	to->current_bytes = malloc(line->slices * sizeof(*to->current_bytes));
	to->limit_bytes = malloc(line->slices * sizeof(*to->limit_bytes));
	if (!to->current_bytes || !to->limit_bytes || recording_text(row, 1, &to->path))
		return -ENOMEM;
	if (!to->path)
		return recording_refuse(t->recording, "a control group has no name");
	memset(to->current_bytes, 0xff, line->slices * sizeof(*to->current_bytes));
	memset(to->limit_bytes, 0xff, line->slices * sizeof(*to->limit_bytes));
	for (sampled = t->images; sampled; sampled = sampled->hh.next)
		if (sampled->image && sampled->image->cgroup &&
		    !strcmp(sampled->image->cgroup, to->path))
			sampled->process->cgroup = line->cgroup_count - 1;
	return 0;
}

/* They come by time: each counts until the next one of its group. */
static int take_cgroup_sample(sqlite3_stmt *row, void *arg)
{
	struct timing *t = arg;
	struct timeline *line = t->timeline;
	uint32_t number = recording_number(row, 0, line->cgroup_count);
	int64_t interval = sqlite3_column_int64(row, 1);
	int64_t current = sqlite3_column_int64(row, 2), limit = sqlite3_column_int64(row, 3);
	size_t slice;

	if (!number)
		return recording_refuse(t->recording, "a control group is unknown");
	for (slice = interval < t->recording->first ? 0 : timing_slice(t, interval);
	     slice < line->slices; slice++) {
		line->cgroups[number - 1].current_bytes[slice] = current < 0 ? -1 : current;
		line->cgroups[number - 1].limit_bytes[slice] = limit < 0 ? -1 : limit;
	}
	return 0;
}

static int take_kill(sqlite3_stmt *row, void *arg)
{
	struct timeline_mark mark = {
		.time = sqlite3_column_double(row, 0), .event = TIMELINE_OOM, .cgroup = SIZE_MAX};
	struct timing *t = arg;
	struct timeline *line = t->timeline;
	char *path;
	size_t i;

	if (recording_text(row, 1, &path))
		return -ENOMEM;
	for (i = 0; i < line->cgroup_count && path && mark.cgroup == SIZE_MAX; i++)
		if (!strcmp(line->cgroups[i].path, path))
			mark.cgroup = i;
	free(path);
	return timing_mark(t, &mark);
}

int timing_add_cgroups(struct timing *t)
{
	struct recording *r = t->recording;
	const int64_t window[] = {r->first, r->last};
	int err = recording_query(r, "SELECT id, path FROM cgroup ORDER BY id", NULL, 0,
				  take_cgroup, t);

	if (!err)
		err = recording_query(r,
				      "SELECT cgroup, interval, current, most FROM cgroup_sample"
				      " WHERE interval <= ?2 ORDER BY interval",
				      window, 2, take_cgroup_sample, t);
	if (!err)
		err = recording_query(r, "SELECT time, text FROM mark WHERE kind = 'oom'", NULL, 0,
				      take_kill, t);
	return err;
}

/* --- of a model --- */

/* A recording has of each process's group the one with the lowest limit, that or one above. */
static int take_container(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	struct model_cgroup cgroup = {.current_bytes = -1, .pressure = -1};
	struct cgroup_parsed parsed;
	const struct model_cgroup *known;
	char *text, *path;
	int err = 0;

	if (recording_text(row, 0, &text))
		return -ENOMEM;
	path = text;
	if (path && !strncmp(path, CGROUP_MEMORY_V1, strlen(CGROUP_MEMORY_V1)))
		path += strlen(CGROUP_MEMORY_V1);
	if (path)
		cgroup_parse(path, &parsed);
	if (path && parsed.container) {
		path[parsed.length] = '\0';
		known = model_find_cgroup(r->model, path);
		cgroup.path = path;
		cgroup.limited_bytes = recording_pss(row, 1);
		cgroup.limit_bytes = recording_pss(row, 2);
		cgroup.oom_kills = recording_pss(row, 3);
		if (!known || strcmp(known->path, path) != 0)
			err = model_add_cgroup(r->model, &cgroup);
	}
	free(text);
	return err;
}

int recording_add_cgroups(struct recording *r)
{
	const int64_t numbers[] = {r->last, CGROUPS_MOST};

	/* Of a group of rows, SQLite takes the others' columns from the row that has the maximum.
	 */
	return recording_query(r,
			       "SELECT path, current, most, oom_kills, MAX(interval)"
			       " FROM cgroup_sample JOIN cgroup ON cgroup.id = cgroup_sample.cgroup"
			       " WHERE interval <= ?1 GROUP BY cgroup_sample.cgroup"
			       " ORDER BY cgroup_sample.cgroup LIMIT ?2",
			       numbers, 2, take_container, r);
}

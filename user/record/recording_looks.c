/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The looks at heaps that were recorded. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record/recording_private.h"

#define LOOK_MOST (32u << 20) /* bytes of one, unpacked */

struct listing {
	struct recording *recording;
	recording_look_fn *fn;
	void *arg;
};

struct reading {
	struct recording *recording;
	recording_json_fn *fn;
	void *arg;
};

static const struct model_process *process_of_image(const struct recording *r, int64_t image)
{
	for (size_t i = 0; r->model && i < r->model->process_count; i++)
		if (r->model->processes[i]->id == (uint32_t)image)
			return r->model->processes[i];
	return NULL;
}

static int list_look(sqlite3_stmt *row, void *arg)
{
	const struct listing *l = arg;
	const struct recording *r = l->recording;
	const struct model_process *process = process_of_image(r, sqlite3_column_int64(row, 1));
	struct recording_look look = {process, sqlite3_column_double(row, 0),
				      sqlite3_column_int64(row, 2)};

	if (!process || look.time < r->since || look.time > r->until)
		return 0;
	return l->fn(&look, l->arg);
}

/* Says what failed if nothing has been said. */
static int end_query(struct recording *r, int err)
{
	if (err < 0)
		recording_fail(r, err, "%s", strerror(-err));
	return err;
}

int recording_each_look(struct recording *r, recording_look_fn *fn, void *arg, char *why,
			size_t size)
{
	struct listing l = {.recording = r, .fn = fn, .arg = arg};

	*why = '\0';
	r->why = why;
	r->why_size = size;
	return end_query(r, recording_query(r, "SELECT time, image, id FROM look ORDER BY time, id",
					    NULL, 0, list_look, &l));
}

static int take_json(sqlite3_stmt *row, void *arg)
{
	const struct reading *l = arg;
	size_t size;
	char *json =
		recording_unpack(sqlite3_column_blob(row, 1), (size_t)sqlite3_column_bytes(row, 1),
				 sqlite3_column_int64(row, 0), LOOK_MOST, &size);
	int err;

	if (!json)
		return errno == ENOMEM ? -ENOMEM
				       : recording_refuse(l->recording, "a look can't be read");
	err = l->fn(json, size, l->arg);
	free(json);
	return err;
}

int recording_read_look(struct recording *r, const struct recording_look *look,
			recording_json_fn *fn, void *arg, char *why, size_t size)
{
	struct reading l = {.recording = r, .fn = fn, .arg = arg};

	*why = '\0';
	r->why = why;
	r->why_size = size;
	return end_query(r, recording_query(r, "SELECT size, data FROM look WHERE id = ?",
					    &look->id, 1, take_json, &l));
}

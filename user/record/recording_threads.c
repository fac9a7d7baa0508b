/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of threads: events, of which the last one of a thread counts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "record/recording_private.h"

static struct played_thread *find_thread(const struct recording *r,
					 const struct played_thread_key *key)
{
	struct played_thread *thread;

	HASH_FIND(hh, r->threads, key, sizeof(*key), thread);
	return thread;
}

/* Reads "NUMBER TID NAME". */
static int load_name(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	struct played_thread *thread;
	struct played_thread_key key;
	unsigned number, tid;
	char *text;
	int at = 0, err = recording_text(row, 1, &text);

	if (err)
		return err;
	if (!text || sscanf(text, "%9u %9u%n", &number, &tid, &at) != 2 || text[at] != ' ') {
		free(text);
		return recording_refuse(r, "a thread has no name");
	}
	key = (struct played_thread_key){PYMEM_THREAD(number, tid),
					 (uint32_t)sqlite3_column_int64(row, 0)};
	thread = find_thread(r, &key);
	if (!thread) {
		thread = calloc(1, sizeof(*thread));
		if (thread)
			thread->key = key;
		if (!thread || HASH_INSERT(r->threads, key, thread)) {
			free(thread);
			free(text);
			return -ENOMEM;
		}
	}
	snprintf(thread->name, sizeof(thread->name), "%s", text + at + 1);
	free(text);
	return 0;
}

int recording_load_threads(struct recording *r)
{
	return recording_query(r,
			       "SELECT image, text FROM mark WHERE kind = 'thread' ORDER BY rowid",
			       NULL, 0, load_name, r);
}

void recording_unload_threads(struct recording *r)
{
	struct played_thread *thread, *next;

	HASH_ITER(hh, r->threads, thread, next)
	{
		HASH_DEL(r->threads, thread);
		free(thread);
	}
}

void recording_thread(const struct recording *r, uint32_t image, const struct played_frame *frame,
		      struct counts_thread *thread)
{
	struct played_thread_key key = {PYMEM_THREAD(frame->first_line, frame->line), image};
	const struct played_thread *named = find_thread(r, &key);

	*thread = (struct counts_thread){.id = key.id, .name = named ? named->name : ""};
}

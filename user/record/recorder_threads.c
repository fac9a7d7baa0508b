/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of threads. A thread may get another name while it is recorded, and a report has the last
 * one. So stacks have a thread's number (recorder_names.c), and each of its names is an event. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/recorder_private.h"

static struct rec_thread *get_thread(struct recorder *r, struct rec_image *image, uint64_t id)
{
	struct rec_thread *thread;

	HASH_FIND(hh, image->threads, &id, sizeof(id), thread);
	if (thread)
		return thread;
	thread = calloc(1, sizeof(*thread));
	if (thread)
		thread->id = id;
	if (!thread || HASH_INSERT(image->threads, id, thread)) {
		free(thread);
		NO_MEMORY(r);
		return NULL;
	}
	return thread;
}

void recorder_note_thread(struct recorder *r, struct rec_image *image,
			  const struct counts_thread *from)
{
	struct rec_thread *thread = get_thread(r, image, from->id);
	char text[2 * 10 + 2 + PYMEM_THREAD_NAME];

	if (!thread || !strncmp(thread->name, from->name, sizeof(thread->name) - 1))
		return;
	snprintf(thread->name, sizeof(thread->name), "%s", from->name);
	snprintf(text, sizeof(text), "%u %u %s", (unsigned)(from->id >> 32), (unsigned)from->id,
		 thread->name);
	record_db_real(&r->db, RECORD_MARK, 1, r->since);
	record_db_text(&r->db, RECORD_MARK, 2, "thread");
	record_db_int(&r->db, RECORD_MARK, 3, image->id);
	record_db_string(&r->db, RECORD_MARK, 4, text);
	record_db_step(&r->db, RECORD_MARK);
}

void recorder_free_image(struct rec_image *image)
{
	struct rec_thread *thread, *next;

	HASH_ITER(hh, image->threads, thread, next)
	{
		HASH_DEL(image->threads, thread);
		free(thread);
	}
	free(image);
}

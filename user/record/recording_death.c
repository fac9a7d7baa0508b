/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Last words: marks of processes that a signal ended, as recorder_death.c writes them. A recording
 * may come from anybody: what can't be is refused. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/death_group.h"
#include "record/recording_private.h"

#define BYTES_MOST (1ll << 50) /* of a process */

/* True if it is a number from `least` to `most`, which `*number` becomes. */
static bool take_number(const json_t *object, const char *name, int64_t least, int64_t most,
			int64_t *number)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value))
		return false;
	*number = json_integer_value(value);
	return *number >= least && *number <= most;
}

static bool take_text(const json_t *object, const char *name, char *text, size_t size)
{
	const char *value = json_string_value(json_object_get(object, name));

	snprintf(text, size, "%s", value ?: "");
	return value;
}

static bool take_flag(const json_t *object, const char *name, bool *flag)
{
	const json_t *value = json_object_get(object, name);

	*flag = json_is_true(value);
	return json_is_boolean(value);
}

static bool take_facts(const json_t *object, struct death *facts)
{
	int64_t signal, code, sender, thread, uid, threads;

	if (!take_number(object, "signal", 1, 64, &signal) ||
	    !take_number(object, "code", INT32_MIN, INT32_MAX, &code) ||
	    !take_number(object, "sender", 0, INT32_MAX, &sender) ||
	    !take_number(object, "sender_thread", 0, INT32_MAX, &thread) ||
	    !take_number(object, "sender_uid", 0, UINT32_MAX, &uid) ||
	    !take_number(object, "anon", -BYTES_MOST, BYTES_MOST, &facts->anon_bytes) ||
	    !take_number(object, "file", -BYTES_MOST, BYTES_MOST, &facts->file_bytes) ||
	    !take_number(object, "shmem", -BYTES_MOST, BYTES_MOST, &facts->shmem_bytes) ||
	    !take_number(object, "swap", -BYTES_MOST, BYTES_MOST, &facts->swap_bytes) ||
	    !take_number(object, "limit", -1, INT64_MAX, &facts->limit_bytes) ||
	    !take_number(object, "threads", 0, INT32_MAX, &threads) ||
	    !take_flag(object, "oom", &facts->victim) || !take_flag(object, "sent", &facts->sent) ||
	    !take_text(object, "sender_comm", facts->sender_comm, sizeof(facts->sender_comm)) ||
	    !death_group_take(json_object_get(object, "group"),
			      json_object_get(object, "group_missing"), &facts->group))
		return false;
	facts->time = json_number_value(json_object_get(object, "time"));
	facts->signal = (int)signal;
	facts->code = (int)code;
	facts->sender = (int)sender;
	facts->sender_thread = (int)thread;
	facts->sender_uid = (unsigned)uid;
	facts->threads = (unsigned)threads;
	return recording_is_time(facts->time);
}

static bool take_thread(const struct recording *r, const json_t *object, struct death_thread *facts,
			uint32_t *node)
{
	int64_t tid, loss, number;

	if (!take_number(object, "tid", 0, INT32_MAX, &tid) ||
	    !take_number(object, "loss", 0, UINT8_MAX, &loss) ||
	    !take_number(object, "node", 0, UINT32_MAX, &number) ||
	    !take_flag(object, "raised", &facts->raised) ||
	    !take_flag(object, "truncated", &facts->truncated) ||
	    !take_text(object, "name", facts->name, sizeof(facts->name)) ||
	    !recording_is_stack(r, (uint64_t)number))
		return false;
	facts->tid = (int)tid;
	/* A cause that a later program knows. */
	facts->loss = loss < PYMEM_LOSS_COUNT ? (enum pymem_loss)loss : PYMEM_LOSS_UNREADABLE;
	*node = (uint32_t)number;
	return true;
}

/* The frames of a node, at most DEATH_FRAMES. 0 or -ENOMEM. */
static int take_frames(const struct recording *r, uint32_t node, struct counts_death_thread *thread)
{
	struct counts_frame *frames;

	if (!node)
		return 0;
	frames = calloc(DEATH_FRAMES, sizeof(*frames));
	if (!frames)
		return -ENOMEM;
	thread->frames = frames;
	thread->facts.depth = recording_frames(r, node, frames, DEATH_FRAMES);
	return 0;
}

/* A thread, and where it was. */
static int take_stack(struct recording *r, const json_t *object, struct counts_death_thread *thread)
{
	uint32_t node;

	if (!take_thread(r, object, &thread->facts, &node))
		return recording_refuse(r, "what a thread said last can't be read");
	return take_frames(r, node, thread);
}

static int take_threads(struct recording *r, const json_t *array, struct counts_death *death)
{
	size_t count = json_array_size(array);
	int err = 0;

	if (!json_is_array(array) || count > PYMEM_WORDS_THREADS)
		return recording_refuse(r, "a process that was killed has impossible threads");
	death->threads = calloc(count + 1, sizeof(*death->threads));
	if (!death->threads)
		return -ENOMEM;
	for (size_t i = 0; i < count && !err; i++)
		err = take_stack(r, json_array_get(array, i), &death->threads[death->count++]);
	return err;
}

/* Null: it was not watched. Recordings of before have no such member. */
static int take_sender(struct recording *r, const json_t *object, struct counts_death *death)
{
	if (!object || json_is_null(object))
		return 0;
	death->sender = calloc(1, sizeof(*death->sender));
	return death->sender ? take_stack(r, object, death->sender) : -ENOMEM;
}

static int take_death(struct recording *r, struct played_image *image, const json_t *object)
{
	struct counts_death *death = calloc(1, sizeof(*death));
	int err;

	if (!death)
		return -ENOMEM;
	/* Of an image that was killed more than once, nobody knows which is right: the last one. */
	counts_free_death(image->death);
	image->death = death;
	if (!take_facts(object, &death->facts))
		return recording_refuse(r, "how a process was killed can't be read");
	err = take_threads(r, json_object_get(object, "stacks"), death);
	return err ?: take_sender(r, json_object_get(object, "sender_stack"), death);
}

static int load_death(sqlite3_stmt *row, void *arg)
{
	struct recording *r = arg;
	uint32_t id = (uint32_t)sqlite3_column_int64(row, 0);
	struct played_image *image;
	json_t *object;
	char *text;
	int err;

	HASH_FIND(hh, r->images, &id, sizeof(id), image);
	/* In a part before its end it still runs. */
	if (!image || !image->asked || !image->image.ended)
		return 0;
	err = recording_text(row, 1, &text);
	if (err)
		return err;
	object = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	free(text);
	err = object ? take_death(r, image, object)
		     : recording_refuse(r, "how a process was killed can't be read");
	json_decref(object);
	image->image.death = err ? NULL : image->death;
	return err;
}

int recording_load_deaths(struct recording *r)
{
	return recording_query(r,
			       "SELECT image, text FROM mark WHERE kind = 'killed' ORDER BY rowid",
			       NULL, 0, load_death, r);
}

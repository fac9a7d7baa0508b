/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Last words: a mark for each process that a signal ended, with all that is known of that as JSON.
 * Stacks are nodes, as those of figures. */
#include <stdlib.h>

#include "base/json_text.h"
#include "model/death_group.h"
#include "record/recorder_private.h"

/* The node of the thread's stack; 0: it has none, or there is no room for its name. */
static uint32_t node_of(struct recorder *r, const struct counts_death_thread *thread)
{
	const struct counts_stack stack = {.frames = thread->frames, .depth = thread->facts.depth};

	return thread->facts.depth ? names_stack(&r->names, &r->db, &stack) : 0;
}

static json_t *thread_value(struct recorder *r, const struct counts_death_thread *thread)
{
	const struct death_thread *facts = &thread->facts;

	return json_pack("{s:i, s:o, s:b, s:b, s:i, s:I}", "tid", facts->tid, "name",
			 json_text(facts->name), "raised", facts->raised, "truncated",
			 facts->truncated, "loss", (int)facts->loss, "node",
			 (json_int_t)node_of(r, thread));
}

static json_t *threads_value(struct recorder *r, const struct counts_death *death)
{
	json_t *array = json_array();
	int err = array ? 0 : -1;

	for (size_t i = 0; i < death->count && !err; i++)
		err = json_array_append_new(array, thread_value(r, &death->threads[i]));
	if (!err)
		return array;
	json_decref(array);
	return NULL;
}

static json_t *death_value(struct recorder *r, const struct counts_death *death)
{
	const struct death *facts = &death->facts;

	return json_pack(
		"{s:f, s:i, s:i, s:b, s:b, s:i, s:i, s:I, s:o, s:I, s:I, s:I, s:I, s:I, "
		"s:I, s:o, s:o, s:o, s:o}",
		"time", facts->time, "signal", facts->signal, "code", facts->code, "oom",
		facts->victim, "sent", facts->sent, "sender", facts->sender, "sender_thread",
		facts->sender_thread, "sender_uid", (json_int_t)facts->sender_uid, "sender_comm",
		json_text(facts->sender_comm), "anon", (json_int_t)facts->anon_bytes, "file",
		(json_int_t)facts->file_bytes, "shmem", (json_int_t)facts->shmem_bytes, "swap",
		(json_int_t)facts->swap_bytes, "limit", (json_int_t)facts->limit_bytes, "threads",
		(json_int_t)facts->threads, "stacks", threads_value(r, death), "sender_stack",
		death->sender ? thread_value(r, death->sender) : json_null(), "group",
		death_group_value(&facts->group), "group_missing",
		death_group_missing(&facts->group));
}

void recorder_mark_death(struct recorder *r, uint32_t image, const struct counts_death *death)
{
	json_t *value = death_value(r, death);
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

	json_decref(value);
	if (!text) {
		NO_MEMORY(r);
		return;
	}
	recorder_mark_text(r, death->facts.time, "killed", image, text);
	free(text);
}

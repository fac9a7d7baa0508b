/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The document may come from anybody: nothing in it is taken that no agent writes. */
#include "cli/oom_document.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/oom_extras.h"
#include "model/death_group.h"

#define SCHEMA_NAME "pymem-bpf-oom/"
#define SCHEMA_NOW  "1"
#define BYTES_MOST  (1ll << 50)
#define WORDS_MOST  4096 /* of a command line */

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool number_of(const json_t *object, const char *name, int64_t least, int64_t most,
		      int64_t *number)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value))
		return false;
	*number = json_integer_value(value);
	return *number >= least && *number <= most;
}

/* Documents of before have no such member. */
static bool is_null(const json_t *document, const char *name)
{
	const json_t *value = json_object_get(document, name);

	return !value || json_is_null(value);
}

static bool take_time(const char *text, double *seconds)
{
	struct tm tm = {.tm_isdst = 0};
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	int milli = 0;

	if (!end || sscanf(end, ".%3d", &milli) != 1)
		return false;
	*seconds = (double)timegm(&tm) + milli / 1000.0;
	return true;
}

static bool take_signal(const char *name, int *number)
{
	char text[32];

	for (int i = 1; name && i <= 64; i++) {
		if (strcmp(death_signal(i, text, sizeof(text)), name) != 0)
			continue;
		*number = i;
		return true;
	}
	return false;
}

/* Null: it is not known. */
static bool take_sender(const json_t *value, struct death *death)
{
	int64_t pid, uid;

	death->sent = json_is_object(value);
	if (!death->sent)
		return json_is_null(value);
	if (!number_of(value, "pid", 0, INT32_MAX, &pid) ||
	    !number_of(value, "uid", 0, UINT32_MAX, &uid) || !text_of(value, "comm"))
		return false;
	death->sender = (int)pid;
	death->sender_uid = (unsigned)uid;
	snprintf(death->sender_comm, sizeof(death->sender_comm), "%s", text_of(value, "comm"));
	return true;
}

static bool take_facts(const json_t *words, struct death *death)
{
	int64_t code, threads, thread = 0;

	death->limit_bytes = -1;
	if (!take_time(text_of(words, "time"), &death->time) ||
	    !take_signal(text_of(words, "signal"), &death->signal) ||
	    !take_sender(json_object_get(words, "sender"), death) ||
	    !number_of(words, "code", INT32_MIN, INT32_MAX, &code) ||
	    !number_of(words, "anon_bytes", -BYTES_MOST, BYTES_MOST, &death->anon_bytes) ||
	    !number_of(words, "file_bytes", -BYTES_MOST, BYTES_MOST, &death->file_bytes) ||
	    !number_of(words, "shmem_bytes", -BYTES_MOST, BYTES_MOST, &death->shmem_bytes) ||
	    !number_of(words, "swap_bytes", -BYTES_MOST, BYTES_MOST, &death->swap_bytes) ||
	    !number_of(words, "threads", 0, INT32_MAX, &threads) || !text_of(words, "cause") ||
	    !death_group_take(json_object_get(words, "group"),
			      json_object_get(words, "group_missing"), &death->group))
		return false;
	if (!json_is_null(json_object_get(words, "limit_bytes")) &&
	    !number_of(words, "limit_bytes", 0, INT64_MAX, &death->limit_bytes))
		return false;
	death->code = (int)code;
	death->threads = (unsigned)threads;
	death->victim = !strcmp(text_of(words, "cause"), death_cause_name(DEATH_OOM));
	/* Of the OOM killer: the thread that asked is the one that says most. */
	if (death->victim && number_of(words, "thread", 1, INT32_MAX, &thread))
		death->sender_thread = (int)thread;
	return true;
}

/* NULL: it is none, or out of memory. */
static const struct model_location *frame_of(struct model *model, const json_t *frame)
{
	int64_t line;

	if (!text_of(frame, "file") || !text_of(frame, "function") ||
	    !number_of(frame, "line", 0, INT32_MAX, &line))
		return NULL;
	return model_location(model, text_of(frame, "file"), text_of(frame, "function"), (int)line,
			      0);
}

/* A function of the model that keeps a thread: model_add_last() or model_set_sender(). */
typedef int keep_fn(struct model_process *process, const struct death_thread *thread,
		    const struct model_location *const *frames);

static int add_thread(struct model *model, struct model_process *process, const json_t *value,
		      keep_fn *keep)
{
	const json_t *list = json_object_get(value, "frames");
	const struct model_location *frames[DEATH_FRAMES];
	struct death_thread thread = {.depth = (unsigned)json_array_size(list)};
	int64_t tid;

	if (!number_of(value, "tid", 0, INT32_MAX, &tid) || !text_of(value, "name") ||
	    json_array_size(list) > DEATH_FRAMES)
		return -EINVAL;
	thread.tid = (int)tid;
	thread.raised = json_is_true(json_object_get(value, "raised"));
	thread.truncated = json_is_true(json_object_get(value, "truncated"));
	snprintf(thread.name, sizeof(thread.name), "%s", text_of(value, "name"));
	for (unsigned i = 0; i < thread.depth; i++) {
		frames[i] = frame_of(model, json_array_get(list, i));
		if (!frames[i])
			return -EINVAL;
	}
	return keep(process, &thread, frames);
}

/* Its line becomes that of the process which grew most. */
static int add_grown(struct model *model, struct model_process *process, const json_t *grew)
{
	struct pymem_counters counters = {0};
	const struct model_location *frame;
	int64_t bytes;

	if (!json_is_object(grew))
		return 0;
	frame = frame_of(model, grew);
	if (!frame || !number_of(grew, "grown_bytes", 0, BYTES_MOST, &bytes))
		return -EINVAL;
	counters.grown_pages = (uint64_t)bytes / model->page_size;
	return model_add_stack(model, process, &frame, 1, false, &counters, NULL);
}

static int add_words(struct model *model, struct model_process *process, const json_t *words)
{
	const json_t *stacks = json_object_get(words, "stacks");
	size_t count = json_array_size(stacks);
	struct death death = {0};
	int err;

	if (!take_facts(words, &death) || count > PYMEM_WORDS_THREADS)
		return -EINVAL;
	err = model_set_death(process, &death, count);
	for (size_t i = 0; i < count && !err; i++)
		err = add_thread(model, process, json_array_get(stacks, i), model_add_last);
	if (!err && !is_null(words, "sender_stack"))
		err = add_thread(model, process, json_object_get(words, "sender_stack"),
				 model_set_sender);
	return err;
}

/* The caller frees the list; its texts belong to the document. NULL: out of memory. */
static char **words_of(const json_t *list)
{
	size_t count = json_array_size(list), used = 0;
	char **words;

	if (count > WORDS_MOST)
		count = WORDS_MOST;
	words = calloc(count + 1, sizeof(*words));
	for (size_t i = 0; words && i < count; i++)
		if (json_is_string(json_array_get(list, i)))
			words[used++] = (char *)json_string_value(json_array_get(list, i));
	return words;
}

static int add_process(struct model *model, const json_t *document, struct model_process **process)
{
	char **words = words_of(json_object_get(document, "cmdline"));
	int64_t pid, ppid, ns_pid = 0;

	*process = NULL;
	if (!words)
		return -ENOMEM;
	if (!number_of(document, "pid", 1, INT32_MAX, &pid) ||
	    !number_of(document, "ppid", 0, INT32_MAX, &ppid) ||
	    (!is_null(document, "ns_pid") &&
	     !number_of(document, "ns_pid", 1, INT32_MAX, &ns_pid))) {
		free(words);
		return -EINVAL;
	}
	*process =
		model_add_process(model, (int)pid, (int)ppid, text_of(document, "comm"), words,
				  text_of(document, "cgroup"), text_of(document, "python"), "walk");
	free(words);
	if (*process)
		(*process)->ns_pid = (int)ns_pid;
	return *process ? 0 : -ENOMEM;
}

int oom_document_read(struct model *model, const json_t *document, struct model_process **process)
{
	const char *schema = text_of(document, "schema");
	int err;

	*process = NULL;
	if (!schema || strncmp(schema, SCHEMA_NAME, strlen(SCHEMA_NAME)) != 0)
		return -EINVAL;
	if (strcmp(schema + strlen(SCHEMA_NAME), SCHEMA_NOW) != 0)
		return -ENOTSUP;
	err = oom_extras_are_good(document) ? add_process(model, document, process) : -EINVAL;
	if (!err)
		(*process)->exited = true;
	err = err ?: add_words(model, *process, json_object_get(document, "last_words"));
	err = err ?: add_grown(model, *process, json_object_get(document, "grew_most"));
	if (err)
		*process = NULL;
	return err;
}

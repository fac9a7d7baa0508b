/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a signal ended a process, as JSON: in reports, and in a document of its own. */
#include "render/last_words.h"

#include <errno.h>

#include "base/json_text.h"
#include "model/death_group.h"
#include "render/json_parts.h"
#include "render/render_parts.h"

#define SCHEMA	   "pymem-bpf-oom/1"
#define LINES_MOST 10 /* of a document */

static json_t *frame_value(const struct model_location *at)
{
	return json_pack("{s:o, s:i, s:o}", "file", json_text(at->file), "line", at->line,
			 "function", json_text(at->function));
}

static const char *loss_name(enum pymem_loss loss)
{
	static const char *const names[] = {
#define LOSS_NAME(id, name, text) name,
		PYMEM_LOSSES(LOSS_NAME)
#undef LOSS_NAME
	};

	return loss < PYMEM_LOSS_COUNT ? names[loss] : "unreadable";
}

static json_t *stack_value(const struct model_death_thread *thread)
{
	const struct death_thread *facts = &thread->facts;
	json_t *frames = json_array();
	int err = frames ? 0 : -1;

	for (unsigned i = 0; i < facts->depth && !err; i++)
		err = json_array_append_new(frames, frame_value(thread->frames[i]));
	if (err) {
		json_decref(frames);
		return NULL;
	}
	return json_pack("{s:i, s:o, s:b, s:o, s:b, s:o}", "tid", facts->tid, "name",
			 json_text(facts->name), "raised", facts->raised, "lost",
			 facts->depth ? json_null() : json_string(loss_name(facts->loss)),
			 "truncated", facts->truncated, "frames", frames);
}

/* `one`: only the thread that says most. */
static json_t *stacks_value(const struct model_process *process, bool one)
{
	const struct model_death_thread *last = model_last_thread(process);
	const struct model_death *death = process->death;
	json_t *array = json_array();
	int err = array ? 0 : -1;

	for (size_t i = 0; i < death->count && !err; i++)
		if (!one || &death->threads[i] == last)
			err = json_array_append_new(array, stack_value(&death->threads[i]));
	if (!err)
		return array;
	json_decref(array);
	return NULL;
}

static json_t *sender_value(const struct death *death)
{
	if (!death->sent)
		return json_null();
	return json_pack("{s:i, s:o, s:I}", "pid", death->sender, "comm",
			 json_text(death->sender_comm), "uid", (json_int_t)death->sender_uid);
}

json_t *last_words_value(const struct model_process *process, bool one)
{
	const struct model_death_thread *thread = model_last_thread(process);
	const struct model_death_thread *sender = process->death->sender;
	const struct death *death = &process->death->facts;
	enum death_cause cause = death_cause(death, process->pid);
	char text[32];

	return json_pack("{s:o, s:s, s:s, s:i, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:i, s:o, "
			 "s:o, s:o, s:o, s:o}",
			 "time", json_time(death->time), "cause", death_cause_name(cause), "signal",
			 death_signal(death->signal, text, sizeof(text)), "code", death->code,
			 "by_kernel", death_sender(death) == DEATH_SENDER_KERNEL, "sender",
			 sender_value(death), "rss_bytes", (json_int_t)death_rss(death),
			 "anon_bytes", (json_int_t)death->anon_bytes, "file_bytes",
			 (json_int_t)death->file_bytes, "shmem_bytes",
			 (json_int_t)death->shmem_bytes, "swap_bytes",
			 (json_int_t)death->swap_bytes, "limit_bytes",
			 json_known(death->limit_bytes), "threads", (int)death->threads, "thread",
			 thread ? json_integer(thread->facts.tid) : json_null(), "stacks",
			 stacks_value(process, one), "sender_stack",
			 sender ? stack_value(sender) : json_null(), "group",
			 death_group_value(&death->group), "group_missing",
			 death_group_missing(&death->group));
}

static json_t *grew_value(const struct model_process *process)
{
	const struct model_line *grew = model_grew_most(process);

	if (!grew)
		return json_null();
	return json_pack("{s:o, s:i, s:o, s:o}", "file", json_text(grew->location->file), "line",
			 grew->location->line, "function", json_text(grew->location->function),
			 "grown_bytes", json_count(grew->grown_bytes));
}

static json_t *line_value(const struct model_line *line)
{
	return json_pack(
		"{s:o, s:i, s:o, s:I, s:I, s:o, s:o}", "file", json_text(line->location->file),
		"line", line->location->line, "function", json_text(line->location->function),
		"increment_bytes", (json_int_t)line->increment_bytes, "total_bytes",
		(json_int_t)line->total_bytes, "grown_bytes", json_count(line->grown_bytes),
		"freed_bytes", json_count(line->freed_bytes));
}

/* The first lines of its report. */
static json_t *lines_value(const struct model_process *process, size_t most)
{
	json_t *array = json_array();
	int err = array ? 0 : -1;

	for (size_t i = 0; i < process->line_count && i < most && !err; i++)
		err = json_array_append_new(array, line_value(&process->lines[i]));
	if (!err)
		return array;
	json_decref(array);
	return NULL;
}

static int64_t other_lines(const struct model_process *process, size_t most)
{
	int64_t sum = 0;

	for (size_t i = most; i < process->line_count; i++)
		sum += process->lines[i].increment_bytes;
	return sum;
}

int last_words_document(FILE *out, const struct model *model, const struct model_process *process,
			json_t *heap, bool one)
{
	size_t count = 0, most = one ? 1 : LINES_MOST;
	int err;

	while (process->cmdline[count])
		count++;
	struct json_member members[] = {
		{"schema", json_string(SCHEMA)},
		{"host", json_text(model->host)},
		{"kernel", json_text(model->kernel)},
		{"version", json_text(model->version)},
		{"pid", json_integer(process->pid)},
		{"ns_pid", json_unless_zero(process->ns_pid)},
		{"ppid", json_integer(process->ppid)},
		{"comm", json_text(process->comm)},
		{"cmdline", json_strings(process->cmdline, count)},
		{"cgroup", json_text_or_null(process->cgroup)},
		{"python", json_text_or_null(process->python)},
		{"rss_peak_bytes", json_integer(process->rss_peak_bytes)},
		{"grew_most", grew_value(process)},
		{"charged_bytes", json_integer(process->charged_bytes)},
		{"no_line_bytes", json_integer(model_lost_bytes(process))},
		{"lines", lines_value(process, most)},
		{"other_lines_bytes", json_integer(other_lines(process, most))},
		{"heap", json_incref(heap)},
		{"last_words", last_words_value(process, one)},
	};

	fputc('{', out);
	err = JSON_PUT_MEMBERS(out, "\n ", members, false);
	fputs("\n}\n", out);
	return err ?: parts_flush(out);
}

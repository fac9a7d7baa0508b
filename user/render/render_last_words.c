/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a signal ended a process, in words and as JSON. */
#include "render/last_words.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/json_text.h"
#include "base/text.h"
#include "render/json_parts.h"
#include "render/render_answer.h"

#define PLACE_MOST 60 /* columns of a place in a sentence */
#define NAME_MOST  64 /* of the name of a program that sent a signal */
#define TOLD_MOST  3  /* processes of a program that are told one by one */
#define GREW_PART  20 /* of RSS: a line that added less is not told */
#define SCHEMA	   "pymem-bpf-oom/1"

/* --- in words --- */

static void write_time(FILE *out, double seconds)
{
	time_t at = (time_t)seconds;
	struct tm parts;
	char text[64];

	if (seconds > -1e11 && seconds < 1e11 && gmtime_r(&at, &parts) &&
	    strftime(text, sizeof(text), "%Y-%m-%d" NBSP "%H:%M:%S" NBSP "UTC", &parts))
		fprintf(out, " at %s", text);
}

static void write_sender(FILE *out, const struct death *death)
{
	text_print(out, *death->sender_comm ? death->sender_comm : "a program", NAME_MOST, false);
	fprintf(out, " (PID" NBSP "%d, user" NBSP "%u)", death->sender, death->sender_uid);
}

/* "Killed by bash (PID 7, user 0) with SIGKILL", "Crashed with SIGSEGV"; `named`: "PID 9 was …". */
static void write_cause(FILE *out, const struct model_process *process, bool named)
{
	const struct death *death = &process->death->facts;
	enum death_cause cause = death_cause(death, process->pid);
	char text[32], number[TEXT_PID];
	const char *name = death_signal(death->signal, text, sizeof(text));

	text_pid(number, sizeof(number), process->pid, process->ns_pid, NBSP);
	if (named)
		fprintf(out, "PID" NBSP "%s ", number);
	if (cause == DEATH_CRASH) {
		fprintf(out, "%s with %s", named ? "crashed" : "Crashed", name);
		return;
	}
	fputs(named ? "was killed by " : "Killed by ", out);
	if (cause == DEATH_OOM) {
		fputs("the kernel's OOM killer", out);
		return;
	}
	switch (death_sender(death)) {
	case DEATH_SENDER_PROCESS:
		write_sender(out, death);
		break;
	case DEATH_SENDER_TIMER:
		fputs("a timer", out);
		break;
	case DEATH_SENDER_KERNEL:
		fputs("the kernel", out);
		break;
	case DEATH_SENDER_UNSEEN:
		fputs("somebody who was not seen", out);
		break;
	}
	fprintf(out, " with %s", name);
}

static void write_memory(FILE *out, const struct death *death)
{
	char amount[40];

	parts_amount(amount, sizeof(amount), death_rss(death), false);
	fprintf(out, ": RSS %s", amount);
	if (death->swap_bytes > 0) {
		parts_amount(amount, sizeof(amount), death->swap_bytes, false);
		fprintf(out, ", swapped out %s", amount);
	}
	if (death->limit_bytes >= 0) {
		parts_amount(amount, sizeof(amount), death->limit_bytes, false);
		fprintf(out, ", limit of its control group %s", amount);
	}
}

static void write_asker(FILE *out, const struct model_process *process)
{
	const struct death *death = &process->death->facts;

	if (death_cause(death, process->pid) != DEATH_OOM || !death->sent)
		return;
	if (death->sender == process->pid) {
		fputs("; it asked for memory itself", out);
		return;
	}
	fputs("; ", out);
	write_sender(out, death);
	fputs(" asked for memory", out);
}

static void write_place(FILE *out, const struct answer *a, const struct model_location *location)
{
	if (a)
		answer_place(out, a, location, PLACE_MOST);
	else
		parts_place(out, location, PLACE_MOST);
}

/* Of a thread in a library also says which line called it. */
static void write_stack(FILE *out, const struct answer *a, const struct model_death_thread *thread)
{
	unsigned own = 0;

	write_place(out, a, thread->frames[0]);
	while (own < thread->facts.depth && thread->frames[own]->library)
		own++;
	if (!own || own == thread->facts.depth)
		return;
	fputs(" ← ", out);
	write_place(out, a, thread->frames[own]);
}

static void write_where(FILE *out, const struct answer *a, const struct model_process *process)
{
	const struct model_death_thread *thread = model_last_thread(process);
	const struct model_line *grew = model_grew_most(process);
	char amount[40];

	if (thread) {
		fputs(" It was in ", out);
		write_stack(out, a, thread);
	} else {
		fputs(" No line is known in which it was", out);
	}
	if (grew && (int64_t)grew->grown_bytes >= death_rss(&process->death->facts) / GREW_PART) {
		parts_amount(amount, sizeof(amount), (int64_t)grew->grown_bytes, false);
		fputs("; most was added by ", out);
		write_place(out, a, grew->location);
		fprintf(out, " (%s)", amount);
	}
	fputc('.', out);
}

void last_words_write(FILE *out, const struct answer *a, const struct model_process *process,
		      bool named)
{
	write_cause(out, process, named);
	write_time(out, process->death->facts.time);
	write_memory(out, &process->death->facts);
	write_asker(out, process);
	fputc('.', out);
	write_where(out, a, process);
}

int last_words_print(FILE *to, const struct model_process *process, unsigned width)
{
	struct answer_text text;
	int err = answer_text_begin(&text);

	if (err)
		return err;
	last_words_write(text.out, NULL, process, false);
	err = answer_text_end(&text);
	if (err)
		return err;
	text_wrap(to, text.data, 0, width, 2);
	fputc('\n', to);
	free(text.data);
	return 0;
}

int answer_last_words(struct answer *a)
{
	const struct model_program *program = a->program;
	size_t told = 0, more = 0;
	struct answer_text text;
	int err = 0;

	for (size_t i = 0; i < program->count && !err; i++) {
		if (!program->processes[i]->death)
			continue;
		if (told++ >= TOLD_MOST) {
			more++;
			continue;
		}
		err = answer_text_begin(&text);
		if (err)
			break;
		last_words_write(text.out, a, program->processes[i], program->count > 1);
		err = answer_text_print(&text, a);
	}
	if (err || !more)
		return err;
	err = answer_text_begin(&text);
	if (err)
		return err;
	fprintf(text.out, "%zu more of them %s ended by signals (--format json has all).", more,
		more == 1 ? "was" : "were");
	return answer_text_print(&text, a);
}

bool answer_was_killed(const struct answer *a)
{
	for (size_t i = 0; i < a->program->count; i++)
		if (a->program->processes[i]->death)
			return true;
	return false;
}

/* --- JSON --- */

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
	const struct death *death = &process->death->facts;
	enum death_cause cause = death_cause(death, process->pid);
	char text[32];

	return json_pack(
		"{s:o, s:s, s:s, s:i, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:i, s:o, s:o}",
		"time", json_time(death->time), "cause", death_cause_name(cause), "signal",
		death_signal(death->signal, text, sizeof(text)), "code", death->code, "by_kernel",
		death_sender(death) == DEATH_SENDER_KERNEL, "sender", sender_value(death),
		"rss_bytes", (json_int_t)death_rss(death), "anon_bytes",
		(json_int_t)death->anon_bytes, "file_bytes", (json_int_t)death->file_bytes,
		"shmem_bytes", (json_int_t)death->shmem_bytes, "swap_bytes",
		(json_int_t)death->swap_bytes, "limit_bytes", json_known(death->limit_bytes),
		"threads", (int)death->threads, "thread",
		thread ? json_integer(thread->facts.tid) : json_null(), "stacks",
		stacks_value(process, one));
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

int last_words_document(FILE *out, const struct model *model, const struct model_process *process,
			bool one)
{
	size_t count = 0;
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
		{"last_words", last_words_value(process, one)},
	};

	fputc('{', out);
	err = JSON_PUT_MEMBERS(out, "\n ", members, false);
	fputs("\n}\n", out);
	return err ?: parts_flush(out);
}

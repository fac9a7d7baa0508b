/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a signal ended a process, in words. */
#include "render/last_words.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/text.h"
#include "render/render_answer.h"

#define PLACE_MOST 60 /* columns of a place in a sentence */
#define NAME_MOST  64 /* of the name of a program that sent a signal */
#define TOLD_MOST  3  /* processes of a program that are told one by one */
#define GREW_PART  20 /* of RSS: a line that added less is not told */

static void write_time(FILE *out, double seconds)
{
	time_t at = (time_t)seconds;
	struct tm parts;
	char text[64];

	if (seconds > -1e11 && seconds < 1e11 && gmtime_r(&at, &parts) &&
	    strftime(text, sizeof(text), "%Y-%m-%d" NBSP "%H:%M:%S" NBSP "UTC", &parts))
		fprintf(out, " at %s", text);
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

static void write_sender(FILE *out, const struct death *death)
{
	text_print(out, *death->sender_comm ? death->sender_comm : "a program", NAME_MOST, false);
	fprintf(out, " (PID" NBSP "%d, user" NBSP "%u)", death->sender, death->sender_uid);
}

/* Where the sender was, if it is a Python that is watched. */
static void write_sender_stack(FILE *out, const struct answer *a,
			       const struct model_process *process)
{
	const struct model_death_thread *sender = process->death->sender;

	if (!sender || !sender->facts.depth)
		return;
	fputs(" in ", out);
	write_stack(out, a, sender);
}

/* "Killed by bash (PID 7, user 0) with SIGKILL", "Crashed with SIGSEGV"; `named`: "PID 9 was …". */
static void write_cause(FILE *out, const struct answer *a, const struct model_process *process,
			bool named)
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
		write_sender_stack(out, a, process);
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

static void write_asker(FILE *out, const struct answer *a, const struct model_process *process)
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
	write_sender_stack(out, a, process);
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
	write_cause(out, a, process, named);
	write_time(out, process->death->facts.time);
	write_memory(out, &process->death->facts);
	write_asker(out, a, process);
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

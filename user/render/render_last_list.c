/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tables of processes that signals have ended. */
#include "render/last_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "model/program.h"
#include "render/render_answer.h"
#include "render/render_parts.h"

#define NAME_COLUMNS 16
#define BY_COLUMNS   16
#define LINE_LEAST   40 /* columns; with fewer, the line is below its row */
#define LINE_INDENT  21

static void print_padded(FILE *out, const char *text, unsigned columns)
{
	unsigned used = text_print(out, text, columns, false);

	fprintf(out, "%*s", (int)(columns - used), "");
}

static void name_of(const struct model_process *process, char *name, size_t size)
{
	struct program program;

	program_parse(&program, process->cmdline, process->comm);
	program_name(&program, name, size);
}

/* Who sent the signal; of the OOM killer, who asked for memory. */
static void sender_of(const struct model_process *process, char *text, size_t size)
{
	const struct death *death = &process->death->facts;

	enum death_sender sender = death_sender(death);

	if (sender == DEATH_SENDER_UNSEEN)
		snprintf(text, size, "?");
	else if (death->sender == process->pid &&
		 (death->victim || sender == DEATH_SENDER_PROCESS ||
		  death_cause(death, process->pid) == DEATH_CRASH))
		snprintf(text, size, "itself");
	else if (sender != DEATH_SENDER_PROCESS && !death->victim)
		snprintf(text, size, sender == DEATH_SENDER_TIMER ? "timer" : "kernel");
	else
		snprintf(text, size, "%s %d", death->sender_comm, death->sender);
}

static const char *why_of(const struct model_process *process, char *text, size_t size)
{
	const struct death *death = &process->death->facts;

	return death->victim ? "OOM" : death_signal(death->signal, text, size);
}

static void time_of(double seconds, char *text, size_t size)
{
	time_t at = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&at, &tm) || !strftime(text, size, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(text, size, "?");
}

/* The place without the folders of its file. */
static void print_base(FILE *out, const struct model_location *at, unsigned columns)
{
	struct model_location base = *at;
	const char *slash = strrchr(at->file, '/');

	if (slash && slash[1])
		base.file = slash + 1;
	parts_place(out, &base, columns);
}

void last_words_row(FILE *out, const struct model_process *process, unsigned width)
{
	const struct death *death = &process->death->facts;
	const struct model_death_thread *thread = model_last_thread(process);
	char when[32], name[128], by[64], rss[32], limit[32] = "-", why[32];
	unsigned used = 19 + 2 + NAME_COLUMNS + 1 + 7 + 2 + 7 + 2 + BY_COLUMNS + 1 + 9 + 1 + 9 + 2;
	bool below = width && width < used + LINE_LEAST;
	unsigned left = below ? LINE_INDENT : used, room = width > left ? width - left : 0;

	time_of(death->time, when, sizeof(when));
	name_of(process, name, sizeof(name));
	sender_of(process, by, sizeof(by));
	parts_size(rss, sizeof(rss), death_rss(death), false);
	if (death->limit_bytes >= 0)
		parts_size(limit, sizeof(limit), death->limit_bytes, false);
	fprintf(out, "%19s  ", when);
	print_padded(out, name, NAME_COLUMNS);
	fprintf(out, " %7d  %-7s  ", process->pid, why_of(process, why, sizeof(why)));
	print_padded(out, by, BY_COLUMNS);
	fprintf(out, " %9s %9s", rss, limit);
	fprintf(out, "%s%*s", below ? "\n" : "", below ? LINE_INDENT : 2, "");
	if (thread)
		print_base(out, thread->frames[0], room);
	else
		fputc('-', out);
	fputc('\n', out);
}

void last_words_titles(FILE *out)
{
	fprintf(out, "%-19s  %-*s %7s  %-7s  %-*s %9s %9s  %s\n", "TIME (UTC)", NAME_COLUMNS,
		"PROGRAM", "PID", "WHY", BY_COLUMNS, "WHO ASKED", "RSS", "LIMIT", "LINE");
}

static void print_frames(FILE *out, const struct model_death_thread *thread, unsigned width)
{
	const struct death_thread *facts = &thread->facts;

	fputs(facts->depth ? "\n" : ": no Python line is known\n", out);
	for (unsigned i = 0; i < facts->depth; i++) {
		fputs("  ", out);
		parts_place(out, thread->frames[i], width > 4 ? width - 2 : 0);
		fputc('\n', out);
	}
	if (facts->truncated)
		fputs("  …\n", out);
}

/* Who sent the signal, or asked for memory, if that is a Python that was watched. */
static void print_sender(FILE *out, const struct model_process *process, unsigned width)
{
	const struct model_death_thread *sender = process->death->sender;
	const struct death *facts = &process->death->facts;

	if (!sender)
		return;
	fprintf(out, "\n%s: thread %d of PID %d (",
		facts->victim ? "Who asked for memory" : "Sender", sender->facts.tid,
		facts->sender);
	text_print(out, sender->facts.name, 32, false);
	fputc(')', out);
	print_frames(out, sender, width);
}

static void print_thread(FILE *out, const struct model_process *process,
			 const struct model_death_thread *thread, unsigned width)
{
	bool crash = death_cause(&process->death->facts, process->pid) == DEATH_CRASH;
	const struct death_thread *facts = &thread->facts;

	fprintf(out, "\nThread %d (", facts->tid);
	text_print(out, facts->name, 32, false);
	fprintf(out, ")%s",
		!facts->raised ? ""
		: crash	       ? ", which raised the signal"
			       : ", which got the signal");
	print_frames(out, thread, width);
}

int last_words_show_answer(FILE *out, const struct model_process *process, unsigned width)
{
	const struct cgroup_last *group = &process->death->facts.group;
	char name[128], number[TEXT_PID];
	struct answer_text text;
	int err;

	name_of(process, name, sizeof(name));
	text_print(out, name, width > 40 ? width - 40 : 0, false);
	text_pid(number, sizeof(number), process->pid, process->ns_pid, " ");
	fprintf(out, "   PID %s   Python ", number);
	text_print(out, *process->python ? process->python : "not identified", 20, false);
	fputc('\n', out);
	err = last_words_print(out, process, width);
	if (err || group->state == CGROUP_LAST_UNSEEN)
		return err;
	err = answer_text_begin(&text);
	if (err)
		return err;
	last_words_group(text.out, group);
	err = answer_text_end(&text);
	if (err)
		return err;
	text_wrap(out, text.data, 0, width, 2);
	fputc('\n', out);
	free(text.data);
	return 0;
}

void last_words_show_threads(FILE *out, const struct model_process *process, unsigned width)
{
	const struct model_death_thread *first = model_last_thread(process);
	const struct model_death *death = process->death;

	if (first)
		print_thread(out, process, first, width);
	for (size_t i = 0; i < death->count; i++)
		if (&death->threads[i] != first)
			print_thread(out, process, &death->threads[i], width);
	if (death->facts.threads > death->count)
		fprintf(out, "\nand %zu more threads\n", death->facts.threads - death->count);
	print_sender(out, process, width);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which lines touched the pages first that are resident now, or in swap, or were taken by others.
 *
 * Invariant, for each process for which this is known: resident bytes of its lines + those that
 * were there before + unknown ones = RSS at the end. The unknown ones are what the others leave. So
 * it is with what is in swap, of which nothing is known of before.
 */
#include "report/report_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int add_image(const struct counts_resident *resident, void *arg)
{
	struct build *b = arg;
	struct entry *entry = report_entry(b, resident->image);
	struct model_process *p = entry ? entry->process : NULL;

	if (!p)
		return 0;
	b->tallies.unread += resident->error != 0;
	if (resident->error)
		return 0;
	b->tallies.unplaced += resident->unplaced_pages > 0 ? resident->unplaced_pages : 0;
	b->tallies.refused += resident->refused_pages;
	b->tallies.forked_often += resident->cut;
	p->resident_known = true;
	p->resident_before_bytes = resident->before_pages * b->page;
	/* add_stack() takes off the pages of each stack. */
	p->resident_unknown_bytes = p->rss_end_bytes - p->resident_before_bytes;
	p->away_known = resident->away;
	p->swapped_unknown_bytes = resident->away ? p->swap_end_bytes : 0;
	return 0;
}

static int add_stack(uint32_t image, const struct counts_stack *stack,
		     const struct counts_touched *touched, void *arg)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES], *thread;
	struct build *b = arg;
	struct entry *entry = report_entry(b, image);
	struct model_process *p = entry ? entry->process : NULL;
	unsigned i;

	if (!p || !p->resident_known || !stack->depth)
		return 0;
	if (report_thread(b, stack, &thread))
		return -ENOMEM;
	for (i = 0; i < stack->depth; i++) {
		frames[i] = report_locate(b, &stack->frames[i]);
		if (!frames[i])
			return -ENOMEM;
	}
	if (p->away_known) {
		p->swapped_unknown_bytes -= touched->swapped_pages * b->page;
		if (model_add_away(b->model, p, frames, stack->depth, touched->swapped_pages,
				   touched->absent_pages))
			return -ENOMEM;
	}
	p->resident_unknown_bytes -= touched->resident_pages * b->page;
	return model_add_resident(b->model, p, frames, stack->depth, touched->resident_pages)
		       ?: model_add_part(b->model, p, thread, frames, stack->depth, false, NULL,
					 NULL, touched->resident_pages);
}

int report_add_resident(struct build *b)
{
	static const struct counts_touched_reader reader = {
		.image = add_image,
		.stack = add_stack,
		.away = true,
	};
	const struct counts *counts = &b->report->counts;

	if (!counts->ops->each_touched)
		return 0;
	return counts->ops->each_touched(counts->self, &reader, b);
}

/* --- notes --- */

/* The line whose increment is the largest. NULL: there is none. */
static const struct model_line *grown_most(const struct model_process *p)
{
	const struct model_line *most = NULL;
	size_t i;

	for (i = 0; i < p->line_count; i++)
		if (!most || p->lines[i].increment_bytes > most->increment_bytes)
			most = &p->lines[i];
	return most;
}

#define TELLS_FROM (1 << 20) /* bytes of an increment that are worth a note */
#define FIRSTS_FEW 16	     /* fewer places than this tell nothing */

struct firsts { /* for one line: places into which it put something first */
	struct build *b;
	const struct model_location *location;
	unsigned looked, gone;
};

static int count_first(const struct counts_stack *stack, bool gone, void *arg)
{
	struct firsts *f = arg;
	const struct model_location *at;

	if (!stack->depth)
		return 0;
	at = report_locate(f->b, stack->frames);
	if (!at)
		return -ENOMEM;
	if (at->line != f->location->line || strcmp(at->file, f->location->file) != 0)
		return 0;
	f->looked++;
	f->gone += gone;
	return 0;
}

/* The image of the process. NULL: it has ended. */
static const struct entry *entry_of(const struct build *b, const struct model_process *p)
{
	const struct entry *entry;

	for (entry = b->entries; entry; entry = entry->hh.next)
		if (entry->process == p && !entry->ended)
			return entry;
	return NULL;
}

/* Notes a line whose pages are resident, but hold what others have put there since. */
static int note_reused(struct build *b, const struct model_process *p,
		       const struct model_line *line)
{
	const struct counts *counts = &b->report->counts;
	const struct entry *entry = entry_of(b, p);
	struct firsts f = {.b = b, .location = line->location};
	char text[512];
	int err;

	if (!b->final || !entry || !counts->ops->each_first)
		return 0;
	err = counts->ops->each_first(counts->self, entry->id, count_first, &f);
	if (err || f.looked < FIRSTS_FEW || f.gone < f.looked - f.looked / 2)
		return err;
	snprintf(text, sizeof(text),
		 "%.200s:%d touched %lld MiB that are resident, but of %u places looked at there, "
		 "%u "
		 "no longer hold what it put there first: ask pymem-bpf heap -p %d -d 30 who keeps "
		 "memory",
		 line->location->file, line->location->line,
		 (long long)(line->resident_bytes >> 20), f.looked, f.gone, p->pid);
	model_add_note(b->model, text);
	return 0;
}

/* What the line has touched first of what is resident, in swap, or may have been taken by others.
 */
static int64_t kept_of(const struct model_process *p, const struct model_line *line)
{
	if (!p->away_known)
		return line->resident_bytes;
	return line->resident_bytes +
	       (int64_t)(line->swapped_now_bytes + model_taken_most(p, line));
}

/* Notes that the line that has grown most has few pages left that it touched first: they were given
 * back, and others have touched them since. So increments do not say who keeps memory now. */
static int note_others(struct build *b, const struct model_process *p)
{
	const struct model_line *line = p->resident_known ? grown_most(p) : NULL;
	char text[512];

	if (!line || line->increment_bytes < TELLS_FROM)
		return 0;
	if (line->resident_bytes >= line->increment_bytes / 2)
		return note_reused(b, p, line);
	/* Then nobody gave them back. */
	if (kept_of(p, line) >= line->increment_bytes / 2)
		return 0;
	snprintf(text, sizeof(text),
		 "of the %lld MiB that %.200s:%d has added, %lld MiB are resident as it touched "
		 "them: ask pymem-bpf heap -p %d -d 30 who keeps memory",
		 (long long)(line->increment_bytes >> 20), line->location->file,
		 line->location->line, (long long)(line->resident_bytes >> 20), p->pid);
	model_add_note(b->model, text);
	return 0;
}

static void note_count(struct build *b, uint64_t count, const char *one, const char *many,
		       const char *rest)
{
	char note[256];

	if (!count)
		return;
	snprintf(note, sizeof(note), "%llu %s %s", (unsigned long long)count,
		 count == 1 ? one : many, rest);
	model_add_note(b->model, note);
}

#define UNPLACED_FROM 256 /* pages that are worth a note */

int report_add_resident_notes(struct build *b)
{
	const struct tallies *t = &b->tallies;
	size_t i;
	int err = 0;

	note_count(b, t->unread, "process", "processes",
		   "could not be looked at: who touched its pages first is not known");
	note_count(b, t->refused, "page has", "pages have",
		   "no line that touched it first: the table of pages is full");
	note_count(b, t->forked_often, "process was", "processes were",
		   "forked by one that had forked too often: who touched pages before that is not "
		   "known");
	note_count(b, t->unplaced >= UNPLACED_FROM ? t->unplaced : 0, "page", "pages",
		   "became resident elsewhere than in a fault of a line: who touched it first is "
		   "not known");
	for (i = 0; i < b->model->process_count && !err; i++)
		err = note_others(b, b->model->processes[i]);
	return err;
}

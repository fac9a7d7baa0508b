/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes that have ended. Their stacks are freed; their lines stay for all later reports.
 *
 * A host that is watched for days has no end of them, so their memory is limited, and of one
 * program their number: the processes that changed least are gathered into the sum of their program
 * (model_fold.c), and those that a signal ended after all others. All amounts still add up. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The lines don't change any more: give back the memory that they don't need. */
static void shrink(struct model_process *process)
{
	struct model_line *lines = NULL;

	if (process->line_count)
		lines = reallocarray(process->lines, process->line_count, sizeof(*lines));
	if (lines)
		process->lines = lines;
}

static void hide_frozen(struct model *model)
{
	size_t i, count = 0;

	for (i = 0; i < model->process_count; i++) {
		if (!process_of(model->processes[i])->frozen)
			model->processes[count++] = model->processes[i];
	}
	model->process_count = count;
}

static int show_frozen(struct book *book)
{
	struct model *model = &book->pub;
	size_t i;

	for (i = 0; i < book->frozen_count; i++) {
		if (!ARRAY_HAS_ROOM(model->processes, model->process_count, book->process_room))
			return -ENOMEM;
		model->processes[model->process_count++] = book->frozen[i];
	}
	return 0;
}

int model_compute(struct model *model)
{
	hide_frozen(model);
	return model_compute_lines(model) ?: show_frozen(book_of(model))
					  ?: model_fold_settle(book_of(model));
}

int model_freeze(struct model *model)
{
	struct book *book = book_of(model);
	struct model_process *process;
	size_t i;
	int err;

	hide_frozen(model);
	err = model_compute_lines(model);
	for (i = 0; i < model->process_count && !err; i++) {
		process = model->processes[i];
		if (!ARRAY_HAS_ROOM(book->frozen, book->frozen_count, book->frozen_room)) {
			err = -ENOMEM;
			break;
		}
		model_stacks_free(process);
		shrink(process);
		process_of(process)->frozen = true;
		process_of(process)->program_hash = model_program_hash(book, process);
		book->frozen[book->frozen_count++] = process;
		book->frozen_new++;
		book->frozen_bytes += model_frozen_bytes(process);
	}
	/* Those that could not be frozen stay; the frozen ones before them are removed. */
	memmove(model->processes, model->processes + i,
		(model->process_count - i) * sizeof(struct model_process *));
	model->process_count -= i;
	return err;
}

static int64_t size_of_change(const struct model_process *process)
{
	int64_t change = process->rss_end_bytes - process->rss_start_bytes;

	return change < 0 ? -change : change;
}

/* Those that have said last words first; then the largest first. */
static int compare(const void *left, const void *right)
{
	const struct model_process *one = *(struct model_process *const *)left;
	const struct model_process *other = *(struct model_process *const *)right;
	int64_t a = size_of_change(one), b = size_of_change(other);

	if (!one->death != !other->death)
		return one->death ? -1 : 1;
	return (a < b) - (a > b);
}

/* --- too many of one program --- */

struct crowd { /* frozen processes of one program */
	const struct model_process *first;
	size_t kept[2]; /* without last words, and with some */
};

struct crowds {
	struct crowd *list;
	size_t count, room;
	size_t *of; /* by frozen process: the index of its crowd */
	struct table table;
};

static int place(struct book *book, struct crowds *crowds, size_t i)
{
	const struct model_process *process = book->frozen[i];
	uint64_t hash = process_of(process)->program_hash, cursor = hash;
	size_t index;
	bool found = false;

	while (!found && model_table_next(&crowds->table, hash, &cursor, &index))
		found = model_program_same(crowds->list[index].first, process);
	if (!found) {
		if (!ARRAY_HAS_ROOM(crowds->list, crowds->count, crowds->room) ||
		    model_table_add(&crowds->table, hash, crowds->count))
			return -ENOMEM;
		index = crowds->count;
		crowds->list[crowds->count++] = (struct crowd){.first = process};
	}
	crowds->of[i] = index;
	return 0;
}

struct gathering {
	struct book *book;
	const struct model_ended_limits *limits;
	void (*gone)(const struct model_process *process, void *arg);
	void *arg;
	bool any;
};

static int gather_one(struct gathering *g, struct model_process *process)
{
	uint64_t number = model_fold_number(g->book, process);

	g->any = true;
	g->book->frozen_bytes -= model_frozen_bytes(process);
	process->folded_in = number;
	g->gone(process, g->arg);
	return model_fold(g->book, process, number, g->limits->bytes / 4);
}

/* Gathers the smallest of each crowd. Each has a quarter less than the limit then, so that this
 * does not happen again before a quarter of the limit has ended. The processes are sorted. */
static int thin_out(struct gathering *g, struct crowds *crowds)
{
	struct book *book = g->book;
	size_t most = g->limits->processes, i, kept = 0;
	int err = 0;

	for (i = 0; i < book->frozen_count; i++) {
		struct model_process *process = book->frozen[i];
		struct crowd *crowd = &crowds->list[crowds->of[i]];
		bool killed = process->death != NULL;

		if (!err && crowd->kept[killed] >= most - most / 4) {
			err = gather_one(g, process);
			continue;
		}
		crowd->kept[killed]++;
		book->frozen[kept++] = process;
	}
	book->frozen_count = kept;
	book->frozen_most = 0;
	for (i = 0; i < 2 * crowds->count; i++)
		if (crowds->list[i / 2].kept[i % 2] > book->frozen_most)
			book->frozen_most = crowds->list[i / 2].kept[i % 2];
	return err;
}

/* Keeps no more of one program than the limit says. Nothing is looked at until some program can
 * have more. */
static int gather_crowds(struct gathering *g)
{
	struct book *book = g->book;
	struct crowds crowds = {0};
	size_t i;
	int err = 0;

	if (!g->limits->processes || book->frozen_most + book->frozen_new <= g->limits->processes)
		return 0;
	qsort(book->frozen, book->frozen_count, sizeof(struct model_process *), compare);
	crowds.of = calloc(book->frozen_count + 1, sizeof(*crowds.of));
	err = crowds.of ? 0 : -ENOMEM;
	for (i = 0; i < book->frozen_count && !err; i++)
		err = place(book, &crowds, i);
	if (!err) {
		err = thin_out(g, &crowds);
		book->frozen_new = 0;
	}
	free(crowds.of);
	free(crowds.list);
	free(crowds.table.slots);
	return err;
}

/* --- too many in all, or too much memory --- */

/* Whom nothing but their number speaks against are gathered, a quarter more than necessary. */
static int gather_beyond(struct gathering *g)
{
	struct book *book = g->book;
	size_t most = g->limits->all, killed = 0, i;
	int err = 0;

	if (!most || book->frozen_count <= most)
		return 0;
	for (i = 0; i < book->frozen_count; i++)
		killed += book->frozen[i]->death != NULL;
	if (book->frozen_count - killed <= most)
		return 0;
	/* Those with last words come first. */
	qsort(book->frozen, book->frozen_count, sizeof(struct model_process *), compare);
	while (book->frozen_count > killed + most - most / 4 && !err)
		err = gather_one(g, book->frozen[--book->frozen_count]);
	return err;
}

static int gather_smallest(struct gathering *g)
{
	struct book *book = g->book;
	size_t limit = g->limits->bytes;
	int err = 0;

	if (book->frozen_bytes + book->folding_bytes <= limit)
		return 0;
	qsort(book->frozen, book->frozen_count, sizeof(struct model_process *), compare);
	/* Free a quarter more than necessary, so that this does not happen at each end of a
	 * process. */
	while (book->frozen_count && book->frozen_bytes + book->folding_bytes > limit / 4 * 3 &&
	       !err)
		err = gather_one(g, book->frozen[--book->frozen_count]);
	return err;
}

int model_gather_ended(struct model *model, const struct model_ended_limits *limits,
		       void (*gone)(const struct model_process *process, void *arg), void *arg)
{
	struct gathering g = {book_of(model), limits, gone, arg, false};
	int err;

	if (model->process_count)
		return 0;
	err = gather_crowds(&g) ?: gather_beyond(&g) ?: gather_smallest(&g);
	return err ?: g.any ? model_book_collect(g.book) : 0;
}

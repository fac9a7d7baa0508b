/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a program that forks fifty times a second has no end of children. Each did little, and
 * nobody reads of them one by one, but together they are what the program does. So those that are
 * no longer kept are folded into one process that stands for all of their program: it has the sums
 * of their figures and of their lines.
 *
 * The first one that is folded becomes that sum, with its command line and its view of files.
 * Stacks are not added up: a tree of a sum has its lines only, without callers.
 *
 * Invariant: the sums and model->unfolded are model->gathered, and the lines of a sum are what it
 * was charged. What has no room is in another sum or line, never nowhere. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of a sum, besides its texts and lines. */
#define SUM_BYTES   (sizeof(struct process) + sizeof(struct folding) + 256)
#define LINES_LEAST 32 /* of a sum, before sums are given up */

/* --- the other parts of a sum --- */

/* Names of files are not kept: of all there is one sum. */
static int take_files(struct process *sum, const struct model_process *more)
{
	size_t i;

	if (!more->cached_file_count)
		return 0;
	if (!sum->file_count) {
		sum->files = calloc(1, sizeof(*sum->files));
		sum->pub.cached_files = calloc(1, sizeof(void *));
		if (!sum->files || !sum->pub.cached_files)
			return -ENOMEM;
		sum->pub.cached_files[0] = &sum->files[0];
		sum->pub.cached_file_count = sum->file_count = 1;
	}
	for (i = 0; i < more->cached_file_count; i++)
		model_add_amounts(&sum->files[0].amounts, &more->cached_files[i]->amounts);
	return 0;
}

static int64_t growth_of(const struct model_process *process)
{
	int64_t end = process->rss_end_bytes;

	return (end < process->rss_peak_bytes ? process->rss_peak_bytes : end) -
	       process->rss_start_bytes;
}

/* What one had at first that began while it was watched is not what its end gave back. */
static void take_beginning(struct model_process *sum, const struct model_process *more)
{
	bool began = more->began;

	sum->folded_tables_bytes += began ? more->tables_start_bytes : 0;
	sum->tables_start_bytes += began ? 0 : more->tables_start_bytes;
	sum->anon_start_bytes += began ? 0 : more->anon_start_bytes;
	sum->shmem_start_bytes += began ? 0 : more->shmem_start_bytes;
	sum->anon_end_bytes += more->anon_end_bytes - (began ? more->anon_start_bytes : 0);
	sum->shmem_end_bytes += more->shmem_end_bytes - (began ? more->shmem_start_bytes : 0);
}

/* Makes the process a sum of itself alone, whose lines, trees and files are still to come. What it
 * had of those is put into `left`, which owns it. */
static void become_sum(struct process *process, struct process *left)
{
	struct model_process *sum = &process->pub;

	left->pub = *sum;
	sum->tables_start_bytes = sum->anon_start_bytes = sum->shmem_start_bytes = 0;
	sum->anon_end_bytes = sum->shmem_end_bytes = 0;
	sum->began = false;
	take_beginning(sum, &left->pub);
	left->files = process->files;
	left->file_count = process->file_count;
	left->hops = process->hops;
	sum->lines = NULL;
	sum->functions = NULL;
	sum->nodes = NULL;
	sum->node_events = NULL;
	sum->cached_files = NULL;
	sum->death = NULL;
	process->files = NULL;
	process->hops = NULL;
	sum->line_count = sum->function_count = sum->cached_file_count = 0;
	sum->node_count = sum->node_event_count = 0;
	process->file_count = process->file_room = process->hop_count = 0;
	sum->pid = sum->ppid = sum->ns_pid = 0;
	sum->folded = 1;
	sum->folded_in = 0;
	sum->folded_growth_bytes = growth_of(sum);
	sum->exited = true;
	/* Swap is what processes have that run. */
	sum->swap_end_bytes = 0;
}

static void free_left(struct process *left)
{
	model_lines_free(left->pub.lines, left->pub.line_count);
	free(left->pub.functions);
	free(left->pub.nodes);
	free(left->pub.node_events);
	model_death_free(left->pub.death);
	model_cached_files_free(left);
	free(left->hops);
}

/* --- sums --- */

static void gather(struct model_gathered *gathered, const struct model_process *process)
{
	int i;

	gathered->processes += process->folded ?: 1;
	gathered->change_bytes += process->rss_end_bytes - process->rss_start_bytes;
	gathered->charged_bytes += process->charged_bytes;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		gathered->lost_bytes[i] += process->lost_bytes[i];
}

static struct folding *folding_of(const struct book *book, uint64_t number)
{
	size_t i;

	for (i = 0; i < book->folding_count; i++)
		if (book->foldings[i].number == number)
			return &book->foldings[i];
	return NULL;
}

static uint64_t size_of_change(const struct folding *f)
{
	int64_t change = f->sum->pub.rss_end_bytes - f->sum->pub.rss_start_bytes;

	return change < 0 ? -(uint64_t)change : (uint64_t)change;
}

static int by_change(const void *left, const void *right)
{
	const struct folding *one = left, *other = right;
	uint64_t a = size_of_change(one), b = size_of_change(other);

	if (a != b)
		return a < b ? 1 : -1;
	return (one->number > other->number) - (one->number < other->number);
}

static void list_foldings(struct book *book)
{
	size_t i;

	if (book->folding_count)
		qsort(book->foldings, book->folding_count, sizeof(*book->foldings), by_change);
	for (i = 0; i < book->folding_count; i++)
		book->pub.folded[i] = &book->foldings[i].sum->pub;
	book->pub.folded_count = book->folding_count;
}

/* Gives up a quarter of the sums, those that changed least. */
static void give_up_smallest(struct book *book)
{
	size_t left = book->folding_count - (book->folding_count + 3) / 4;

	list_foldings(book);
	while (book->folding_count > left) {
		struct folding *f = &book->foldings[--book->folding_count];

		gather(&book->pub.unfolded, &f->sum->pub);
		book->folding_bytes -= f->bytes;
		model_process_free(&f->sum->pub);
		model_fold_drop_table(f);
	}
	book->pub.folded_count = left;
}

/* Keeps the sums within their memory: first fewer lines, then fewer sums. */
static int fit(struct book *book, size_t most)
{
	size_t i;
	int err = 0;

	while (book->folding_bytes > most && book->folding_count && !err) {
		if (model_fold_lines_most(book) / 2 < LINES_LEAST) {
			give_up_smallest(book);
			continue;
		}
		book->folding_lines = model_fold_lines_most(book) / 2;
		for (i = 0; i < book->folding_count && !err; i++) {
			err = model_fold_cut(book, &book->foldings[i], book->folding_lines);
		}
	}
	return err;
}

uint64_t model_fold_number(struct book *book, const struct model_process *process)
{
	size_t i;

	for (i = 0; i < book->folding_count; i++) {
		const struct folding *f = &book->foldings[i];

		if (f->sum->program_hash == process_of(process)->program_hash &&
		    f->sum->pub.memory_group == process->memory_group &&
		    model_program_same(&f->sum->pub, process))
			return f->number;
	}
	if (book->folding_count == MODEL_FOLDED_MOST)
		give_up_smallest(book);
	return ++book->folding_last;
}

/* A new folding, of the process alone. */
static int begin_folding(struct book *book, struct model_process *process, uint64_t number)
{
	struct folding new = {.sum = process_of(process),
			      .number = number,
			      .bytes = SUM_BYTES + model_text_bytes(process)};
	struct process left = {0};
	int err;

	if (!book->pub.folded)
		book->pub.folded = calloc(MODEL_FOLDED_MOST, sizeof(struct model_process *));
	if (!book->pub.folded ||
	    !ARRAY_HAS_ROOM(book->foldings, book->folding_count, book->folding_room)) {
		gather(&book->pub.unfolded, process);
		model_process_free(process);
		return -ENOMEM;
	}
	become_sum(new.sum, &left);
	book->folding_bytes += new.bytes;
	book->foldings[book->folding_count] = new;
	err = model_fold_lines(book, &book->foldings[book->folding_count++], &left.pub)
		      ?: model_fold_functions(book, &book->foldings[book->folding_count - 1], &left.pub)
		      ?: take_files(new.sum, &left.pub);
	free_left(&left);
	return err;
}

int model_fold(struct book *book, struct model_process *process, uint64_t number, size_t most)
{
	struct folding *f = folding_of(book, number);
	struct model_process *sum;
	int err;

	gather(&book->pub.gathered, process);
	if (!f)
		return begin_folding(book, process, number) ?: fit(book, most);
	sum = &f->sum->pub;
	model_sum_process(sum, process);
	/* Then it is the sum's. */
	if (sum->note == process->note)
		process->note = NULL;
	take_beginning(sum, process);
	sum->folded++;
	sum->folded_growth_bytes += growth_of(process);
	err = model_fold_lines(book, f, process) ?: model_fold_functions(book, f, process)
					   ?: take_files(f->sum, process);
	model_process_free(process);
	return err ?: fit(book, most);
}

void model_lose_gathered(struct model *model, uint64_t folded_in, enum pymem_loss loss,
			 int64_t bytes)
{
	struct folding *f = folding_of(book_of(model), folded_in);

	model->gathered.lost_bytes[loss] += bytes;
	if (f)
		f->sum->pub.lost_bytes[loss] += bytes;
	else
		model->unfolded.lost_bytes[loss] += bytes;
}

int model_fold_settle(struct book *book)
{
	size_t i;
	int err = 0;

	for (i = 0; i < book->folding_count && !err; i++) {
		/* Who reads the model may sort them. */
		model_fold_drop_table(&book->foldings[i]);
		if (book->pub.trees_kept && !book->foldings[i].sum->pub.nodes)
			err = model_fold_tree(&book->foldings[i].sum->pub);
	}
	list_foldings(book);
	return err;
}

void model_foldings_free(struct book *book)
{
	size_t i;

	for (i = 0; i < book->folding_count; i++) {
		model_process_free(&book->foldings[i].sum->pub);
		model_fold_drop_table(&book->foldings[i]);
	}
	free(book->foldings);
	free(book->pub.folded);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a change of RSS has many lines, and most are the same before and after a change of the
 * program. What differs is to be seen first.
 *
 * model_diff_match.c finds the programs that belong together, model_diff_lines.c their lines. Here
 * all is added up, and sorted by size of the difference. */
#include "model/model_diff_heap.h"
#include "model/model_diff_private.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct diff_book {
	struct model_diff pub;
	struct model_programs programs[MODEL_DIFF_SIDES]; /* what the diff points into */
};

int64_t model_diff_change(const struct model_diff_program_side *side)
{
	return side->rss_end_bytes - side->rss_start_bytes;
}

int64_t model_diff_lost(const struct model_diff_program_side *side)
{
	int64_t sum = 0;
	int i;

	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		sum += side->lost_bytes[i];
	return sum;
}

/* --- sums --- */

static void add_process(struct model_diff_program_side *side, const struct model_process *process)
{
	int64_t end = process->rss_end_bytes;

	if (process->exited && end < process->rss_peak_bytes)
		end = process->rss_peak_bytes;
	side->processes += process->folded ?: 1;
	side->exited += process->folded ?: process->exited;
	side->growth_bytes +=
		process->folded ? process->folded_growth_bytes : end - process->rss_start_bytes;
	if (side->rss_peak_bytes < process->rss_peak_bytes)
		side->rss_peak_bytes = process->rss_peak_bytes;
	side->rss_peak_at_least |= process->rss_peak_at_least;
}

static int add_unit(struct model_diff_program *program, const struct diff_unit *unit)
{
	struct model_diff_program_side *side = &program->side[unit->side];
	const struct model_process *sum = &unit->program->sum;
	int64_t change = sum->rss_end_bytes - sum->rss_start_bytes;
	int64_t largest =
		side->process ? side->process->rss_end_bytes - side->process->rss_start_bytes : 0;
	const struct model_process **all =
		realloc(side->all, (side->all_count + unit->program->count) * sizeof(*all));
	size_t i;

	if (!all)
		return -ENOMEM;
	side->all = all;
	if (!side->process || llabs(change) > llabs(largest))
		side->process = sum;
	for (i = 0; i < unit->program->count; i++) {
		all[side->all_count++] = unit->program->processes[i];
		add_process(side, unit->program->processes[i]);
	}
	side->rss_start_bytes += sum->rss_start_bytes;
	side->rss_end_bytes += sum->rss_end_bytes;
	side->charged_bytes += sum->charged_bytes;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		side->lost_bytes[i] += sum->lost_bytes[i];
	side->unaccounted_bytes += change - sum->charged_bytes - model_lost_bytes(sum);
	side->truncated_stacks += sum->truncated_stacks;
	side->lost_faults += sum->lost_faults;
	return 0;
}

static void sum_side(struct model_diff_side *side, const struct model *model)
{
	size_t i;

	side->model = model;
	side->seconds = model->end > model->start ? model->end - model->start : 0;
	side->change_bytes = model->gathered.change_bytes;
	side->growth_bytes = model->unfolded.change_bytes;
	for (i = 0; i < model->process_count; i++)
		side->change_bytes +=
			model->processes[i]->rss_end_bytes - model->processes[i]->rss_start_bytes;
}

/* --- making --- */

/* The programs of both sides in a new array. NULL: out of memory. */
static struct diff_unit *take_units(const struct diff_book *book, size_t *count)
{
	const struct model_programs *a = &book->programs[0], *b = &book->programs[1];
	struct diff_unit *units = calloc(a->count + b->count + 1, sizeof(*units));
	size_t i;

	*count = 0;
	for (i = 0; units && i < a->count; i++)
		units[(*count)++] = (struct diff_unit){.program = a->list[i], .side = MODEL_DIFF_A};
	for (i = 0; units && i < b->count; i++)
		units[(*count)++] = (struct diff_unit){.program = b->list[i], .side = MODEL_DIFF_B};
	return units;
}

static int fill_programs(struct model_diff *diff, const struct diff_unit *units, size_t count,
			 const enum model_diff_program_match *match,
			 const struct model_diff_texts *texts)
{
	struct diff_texts all = {.from = texts, .left = DIFF_TEXTS_MOST};
	size_t i;
	int err = 0;

	for (i = 0; i < count && !err; i++)
		err = add_unit(&diff->programs[units[i].pair], &units[i]);
	for (i = 0; i < diff->program_count && !err; i++)
		for (int side = 0; side < MODEL_DIFF_SIDES; side++)
			diff->side[side].growth_bytes += diff->programs[i].side[side].growth_bytes;
	for (i = 0; i < diff->program_count && !err; i++) {
		diff->programs[i].match = match[i];
		err = model_diff_match_lines(&diff->programs[i], units, count, i, diff, &all)
			      ?: model_diff_merge_stacks(&diff->programs[i], units, count, i, diff,
							 &all);
	}
	diff->hurried = all.hurried;
	return err;
}

static int make_programs(struct diff_book *book, const struct model_diff_texts *texts)
{
	enum model_diff_program_match *match = NULL;
	size_t count, i;
	struct diff_unit *units = take_units(book, &count);
	ssize_t pairs = units ? model_diff_pair(units, count, &match) : -ENOMEM;
	int err = pairs < 0 ? -ENOMEM : 0;

	if (!err) {
		book->pub.programs = calloc((size_t)pairs + 1, sizeof(*book->pub.programs));
		book->pub.program_count = book->pub.programs ? (size_t)pairs : 0;
		err = book->pub.programs ? fill_programs(&book->pub, units, count, match, texts)
					 : -ENOMEM;
	}
	for (i = 0; units && i < count; i++) {
		free(units[i].name);
		free(units[i].what);
		free(units[i].where);
	}
	free(units);
	free(match);
	return err;
}

struct model_diff *model_diff_new(const struct model *a, const struct model *b,
				  const struct model_diff_texts *texts)
{
	struct diff_book *book = calloc(1, sizeof(*book));

	if (!book)
		return NULL;
	sum_side(&book->pub.side[MODEL_DIFF_A], a);
	sum_side(&book->pub.side[MODEL_DIFF_B], b);
	if (model_programs_gather(a, MODEL_SORT_INCREMENT, &book->programs[MODEL_DIFF_A]) ||
	    model_programs_gather(b, MODEL_SORT_INCREMENT, &book->programs[MODEL_DIFF_B]) ||
	    make_programs(book, texts)) {
		model_diff_free(&book->pub);
		return NULL;
	}
	model_diff_sort(&book->pub, false);
	return &book->pub;
}

void model_diff_free(struct model_diff *diff)
{
	struct diff_book *book = (struct diff_book *)diff;
	size_t i;

	if (!diff)
		return;
	for (i = 0; i < diff->program_count; i++) {
		free(diff->programs[i].lines);
		free(diff->programs[i].frames);
		free(diff->programs[i].nodes);
		free(diff->programs[i].amounts);
		for (int side = 0; side < MODEL_DIFF_SIDES; side++)
			free(diff->programs[i].side[side].all);
		model_diff_heap_free(diff->programs[i].heap);
	}
	free(diff->programs);
	model_programs_free(&book->programs[MODEL_DIFF_A]);
	model_programs_free(&book->programs[MODEL_DIFF_B]);
	free(book);
}

int model_diff_redact(struct model_diff *diff, struct model *a, struct model *b,
		      struct source_cache *const sources[MODEL_DIFF_SIDES])
{
	struct diff_book *book = (struct diff_book *)diff;
	int err = model_redact(a, sources[MODEL_DIFF_A]) ?: model_redact(b, sources[MODEL_DIFF_B]);
	size_t i;

	/* Sums are copies, and their command lines have been replaced. */
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		for (i = 0; i < book->programs[side].count; i++) {
			struct model_program *program = book->programs[side].list[i];

			program->sum.cmdline = program->processes[0]->cmdline;
		}
	for (i = 0; i < diff->program_count; i++)
		for (int side = 0; side < MODEL_DIFF_SIDES; side++)
			diff->programs[i].folder[side] = NULL;
	diff->redacted = true;
	return err;
}

/* --- comparing --- */

static bool has_lengths(const struct model_diff *diff)
{
	return diff->side[MODEL_DIFF_A].seconds > 0 && diff->side[MODEL_DIFF_B].seconds > 0;
}

double model_diff_difference(const struct model_diff *diff, int64_t a, int64_t b)
{
	double one = diff->side[MODEL_DIFF_A].seconds, other = diff->side[MODEL_DIFF_B].seconds;

	if (!diff->by_rates)
		return (double)(b - a);
	return ((double)b / other - (double)a / one) * fmin(one, other);
}

bool model_diff_has_ended(const struct model_diff *diff)
{
	size_t i;
	int side;

	for (side = 0; side < MODEL_DIFF_SIDES; side++)
		for (i = 0; i < diff->program_count; i++)
			if (diff->programs[i].side[side].exited <
			    diff->programs[i].side[side].processes)
				return false;
	return diff->program_count > 0;
}

bool model_diff_prefers_rates(const struct model_diff *diff)
{
	double one = diff->side[MODEL_DIFF_A].seconds, other = diff->side[MODEL_DIFF_B].seconds;

	return has_lengths(diff) && fabs(one - other) > fmax(one, other) / 10 &&
	       !model_diff_has_ended(diff);
}

double model_diff_growth(const struct model_diff *diff, bool by_rates)
{
	int64_t sums[MODEL_DIFF_SIDES];
	const struct model_diff_program *program;
	size_t i;
	int side;

	for (side = 0; side < MODEL_DIFF_SIDES; side++)
		sums[side] = diff->side[side].model->unfolded.change_bytes;
	for (i = 0; i < diff->program_count; i++) {
		program = &diff->programs[i];
		if (!program->side[MODEL_DIFF_B].processes)
			continue;
		for (side = 0; side < MODEL_DIFF_SIDES; side++)
			sums[side] += program->side[side].growth_bytes;
	}
	if (!by_rates || !has_lengths(diff))
		return (double)(sums[MODEL_DIFF_B] - sums[MODEL_DIFF_A]);
	return (double)sums[MODEL_DIFF_B] - (double)sums[MODEL_DIFF_A] *
						    diff->side[MODEL_DIFF_B].seconds /
						    diff->side[MODEL_DIFF_A].seconds;
}

/* --- sorting --- */

static int by_size(double x, double y)
{
	return (fabs(x) < fabs(y)) - (fabs(x) > fabs(y));
}

static int64_t larger_size(int64_t a, int64_t b)
{
	return llabs(a) > llabs(b) ? llabs(a) : llabs(b);
}

static int compare_places(const struct model_diff_line *x, const struct model_diff_line *y)
{
	const struct model_location *a = x->at[MODEL_DIFF_B] ?: x->at[MODEL_DIFF_A];
	const struct model_location *b = y->at[MODEL_DIFF_B] ?: y->at[MODEL_DIFF_A];
	int order = strcmp(a->file, b->file);

	if (!order)
		order = (a->line > b->line) - (a->line < b->line);
	return order ?: strcmp(a->function, b->function);
}

static int compare_lines(const void *left, const void *right, void *arg)
{
	const struct model_diff_line *x = left, *y = right;
	const struct model_diff_figures *a = x->side, *b = y->side;
	int order = by_size(model_diff_difference(arg, a[0].increment_bytes, a[1].increment_bytes),
			    model_diff_difference(arg, b[0].increment_bytes, b[1].increment_bytes));
	int64_t most = larger_size(a[0].increment_bytes, a[1].increment_bytes);
	int64_t other = larger_size(b[0].increment_bytes, b[1].increment_bytes);

	if (!order)
		order = (most < other) - (most > other);
	if (!order)
		order = compare_places(x, y);
	/* The same place twice: a line whose text has changed. A's comes first. */
	return order ?: (x->at[MODEL_DIFF_A] == NULL) - (y->at[MODEL_DIFF_A] == NULL);
}

static int compare_programs(const void *left, const void *right, void *arg)
{
	const struct model_diff_program *x = left, *y = right;
	int64_t a[2] = {x->side[0].growth_bytes, x->side[1].growth_bytes};
	int64_t b[2] = {y->side[0].growth_bytes, y->side[1].growth_bytes};
	int order = by_size(model_diff_difference(arg, a[0], a[1]),
			    model_diff_difference(arg, b[0], b[1]));
	int64_t most = larger_size(a[0], a[1]), other = larger_size(b[0], b[1]);

	if (!order)
		order = (most < other) - (most > other);
	return order;
}

void model_diff_sort(struct model_diff *diff, bool by_rates)
{
	size_t i;

	diff->by_rates = by_rates && has_lengths(diff);
	for (i = 0; i < diff->program_count; i++)
		if (diff->programs[i].line_count)
			qsort_r(diff->programs[i].lines, diff->programs[i].line_count,
				sizeof(*diff->programs[i].lines), compare_lines, diff);
	if (diff->program_count)
		qsort_r(diff->programs, diff->program_count, sizeof(*diff->programs),
			compare_programs, diff);
}

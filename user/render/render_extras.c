/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is only counted if it is asked for, in words: huge pages, swap, what others took. */
#include "render/render_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static void sum_up(const struct model_process *process, uint64_t sums[PYMEM_EXTRA_COUNT])
{
	for (int i = 0; i < PYMEM_EXTRA_COUNT; i++)
		sums[i] = model_extra(process, (enum pymem_extra)i);
}

static void print_amount(FILE *out, uint64_t bytes)
{
	char amount[40];

	parts_amount(amount, sizeof(amount), (int64_t)bytes, false);
	fputs(amount, out);
}

/* --- huge pages --- */

/* What collapses added, by whom. */
static void print_collapses(FILE *out, const struct model_process *process,
			    const uint64_t sums[PYMEM_EXTRA_COUNT])
{
	uint64_t others = process->lost_extras[PYMEM_EXTRA_COLLAPSES],
		 all = sums[PYMEM_EXTRA_COLLAPSES];

	fprintf(out, "%" PRIu64 " put together of small pages", all);
	if (others == all)
		fputs(" by others (khugepaged)", out);
	else if (others)
		fprintf(out, " (%" PRIu64 " by others)", others);
	fputs(", which added ", out);
	print_amount(out, sums[PYMEM_EXTRA_COLLAPSE_FILLED]);
}

static void print_huge(FILE *out, const struct model *model, const struct model_process *process)
{
	uint64_t sums[PYMEM_EXTRA_COUNT], pages;

	sum_up(process, sums);
	pages = sums[PYMEM_EXTRA_HUGE_PAGES];
	if (pages) {
		fprintf(out, "%" PRIu64 " filled ", pages);
		print_amount(out, pages * model->huge_page_bytes);
		fputs(" at the first touch", out);
	}
	if (sums[PYMEM_EXTRA_COLLAPSES]) {
		fputs(pages ? ", " : "", out);
		print_collapses(out, process, sums);
	}
	fputs("; at most ", out);
	print_amount(out, model_huge_untouched(model, sums));
	fputs(" of it was never touched", out);
}

static bool has_huge(const uint64_t sums[PYMEM_EXTRA_COUNT])
{
	return sums[PYMEM_EXTRA_HUGE_PAGES] || sums[PYMEM_EXTRA_COLLAPSES];
}

/* --- whose pages are away --- */

static uint64_t swapped_now(const struct model *model, const struct model_process *process,
			    const struct model_line *line)
{
	(void)model, (void)process;
	return line->swapped_now_bytes;
}

static uint64_t taken_most(const struct model *model, const struct model_process *process,
			   const struct model_line *line)
{
	return model->extras & PYMEM_EXTRA_EXTERNAL ? model_taken_most(process, line) : 0;
}

typedef uint64_t away_fn(const struct model *model, const struct model_process *process,
			 const struct model_line *line);

/* The line that has most, and the sum of all. NULL: no line has any. */
static const struct model_line *away_most(const struct model *model,
					  const struct model_process *process, away_fn *away,
					  uint64_t *sum)
{
	const struct model_line *most = NULL;
	uint64_t largest = 0, bytes;

	*sum = 0;
	for (size_t i = 0; i < process->line_count; i++) {
		bytes = away(model, process, &process->lines[i]);
		*sum += bytes;
		if (bytes <= largest)
			continue;
		largest = bytes;
		most = &process->lines[i];
	}
	return most;
}

static void print_line(FILE *out, const struct model_line *line)
{
	text_print(out, line->location->file, strlen(line->location->file), false);
	fprintf(out, ":%d ", line->location->line);
	text_print(out, line->location->function, strlen(line->location->function), false);
}

/* Of which lines the pages are that are in swap now. */
static void print_swapped_now(FILE *out, const struct model *model,
			      const struct model_process *process)
{
	int64_t unknown = process->swapped_unknown_bytes;
	const struct model_line *most;
	uint64_t sum;

	most = away_most(model, process, swapped_now, &sum);
	if (!sum && unknown <= 0)
		return;
	fputs("; in swap now ", out);
	print_amount(out, unknown < -(int64_t)sum ? 0 : (uint64_t)((int64_t)sum + unknown));
	if (most) {
		fputs(", of it ", out);
		print_amount(out, most->swapped_now_bytes);
		fputs(" that ", out);
		print_line(out, most);
		fputs(" had touched first", out);
		if (sum > most->swapped_now_bytes) {
			fputs(", ", out);
			print_amount(out, sum - most->swapped_now_bytes);
			fputs(" other lines", out);
		}
	}
	if (unknown > 0) {
		fputs(", ", out);
		print_amount(out, (uint64_t)unknown);
		fputs(" by no known line", out);
	}
}

#define ONLY_TOUCHED "of which lines, only --touched tells, while the process runs"

/* --- swap --- */

/* What came back, and the wait for it. */
static void print_back(FILE *out, const struct model_process *process,
		       const uint64_t sums[PYMEM_EXTRA_COUNT])
{
	/* What others brought back may have been freed by them, as by the OOM killer's reaper. */
	uint64_t back = sums[PYMEM_EXTRA_SWAPPED_IN] - process->lost_extras[PYMEM_EXTRA_SWAPPED_IN];
	char time[40];

	fputs(", ", out);
	print_amount(out, back);
	fputs(" back in", out);
	if (back) {
		parts_time(time, sizeof(time), sums[PYMEM_EXTRA_SWAPIN_NS]);
		fprintf(out, ", for which threads waited %s", time);
	}
}

static void print_swap(FILE *out, const struct model *model, const struct model_process *process)
{
	uint64_t sums[PYMEM_EXTRA_COUNT], others = process->lost_extras[PYMEM_EXTRA_SWAPPED_OUT];

	sum_up(process, sums);
	print_amount(out, sums[PYMEM_EXTRA_SWAPPED_OUT]);
	fputs(" out", out);
	if (others) {
		fputs(" (", out);
		print_amount(out, others);
		fputs(process->away_known ? " by reclaim)" : " by reclaim: " ONLY_TOUCHED ")", out);
	}
	if (model->extras & PYMEM_EXTRA_WAITS)
		print_back(out, process, sums);
	if (process->away_known)
		print_swapped_now(out, model, process);
}

static bool has_swap(const uint64_t sums[PYMEM_EXTRA_COUNT])
{
	return sums[PYMEM_EXTRA_SWAPPED_OUT] || sums[PYMEM_EXTRA_SWAPPED_IN];
}

static uint64_t waited(const struct model *model, const uint64_t extras[PYMEM_EXTRA_COUNT])
{
	(void)model;
	return extras[PYMEM_EXTRA_SWAPIN_NS];
}

/* --- what others took --- */

/* Of which lines it was, as far as that is known. */
static void print_taken_lines(FILE *out, const struct model *model,
			      const struct model_process *process)
{
	const struct model_line *most;
	uint64_t sum;

	if (!process->away_known) {
		fputs("; " ONLY_TOUCHED, out);
		return;
	}
	most = away_most(model, process, taken_most, &sum);
	if (most) {
		fputs("; of files and shared memory, at most ", out);
		print_amount(out, model_taken_most(process, most));
		fputs(" that ", out);
		print_line(out, most);
		fputs(" had touched first", out);
		if (sum > model_taken_most(process, most)) {
			fputs(", ", out);
			print_amount(out, sum - model_taken_most(process, most));
			fputs(" other lines", out);
		}
		fputs(", is not back", out);
	} else {
		fputs("; none of it is known to be of a line and not back", out);
	}
	/* Else the sentence of swap has it. */
	if (!(model->extras & PYMEM_EXTRA_SWAP))
		print_swapped_now(out, model, process);
}

static void print_taken(FILE *out, const struct model *model, const struct model_process *process)
{
	uint64_t rest = model_extra(process, PYMEM_EXTRA_TAKEN);
	bool named = false;

	print_amount(out, rest);
	for (int i = 0; i < PYMEM_TAKERS; i++) {
		const struct model_taker *taker = &process->takers[i];

		if (!taker->bytes)
			continue;
		fputs(named ? ", " : ", by ", out);
		text_print(out, taker->comm, sizeof(taker->comm), false);
		fprintf(out, " (%d) ", taker->pid);
		print_amount(out, taker->bytes);
		rest -= taker->bytes < rest ? taker->bytes : rest;
		named = true;
	}
	if (rest && named) {
		fputs(", by others ", out);
		print_amount(out, rest);
	}
	print_taken_lines(out, model, process);
}

static bool has_taken(const uint64_t sums[PYMEM_EXTRA_COUNT])
{
	return sums[PYMEM_EXTRA_TAKEN] > 0;
}

static const struct parts_extra all[] = {
	{"Huge pages", "Huge     ", has_huge, print_huge, model_huge_untouched},
	{"Swapped", "Swapped  ", has_swap, print_swap, waited},
	{"Taken by others", "Taken    ", has_taken, print_taken, NULL},
	{},
};

const struct parts_extra *parts_next_extra(const struct parts_extra *extra,
					   const struct model_process *process)
{
	uint64_t sums[PYMEM_EXTRA_COUNT];

	sum_up(process, sums);
	for (extra = extra ? extra + 1 : all; extra->has; extra++)
		if (extra->has(sums))
			return extra;
	return NULL;
}

int parts_extras(FILE *out, const struct model *model, const struct model_process *process,
		 const struct render_options *options)
{
	const struct parts_extra *extra = NULL;
	char *text;
	size_t size;
	FILE *memory;

	while ((extra = parts_next_extra(extra, process))) {
		text = NULL;
		memory = open_memstream(&text, &size);
		if (!memory)
			return -ENOMEM;
		extra->write(memory, model, process);
		if (fclose(memory)) {
			free(text);
			return -ENOMEM;
		}
		fputs(extra->label, out);
		text_wrap(out, text, 9, options->width, 9);
		fputc('\n', out);
		free(text);
	}
	return 0;
}

const struct model_line *parts_extra_most(const struct parts_extra *extra,
					  const struct model *model,
					  const struct model_process *process, double *share)
{
	const struct model_line *most = NULL;
	uint64_t largest = 0, amount, sums[PYMEM_EXTRA_COUNT];

	for (size_t i = 0; i < process->line_count && extra->ranks; i++) {
		amount = extra->ranks(model, process->lines[i].extras);
		if (amount <= largest)
			continue;
		largest = amount;
		most = &process->lines[i];
	}
	sum_up(process, sums);
	if (most)
		*share = (double)largest / (double)extra->ranks(model, sums);
	return most;
}

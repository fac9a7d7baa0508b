/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is only counted if it is asked for, in words: huge pages, swap, what others took. */
#include "render/render_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

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

static bool has_huge(const struct model_process *process, const uint64_t sums[PYMEM_EXTRA_COUNT])
{
	(void)process;
	return sums[PYMEM_EXTRA_HUGE_PAGES] || sums[PYMEM_EXTRA_COLLAPSES];
}

/* Why it is not known of which lines it was that something is away. */
static const char *lines_unknown(const struct model_process *process)
{
	return process->resident_known
		       ? "of which lines is not known: what is not resident could not be read"
		       : "of which lines, only --touched tells, while the process runs";
}

static uint64_t untouched(const struct model *model, const struct model_process *process,
			  const struct model_line *line)
{
	uint64_t sums[PYMEM_EXTRA_COUNT];

	if (line)
		return model_huge_untouched(model, line->extras);
	sum_up(process, sums);
	return model_huge_untouched(model, sums);
}

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
		fprintf(out, " by reclaim%s%s)", process->away_known ? "" : ": ",
			process->away_known ? "" : lines_unknown(process));
	}
	if (model->extras & PYMEM_EXTRA_WAITS)
		print_back(out, process, sums);
}

static bool has_swap(const struct model_process *process, const uint64_t sums[PYMEM_EXTRA_COUNT])
{
	(void)process;
	return sums[PYMEM_EXTRA_SWAPPED_OUT] || sums[PYMEM_EXTRA_SWAPPED_IN];
}

static uint64_t waited(const struct model *model, const struct model_process *process,
		       const struct model_line *line)
{
	(void)model;
	return line ? line->extras[PYMEM_EXTRA_SWAPIN_NS]
		    : model_extra(process, PYMEM_EXTRA_SWAPIN_NS);
}

/* --- what is in swap --- */

static uint64_t in_swap(const struct model *model, const struct model_process *process,
			const struct model_line *line)
{
	uint64_t sum = 0;

	(void)model;
	if (line)
		return line->swapped_now_bytes;
	for (size_t i = 0; i < process->line_count; i++)
		sum += process->lines[i].swapped_now_bytes;
	/* It is less if the process went on meanwhile. */
	return sum +
	       (process->swapped_unknown_bytes > 0 ? (uint64_t)process->swapped_unknown_bytes : 0);
}

static void print_in_swap(FILE *out, const struct model *model, const struct model_process *process)
{
	uint64_t unknown = process->swapped_unknown_bytes > 0
				   ? (uint64_t)process->swapped_unknown_bytes
				   : 0,
		 all = in_swap(model, process, NULL);

	print_amount(out, all);
	fputs(", ", out);
	print_amount(out, all - unknown);
	fputs(" of it touched first by lines", out);
	if (unknown) {
		fputs(", ", out);
		print_amount(out, unknown);
		fputs(" by no known one", out);
	}
}

static bool has_in_swap(const struct model_process *process, const uint64_t sums[PYMEM_EXTRA_COUNT])
{
	(void)sums;
	return process->away_known && in_swap(NULL, process, NULL);
}

/* --- what others took --- */

/* What of it lines, or one, had touched first and is not back, at most. */
static uint64_t not_back(const struct model *model, const struct model_process *process,
			 const struct model_line *line)
{
	uint64_t taken = model_extra(process, PYMEM_EXTRA_TAKEN), sum = 0;

	(void)model;
	if (line)
		return model_taken_most(process, line);
	for (size_t i = 0; i < process->line_count; i++)
		sum += process->lines[i].gone_bytes;
	return sum < taken ? sum : taken;
}

/* Of which lines it was, as far as that is known. */
static void print_taken_lines(FILE *out, const struct model *model,
			      const struct model_process *process)
{
	uint64_t most = not_back(model, process, NULL);

	if (!process->away_known) {
		fprintf(out, "; %s", lines_unknown(process));
		return;
	}
	fputs("; of files and shared memory, ", out);
	if (!most) {
		fputs("nothing that a known line had touched first is away", out);
		return;
	}
	fputs("at most ", out);
	print_amount(out, most);
	fputs(" that lines had touched first is not back", out);
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

static bool has_taken(const struct model_process *process, const uint64_t sums[PYMEM_EXTRA_COUNT])
{
	(void)process;
	return sums[PYMEM_EXTRA_TAKEN] > 0;
}

static const struct parts_extra all[] = {
	{"Huge pages", "Huge     ", has_huge, print_huge, untouched, false, false},
	{"Swapped", "Swapped  ", has_swap, print_swap, waited, false, false},
	{"In swap now", "In swap  ", has_in_swap, print_in_swap, in_swap, true, false},
	{"Taken by others", "Taken    ", has_taken, print_taken, not_back, true, true},
	{},
};

const struct parts_extra *parts_next_extra(const struct parts_extra *extra,
					   const struct model_process *process)
{
	uint64_t sums[PYMEM_EXTRA_COUNT];

	sum_up(process, sums);
	for (extra = extra ? extra + 1 : all; extra->has; extra++)
		if (extra->has(process, sums))
			return extra;
	return NULL;
}

int parts_extras(FILE *out, const struct model *model, const struct model_process *process,
		 const struct render_options *options)
{
	const struct parts_extra *extra = NULL;
	const struct model_line *most;
	char *text;
	size_t size;
	FILE *memory;

	while ((extra = parts_next_extra(extra, process))) {
		text = NULL;
		memory = open_memstream(&text, &size);
		if (!memory)
			return -ENOMEM;
		extra->write(memory, model, process);
		most = extra->names_line ? parts_extra_most(memory, extra, model, process) : NULL;
		if (most)
			parts_place(memory, most->location, 200);
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

const struct model_line *parts_extra_most(FILE *out, const struct parts_extra *extra,
					  const struct model *model,
					  const struct model_process *process)
{
	const struct model_line *most = NULL;
	uint64_t largest = 0, amount;

	for (size_t i = 0; i < process->line_count && extra->ranks; i++) {
		amount = extra->ranks(model, process, &process->lines[i]);
		if (amount <= largest)
			continue;
		largest = amount;
		most = &process->lines[i];
	}
	if (!most)
		return NULL;
	if (extra->at_most) {
		fputs("; at most ", out);
		print_amount(out, largest);
	} else {
		fprintf(out, "; %.0f" NBSP "%%",
			100 * (double)largest / (double)extra->ranks(model, process, NULL));
	}
	fputs(" of it by ", out);
	return most;
}

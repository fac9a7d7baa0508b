/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A diff for people: the answer in a sentence or two, what the two are, and for each program the
 * lines, sorted by size of the difference.
 *
 * Invariant: the rows of a program add up, in each column, to the change that is printed above
 * them. Lines without a row are in a last one; what is unattributed has a row for each cause. */
#include "render/diff_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "model/program.h"
#include "render/diff_heap.h"
#include "render/diff_rows.h"

#define MIB	    (1024.0 * 1024)
#define FOLDER_MOST 256 /* bytes of a folder's path */

static void print_wrapped(FILE *out, const struct render_options *options, const char *text,
			  unsigned indent)
{
	text_wrap(out, text, 0, options->width, indent);
	fputc('\n', out);
}

/* --- the head --- */

static void write_when(char *text, size_t size, double seconds)
{
	time_t at = (time_t)seconds;
	struct tm parts;

	if (!(seconds > -1e11 && seconds < 1e11) || !gmtime_r(&at, &parts) ||
	    !strftime(text, size, "%Y-%m-%d" NBSP "%H:%M:%S" NBSP "UTC", &parts))
		snprintf(text, size, "an unknown time");
}

/* "B  after.pymem@5m,: 300 s from 2026-01-01 00:00:00 UTC on build-7 (Linux 6.12.9)" */
void diff_write_input(FILE *out, const struct diff_report *report,
		      const struct render_options *options, int side)
{
	const struct model *model = report->diff->side[side].model;
	char when[48], text[256];
	unsigned used = 3;

	write_when(when, sizeof(when), model->start);
	fprintf(out, "%c  ", diff_letter[side]);
	used += text_print(out, report->side[side].name,
			   options->width > 8 ? options->width - 4 : PARTS_TEXT_MAX, true);
	fputc(':', out);
	snprintf(text, sizeof(text), "%.1f" NBSP "s from %s on %.64s (Linux" NBSP "%.64s)",
		 report->diff->side[side].seconds, when, model->host ? model->host : "?",
		 model->kernel ? model->kernel : "?");
	text_wrap(out, text, used + 1, options->width, 3);
	fputc('\n', out);
}

static int print_answer(FILE *out, const struct diff_report *report,
			const struct render_options *options)
{
	char *answer = diff_answer(report);

	if (!answer)
		return -ENOMEM;
	parts_style(out, options, STYLE_HEAD);
	text_wrap(out, answer, 0, options->width, 2);
	parts_style(out, options, STYLE_OFF);
	fputs("\n\n", out);
	free(answer);
	diff_write_input(out, report, options, MODEL_DIFF_A);
	diff_write_input(out, report, options, MODEL_DIFF_B);
	if (report->diff->by_rates)
		print_wrapped(out, options,
			      "Their lengths differ, so differences and changes of lines are per "
			      "unit of time (--compare amounts: as they are).",
			      0);
	return 0;
}

/* --- a program --- */

/* Writes how high RSS was in between, if that is of interest. The sum of several processes' peaks
 * was never there at one time. */
static void write_highest(char *text, size_t size, const struct model_diff_program_side *side)
{
	bool one = side->processes == 1;
	char amount[40];

	if (one ? side->rss_peak_bytes <= side->rss_end_bytes
		: side->growth_bytes == model_diff_change(side))
		return;
	parts_amount(amount, sizeof(amount), one ? side->rss_peak_bytes : side->growth_bytes, !one);
	if (one)
		snprintf(text, size, ", peak" NBSP "%s%s",
			 side->rss_peak_at_least ? "at least" NBSP : "", amount);
	else
		snprintf(text, size, ", %s with the ended ones at their highest", amount);
}

/* "A  PID 8536, Python 3.11.2, RSS 20.1 → 95.0 MiB, +74.9 MiB (+1.2 MiB/s)" */
void diff_write_side(FILE *out, const struct model_diff *diff,
		     const struct model_diff_program *program, const struct render_options *options,
		     int index)
{
	const struct model_diff_program_side *side = &program->side[index];
	char text[400], end[40], change[40], peak[96] = "", rate[64] = "", who[64],
					     number[TEXT_PID];

	if (!side->processes) {
		snprintf(text, sizeof(text), "%c  not there", diff_letter[index]);
		print_wrapped(out, options, text, 3);
		return;
	}
	text_pid(number, sizeof(number), side->process->pid, side->process->ns_pid, NBSP);
	if (side->processes == 1 && !side->process->folded)
		snprintf(who, sizeof(who), "PID" NBSP "%s", number);
	else
		snprintf(who, sizeof(who), "%zu process%s", side->processes,
			 side->processes == 1 ? "" : "es");
	parts_amount(end, sizeof(end), side->rss_end_bytes, false);
	parts_amount(change, sizeof(change), model_diff_change(side), true);
	if (diff->by_rates) {
		parts_amount(rate, sizeof(rate), diff_scaled(diff, index, model_diff_change(side)),
			     true);
		snprintf(rate + strlen(rate), sizeof(rate) - strlen(rate), "/%s",
			 diff_unit_name(diff));
	}
	write_highest(peak, sizeof(peak), side);
	snprintf(text, sizeof(text),
		 "%c  %s%s, Python %.40s, RSS" NBSP "%.1f" NBSP "→" NBSP "%s, %s%s%s%s%s",
		 diff_letter[index], who,
		 !side->exited			   ? ""
		 : side->exited == side->processes ? ", ended"
						   : ", some ended",
		 *side->process->python ? side->process->python : "not identified",
		 (double)side->rss_start_bytes / MIB, end, change, *rate ? " (" : "", rate,
		 *rate ? ")" : "", peak);
	print_wrapped(out, options, text, 3);
}

static void print_folders(FILE *out, const struct model_diff_program *program,
			  const struct render_options *options)
{
	char text[2 * FOLDER_MOST + 64];

	if (!program->folder[0])
		return;
	snprintf(text, sizeof(text), "files of A in %.*s/ are taken for those of B in %.*s/",
		 (int)(program->folder_length[0] < FOLDER_MOST ? program->folder_length[0]
							       : FOLDER_MOST),
		 program->folder[0],
		 (int)(program->folder_length[1] < FOLDER_MOST ? program->folder_length[1]
							       : FOLDER_MOST),
		 program->folder[1]);
	print_wrapped(out, options, text, 2);
}

void diff_write_remarks(FILE *out, const struct model_diff_program *program,
			const struct render_options *options)
{
	char text[256];

	if (program->match == MODEL_DIFF_PROGRAM_NAME)
		print_wrapped(out, options,
			      "Their arguments or their code differ: they are compared because "
			      "they are the only ones of this name.",
			      2);
	print_folders(out, program, options);
	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		const struct model_diff_program_side *s = &program->side[side];

		if (s->truncated_stacks) {
			snprintf(text, sizeof(text),
				 "%c: of %llu distinct stacks the outermost callers are missing",
				 diff_letter[side], (unsigned long long)s->truncated_stacks);
			print_wrapped(out, options, text, 2);
		}
		if (s->lost_faults) {
			snprintf(text, sizeof(text),
				 "%c: %llu page faults are in no line's figures", diff_letter[side],
				 (unsigned long long)s->lost_faults);
			print_wrapped(out, options, text, 2);
		}
		if (s->process && s->process->note) {
			fprintf(out, "%c: ", diff_letter[side]);
			text_wrap(out, s->process->note, 3, options->width, 3);
			fputc('\n', out);
		}
	}
}

static int print_program(FILE *out, const struct diff_report *report,
			 const struct model_diff_program *program,
			 const struct render_options *options)
{
	char name[256];

	diff_program_name(program, name, sizeof(name));
	fputc('\n', out);
	parts_style(out, options, STYLE_HEAD);
	text_print(out, name, options->width ? options->width : PARTS_TEXT_MAX / 4, false);
	parts_style(out, options, STYLE_OFF);
	fputc('\n', out);
	diff_write_side(out, report->diff, program, options, MODEL_DIFF_A);
	diff_write_side(out, report->diff, program, options, MODEL_DIFF_B);
	diff_write_remarks(out, program, options);
	return diff_rows_print(out, report, program, options)
		       ?: diff_heap_print(out, report, program, options);
}

static bool is_idle(const struct model_diff_program *program)
{
	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		const struct model_diff_program_side *s = &program->side[side];

		if (model_diff_change(s) || (s->process && s->process->note))
			return false;
		for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
			if (s->lost_bytes[i])
				return false;
	}
	return !program->line_count;
}

/* "api.py  A +12.0 MiB, B +12.1 MiB; unattributed: A +36 KiB, B 0.0 MiB" */
static void print_still(FILE *out, const struct model_diff_program *program,
			const struct render_options *options)
{
	const struct model_diff_program_side *a = &program->side[0], *b = &program->side[1];
	char name[96], one[40], other[40], text[512];
	size_t used;

	diff_program_name(program, name, sizeof(name));
	parts_amount(one, sizeof(one), model_diff_change(a), true);
	parts_amount(other, sizeof(other), model_diff_change(b), true);
	used = (size_t)snprintf(text, sizeof(text), "%s: A" NBSP "%s, B" NBSP "%s", name,
				a->processes ? one : "not there",
				b->processes ? other : "not there");
	if (model_diff_lost(a) || model_diff_lost(b)) {
		parts_amount(one, sizeof(one), model_diff_lost(a), true);
		parts_amount(other, sizeof(other), model_diff_lost(b), true);
		snprintf(text + used, sizeof(text) - used,
			 "; unattributed: A" NBSP "%s, B" NBSP "%s", one, other);
	}
	print_wrapped(out, options, text, 2);
	diff_write_remarks(out, program, options);
}

/* Prints a line for each program that does not differ; those that did not change at all are
 * counted. */
static void print_still_ones(FILE *out, const struct model_diff *diff,
			     const struct render_options *options)
{
	size_t idle = 0, printed = 0;
	char text[96];

	for (size_t i = 0; i < diff->program_count; i++) {
		const struct model_diff_program *program = &diff->programs[i];

		if (!diff_is_still(diff, program))
			continue;
		if (is_idle(program)) {
			idle++;
			continue;
		}
		if (!printed++)
			fputs("\nNo difference in earnest\n", out);
		print_still(out, program, options);
	}
	if (!idle)
		return;
	snprintf(text, sizeof(text), "%s%zu program%s did not change in either",
		 printed ? "" : "\n", idle, idle == 1 ? "" : "s");
	if (!printed)
		fputc('\n', out);
	print_wrapped(out, options, text + !printed, 2);
}

/* --- the end --- */

static void print_gathered(FILE *out, const struct model *model,
			   const struct render_options *options, int side)
{
	const struct model_gathered *gathered = &model->unfolded;
	char change[40], charged[40], lost[40], text[256];
	int64_t lost_bytes = 0;

	if (!gathered->processes)
		return;
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		lost_bytes += gathered->lost_bytes[i];
	parts_amount(change, sizeof(change), gathered->change_bytes, true);
	parts_amount(charged, sizeof(charged), gathered->charged_bytes, true);
	parts_amount(lost, sizeof(lost), lost_bytes, true);
	snprintf(text, sizeof(text),
		 "%c: %llu more process%s, ended and kept as a sum: change" NBSP
		 "%s = attributed" NBSP "%s + unattributed" NBSP "%s",
		 diff_letter[side], (unsigned long long)gathered->processes,
		 gathered->processes == 1 ? "" : "es", change, charged, lost);
	print_wrapped(out, options, text, 2);
}

static void print_skips(FILE *out, const struct model *model, const struct render_options *options,
			int side)
{
	for (size_t i = 0; i < model->skip_count; i++) {
		const struct model_skip *skip = &model->skips[i];
		unsigned used = (unsigned)fprintf(out, "Skipped in %c: pid %d", diff_letter[side],
						  skip->pid);

		if (*skip->comm) {
			fputs(" (", out);
			used += 3 + text_print(out, skip->comm, 16, false);
			fputc(')', out);
		}
		fputc(':', out);
		text_wrap(out, skip->reason, used + 1, options->width, 2);
		fputc('\n', out);
	}
}

static bool has_note(const struct model *model, const char *note)
{
	for (size_t i = 0; i < model->note_count; i++)
		if (!strcmp(model->notes[i], note))
			return true;
	return false;
}

static void print_note(FILE *out, const struct render_options *options, const char *of,
		       const char *note)
{
	unsigned used = (unsigned)fprintf(out, "Note%s%s:", *of ? " on " : "", of);

	text_wrap(out, note, used, options->width, 2);
	fputc('\n', out);
}

/* A note that both have is printed once. */
static void print_notes(FILE *out, const struct diff_report *report,
			const struct render_options *options)
{
	const struct model *a = report->diff->side[MODEL_DIFF_A].model;
	const struct model *b = report->diff->side[MODEL_DIFF_B].model;
	size_t i;

	for (i = 0; i < a->note_count; i++)
		print_note(out, options, has_note(b, a->notes[i]) ? "A and B" : "A", a->notes[i]);
	for (i = 0; i < b->note_count; i++)
		if (!has_note(a, b->notes[i]))
			print_note(out, options, "B", b->notes[i]);
	for (i = 0; i < MODEL_DIFF_SIDES; i++)
		if (report->side[i].incomplete)
			print_note(out, options, i == MODEL_DIFF_A ? "A" : "B",
				   "its recorder has not ended it (it still runs, or was killed): "
				   "the last second may be missing");
}

/* Says why what heaps keep is not compared, or only in part. */
static void print_looks(FILE *out, const struct diff_report *report,
			const struct render_options *options)
{
	const struct diff_report_side *side = report->side;
	char text[192];

	for (int i = 0; i < MODEL_DIFF_SIDES; i++) {
		const char *of = i == MODEL_DIFF_A ? "A" : "B";

		if (side[i].unreadable_looks) {
			snprintf(text, sizeof(text), "of %zu process%s the last look can't be read",
				 side[i].unreadable_looks,
				 side[i].unreadable_looks == 1 ? "" : "es");
			print_note(out, options, of, text);
		}
		if (!side[i].looks && side[!i].looks) {
			snprintf(text, sizeof(text),
				 "it has no look at a heap, so what heaps keep is not compared "
				 "with %c (pymem-bpf record --heap-every" NBSP "SEC takes looks)",
				 diff_letter[!i]);
			print_note(out, options, of, text);
		}
	}
}

/* Says how many of the lines that differ are matched by less than their text. */
static void print_matches(FILE *out, const struct model_diff *diff,
			  const struct render_options *options)
{
	size_t numbers = 0, i, j;
	char text[192];

	for (i = 0; i < diff->program_count; i++) {
		const struct model_diff_program *p = &diff->programs[i];
		double least = diff_program_least(diff, p);

		for (j = 0; j < p->line_count; j++)
			numbers += p->lines[j].match == MODEL_DIFF_NUMBER &&
				   diff_is_notable(diff, &p->lines[j], least);
	}
	if (!numbers)
		return;
	snprintf(text, sizeof(text),
		 "%zu line%s matched by file, function and number, for want of the text in one of "
		 "the two: if the file was changed, the line may be another one",
		 numbers, numbers == 1 ? " is" : "s are");
	print_note(out, options, "", text);
}

static void print_hurried(FILE *out, const struct model_diff *diff,
			  const struct render_options *options)
{
	char text[192];

	if (!diff->hurried)
		return;
	snprintf(text, sizeof(text),
		 "of %zu line%s the text was not compared: the functions that they are in are too "
		 "long, or too many",
		 diff->hurried, diff->hurried == 1 ? "" : "s");
	print_note(out, options, "", text);
}

void diff_write_end(FILE *out, const struct diff_report *report,
		    const struct render_options *options)
{
	const struct model_diff *diff = report->diff;

	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		print_gathered(out, diff->side[side].model, options, side);
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		print_skips(out, diff->side[side].model, options, side);
	print_notes(out, report, options);
	print_looks(out, report, options);
	print_matches(out, diff, options);
	print_hurried(out, diff, options);
}

/* Prints what stands below all programs, after an empty line, if there is anything. 0 or
 * -ENOMEM. */
static int print_end(FILE *out, const struct diff_report *report,
		     const struct render_options *options)
{
	char *text = NULL;
	size_t size;
	FILE *end = open_memstream(&text, &size);

	if (!end)
		return -ENOMEM;
	diff_write_end(end, report, options);
	if (fclose(end)) {
		free(text);
		return -ENOMEM;
	}
	if (*text)
		fprintf(out, "\n%s", text);
	free(text);
	return 0;
}

static int table_emit(FILE *out, const struct diff_report *report,
		      const struct render_options *options)
{
	const struct model_diff *diff = report->diff;
	int err = print_answer(out, report, options);

	for (size_t i = 0; i < diff->program_count && !err && !ferror(out); i++)
		if (!diff_is_still(diff, &diff->programs[i]))
			err = print_program(out, report, &diff->programs[i], options);
	if (!err) {
		print_still_ones(out, diff, options);
		err = print_end(out, report, options);
	}
	return err ? err : parts_flush(out);
}

const struct diff_renderer diff_table = {
	.name = "table",
	.for_people = true,
	.emit = table_emit,
};

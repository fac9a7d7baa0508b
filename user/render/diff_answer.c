/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The answer of a diff: how much each of the two grew, of which lines the difference is, and what
 * keeps more. */
#include "render/diff_heap.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_MOST 60 /* columns of a place */
#define NAME_MOST  48 /* bytes of a program's name */
#define CAUSES	   3  /* that are named */

struct cause {					  /* of a difference */
	const struct model_diff_program *program; /* NULL: processes that are only a sum */
	const struct model_diff_line *line;	  /* NULL: what is unattributed of the program */
	int64_t a, b;
	double difference;
};

static void keep_cause(const struct model_diff *diff, struct cause *top, size_t *count,
		       struct cause cause)
{
	size_t at = *count;

	cause.difference = model_diff_difference(diff, cause.a, cause.b);
	while (at && fabs(top[at - 1].difference) < fabs(cause.difference))
		at--;
	if (at == CAUSES)
		return;
	if (*count < CAUSES)
		++*count;
	memmove(&top[at + 1], &top[at], (*count - at - 1) * sizeof(*top));
	top[at] = cause;
}

/* Fills `top` with the largest causes. Returns their number. */
static size_t take_causes(const struct model_diff *diff, struct cause top[CAUSES])
{
	size_t count = 0, i, j;

	keep_cause(diff, top, &count,
		   (struct cause){NULL, NULL, diff->side[0].model->unfolded.change_bytes,
				  diff->side[1].model->unfolded.change_bytes, 0});
	for (i = 0; i < diff->program_count; i++) {
		const struct model_diff_program *p = &diff->programs[i];

		/* The lines are sorted. */
		for (j = 0; j < p->line_count && j < CAUSES; j++)
			keep_cause(diff, top, &count,
				   (struct cause){p, &p->lines[j],
						  p->lines[j].side[0].increment_bytes,
						  p->lines[j].side[1].increment_bytes, 0});
		/* What Python frees before it ends is no cause of what was grown. */
		if (!p->side[0].exited && !p->side[1].exited)
			keep_cause(diff, top, &count,
				   (struct cause){p, NULL, model_diff_lost(&p->side[0]),
						  model_diff_lost(&p->side[1]), 0});
	}
	return count;
}

/* Writes an amount with its unit: "4.1 MiB/s". */
static void write_amount(FILE *out, const struct model_diff *diff, int64_t scaled)
{
	const char *unit = diff_unit_name(diff);
	char amount[40];

	parts_amount(amount, sizeof(amount), scaled < 0 ? -scaled : scaled, false);
	fprintf(out, "%s%s%s", amount, *unit ? "/" : "", unit);
}

/* "B grew by 4.1 MiB/s" */
static void write_change(FILE *out, const struct model_diff *diff, int side, const char *verb)
{
	int64_t scaled = diff_scaled(diff, side, diff->side[side].growth_bytes);

	fputc(diff_letter[side], out);
	if (!scaled) {
		fputs(" did not grow", out);
		return;
	}
	if (scaled < 0)
		verb = " shrank by ";
	fputs(verb, out);
	write_amount(out, diff, scaled);
}

/* True if processes of either side have ended. */
static bool has_ended(const struct model_diff *diff)
{
	for (size_t i = 0; i < diff->program_count; i++)
		if (diff->programs[i].side[0].exited || diff->programs[i].side[1].exited)
			return true;
	return false;
}

static void write_changes(FILE *out, const struct model_diff *diff)
{
	write_change(out, diff, MODEL_DIFF_B, " grew by ");
	fputs(", ", out);
	/* "B grew by 4.1 MiB, A by 1.2 MiB" */
	write_change(out, diff, MODEL_DIFF_A,
		     diff_scaled(diff, MODEL_DIFF_B, diff->side[MODEL_DIFF_B].growth_bytes) > 0
			     ? " by "
			     : " grew by ");
	if (model_diff_has_ended(diff))
		fputs(", at their highest", out);
	else if (has_ended(diff))
		fputs(" (what has ended: at its highest)", out);
}

static void write_cause(FILE *out, const struct model_diff *diff, const struct cause *cause,
			bool first)
{
	char name[NAME_MOST];
	const struct model_diff_program *p = cause->program;
	/* Of a program that is in one side only, that goes without saying. */
	int only = cause->line && cause->line->match == MODEL_DIFF_ONLY && p->side[0].processes &&
				   p->side[1].processes
			   ? cause->line->at[MODEL_DIFF_B] ? MODEL_DIFF_B : MODEL_DIFF_A
			   : -1;

	write_amount(out, diff, diff_scaled_difference(diff, cause->a, cause->b));
	fprintf(out, " %s", cause->difference > 0 ? "more" : "less");
	fputs(first ? " are " : " ", out);
	if (!cause->program) {
		fputs("of ended processes that are kept as a sum", out);
		return;
	}
	if (!cause->line) {
		fputs("unattributed", out);
	} else {
		fputs("of ", out);
		diff_place(out, diff_shown(cause->line), diff_folder(cause->program), PLACE_MOST);
	}
	if (diff->program_count > 1) {
		diff_program_name(cause->program, name, sizeof(name));
		fprintf(out, " (%s)", name);
	}
	if (only >= 0)
		fprintf(out, ", of which %c has nothing", diff_letter[!only]);
}

static void write_answer(FILE *out, const struct model_diff *diff)
{
	int64_t a = diff->side[MODEL_DIFF_A].growth_bytes,
		b = diff->side[MODEL_DIFF_B].growth_bytes;
	double least = diff_least(diff, a, b);
	struct cause top[CAUSES];
	size_t count = take_causes(diff, top), i;
	char amount[40];

	while (count && (fabs(top[count - 1].difference) < least ||
			 fabs(top[count - 1].difference) < fabs(top[0].difference) / 10))
		count--;
	if (!count && fabs(model_diff_difference(diff, a, b)) < least) {
		fputs(diff_heap_grew(diff) ? "RSS does not differ in earnest: "
					   : "Nothing differs in earnest: ",
		      out);
		write_changes(out, diff);
		parts_amount(amount, sizeof(amount), (int64_t)least, false);
		fprintf(out, "; no line differs by %s%s.", amount,
			diff->by_rates ? " in the time of the shorter one" : "");
		return;
	}
	write_changes(out, diff);
	for (i = 0; i < count; i++) {
		fputs(i ? "; " : ": ", out);
		write_cause(out, diff, &top[i], !i);
	}
	if (!count)
		fputs("; no line alone differs by much", out);
	fputc('.', out);
}

/* Says whether B is above the limit of --fail-above. */
static void write_limit(FILE *out, const struct diff_report *report)
{
	double growth = model_diff_growth(report->diff, report->limit_by_rates);
	char amount[40], limit[40];

	if (!report->limit_bytes)
		return;
	parts_amount(amount, sizeof(amount), llround(fabs(growth)), false);
	parts_amount(limit, sizeof(limit), (int64_t)report->limit_bytes, false);
	fprintf(out, " B grew by %s %s than A%s, which is %s the limit of %s.", amount,
		growth < 0 ? "less" : "more",
		report->limit_by_rates ? " would have in its time" : "",
		diff_is_exceeded(report) ? "above" : "within", limit);
}

char *diff_answer(const struct diff_report *report)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	write_answer(out, report->diff);
	diff_heap_answer(out, report->diff);
	write_limit(out, report);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

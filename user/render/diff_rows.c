/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rows of a program: the difference, both amounts, the place and its text. Below it, in a quiet
 * line, what else differs: how much was grown, freed and copied, and where the line is in A.
 *
 * A line has a row if it differs by more than noise; -n 0 asks for all. */
#include "render/diff_rows.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define CELLS	     3
#define PLACE_LEAST  20 /* columns; if there are fewer, the place has a line of its own */
#define PLACE_MOST   60
#define PLACE_BESIDE 28 /* columns of a place that are worth more than a source beside it */
#define SOURCE_LEAST 24
#define INDENT	     6 /* of a place on a line of its own */

struct row {
	const struct model_diff_line *line; /* NULL: a sum or a cause */
	char text[192];			    /* in place of a line */
	int64_t amount[MODEL_DIFF_SIDES];
	char cell[CELLS][24];
};

struct rows {
	FILE *out;
	const struct diff_report *report;
	const struct model_diff *diff;
	const struct model_diff_program *program;
	const struct render_options *options;
	double least;
	size_t folder;
	struct row *list;
	size_t count;
	unsigned width[CELLS];
	unsigned begin;		/* column of the place */
	unsigned place, source; /* columns of each; source 0: none is shown beside the place */
	bool below;		/* the place is below the figures */
	struct parts_changed changed;
};

/* --- what is shown --- */

static void add_row(struct rows *r, const struct model_diff_line *line, int64_t a, int64_t b,
		    const char *format, ...) __attribute__((format(printf, 5, 6)));

static void add_row(struct rows *r, const struct model_diff_line *line, int64_t a, int64_t b,
		    const char *format, ...)
{
	struct row *row = &r->list[r->count++];
	va_list args;

	row->line = line;
	row->amount[0] = a;
	row->amount[1] = b;
	va_start(args, format);
	vsnprintf(row->text, sizeof(row->text), format, args);
	va_end(args);
	parts_size(row->cell[0], sizeof(row->cell[0]), diff_scaled_difference(r->diff, a, b), true);
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		parts_size(row->cell[1 + side], sizeof(row->cell[1 + side]),
			   diff_scaled(r->diff, side, row->amount[side]), false);
}

static void take_lines(struct rows *r)
{
	const struct model_diff_program *p = r->program;
	int64_t rest[MODEL_DIFF_SIDES] = {0};
	size_t i, left = 0;

	for (i = 0; i < p->line_count; i++) {
		const struct model_diff_figures *side = p->lines[i].side;

		if (!r->options->top || (r->count < r->options->top &&
					 diff_is_notable(r->diff, &p->lines[i], r->least))) {
			add_row(r, &p->lines[i], side[0].increment_bytes, side[1].increment_bytes,
				"%s", "");
			continue;
		}
		left++;
		rest[0] += side[0].increment_bytes;
		rest[1] += side[1].increment_bytes;
	}
	if (left)
		add_row(r, NULL, rest[0], rest[1], "%s%zu %sline%s (-n" NBSP "0 shows all)",
			r->count ? "and " : "", left, r->count ? "more " : "",
			left == 1 ? "" : "s");
}

static void take_losses(struct rows *r)
{
	static const struct {
		const char *name, *text;
	} losses[] = {
#define LOSS_ROW(id, name, text) {name, text},
		PYMEM_LOSSES(LOSS_ROW)
#undef LOSS_ROW
	};
	const struct model_diff_program_side *a = &r->program->side[0], *b = &r->program->side[1];

	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		if (a->lost_bytes[i] || b->lost_bytes[i])
			add_row(r, NULL, a->lost_bytes[i], b->lost_bytes[i],
				"unattributed: %s (%s)", losses[i].name, losses[i].text);
	if (a->unaccounted_bytes || b->unaccounted_bytes)
		add_row(r, NULL, a->unaccounted_bytes, b->unaccounted_bytes,
			"in neither of these: this is a defect of pymem-bpf");
}

/* --- how it is shown --- */

static const char *const titles[CELLS] = {"Difference", "A", "B"};

static void write_title(const struct rows *r, int cell, char *text, size_t size)
{
	snprintf(text, size, "%s%s%s", titles[cell], r->diff->by_rates ? "/" : "",
		 diff_unit_name(r->diff));
}

static void lay_out(struct rows *r)
{
	unsigned total = 0, width = r->options->width, widest = 8, wide, left;
	char title[32];
	size_t i;

	for (int c = 0; c < CELLS; c++) {
		write_title(r, c, title, sizeof(title));
		r->width[c] = (unsigned)strlen(title);
		for (i = 0; i < r->count; i++)
			if (r->width[c] < strlen(r->list[i].cell[c]))
				r->width[c] = (unsigned)strlen(r->list[i].cell[c]);
		total += r->width[c] + 2;
	}
	for (i = 0; i < r->count; i++) {
		if (!r->list[i].line)
			continue;
		wide = diff_place_columns(diff_shown(r->list[i].line), r->folder);
		if (widest < wide)
			widest = wide;
	}
	r->below = width && width < total + PLACE_LEAST;
	r->begin = r->below ? INDENT : total;
	r->place = widest < PLACE_MOST ? widest : PLACE_MOST;
	r->source = 0;
	if (!width)
		return;
	left = width > r->begin + 8 ? width - r->begin : 8;
	wide = r->place < PLACE_BESIDE ? r->place : PLACE_BESIDE;
	if (left < wide + 2 + SOURCE_LEAST) {
		r->place = left;
		return;
	}
	if (r->place > left - 2 - SOURCE_LEAST)
		r->place = left - 2 - SOURCE_LEAST;
	r->source = left - r->place - 2;
}

/* Begins a line in the column of places. */
static void indent(const struct rows *r)
{
	fprintf(r->out, "%*s", (int)r->begin, "");
}

static void print_titles(const struct rows *r)
{
	char title[32];

	parts_style(r->out, r->options, STYLE_HEAD);
	for (int c = 0; c < CELLS; c++) {
		write_title(r, c, title, sizeof(title));
		fprintf(r->out, c + 1 < CELLS ? "%*s  " : "%*s", (int)r->width[c], title);
	}
	if (!r->below)
		fprintf(r->out, "  Line");
	parts_style(r->out, r->options, STYLE_OFF);
	fputc('\n', r->out);
}

static void print_figures(const struct rows *r, const struct row *row)
{
	double difference = model_diff_difference(r->diff, row->amount[0], row->amount[1]);
	const char *style = difference >= r->least    ? STYLE_MOST
			    : difference <= -r->least ? STYLE_FREED
						      : "";

	if (*style)
		parts_style(r->out, r->options, style);
	fprintf(r->out, "%*s", (int)r->width[0], row->cell[0]);
	if (*style)
		parts_style(r->out, r->options, STYLE_OFF);
	for (int c = 1; c < CELLS; c++)
		fprintf(r->out, "  %*s", (int)r->width[c], row->cell[c]);
	if (!r->below) {
		fputs("  ", r->out);
		return;
	}
	fputc('\n', r->out);
	indent(r);
}

/* Prints the text of the line, in B if it is there, after `used` columns of the place. */
static void print_source(struct rows *r, const struct model_diff_line *line, unsigned used)
{
	int side = line->at[MODEL_DIFF_B] ? MODEL_DIFF_B : MODEL_DIFF_A;
	struct render_options options = *r->options;
	const struct model_location *at = line->at[side];
	enum source_state state;

	options.sources = r->report->side[side].sources;
	if (!options.sources || !at->line || (r->options->width && !r->source) ||
	    (!source_line(options.sources, &line->process[side]->root, at->file, at->line,
			  &state) &&
	     (state == SOURCE_NONE || at->library)))
		return;
	fprintf(r->out, "%*s", (int)(used < r->place ? r->place - used : 0) + 2, "");
	parts_source(r->out, &options, line->process[side], at->file, at->line, r->source, true,
		     &state);
	if (state == SOURCE_CHANGED)
		parts_changed_add(&r->changed, at->file);
}

/* Writes "copied 1.0 MiB → 3.0 MiB". */
static void write_pair(const struct rows *r, FILE *out, const char *what, uint64_t a, uint64_t b)
{
	char one[40], other[40];

	parts_amount(one, sizeof(one), diff_scaled(r->diff, MODEL_DIFF_A, (int64_t)a), false);
	parts_amount(other, sizeof(other), diff_scaled(r->diff, MODEL_DIFF_B, (int64_t)b), false);
	fprintf(out, "%s%s" NBSP "%s" NBSP "→" NBSP "%s", ftell(out) ? ", " : "", what, one, other);
}

static void write_resident(const struct rows *r, FILE *out, const struct model_diff_line *line)
{
	int64_t a = line->side[0].resident_bytes, b = line->side[1].resident_bytes;
	char one[40] = "unknown", other[40] = "unknown";

	if ((a < 0 && b < 0) || (!a && !b) ||
	    (!r->options->verbose && (a < 0 || b < 0 || fabs((double)(b - a)) < r->least)))
		return;
	if (a >= 0)
		parts_amount(one, sizeof(one), a, false);
	if (b >= 0)
		parts_amount(other, sizeof(other), b, false);
	fprintf(out, "%sresident" NBSP "%s" NBSP "→" NBSP "%s", ftell(out) ? ", " : "", one, other);
}

/* Writes how the line was found in both. */
static void write_match(const struct rows *r, FILE *out, const struct model_diff_line *line)
{
	const struct model_location *a = line->at[MODEL_DIFF_A], *b = line->at[MODEL_DIFF_B];

	if (line->match == MODEL_DIFF_ONLY && r->program->side[0].processes &&
	    r->program->side[1].processes)
		fprintf(out, "nothing in %c", a ? 'B' : 'A');
	if (!a || !b)
		return;
	if (a->line != b->line)
		fprintf(out, "in A: line" NBSP "%d", a->line);
	if (line->match == MODEL_DIFF_NUMBER)
		fprintf(out, "%sby number", ftell(out) ? ", " : "");
}

static void write_details(const struct rows *r, FILE *out, const struct model_diff_line *line)
{
	const struct model_diff_figures *a = &line->side[0], *b = &line->side[1];
	bool all = r->options->verbose;

	write_match(r, out, line);
	if (diff_churn_differs(r->diff, line, r->least) || all) {
		write_pair(r, out, "grown", a->grown_bytes, b->grown_bytes);
		write_pair(r, out, "freed", a->freed_bytes, b->freed_bytes);
	}
	if (diff_copies_differ(r->diff, line, r->least) ||
	    (all && (a->copied_bytes || b->copied_bytes)))
		write_pair(r, out, "copied", a->copied_bytes, b->copied_bytes);
	if (all && (a->faults || b->faults))
		fprintf(out, "%sfaults" NBSP "%llu" NBSP "→" NBSP "%llu", ftell(out) ? ", " : "",
			(unsigned long long)a->faults, (unsigned long long)b->faults);
	write_resident(r, out, line);
}

/* Prints them in a quiet line of their own, if there are any. 0 or -ENOMEM. */
static int print_details(const struct rows *r, const struct model_diff_line *line)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	write_details(r, out, line);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	if (*text) {
		indent(r);
		parts_style(r->out, r->options, STYLE_QUIET);
		text_wrap(r->out, text, r->begin, r->options->width, r->begin);
		parts_style(r->out, r->options, STYLE_OFF);
		fputc('\n', r->out);
	}
	free(text);
	return 0;
}

static int print_row(struct rows *r, const struct row *row)
{
	unsigned used;

	print_figures(r, row);
	if (!row->line) {
		text_wrap(r->out, row->text, r->begin, r->options->width, r->begin);
		fputc('\n', r->out);
		return 0;
	}
	used = diff_place(r->out, diff_shown(row->line), r->folder,
			  r->options->width ? r->place : PLACE_MOST);
	print_source(r, row->line, used);
	fputc('\n', r->out);
	return print_details(r, row->line);
}

int diff_rows_print(FILE *out, const struct diff_report *report,
		    const struct model_diff_program *program, const struct render_options *options)
{
	struct rows r = {.out = out,
			 .report = report,
			 .diff = report->diff,
			 .program = program,
			 .options = options,
			 .least = diff_program_least(report->diff, program),
			 .folder = diff_folder(program)};
	int err = 0;

	/* Room for the rest, the causes, and what is in neither. */
	r.list = calloc(program->line_count + PYMEM_LOSS_COUNT + 2, sizeof(*r.list));
	if (!r.list)
		return -ENOMEM;
	take_lines(&r);
	take_losses(&r);
	lay_out(&r);
	if (r.count)
		print_titles(&r);
	for (size_t i = 0; i < r.count && !err && !ferror(out); i++)
		err = print_row(&r, &r.list[i]);
	parts_changed_print(out, options, &r.changed);
	free(r.list);
	return err;
}

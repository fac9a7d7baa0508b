/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What heaps kept at the end of both, for people: below the lines of a program its holders and its
 * types, sorted by size of the difference. What is kept is an amount, whatever lines are compared
 * by.
 *
 * A figure that is known to lie between two others is never shown as one that is known. */
#include "render/diff_heap.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/model_diff_heap.h"
#include "render/heap_parts.h"

#define CELLS	    3
#define NAME_LEAST  24	/* columns; if there are fewer, a row is a sentence */
#define PATH_MOST   120 /* columns of a path */
#define TYPE_MOST   60
#define ANSWER_MIN  (1024 * 1024)
#define ANSWER_PART 20 /* of what A keeps, B keeps more than this part more */

struct kept_row {
	const struct model_diff_kept *kept;
	struct diff_kept_words words;
};

struct kept_rows {
	FILE *out;
	const struct model_diff *diff;
	const struct model_diff_program *program;
	const struct render_options *options;
	struct kept_row *list;
	size_t count;
	unsigned width[CELLS], begin;
};

static double kept_least(const struct model_diff *diff)
{
	return diff_least(diff, 0, 0);
}

bool diff_heap_differs(const struct model_diff *diff, const struct model_diff_program *program)
{
	const struct model_diff_heap *heap = program->heap;
	double least = kept_least(diff);

	/* Both are sorted. */
	return heap && ((heap->holder_count && fabs((double)heap->holders->sure_bytes) >= least) ||
			(heap->type_count && fabs((double)heap->types->sure_bytes) >= least));
}

/* --- the text of a row --- */

const char *diff_kept_path(const struct model_diff *diff, const struct model_diff_kept *kept,
			   char text[DIFF_PATH_TEXT])
{
	return diff->redacted ? heap_name_without_keys(text, DIFF_PATH_TEXT, kept->path)
			      : kept->path;
}

static void write_name(FILE *out, const struct model_diff *diff, const struct model_diff_kept *kept)
{
	char cut[DIFF_PATH_TEXT];

	if (kept->path) {
		text_print(out, diff_kept_path(diff, kept, cut), PATH_MOST, true);
		fputs(", ", out);
	}
	text_print(out, kept->type, TYPE_MOST, false);
}

/* Entries that are unknown in one side are those of a list that was cut; else it has none. */
static bool has_numbers(const struct model_diff_kept *kept)
{
	const struct model_diff_kept_side *a = &kept->side[MODEL_DIFF_A],
					  *b = &kept->side[MODEL_DIFF_B];

	return (a->number >= 0 || a->unsure) && (b->number >= 0 || b->unsure) &&
	       (a->number >= 0 || b->number >= 0);
}

static void write_number(char *text, size_t size, int64_t number)
{
	if (number < 0)
		snprintf(text, size, "unknown");
	else
		heap_count(text, size, number, false);
}

/* ", 1,300 → 139,000 entries" */
static void write_numbers(FILE *out, const struct model_diff_kept *kept)
{
	int64_t a = kept->side[MODEL_DIFF_A].number, b = kept->side[MODEL_DIFF_B].number;
	char one[32], other[32];

	if (!has_numbers(kept))
		return;
	write_number(one, sizeof(one), a);
	write_number(other, sizeof(other), b);
	fprintf(out, ", %s%s%s" NBSP "%s", one, a == b ? "" : NBSP "→" NBSP, a == b ? "" : other,
		kept->path ? "entries" : "objects");
}

/* "; no such holder in A", "; in A not among the 30 largest" */
static void write_remark(FILE *out, const struct model_diff_program *program,
			 const struct model_diff_kept *kept, int index)
{
	const struct model_diff_kept_side *side = &kept->side[index];

	if (!side->unsure && !side->looks && program->side[index].processes)
		fprintf(out, kept->path ? "; no such holder in %c" : "; none in %c",
			diff_letter[index]);
	if (!side->unsure)
		return;
	fprintf(out, "; in %c not among the %d largest", diff_letter[index], HEAP_TIMES_ROWS);
	if (program->heap->side[index].looks > 1)
		fprintf(out, " of %zu of %zu processes", side->unsure,
			program->heap->side[index].looks);
}

static void fill_cells(const struct model_diff_kept *kept, struct diff_kept_words *words)
{
	const struct model_diff_kept_side *side;
	char amount[24];

	parts_size(amount, sizeof(amount), kept->sure_bytes, true);
	if (kept->least_bytes == kept->most_bytes)
		snprintf(words->cell[0], sizeof(words->cell[0]), "%s", amount);
	else if (kept->sure_bytes)
		snprintf(words->cell[0], sizeof(words->cell[0]), "%s" NBSP "%s",
			 kept->sure_bytes > 0 ? "≥" : "≤", amount);
	else
		snprintf(words->cell[0], sizeof(words->cell[0]), "unknown");
	for (int i = 0; i < MODEL_DIFF_SIDES; i++) {
		side = &kept->side[i];
		parts_size(amount, sizeof(amount), side->most_bytes, false);
		snprintf(words->cell[1 + i], sizeof(words->cell[1 + i]), "%s%s",
			 side->unsure ? "≤" NBSP : "", amount);
	}
}

int diff_kept_words(const struct model_diff *diff, const struct model_diff_program *program,
		    const struct model_diff_kept *kept, struct diff_kept_words *words)
{
	size_t size;
	FILE *out = open_memstream(&words->text, &size);

	if (!out)
		return -ENOMEM;
	fill_cells(kept, words);
	write_name(out, diff, kept);
	write_numbers(out, kept);
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		write_remark(out, program, kept, side);
	if (!fclose(out))
		return 0;
	free(words->text);
	words->text = NULL;
	return -ENOMEM;
}

/* --- the rows of a list --- */

static bool is_shown(const struct kept_rows *r, const struct model_diff_kept *kept)
{
	return !r->options->top || (r->count < r->options->top &&
				    fabs((double)kept->sure_bytes) >= kept_least(r->diff));
}

static void lay_out(struct kept_rows *r)
{
	static const char *const titles[CELLS] = {"Difference", "A", "B"};

	r->begin = 0;
	for (int c = 0; c < CELLS; c++) {
		r->width[c] = text_columns(titles[c]);
		for (size_t i = 0; i < r->count; i++)
			if (r->width[c] < text_columns(r->list[i].words.cell[c]))
				r->width[c] = text_columns(r->list[i].words.cell[c]);
		r->begin += r->width[c] + 2;
	}
	if (r->options->width && r->options->width < r->begin + NAME_LEAST)
		r->begin = 0;
}

static void print_titles(const struct kept_rows *r, const char *title)
{
	parts_style(r->out, r->options, STYLE_HEAD);
	if (r->begin)
		fprintf(r->out, "%*s  %*s  %*s  ", (int)r->width[0], "Difference", (int)r->width[1],
			"A", (int)r->width[2], "B");
	fputs(title, r->out);
	parts_style(r->out, r->options, STYLE_OFF);
	fputc('\n', r->out);
}

static void print_cell(const struct kept_rows *r, const struct kept_row *row, int cell)
{
	const char *style = cell			? ""
			    : row->kept->sure_bytes > 0 ? STYLE_MOST
			    : row->kept->sure_bytes < 0 ? STYLE_FREED
							: "";

	fprintf(r->out, "%*s", (int)(r->width[cell] - text_columns(row->words.cell[cell])), "");
	if (*style)
		parts_style(r->out, r->options, style);
	text_wrap(r->out, row->words.cell[cell], 0, 0, 0);
	if (*style)
		parts_style(r->out, r->options, STYLE_OFF);
	fputs("  ", r->out);
}

/* In a narrow terminal it is "+41.2 MiB (A 0.5 MiB, B 41.7 MiB): NAME". 0 or -ENOMEM. */
static int print_row(const struct kept_rows *r, const struct kept_row *row)
{
	const struct diff_kept_words *words = &row->words;
	char *text = NULL;

	if (!r->begin && asprintf(&text, "%s (A %s, B %s): %s", words->cell[0], words->cell[1],
				  words->cell[2], words->text) < 0)
		return -ENOMEM;
	for (int c = 0; c < CELLS && r->begin; c++)
		print_cell(r, row, c);
	text_wrap(r->out, text ?: words->text, r->begin, r->options->width,
		  r->begin ? r->begin : 2);
	fputc('\n', r->out);
	free(text);
	return 0;
}

static void print_rest(const struct kept_rows *r, size_t rest, const char *noun)
{
	char text[128], least[40];

	if (!rest)
		return;
	parts_amount(least, sizeof(least), (int64_t)kept_least(r->diff), false);
	if (r->count)
		snprintf(text, sizeof(text), "and %zu more (-n" NBSP "0 shows all)", rest);
	else
		snprintf(text, sizeof(text),
			 "%zu %s%s, of which none is known to differ by %s (-n" NBSP "0 shows all)",
			 rest, noun, rest == 1 ? "" : "s", least);
	fprintf(r->out, "%*s", (int)(r->count ? r->begin : 0), "");
	text_wrap(r->out, text, r->count ? r->begin : 0, r->options->width, r->begin);
	fputc('\n', r->out);
}

static int print_list(struct kept_rows *r, const char *title, const char *noun,
		      const struct model_diff_kept *kept, size_t count)
{
	int err = 0;

	r->count = 0;
	r->list = calloc(count + 1, sizeof(*r->list));
	if (!r->list)
		return -ENOMEM;
	for (size_t i = 0; i < count && !err && is_shown(r, &kept[i]); i++) {
		r->list[r->count].kept = &kept[i];
		err = diff_kept_words(r->diff, r->program, &kept[i], &r->list[r->count++].words);
	}
	lay_out(r);
	if (r->count)
		print_titles(r, title);
	for (size_t i = 0; i < r->count && !err && !ferror(r->out); i++)
		err = print_row(r, &r->list[i]);
	print_rest(r, count - r->count, noun);
	for (size_t i = 0; i < r->count; i++)
		free(r->list[i].words.text);
	free(r->list);
	return err;
}

/* --- a program --- */

/* "A after 57.1 to 58.2 s, of 3 of 4 processes" */
static void write_looks(FILE *out, const struct model_diff *diff,
			const struct model_diff_program *program, int index)
{
	const struct model_diff_heap_side *side = &program->heap->side[index];
	double start = diff->side[index].model->start;

	fputc(diff_letter[index], out);
	if (!program->side[index].processes) {
		fputs(" not there", out);
		return;
	}
	if (!side->looks) {
		fputs(" never, so nothing is compared", out);
		return;
	}
	fprintf(out, " after" NBSP "%.1f", side->first - start);
	if (side->last - side->first >= 0.05)
		fprintf(out, " to %.1f", side->last - start);
	fputs(NBSP "s", out);
	if (side->looks < program->side[index].processes)
		fprintf(out, " (%zu of %zu processes)", side->looks,
			program->side[index].processes);
}

/* Says why a list is not there. */
static void write_lack(FILE *out, const struct model_diff_heap *heap)
{
	if (heap->has_holders || (!heap->side[0].types_only && !heap->side[1].types_only))
		return;
	fprintf(out,
		". Holders%s can't be compared: of A %zu, of B %zu looks are of types only, "
		"without buffers",
		heap->has_types ? "" : " and types", heap->side[0].types_only,
		heap->side[1].types_only);
}

char *diff_heap_heading(const struct model_diff *diff, const struct model_diff_program *program)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "Kept at the last look%s: ",
		diff->by_rates ? " (amounts, no rates: it is what was there at the end)" : "");
	write_looks(out, diff, program, MODEL_DIFF_A);
	fputs(", ", out);
	write_looks(out, diff, program, MODEL_DIFF_B);
	write_lack(out, program->heap);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

static int print_heading(const struct kept_rows *r)
{
	char *text = diff_heap_heading(r->diff, r->program);

	if (!text)
		return -ENOMEM;
	fputc('\n', r->out);
	text_wrap(r->out, text, 0, r->options->width, 2);
	fputc('\n', r->out);
	free(text);
	return 0;
}

int diff_heap_print(FILE *out, const struct diff_report *report,
		    const struct model_diff_program *program, const struct render_options *options)
{
	const struct model_diff_heap *heap = program->heap;
	struct kept_rows r = {
		.out = out, .diff = report->diff, .program = program, .options = options};
	int err;

	if (!heap)
		return 0;
	err = print_heading(&r);
	if (!err && heap->has_holders)
		err = print_list(&r, "Holder", "holder", heap->holders, heap->holder_count);
	if (!err && heap->has_types)
		err = print_list(&r, "Type", "type", heap->types, heap->type_count);
	return err;
}

/* --- the answer --- */

static bool is_told(const struct model_diff_kept *kept)
{
	return kept->sure_bytes > ANSWER_MIN &&
	       kept->sure_bytes > kept->side[MODEL_DIFF_A].most_bytes / ANSWER_PART;
}

/* The holder that grew most; NULL: none grew by much. */
static const struct model_diff_kept *most_grown(const struct model_diff *diff,
						const struct model_diff_program **program)
{
	const struct model_diff_kept *most = NULL, *kept;

	for (size_t i = 0; i < diff->program_count; i++) {
		const struct model_diff_heap *heap = diff->programs[i].heap;

		for (size_t j = 0; heap && j < heap->holder_count; j++) {
			kept = &heap->holders[j];
			if (!is_told(kept) || (most && most->sure_bytes >= kept->sure_bytes))
				continue;
			most = kept;
			*program = &diff->programs[i];
		}
	}
	return most;
}

bool diff_heap_grew(const struct model_diff *diff)
{
	const struct model_diff_program *program;

	return most_grown(diff, &program) != NULL;
}

void diff_heap_answer(FILE *out, const struct model_diff *diff)
{
	const struct model_diff_program *program = NULL;
	const struct model_diff_kept *kept = most_grown(diff, &program);
	const struct model_diff_heap_side *a;
	char amount[40], count[32], name[48], cut[DIFF_PATH_TEXT];

	if (!kept)
		return;
	parts_amount(amount, sizeof(amount), kept->sure_bytes, false);
	fprintf(out, " B keeps %s%s more in ",
		kept->least_bytes == kept->most_bytes ? "" : "at least ", amount);
	text_print(out, diff_kept_path(diff, kept, cut), PATH_MOST / 2, true);
	fputs(" (", out);
	text_print(out, kept->type, TYPE_MOST / 2, false);
	if (kept->side[0].number >= 0 && kept->side[1].number >= 0) {
		heap_count(count, sizeof(count), kept->side[1].number - kept->side[0].number, true);
		fprintf(out, ", %s" NBSP "entries", count);
	}
	fputc(')', out);
	if (diff->program_count > 1) {
		diff_program_name(program, name, sizeof(name));
		fprintf(out, " of %s", name);
	}
	a = &program->heap->side[MODEL_DIFF_A];
	if (a->looks < program->side[MODEL_DIFF_A].processes)
		fprintf(out, ", as far as A knows, with looks at %zu of %zu processes", a->looks,
			program->side[MODEL_DIFF_A].processes);
	fputc('.', out);
}

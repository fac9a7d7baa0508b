/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Chooses the lines that are worth a row, and prints the rows.
 *
 * A line has a row if it changed memory itself. Callers that changed none are in the path below it.
 * What imports changed is in one row; but a module's line that changed much itself has a row like
 * any other. All that has no row is in the last row.
 *
 * Invariant: the amounts of all rows add up to what is attributed. */
#include "render/render_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NARROW	     60 /* columns; below that, rows are not indented */
#define PLACE_LEAST  28 /* columns of a place that are worth more than a column of figures */
#define PLACE_MOST   60 /* the most that a place is padded to if the width has no limit */
#define SOURCE_LEAST 24

static int64_t size_of(int64_t bytes)
{
	return bytes < 0 ? -bytes : bytes;
}

/* --- what is shown --- */

static void sum_up(struct answer *a)
{
	const struct model_process *p = a->process;
	int64_t bytes;
	size_t i;

	a->change = p->rss_end_bytes - p->rss_start_bytes;
	for (i = 0; i < p->line_count; i++) {
		bytes = p->lines[i].increment_bytes;
		if (bytes > 0)
			a->grown += bytes;
		else
			a->freed -= bytes;
	}
	a->whole = size_of(a->change);
	if (a->whole < a->grown)
		a->whole = a->grown;
	if (a->whole < a->freed)
		a->whole = a->freed;
	/* If little changed, a twentieth is worth a row; if much, a two-hundredth. -n 0 asks for
	 * all. */
	a->least = a->whole / 20 < ANSWER_LEAST ? a->whole / 20 + 1 : ANSWER_LEAST;
	if (a->least < a->whole / 200)
		a->least = a->whole / 200;
}

/* The part of the line's increment that is in the row of imports. */
static int64_t import_part(const struct answer *a, const struct model_line *line)
{
	int64_t own = line->import_bytes - line->import_system_bytes;

	if (!a->model->imports_gathered)
		return 0;
	return size_of(own) > a->whole / 10 ? line->import_system_bytes : line->import_bytes;
}

/* True if the line both grew and freed much. */
static bool is_churning(const struct answer *a, const struct model_line *line)
{
	uint64_t least = a->whole / 20 > ANSWER_LEAST ? a->whole / 20 : ANSWER_LEAST;

	return line->grown_bytes >= least && line->freed_bytes >= least;
}

/* True if the line waited for a hundredth of the time. */
static bool stalls_much(const struct answer *a, const struct model_line *line)
{
	return line->stalls && (double)line->stalled_ns > a->seconds * 1e7;
}

/* True if the line brought as much into the page cache as is worth a row. */
static bool caches_much(const struct answer *a, const struct model_line *line)
{
	return line->cached.bytes >= ANSWER_LEAST &&
	       line->cached.bytes >= a->process->cached.bytes / 20;
}

/* True if the kernel took as much of its own memory for the line as is worth a row. */
static bool takes_much(const struct answer *a, const struct model_line *line)
{
	int64_t bytes = size_of(model_line_kernel_bytes(line));

	return bytes >= ANSWER_LEAST &&
	       bytes >= size_of(model_kernel_bytes(&a->process->kernel)) / 20;
}

static bool is_notable(const struct answer *a, const struct model_line *line)
{
	enum model_sort sort = a->options->sort;
	int64_t value = model_sort_value(line, sort);

	if (sort == MODEL_SORT_COW)
		value *= (int64_t)a->model->page_size;
	if ((sort == MODEL_SORT_STALLED || sort == MODEL_SORT_HUGE) && value)
		return true;
	return size_of(line->increment_bytes) >= (a->options->top ? a->least : 1) ||
	       (is_churning(a, line) && !line->import_bytes) || stalls_much(a, line) ||
	       caches_much(a, line) || takes_much(a, line) ||
	       (sort != MODEL_SORT_INCREMENT && value >= ANSWER_LEAST);
}

/* The length of the folder that both paths have in common, with its slash; at most `length`. */
static size_t common_folder(const char *one, const char *other, size_t length)
{
	size_t i, found = 0;

	for (i = 0; i < length && one[i] && one[i] == other[i]; i++)
		if (one[i] == '/')
			found = i + 1;
	return found;
}

/* True for the program's own modules. A script that an installation put into a bin/ is not one. */
static bool has_folder(const struct model_location *location)
{
	size_t length = location ? strlen(location->file) : 0;

	return length > 3 && !location->library && *location->file == '/' &&
	       !strcmp(location->file + length - 3, ".py");
}

static void narrow_folder(const char **first, size_t *length, const struct model_location *location)
{
	if (!has_folder(location))
		return;
	if (!*first) {
		*first = location->file;
		*length = strlen(location->file);
	}
	*length = common_folder(*first, location->file, *length);
}

/* Finds the folder that the files of all rows and paths have in common. */
static void find_folder(struct answer *a)
{
	const char *first = NULL;
	size_t i;
	unsigned j;

	for (i = 0; i < a->row_count; i++) {
		narrow_folder(&first, &a->folder, a->rows[i].location);
		for (j = 0; j < a->rows[i].path_count; j++)
			narrow_folder(&first, &a->folder, a->rows[i].path[j].location);
	}
	if (a->importer)
		narrow_folder(&first, &a->folder, a->importer->location);
	for (i = 0; i < a->process->function_count; i++)
		narrow_folder(&first, &a->folder, a->process->functions[i].location);
}

static void add_part(int64_t bytes, int64_t *grown, int64_t *freed)
{
	if (bytes > 0)
		*grown += bytes;
	else
		*freed -= bytes;
}

/* Widens `whole` to all increases, or all decreases, that are shown. So no part of either is more
 * than 100 %, nor is their sum. What one row gathers counts as one. */
static void widen_whole(struct answer *a)
{
	int64_t grown = 0, freed = 0;

	for (size_t i = 0; i < a->row_count; i++)
		add_part(a->rows[i].increment_bytes, &grown, &freed);
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		add_part(a->process->lost_bytes[i], &grown, &freed);
	add_part(a->imports, &grown, &freed);
	add_part(a->rest, &grown, &freed);
	if (a->whole < grown)
		a->whole = grown;
	if (a->whole < freed)
		a->whole = freed;
}

int answer_prepare(struct answer *a)
{
	const struct model_process *p = a->process;
	struct model_process shown = {0};
	struct model_line line;
	size_t i, gathered = 0;
	int64_t part;

	sum_up(a);
	a->rows = calloc(p->line_count + 1, sizeof(*a->rows));
	if (!a->rows)
		return -ENOMEM;
	for (i = 0; i < p->line_count; i++) {
		line = p->lines[i];
		part = import_part(a, &line);
		gathered += part != 0;
		a->imports += part;
		line.increment_bytes -= part;
		if (is_notable(a, &line)) {
			a->rows[a->row_count++] = line;
		} else if (line.increment_bytes) {
			a->rest += line.increment_bytes;
			a->rest_lines++;
		}
		if (line.imported_bytes && a->model->imports_gathered &&
		    (!a->importer ||
		     size_of(line.imported_bytes) > size_of(a->importer->imported_bytes)))
			a->importer = &p->lines[i];
	}
	if (size_of(a->imports) < a->least) {
		a->rest += a->imports;
		a->rest_lines += gathered;
		a->imports = 0;
		a->importer = NULL;
	}
	widen_whole(a);
	shown.lines = a->rows;
	shown.line_count = a->row_count;
	model_sort_lines(&shown, a->options->sort);
	find_folder(a);
	return 0;
}

/* --- how it is shown --- */

/* A place as it is shown: without the folder of the program or the prefix of libraries. */
static struct model_location shortened(const struct answer *a,
				       const struct model_location *location)
{
	struct model_location shown = *location;
	const char *part = location->library ? model_library_part(location->file) : NULL;

	if (part && part[1])
		shown.file = part + 1;
	else if (has_folder(location) && a->folder < strlen(location->file))
		shown.file = location->file + a->folder;
	else if (!location->library && *location->file == '/')
		shown.file = strrchr(location->file, '/') + 1;
	return shown;
}

unsigned answer_place(FILE *out, const struct answer *a, const struct model_location *location,
		      unsigned columns)
{
	struct model_location shown = shortened(a, location);

	return parts_place(out, &shown, columns);
}

unsigned answer_place_columns(const struct answer *a, const struct model_location *location)
{
	struct model_location shown = shortened(a, location);

	return parts_place_columns(&shown);
}

void answer_share(char *text, size_t size, const struct answer *a, int64_t bytes)
{
	double share = a->whole ? 100.0 * (double)size_of(bytes) / (double)a->whole : 0;

	if (!a->whole || !bytes)
		snprintf(text, size, "     ");
	else if (share < 0.5)
		snprintf(text, size, " <1 %%");
	else
		snprintf(text, size, "%3.0f %%", share);
}

const char *answer_style(const struct answer *a, int64_t bytes)
{
	if (bytes < 0)
		return -bytes >= a->least ? STYLE_FREED : "";
	if (bytes > a->whole / 2)
		return STYLE_MOST;
	return bytes > a->whole / 10 ? STYLE_ALERT : "";
}

struct layout {
	struct parts_columns columns; /* beside amount and share */
	unsigned amount;	      /* columns of an amount */
	unsigned begin;		      /* columns before the place */
	unsigned place, source; /* columns of each; source 0: there is none beside the place */
	bool below;		/* the source has a line of its own */
	unsigned indent;
};

static unsigned amount_columns(const struct answer *a, size_t rows)
{
	unsigned widest = 8, wide;
	char text[32];
	size_t i;

	for (i = 0; i < rows; i++) {
		parts_size(text, sizeof(text), a->rows[i].increment_bytes, false);
		wide = (unsigned)strlen(text);
		if (widest < wide)
			widest = wide;
	}
	return widest;
}

static void lay_out(const struct answer *a, struct layout *l, size_t rows)
{
	const struct render_options *options = a->options;
	unsigned width = options->width, widest = 0, wide, left, fixed;
	size_t i;

	*l = (struct layout){.indent = width && width < NARROW ? 0 : 2};
	l->amount = amount_columns(a, rows);
	fixed = l->indent + l->amount + 2 + 5 + 2;
	parts_choose_more(&l->columns, a->rows, rows, a->model->page_size,
			  !width			? 0
			  : width > fixed + PLACE_LEAST ? width - fixed - PLACE_LEAST
							: 1,
			  options->sort);
	l->begin = fixed + (l->columns.count ? l->columns.total + 2 : 0);
	for (i = 0; i < rows; i++) {
		wide = answer_place_columns(a, a->rows[i].location);
		if (widest < wide)
			widest = wide;
	}
	l->place = widest < PLACE_MOST ? widest : PLACE_MOST;
	if (!width)
		return;
	left = width > l->begin ? width - l->begin : 1;
	wide = widest < PLACE_LEAST ? widest : PLACE_LEAST;
	if (options->sources && left >= wide + 2 + SOURCE_LEAST) {
		if (l->place > left - 2 - SOURCE_LEAST)
			l->place = left - 2 - SOURCE_LEAST;
		l->source = left - l->place - 2;
		return;
	}
	l->below = options->sources && !options->live;
	l->place = left;
}

static void print_titles(const struct answer *a, const struct layout *l)
{
	if (!l->columns.count)
		return;
	parts_style(a->out, a->options, STYLE_QUIET);
	fprintf(a->out, "%*s%*s  %5s  ", (int)l->indent, "", (int)l->amount, "Change", "");
	parts_titles(a->out, &l->columns);
	parts_style(a->out, a->options, STYLE_OFF);
	fputc('\n', a->out);
}

/* Prints the amount and its share. The row goes on after them. */
static void print_amount(const struct answer *a, const struct layout *l, int64_t bytes)
{
	const char *style = answer_style(a, bytes);
	char amount[32], share[16];

	parts_size(amount, sizeof(amount), bytes, false);
	answer_share(share, sizeof(share), a, bytes);
	fprintf(a->out, "%*s", (int)l->indent, "");
	if (*style)
		parts_style(a->out, a->options, style);
	fprintf(a->out, "%*s  %s", (int)l->amount, amount, share);
	if (*style)
		parts_style(a->out, a->options, STYLE_OFF);
	fputs("  ", a->out);
}

/* Prints the text of the source line, if there is any. */
static void print_source(struct answer *a, const struct layout *l, const struct model_line *line,
			 unsigned used)
{
	const struct model_location *at = line->location;
	enum source_state state;
	unsigned width = a->options->width;

	if (!a->options->sources || !at->line || (width && !l->source && !l->below))
		return;
	if (!source_line(a->options->sources, &a->process->root, at->file, at->line, &state) &&
	    (state == SOURCE_NONE || at->library))
		return;
	if (l->below)
		fprintf(a->out, "\n%*s", (int)l->begin, "");
	else
		fprintf(a->out, "%*s", (int)(used < l->place ? l->place - used : 0) + 2, "");
	parts_source(a->out, a->options, a->process, at->file, at->line,
		     l->below ? l->place : l->source, true, &state);
	if (state == SOURCE_CHANGED)
		parts_changed_add(&a->changed, at->file);
}

/* Prints in quiet lines of their own how much the line grew and freed, if that is much, and its
 * callers. */
static void print_path(struct answer *a, const struct layout *l, const struct model_line *line)
{
	unsigned width = a->options->width, left = width > l->begin ? width - l->begin : 8;
	enum model_sort sort = a->options->sort;
	char grown[32], freed[32], text[80];

	if (is_churning(a, line) && sort != MODEL_SORT_GROWN && sort != MODEL_SORT_FREED) {
		parts_size(grown, sizeof(grown), (int64_t)line->grown_bytes, false);
		parts_size(freed, sizeof(freed), (int64_t)line->freed_bytes, false);
		snprintf(text, sizeof(text), "grew by %s, freed %s", grown, freed);
		fprintf(a->out, "%*s", (int)l->begin, "");
		parts_style(a->out, a->options, STYLE_QUIET);
		text_print(a->out, text, width ? left : 0, false);
		parts_style(a->out, a->options, STYLE_OFF);
		fputc('\n', a->out);
	}
	if (!line->path_count)
		return;
	fprintf(a->out, "%*s", (int)l->begin, "");
	parts_style(a->out, a->options, STYLE_QUIET);
	answer_path(a, line, width ? left : 0);
	parts_style(a->out, a->options, STYLE_OFF);
	fputc('\n', a->out);
}

static void print_row(struct answer *a, const struct layout *l, const struct model_line *line,
		      bool path)
{
	unsigned used;

	print_amount(a, l, line->increment_bytes);
	if (l->columns.count) {
		parts_figures(a->out, &l->columns, line, a->model->page_size);
		fputs("  ", a->out);
	}
	if (line->location->library)
		parts_style(a->out, a->options, STYLE_QUIET);
	used = answer_place(a->out, a, line->location, a->options->width ? l->place : 0);
	if (line->location->library)
		parts_style(a->out, a->options, STYLE_OFF);
	print_source(a, l, line, used);
	fputc('\n', a->out);
	if (path)
		print_path(a, l, line);
}

/* Prints the row of imports, and which line started most of them. 0 or -ENOMEM. */
static int print_imports(struct answer *a, const struct layout *l)
{
	unsigned column = l->indent + l->amount + 2 + 5 + 2;
	char *text = NULL, amount[40];
	int64_t part;
	size_t size;
	FILE *memory;

	if (!a->imports)
		return 0;
	memory = open_memstream(&text, &size);
	if (!memory)
		return -ENOMEM;
	fputs("imports", memory);
	/* If no line started a tenth of it, it was the interpreter's start. */
	if (a->importer && size_of(a->importer->imported_bytes) >= size_of(a->imports) / 10) {
		part = a->importer->imported_bytes;
		parts_amount(amount, sizeof(amount), part, false);
		if (size_of(part - a->imports) < a->least)
			fputs(", started by ", memory);
		else
			fprintf(memory, ", of which %s started by ", amount);
		answer_place(memory, a, a->importer->location, 60);
	}
	if (fclose(memory)) {
		free(text);
		return -ENOMEM;
	}
	print_amount(a, l, a->imports);
	text_wrap(a->out, text, column, a->options->width, column);
	fputc('\n', a->out);
	free(text);
	return 0;
}

/* Prints the sum of the lines that have no row. */
static void print_rest(struct answer *a, const struct layout *l, size_t rows)
{
	unsigned column = l->indent + l->amount + 2 + 5 + 2;
	int64_t bytes = a->rest;
	size_t lines = a->rest_lines + a->row_count - rows, i;
	char text[96];

	for (i = rows; i < a->row_count; i++)
		bytes += a->rows[i].increment_bytes;
	if (!lines)
		return;
	snprintf(text, sizeof(text), "and %zu more line%s%s", lines, lines == 1 ? "" : "s",
		 a->options->live ? "" : " (-n 0 shows all)");
	print_amount(a, l, bytes);
	text_wrap(a->out, text, column, a->options->width, column);
	fputc('\n', a->out);
}

int answer_rows(struct answer *a, const struct answer_room *room)
{
	size_t rows = a->row_count < room->rows ? a->row_count : room->rows, i;
	struct layout l;
	int err;

	if (!a->row_count && !a->imports && !a->rest_lines)
		return 0;
	lay_out(a, &l, rows);
	if (!a->options->live)
		fputc('\n', a->out);
	print_titles(a, &l);
	for (i = 0; i < rows; i++)
		print_row(a, &l, &a->rows[i], room->paths);
	err = print_imports(a, &l);
	print_rest(a, &l, rows);
	parts_changed_print(a->out, a->options, &a->changed);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lines of a function as memory_profiler's %mprun prints them, for the exact engine.
 *
 * A source line has one row, whichever code object ran it. A comprehension, a lambda or a nested
 * function shares the row of the line that it is on, and its runs add to the row's occurrences. A
 * row's increment is what changed while any of them ran. A run inside another run of the same row
 * is part of the outer one and not added again. The function's own runs always count, even if code
 * around the function was running on the same row. */
#include "render/render_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct row {
	long line;
	int64_t occurrences; /* -1: it did not run */
	int64_t usage, increment, peak;
	int64_t gc; /* part of the increment, from garbage collections */
	uint64_t collections;
};

#define COLLECTED_ROWS 8 /* rows named below the table */

static const char *const title = "Line Contents";

/* As memory_profiler's format "{0:5.1f} MiB". */
static void mib(char *text, size_t size, int64_t bytes)
{
	double value = (double)bytes / (1 << 20);

	/* Never "-0.0". */
	if (value > -0.05 && value < 0)
		value = 0;
	snprintf(text, size, "%5.1f MiB", value);
}

static void take_row(struct row *row, const struct model_line *line, bool own)
{
	row->line = line->location->line;
	row->occurrences = line->occurrences;
	row->usage = line->mem_usage_bytes;
	row->peak = line->peak_bytes;
	row->increment = own ? line->once_bytes : line->row_bytes;
	row->gc = line->gc_bytes;
	row->collections = line->collections;
}

/* One that is unknown may have been higher. */
static void add_highest(int64_t *highest, int64_t more)
{
	if (*highest < 0 || more < 0)
		*highest = -1;
	else if (*highest < more)
		*highest = more;
}

static void add_row(struct row *row, const struct row *more)
{
	row->occurrences += more->occurrences;
	add_highest(&row->usage, more->usage);
	add_highest(&row->peak, more->peak);
	row->increment += more->increment;
	row->gc += more->gc;
	row->collections += more->collections;
}

static bool is_function(const struct model_location *a, const struct model_location *b)
{
	return a->function == b->function && a->first_line == b->first_line;
}

/* True if `a` belongs to code inside the function, not to code around it. */
static bool is_inner(const struct model_location *a, const struct model_location *function)
{
	if (!strcmp(a->function, "<module>"))
		return false;
	return a->first_line > function->first_line ||
	       (a->first_line == function->first_line && strchr(a->function, '<'));
}

static void print_head(FILE *out, const struct render_options *options)
{
	unsigned rule = 6 + 1 + 12 + 1 + 12 + 2 + 11 + 3 + (unsigned)strlen(title), i;

	parts_style(out, options, STYLE_HEAD);
	fprintf(out, "%6s %12s %12s  ", "Line #", "Mem usage", "Increment");
	if (options->peak) {
		fprintf(out, "%12s  ", "Peak");
		rule += 14;
	}
	fprintf(out, "%10s   %s\n", "Occurrences", title);
	parts_style(out, options, STYLE_OFF);
	if (options->width && options->width < rule)
		rule = options->width;
	for (i = 0; i < rule; i++)
		fputc('=', out);
	fputc('\n', out);
}

static void print_row(FILE *out, const struct render_options *options, long line,
		      const struct row *row)
{
	char usage[24] = "", increment[24] = "", peak[24] = "", runs[24] = "";

	if (row->occurrences >= 0) {
		if (row->usage >= 0)
			mib(usage, sizeof(usage), row->usage);
		mib(increment, sizeof(increment), row->increment);
		if (row->peak >= 0)
			mib(peak, sizeof(peak), row->peak);
		snprintf(runs, sizeof(runs), "%lld", (long long)row->occurrences);
	}
	fprintf(out, "%6ld %12s %12s  ", line, usage, increment);
	if (options->peak)
		fprintf(out, "%12s  ", peak);
	fprintf(out, "%10s   ", runs);
}

/* Says what garbage collections did. A collection can start at any line, so the line seldom causes
 * what the collection adds to its increment. */
static void print_collections(FILE *out, const struct render_options *options,
			      const struct row *rows, size_t count)
{
	char text[1024] = "Garbage collections:", amount[32];
	size_t used = strlen(text), named = 0, more = 0, i;
	int64_t rest = 0;

	for (i = 0; i < count; i++) {
		if (!rows[i].gc)
			continue;
		if (named == COLLECTED_ROWS) {
			more++;
			rest += rows[i].gc;
			continue;
		}
		parts_amount(amount, sizeof(amount), rows[i].gc, true);
		used += snprintf(text + used, sizeof(text) - used,
				 "%s %s on line" NBSP "%ld (%llu)", named++ ? "," : "", amount,
				 rows[i].line, (unsigned long long)rows[i].collections);
	}
	if (!named)
		return;
	if (more) {
		parts_amount(amount, sizeof(amount), rest, true);
		snprintf(text + used, sizeof(text) - used, ", %s on %zu more", amount, more);
	}
	text_wrap(out, text, 0, options->width, 2);
	fputs("\n\n", out);
}

void parts_cut(FILE *out, const struct render_options *options, const char *lack)
{
	char text[128];

	snprintf(text, sizeof(text), "More than %d lines: those with %s are left out.",
		 PARTS_LINES_MOST, lack);
	text_wrap(out, text, 0, options->width, 0);
	fputc('\n', out);
}

static int compare_rows(const void *left, const void *right)
{
	const struct row *a = left, *b = right;

	return (a->line > b->line) - (a->line < b->line);
}

/* The rows of the function that ran, by line. The caller frees them. NULL: out of memory. */
static struct row *take_rows(const struct model_process *process,
			     const struct model_location *function, long first, long last,
			     size_t *count)
{
	struct row *rows = calloc(process->line_count + 1, sizeof(*rows));
	const struct model_line *line;
	size_t i, kept = 0;
	bool own;

	for (i = 0; rows && i < process->line_count; i++) {
		line = &process->lines[i];
		own = is_function(line->location, function);
		if (line->occurrences < 0 || line->location->file != function->file ||
		    line->location->line < first || line->location->line > last ||
		    (!own && !is_inner(line->location, function)))
			continue;
		take_row(&rows[kept++], line, own);
	}
	*count = 0;
	if (rows && kept)
		qsort(rows, kept, sizeof(*rows), compare_rows);
	/* One row for each line, whichever code objects ran on it. */
	for (i = 0; rows && i < kept; i++) {
		if (!i || rows[*count - 1].line != rows[i].line)
			rows[(*count)++] = rows[i];
		else
			add_row(&rows[*count - 1], &rows[i]);
	}
	return rows;
}

struct printing {
	FILE *out;
	const struct model_process *process;
	const struct render_options *options;
	const struct model_location *function;
	bool *changed;
};

static void print_line(const struct printing *p, long line, const struct row *row)
{
	static const struct row none = {.occurrences = -1};
	unsigned used = 6 + 1 + 12 + 1 + 12 + 2 + 10 + 3 + (p->options->peak ? 14 : 0);
	unsigned width = p->options->width;
	enum source_state state;

	print_row(p->out, p->options, line, row ? row : &none);
	parts_source(p->out, p->options, p->process, p->function->file, (int)line,
		     !width		? 0
		     : width > used + 8 ? width - used
					: 8,
		     false, &state);
	*p->changed |= state == SOURCE_CHANGED;
	fputc('\n', p->out);
}

/* Prints each line, also those that did not run. */
static void print_all(const struct printing *p, const struct row *row, const struct row *end,
		      long first, long last)
{
	long line;

	for (line = first; line <= last; line++)
		print_line(p, line, row < end && row->line == line ? row++ : NULL);
}

/* Prints the function's first line and each line that changed something. */
static void print_changes(const struct printing *p, const struct row *row, const struct row *end,
			  long first)
{
	long before = first;

	print_line(p, first, row < end && row->line == first ? row++ : NULL);
	for (; row < end; row++) {
		if (!row->increment && !row->gc)
			continue;
		if (row->line > before + 1)
			fprintf(p->out, "%6s\n", "...");
		print_line(p, row->line, row);
		before = row->line;
	}
	fputc('\n', p->out);
	parts_cut(p->out, p->options, "an increment of nothing");
}

int parts_runs(FILE *out, const struct model_process *process, const struct render_options *options,
	       const struct model_location *function, long first, long last, bool *changed)
{
	struct printing p = {out, process, options, function, changed};
	struct row *rows;
	size_t count;

	rows = take_rows(process, function, first, last, &count);
	if (!rows)
		return -ENOMEM;
	print_head(out, options);
	if (last - first < PARTS_LINES_MOST)
		print_all(&p, rows, rows + count, first, last);
	else
		print_changes(&p, rows, rows + count, first);
	fputc('\n', out);
	print_collections(out, options, rows, count);
	free(rows);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A function's lines as memory_profiler's %mprun prints them, for the exact engine.
 *
 * One row per line of the source, whichever code object ran it: a comprehension, a lambda
 * or a nested function shares the rows that it stands on, and its runs add to the row's
 * occurrences. A row's increment is what changed while any of them ran on it: what a run
 * inside another one of the row changed is in the outer one's, and not added again. The
 * function's own runs count even where code that it stands in ran the row around them.
 */
#include "render_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct row {
	int64_t occurrences; /* -1: did not run */
	int64_t usage, increment, peak;
	int64_t gc; /* part of the increment */
	uint64_t collections;
};

#define COLLECTED_ROWS 8 /* named below the table */

static const char *const title = "Line Contents";

/* The same as memory_profiler's "{0:5.1f} MiB". */
static void mib(char *text, size_t size, int64_t bytes)
{
	double value = (double)bytes / (1 << 20);

	/* No "-0.0". */
	if (value > -0.05 && value < 0)
		value = 0;
	snprintf(text, size, "%5.1f MiB", value);
}

static void add(struct row *row, const struct model_line *line, bool own)
{
	if (row->occurrences < 0)
		row->occurrences = 0;
	row->occurrences += line->occurrences;
	if (line->mem_usage_bytes > row->usage)
		row->usage = line->mem_usage_bytes;
	if ((int64_t)line->peak_bytes > row->peak)
		row->peak = line->peak_bytes;
	row->increment += own ? line->once_bytes : line->row_bytes;
	row->gc += line->gc_bytes;
	row->collections += line->collections;
}

static bool is_function(const struct model_location *a, const struct model_location *b)
{
	return a->function == b->function && a->first_line == b->first_line;
}

/* Is `a` of code inside the function, not of what the function stands in? */
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
		mib(usage, sizeof(usage), row->usage);
		mib(increment, sizeof(increment), row->increment);
		mib(peak, sizeof(peak), row->peak);
		snprintf(runs, sizeof(runs), "%lld", (long long)row->occurrences);
	}
	fprintf(out, "%6ld %12s %12s  ", line, usage, increment);
	if (options->peak)
		fprintf(out, "%12s  ", peak);
	fprintf(out, "%10s   ", runs);
}

/* What garbage collections did, wherever they happened to start: it is part of the increments,
 * and seldom that line's own doing. */
static void print_collections(FILE *out, const struct render_options *options, long first,
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
				 first + (long)i, (unsigned long long)rows[i].collections);
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

int parts_runs(FILE *out, const struct model_process *process, const struct render_options *options,
	       const struct model_location *function, long first, long last, bool *changed)
{
	unsigned used = 6 + 1 + 12 + 1 + 12 + 2 + 10 + 3 + (options->peak ? 14 : 0);
	size_t count = last - first + 1, i;
	struct row *rows = calloc(count, sizeof(*rows));
	const struct model_line *line;
	enum source_state state;
	bool own;

	if (!rows)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		rows[i].occurrences = -1;
	for (i = 0; i < process->line_count; i++) {
		line = &process->lines[i];
		own = is_function(line->location, function);
		if (line->occurrences >= 0 && line->location->file == function->file &&
		    line->location->line >= first && line->location->line <= last &&
		    (own || is_inner(line->location, function)))
			add(&rows[line->location->line - first], line, own);
	}
	print_head(out, options);
	for (i = 0; i < count; i++) {
		print_row(out, options, first + (long)i, &rows[i]);
		parts_source(out, options, process, function->file, (int)(first + (long)i),
			     !options->width		 ? 0
			     : options->width > used + 8 ? options->width - used
							 : 8,
			     false, &state);
		*changed |= state == SOURCE_CHANGED;
		fputc('\n', out);
	}
	fputc('\n', out);
	print_collections(out, options, first, rows, count);
	free(rows);
	return 0;
}

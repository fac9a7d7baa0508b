/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The functions that the exact engine counted: a table of those of a program, and the line of one
 * function that stands above its source.
 *
 * What functions changed themselves and the last row add up to the change of RSS. Where the width
 * does not do, columns are left out, the least important ones first. */
#include "render/render_answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define PLACE_LEAST 28 /* columns of a place that are worth more than a column of figures */
#define FIGURE	    12 /* columns of a figure, two spaces before it included */

enum column { CALLS, SELF, INCREMENT, PEAK, AT_RETURN, COLUMNS };

static const char *const titles[COLUMNS] = {"Calls", "Self", "Increment", "Peak", "At return"};

/* Which columns are shown; the width that they take. */
struct shown {
	bool column[COLUMNS];
	unsigned total;
};

static void choose(struct shown *shown, unsigned width)
{
	static const enum column dispensable[] = {AT_RETURN, PEAK, INCREMENT};

	*shown = (struct shown){{true, true, true, true, true}, COLUMNS * FIGURE};
	for (size_t i = 0; i < sizeof(dispensable) / sizeof(dispensable[0]); i++) {
		if (!width || shown->total + 2 + PLACE_LEAST <= width)
			return;
		shown->column[dispensable[i]] = false;
		shown->total -= FIGURE;
	}
}

static void figure_text(char *text, size_t size, const struct model_function *function,
			enum column column)
{
	switch (column) {
	case CALLS:
		snprintf(text, size, "%llu", (unsigned long long)function->calls);
		return;
	case SELF:
		parts_size(text, size, function->self_bytes, true);
		return;
	case INCREMENT:
		parts_size(text, size, function->total_bytes, true);
		return;
	case PEAK:
		if (function->peak_bytes >= 0)
			parts_size(text, size, function->peak_bytes, false);
		return;
	default:
		if (function->return_bytes >= 0)
			parts_size(text, size, function->return_bytes, false);
	}
}

static void print_figures(struct answer *a, const struct shown *shown,
			  const struct model_function *function)
{
	for (int i = 0; i < COLUMNS; i++) {
		char text[40] = "";

		if (!shown->column[i])
			continue;
		figure_text(text, sizeof(text), function, (enum column)i);
		fprintf(a->out, "%*s", FIGURE, text);
	}
}

static void print_titles(struct answer *a, const struct shown *shown)
{
	parts_style(a->out, a->options, STYLE_HEAD);
	for (int i = 0; i < COLUMNS; i++)
		if (shown->column[i])
			fprintf(a->out, "%*s", FIGURE, titles[i]);
	fputs("  Function", a->out);
	parts_style(a->out, a->options, STYLE_OFF);
	fputc('\n', a->out);
}

/* A row that has only what functions changed themselves. */
static void print_sum(struct answer *a, const struct shown *shown, int64_t bytes, const char *what)
{
	char amount[40];

	parts_size(amount, sizeof(amount), bytes, true);
	fprintf(a->out, "%*s%*s%*s  ", FIGURE, "", FIGURE, amount, (int)shown->total - 2 * FIGURE,
		"");
	text_wrap(a->out, what, shown->total + 2, a->options->width, shown->total + 2);
	fputc('\n', a->out);
}

static void print_rest(struct answer *a, const struct shown *shown, size_t rows)
{
	const struct model_process *p = a->process;
	size_t more = p->function_count - rows;
	int64_t bytes = 0;
	char text[96];

	for (size_t i = rows; i < p->function_count; i++)
		bytes += p->functions[i].self_bytes;
	if (more) {
		snprintf(text, sizeof(text), "and %zu more function%s%s", more,
			 more == 1 ? "" : "s", a->options->live ? "" : " (-n 0 shows all)");
		print_sum(a, shown, bytes, text);
	}
	print_sum(a, shown, model_outside_bytes(p), "in no function that was seen to be called");
}

void answer_functions(struct answer *a, size_t most)
{
	const struct model_process *p = a->process;
	unsigned width = a->options->width;
	size_t rows = p->function_count < most ? p->function_count : most;
	struct shown shown;

	if (!p->functions_counted)
		return;
	choose(&shown, width);
	if (!a->options->live)
		fputc('\n', a->out);
	print_titles(a, &shown);
	for (size_t i = 0; i < rows; i++) {
		print_figures(a, &shown, &p->functions[i]);
		fputs("  ", a->out);
		answer_place(a->out, a, p->functions[i].location,
			     !width			? 0
			     : width > shown.total + 10 ? width - shown.total - 2
							: 8);
		fputc('\n', a->out);
	}
	print_rest(a, &shown, rows);
}

void parts_calls(FILE *out, const struct render_options *options,
		 const struct model_function *function)
{
	char self[40], total[40], peak[40], back[40], text[320];
	int used;

	parts_amount(self, sizeof(self), function->self_bytes, true);
	parts_amount(total, sizeof(total), function->total_bytes, true);
	used = snprintf(text, sizeof(text), "%llu call%s: %s itself, %s with what it called",
			(unsigned long long)function->calls, function->calls == 1 ? "" : "s", self,
			total);
	if (function->peak_bytes >= 0) {
		parts_amount(peak, sizeof(peak), function->peak_bytes, false);
		used += snprintf(text + used, sizeof(text) - (size_t)used,
				 "; RSS at most %s while it ran", peak);
	}
	if (function->return_bytes >= 0) {
		parts_amount(back, sizeof(back), function->return_bytes, false);
		used += snprintf(text + used, sizeof(text) - (size_t)used, ", %s at its return",
				 back);
	}
	if (function->gc_bytes) {
		parts_amount(back, sizeof(back), function->gc_bytes, true);
		snprintf(text + used, sizeof(text) - (size_t)used,
			 "; garbage collections in it: %s", back);
	}
	text_wrap(out, text, 0, options->width, 2);
	fputc('\n', out);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The report of `heap` for people: the answer first, then its parts.
 */
#include "render/heap_grid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define BIRTHS_SHOWN 2 /* lines shown of each holder */
#define CALLERS	     3
#define NOW_SHOWN    3

/* --- the head --- */

static void print_head(const struct heap_page *page)
{
	const struct heap_look *look = page->look;
	char text[256];
	int used;

	parts_title(page->out, page->options, (int)look->pid, (int)look->ns_pid,
		    look->comm ? look->comm : "", look->cmdline);
	used = snprintf(text, sizeof(text), "Python %.31s, %.63s", look->python, look->allocator);
	if (look->seconds > 0)
		used += snprintf(text + used, sizeof(text) - (size_t)used,
				 ", two looks %.1f" NBSP "s apart", look->seconds);
	if (look->paused_ms[0] >= 0 && look->paused_ms[1] >= 0)
		snprintf(text + used, sizeof(text) - (size_t)used,
			 ", stopped for %.1f and %.1f" NBSP "ms", look->paused_ms[0],
			 look->paused_ms[1]);
	else if (look->paused_ms[0] >= 0)
		snprintf(text + used, sizeof(text) - (size_t)used, ", stopped for %.1f" NBSP "ms",
			 look->paused_ms[0]);
	text_wrap(page->out, text, 0, page->options->width, 0);
	fputc('\n', page->out);
}

/* Prints an answer and frees it. 0; -ENOMEM: it is NULL. */
static int print_answer(FILE *out, const struct render_options *options, char *answer)
{
	if (!answer)
		return -ENOMEM;
	parts_style(out, options, STYLE_HEAD);
	text_wrap(out, answer, 0, options->width, 0);
	parts_style(out, options, STYLE_OFF);
	fputc('\n', out);
	free(answer);
	return 0;
}

static int print_verdict(const struct heap_page *page)
{
	fputc('\n', page->out);
	return print_answer(page->out, page->options, heap_verdict(page->look));
}

struct balance_part {
	const char *text;
	uint64_t bytes;
	int64_t grown;
};

static unsigned print_part(const struct heap_page *page, unsigned column, const char *lead,
			   const struct balance_part *part)
{
	char amount[40], grown[40], text[160];

	parts_amount(amount, sizeof(amount), (int64_t)part->bytes, false);
	parts_amount(grown, sizeof(grown), part->grown, true);
	snprintf(text, sizeof(text), "%s%s" NBSP "%s%s%s%s", lead, part->text, amount,
		 part->grown ? NBSP "(" : "", part->grown ? grown : "", part->grown ? ")" : "");
	return text_wrap(page->out, text, column, page->options->width, 4);
}

/* Prints RSS and its parts, without those that are 0 and were 0 before. */
static void print_balance(const struct heap_page *page)
{
	const struct heap_look *look = page->look;
	const struct heap_balance *now = &look->balance, *first = &look->balance_first;
	bool two = look->seconds > 0;
	const struct balance_part parts[] = {
#define BALANCE_PART(name, text) {text, now->name, two ? (int64_t)(now->name - first->name) : 0},
		HEAP_BALANCE(BALANCE_PART)
#undef BALANCE_PART
	};
	const struct balance_part rss = {"RSS", look->rss_bytes,
					 two ? (int64_t)(look->rss_bytes - look->rss_first_bytes)
					     : 0};
	const char *lead = "= ";
	unsigned column;

	fputc('\n', page->out);
	column = print_part(page, 0, "", &rss);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!parts[i].bytes && !parts[i].grown)
			continue;
		column = print_part(page, column, lead, &parts[i]);
		lead = "+ ";
	}
	fputc('\n', page->out);
}

static void print_sentence(const struct heap_page *page, const char *text)
{
	text_wrap(page->out, text, 0, page->options->width, 2);
	fputc('\n', page->out);
}

static void print_swapped(const struct heap_page *page)
{
	char amount[40], text[128];

	if (!page->look->swapped_bytes)
		return;
	parts_amount(amount, sizeof(amount), (int64_t)page->look->swapped_bytes, false);
	snprintf(text, sizeof(text), "Swapped out, and in no figure here: %s", amount);
	print_sentence(page, text);
}

/* Prints what the garbage collector's own figures say. */
static void print_collector(const struct heap_page *page)
{
	const struct heap_look *look = page->look;
	char text[400];
	int used;

	if (!look->gc_known)
		return;
	used = snprintf(text, sizeof(text), "Garbage collector %s",
			look->gc_enabled ? "enabled" : "disabled");
	for (unsigned i = 0; i < look->generation_count; i++) {
		const struct heap_generation *g = &look->generations[i];

		used += snprintf(text + used, sizeof(text) - (size_t)used,
				 "; generation %u: %llu of %llu, %llu collections", i,
				 (unsigned long long)g->count, (unsigned long long)g->threshold,
				 (unsigned long long)g->collections);
	}
	if (look->gc_frozen)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "; %llu objects frozen",
				 (unsigned long long)look->gc_frozen);
	if (look->gc_uncollectable)
		snprintf(text + used, sizeof(text) - (size_t)used, "; %llu uncollectable",
			 (unsigned long long)look->gc_uncollectable);
	print_sentence(page, text);
}

/* --- holders, and the lines that fill them --- */

static void holder_figures(const struct heap_page *page, const struct heap_holder_row *holder,
			   struct heap_figures *row)
{
	int c = 0;

	parts_size(HEAP_CELL(row, c++), (int64_t)holder->retained_bytes, false);
	if (page->look->seconds > 0)
		parts_size(HEAP_CELL(row, c++), holder->grown_bytes, true);
	if (holder->has_entries)
		heap_count(HEAP_CELL(row, c), heap_signed(holder->entries), false);
	c++;
	if (page->look->seconds > 0 && holder->has_entries)
		heap_count(HEAP_CELL(row, c), holder->entries_grown, true);
}

/* A line of a stack, below what it belongs to. `width`: columns of `lead`. */
static void print_below(const struct heap_page *page, const struct heap_grid *grid,
			const char *lead, unsigned width, const char *line, unsigned room)
{
	fprintf(page->out, "%*s", (int)grid->total + 2, "");
	parts_style(page->out, page->options, STYLE_QUIET);
	fputs(lead, page->out);
	text_print(page->out, line, room > width + 4 ? room - width : 4, true);
	parts_style(page->out, page->options, STYLE_OFF);
	fputc('\n', page->out);
}

/* That were seen for its holder. */
static int64_t all_insertions(const struct heap_birth_row *birth)
{
	double all = birth->share > 0 ? (double)birth->insertions / birth->share : 0;

	return all < (double)INT64_MAX ? (int64_t)(all + 0.5) : INT64_MAX;
}

/* "← audit.py:19 audit  100 % of 21,400 insertions", and its callers. */
static void print_birth(const struct heap_page *page, const struct heap_grid *grid,
			const struct heap_birth_row *birth)
{
	struct model_location location = {
		.file = birth->file, .function = birth->function, .line = birth->line};
	unsigned room = heap_grid_room(page, grid) - 2, used, callers = 0;
	int64_t all = all_insertions(birth);
	char share[96], count[40];

	heap_count(count, sizeof(count), all, false);
	snprintf(share, sizeof(share), "%.0f %% of %s %s%s", 100 * birth->share, count,
		 heap_birth_is_insertion(birth) ? "insertion" : "object", all == 1 ? "" : "s");
	fprintf(page->out, "%*s← ", (int)grid->total, "");
	used = parts_place(page->out, &location, room);
	if (used + 2 + strlen(share) <= room)
		fprintf(page->out, "  %s", share);
	fputc('\n', page->out);
	if (birth->made)
		print_below(page, grid, "made at ", 8, birth->made, room);
	for (char **caller = birth->stack; caller && *caller && callers < CALLERS + 1; caller++)
		if (callers++) /* not the line itself */
			print_below(page, grid, "← ", 2, *caller, room);
}

static void print_births(const struct heap_page *page, const struct heap_grid *grid,
			 const struct heap_holder_row *holder)
{
	int shown = 0;

	for (size_t i = 0; i < page->look->birth_count && shown < BIRTHS_SHOWN; i++) {
		if (strcmp(page->look->births[i].holder, holder->path))
			continue;
		print_birth(page, grid, &page->look->births[i]);
		shown++;
	}
}

static void print_holder(const struct heap_page *page, const struct heap_grid *grid,
			 const struct heap_holder_row *holder, const struct heap_figures *row)
{
	unsigned room = heap_grid_room(page, grid);

	heap_grid_print(page, grid, row);
	heap_grid_name(page, room, holder->path, holder->type);
	fputc('\n', page->out);
	if (holder->shared_by) {
		fprintf(page->out, "%*sshared by ", (int)grid->total, "");
		text_print(page->out, holder->shared_by, room > 18 ? room - 10 : 8, false);
		fputc('\n', page->out);
	}
	print_births(page, grid, holder);
}

static int print_holders(const struct heap_page *page)
{
	bool two = page->look->seconds > 0;
	struct heap_grid grid = {.title = {"Retained", two ? "Grown" : "Entries",
					   two ? "Entries" : NULL, two ? "Grown" : NULL}};
	size_t count = heap_grid_shown(page, page->look->holder_count);
	struct heap_figures *rows = heap_figures_new(count);

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		holder_figures(page, &page->look->holders[i], &rows[i]);
	heap_grid_fit(&grid, rows, count, page->options);
	if (count)
		heap_grid_titles(page, &grid, "Holder");
	for (size_t i = 0; i < count; i++)
		print_holder(page, &grid, &page->look->holders[i], &rows[i]);
	heap_grid_more(page, &grid, page->look->holder_count - count, "holder", 0);
	free(rows);
	return 0;
}

/* --- types --- */

static void type_figures(const struct heap_page *page, const struct heap_type_row *type,
			 struct heap_figures *row)
{
	int c = 0;

	parts_size(HEAP_CELL(row, c++), (int64_t)type->bytes, false);
	if (page->look->seconds > 0)
		parts_size(HEAP_CELL(row, c++), type->bytes_grown, true);
	heap_count(HEAP_CELL(row, c++), heap_signed(type->objects), false);
	if (page->look->seconds > 0)
		heap_count(HEAP_CELL(row, c), type->objects_grown, true);
}

static int print_types(const struct heap_page *page)
{
	const struct heap_look *look = page->look;
	bool two = look->seconds > 0;
	struct heap_grid grid = {.title = {"Bytes", two ? "Grown" : "Objects",
					   two ? "Objects" : NULL, two ? "Grown" : NULL}};
	size_t count = heap_grid_shown(page, look->type_count);
	struct heap_figures *rows = heap_figures_new(count);
	uint64_t rest = 0;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < look->type_count; i++) {
		if (i < count)
			type_figures(page, &look->types[i], &rows[i]);
		else
			rest += look->types[i].bytes;
	}
	heap_grid_fit(&grid, rows, count, page->options);
	if (count)
		heap_grid_titles(page, &grid,
				 look->types_only ? "Type, without buffers"
						  : "Type, with its buffers");
	for (size_t i = 0; i < count; i++) {
		heap_grid_print(page, &grid, &rows[i]);
		heap_grid_name(page, heap_grid_room(page, &grid), look->types[i].type, "");
		fputc('\n', page->out);
	}
	heap_grid_more(page, &grid, look->type_count - count, "type", rest);
	free(rows);
	return 0;
}

/* --- the pages that lines touched --- */

static void print_now(const struct heap_page *page, const struct heap_grid *grid,
		      const struct heap_touched_row *row)
{
	char amount[40];

	for (size_t i = 0; i < row->now_count && i < NOW_SHOWN; i++) {
		parts_size(amount, sizeof(amount), (int64_t)row->now[i].bytes, false);
		fprintf(page->out, "%*s%9s  ", (int)grid->total, "", amount);
		text_print(page->out, row->now[i].what,
			   heap_grid_room(page, grid) > 19 ? heap_grid_room(page, grid) - 11 : 8,
			   false);
		fputc('\n', page->out);
	}
}

static int print_touched(const struct heap_page *page)
{
	const struct heap_look *look = page->look;
	struct heap_grid grid = {.title = {"Resident"}};
	size_t count = heap_grid_shown(page, look->touched_count);
	struct heap_figures *rows = heap_figures_new(count);
	uint64_t rest = 0;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < look->touched_count; i++) {
		if (i < count)
			parts_size(HEAP_CELL(&rows[i], 0), (int64_t)look->touched[i].resident_bytes,
				   false);
		else
			rest += look->touched[i].resident_bytes;
	}
	heap_grid_fit(&grid, rows, count, page->options);
	if (count)
		heap_grid_titles(page, &grid, "First touched by, and what is there now");
	for (size_t i = 0; i < count; i++) {
		struct model_location location = {.file = look->touched[i].file,
						  .function = look->touched[i].function,
						  .line = look->touched[i].line};

		heap_grid_print(page, &grid, &rows[i]);
		parts_place(page->out, &location,
			    page->options->width ? heap_grid_room(page, &grid) : 0);
		fputc('\n', page->out);
		print_now(page, &grid, &look->touched[i]);
	}
	heap_grid_more(page, &grid, look->touched_count - count, "line", rest);
	free(rows);
	return 0;
}

/* Prints the resident bytes that no known line touched between the looks. With those of the lines
 * they are RSS. */
static void print_untouched(const struct heap_page *page)
{
	const struct heap_look *look = page->look;
	char before[40], unknown[40], text[160];
	unsigned column;

	if (!look->touched_known)
		return;
	parts_size(before, sizeof(before), (int64_t)look->touched_before_bytes, false);
	parts_size(unknown, sizeof(unknown), (int64_t)look->touched_unknown_bytes, false);
	snprintf(text, sizeof(text), "%s was there before, %s was touched by no line that is known",
		 before, unknown);
	if (!look->touched_count)
		fputc('\n', page->out);
	column = (unsigned)fprintf(page->out, "The rest of RSS:");
	text_wrap(page->out, text, column, page->options->width, 2);
	fputc('\n', page->out);
}

/* --- a process, a report --- */

static void print_sentences(const struct heap_page *page, const char *head, char **sentences)
{
	unsigned column;

	for (char **text = sentences; text && *text; text++) {
		if (text == sentences)
			fputc('\n', page->out);
		column = (unsigned)fprintf(page->out, "%s:", head);
		text_wrap(page->out, *text, column, page->options->width, 2);
		fputc('\n', page->out);
	}
}

static int print_look(FILE *out, const struct heap_look *look, const struct render_options *options)
{
	struct heap_page page = {.out = out, .look = look, .options = options};
	int err;

	print_head(&page);
	err = print_verdict(&page);
	print_balance(&page);
	print_swapped(&page);
	print_collector(&page);
	err = print_holders(&page) ?: err;
	err = print_types(&page) ?: err;
	err = print_touched(&page) ?: err;
	print_untouched(&page);
	print_sentences(&page, "Not read", look->skipped);
	print_sentences(&page, "Note", look->notes);
	return err;
}

static int table_emit(FILE *out, const struct heap_report *report,
		      const struct render_options *options)
{
	bool several = report->look_count > 1;
	int err = several ? print_answer(out, options, heap_overview(report)) : 0;

	for (size_t i = 0; i < report->look_count && !err && !ferror(out); i++) {
		if (several)
			fputc('\n', out);
		err = print_look(out, report->looks[i], options);
	}
	for (size_t i = 0; i < report->skip_count; i++) {
		if (!i && report->look_count)
			fputc('\n', out);
		parts_skip(out, options, (int)report->skips[i].pid, report->skips[i].comm,
			   report->skips[i].reason);
	}
	return err ? err : parts_flush(out);
}

const struct heap_renderer heap_table = {
	.name = "table",
	.emit = table_emit,
};

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables of a diff's page (--format html): all lines with a list for each figure of each side,
 * and what heaps kept, in the words of the table. */
#include "render/diff_page.h"

#include <errno.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "render/diff_heap.h"

/* --- lines --- */

/* All of these are 64 bits wide; resident_bytes is -1 if it is unknown. */
#define FIGURES(X) \
	X(increment_bytes) X(grown_bytes) X(freed_bytes) X(copied_bytes) X(faults) X(resident_bytes)

enum figure {
#define FIGURE_ID(name) FIGURE_##name,
	FIGURES(FIGURE_ID)
#undef FIGURE_ID
		FIGURE_COUNT
};

static const char *const figure_names[FIGURE_COUNT] = {
#define FIGURE_NAME(name) #name,
	FIGURES(FIGURE_NAME)
#undef FIGURE_NAME
};

static int64_t figure_of(const struct model_diff_figures *figures, enum figure figure)
{
	switch (figure) {
#define FIGURE_CASE(name)   \
	case FIGURE_##name: \
		return (int64_t)figures->name;
		FIGURES(FIGURE_CASE)
#undef FIGURE_CASE
	case FIGURE_COUNT:
		break;
	}
	return 0;
}

/* A list with a number of each line. */
struct list {
	struct page *page;
	bool more;
};

typedef int line_fn(struct list *list, size_t program, const struct model_diff_line *line, int side,
		    enum figure figure);

static void put_number(struct list *list, int64_t number)
{
	if (list->more)
		fputc(',', list->page->out);
	list->more = true;
	json_put_number(list->page->out, number);
}

static int put_owner(struct list *list, size_t program, const struct model_diff_line *line,
		     int side, enum figure figure)
{
	(void)line;
	(void)side;
	(void)figure;
	put_number(list, (int64_t)program);
	return 0;
}

static int put_place(struct list *list, size_t program, const struct model_diff_line *line,
		     int side, enum figure figure)
{
	ssize_t number =
		page_place(list->page, &(struct page_place){.at = {line->at[0], line->at[1]}});

	(void)program;
	(void)side;
	(void)figure;
	if (number < 0)
		return (int)number;
	put_number(list, number);
	return 0;
}

static int put_figure(struct list *list, size_t program, const struct model_diff_line *line,
		      int side, enum figure figure)
{
	int64_t value = figure_of(&line->side[side], figure);

	(void)program;
	if (figure != FIGURE_resident_bytes || value >= 0) {
		put_number(list, value);
		return 0;
	}
	fputs(list->more ? ",null" : "null", list->page->out);
	list->more = true;
	return 0;
}

static int put_list(struct page *page, line_fn *fn, int side, enum figure figure)
{
	const struct model_diff *diff = page->report->diff;
	struct list list = {.page = page};
	size_t i, j;
	int err = 0;

	fputc('[', page->out);
	for (i = 0; i < diff->program_count && !err; i++)
		for (j = 0; j < diff->programs[i].line_count && !err; j++)
			err = fn(&list, i, &diff->programs[i].lines[j], side, figure);
	fputc(']', page->out);
	return err ?: ferror(page->out) ? -EIO : 0;
}

/* True if some line has something to say there, in either side. */
static bool is_worth_a_list(const struct model_diff *diff, enum figure figure)
{
	size_t i, j;

	for (i = 0; i < diff->program_count; i++)
		for (j = 0; j < diff->programs[i].line_count; j++)
			for (int side = 0; side < MODEL_DIFF_SIDES; side++)
				if (figure_of(&diff->programs[i].lines[j].side[side], figure) > 0)
					return true;
	return figure == FIGURE_increment_bytes;
}

int diff_page_put_lines(struct page *page)
{
	enum figure figure;
	int err;

	fputs(",\n\"lines\":{\n\"process\":", page->out);
	err = put_list(page, put_owner, 0, 0);
	fputs(",\n\"place\":", page->out);
	err = err ?: put_list(page, put_place, 0, 0);
	for (figure = 0; figure < FIGURE_COUNT && !err; figure++)
		for (int side = 0; side < MODEL_DIFF_SIDES && !err; side++) {
			if (!is_worth_a_list(page->report->diff, figure))
				continue;
			fprintf(page->out, ",\n\"%c_%s\":", 'a' + side, figure_names[figure]);
			err = put_list(page, put_figure, side, figure);
		}
	fputc('}', page->out);
	return err;
}

/* --- heaps --- */

/* A row: what its cells show, and the difference by which rows are sorted. */
static json_t *kept_value(const struct model_diff *diff, const struct model_diff_program *program,
			  const struct model_diff_kept *kept)
{
	struct diff_kept_words words;
	json_t *value;

	if (diff_kept_words(diff, program, kept, &words))
		return NULL;
	value = json_pack("[o, o, o, o, I]", json_text(words.cell[0]), json_text(words.cell[1]),
			  json_text(words.cell[2]), json_text(words.text),
			  (json_int_t)kept->sure_bytes);
	free(words.text);
	return value;
}

/* Writes the rows; null if they can't be compared. */
static int put_kept(struct page *page, const struct model_diff_program *program, const char *name,
		    bool known, const struct model_diff_kept *kept, size_t count)
{
	size_t i;
	int err = 0;

	fprintf(page->out, ",\"%s\":%s", name, known ? "[" : "null");
	for (i = 0; i < count && known && !err; i++) {
		fputs(i ? ",\n  " : "\n  ", page->out);
		err = json_put(page->out, kept_value(page->report->diff, program, &kept[i]));
	}
	if (known)
		fputc(']', page->out);
	return err;
}

static int put_program(struct page *page, size_t number)
{
	const struct model_diff *diff = page->report->diff;
	const struct model_diff_program *program = &diff->programs[number];
	const struct model_diff_heap *heap = program->heap;
	char *heading = diff_heap_heading(diff, program);
	struct json_member members[] = {
		{"process", json_count(number)},
		{"heading", heading ? page_harmless(heading) : NULL},
	};
	int err;

	free(heading);
	err = JSON_PUT_MEMBERS(page->out, "", members, false);
	err = err
		      ?: put_kept(page, program, "holders", heap->has_holders, heap->holders,
				  heap->holder_count);
	return err
		       ?: put_kept(page, program, "types", heap->has_types, heap->types,
				   heap->type_count);
}

int diff_page_put_heap(struct page *page)
{
	const struct model_diff *diff = page->report->diff;
	bool more = false;
	size_t i;
	int err = 0;

	for (i = 0; i < diff->program_count && !err; i++) {
		if (!diff->programs[i].heap)
			continue;
		fputs(more ? ",\n {" : ",\n\"heap\":[\n {", page->out);
		more = true;
		err = put_program(page, i);
		fputc('}', page->out);
	}
	if (more)
		fputc(']', page->out);
	return err;
}

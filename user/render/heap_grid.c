/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "render/heap_grid.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define NAME_LEAST 24 /* columns of a name: worth more than another column of figures */

void heap_grid_fit(struct heap_grid *grid, const struct heap_figures *rows, size_t count,
		   const struct render_options *options)
{
	grid->total = 0;
	for (int c = 0; c < HEAP_COLUMNS && grid->title[c]; c++) {
		grid->width[c] = text_columns(grid->title[c]);
		for (size_t i = 0; i < count; i++) {
			if (grid->width[c] < strlen(rows[i].cell[c]))
				grid->width[c] = (unsigned)strlen(rows[i].cell[c]);
		}
		if (c && options->width &&
		    grid->total + grid->width[c] + 2 + NAME_LEAST > options->width) {
			grid->title[c] = NULL;
			break;
		}
		grid->total += grid->width[c] + 2;
	}
}

void heap_grid_print(const struct heap_page *page, const struct heap_grid *grid,
		     const struct heap_figures *row)
{
	for (int c = 0; c < HEAP_COLUMNS && grid->title[c]; c++)
		fprintf(page->out, "%*s  ", (int)grid->width[c],
			row ? row->cell[c] : grid->title[c]);
}

unsigned heap_grid_room(const struct heap_page *page, const struct heap_grid *grid)
{
	unsigned width = page->options->width;

	if (!width)
		return PARTS_FIELD_MAX;
	return width > grid->total + 8 ? width - grid->total : 8;
}

void heap_grid_titles(const struct heap_page *page, const struct heap_grid *grid, const char *name)
{
	fputc('\n', page->out);
	parts_style(page->out, page->options, STYLE_HEAD);
	heap_grid_print(page, grid, NULL);
	text_print(page->out, name, heap_grid_room(page, grid), false);
	parts_style(page->out, page->options, STYLE_OFF);
	fputc('\n', page->out);
}

size_t heap_grid_shown(const struct heap_page *page, size_t count)
{
	size_t most = page->options->top;

	return most && count > most ? most : count;
}

struct heap_figures *heap_figures_new(size_t count)
{
	return calloc(count ? count : 1, sizeof(struct heap_figures));
}

void heap_grid_more(const struct heap_page *page, const struct heap_grid *grid, size_t left,
		    const char *what, uint64_t bytes)
{
	char text[128], sum[40] = "";

	if (!left)
		return;
	if (bytes)
		parts_size(sum, sizeof(sum), (int64_t)bytes, false);
	fprintf(page->out, "%*s  ", (int)grid->width[0], sum);
	snprintf(text, sizeof(text), "and %zu more %s%s (-n" NBSP "0 shows all)", left, what,
		 left > 1 ? "s" : "");
	text_wrap(page->out, text, grid->width[0] + 2, page->options->width, grid->width[0] + 2);
	fputc('\n', page->out);
}

void heap_grid_name(const struct heap_page *page, unsigned room, const char *name, const char *word)
{
	unsigned used = text_print(page->out, *name ? name : "(no name)", room, false);

	if (!*word || used + 2 + text_columns(word) > room)
		return;
	fputs("  ", page->out);
	parts_style(page->out, page->options, STYLE_QUIET);
	text_print(page->out, word, room - used - 2, false);
	parts_style(page->out, page->options, STYLE_OFF);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A section of a heap report: rows of figures, each followed by a name. If there is little room,
 * columns of figures are left out, the last ones first. The name keeps some columns in any case. */
#ifndef HEAP_GRID_H
#define HEAP_GRID_H

#include "render/heap_parts.h"

#define HEAP_COLUMNS 4

/* A report that is being written. */
struct heap_page {
	FILE *out;
	const struct heap_look *look;
	const struct render_options *options;
};

struct heap_figures {
	char cell[HEAP_COLUMNS][24];
};

struct heap_grid {
	const char *title[HEAP_COLUMNS]; /* NULL: no such column */
	unsigned width[HEAP_COLUMNS];
	unsigned total; /* with the two spaces before the name */
};

/* A cell as an argument for snprintf() and its like. */
#define HEAP_CELL(row, c) (row)->cell[c], sizeof((row)->cell[c])

/* `count` rows without figures, which the caller frees with free(). NULL: out of memory. */
struct heap_figures *heap_figures_new(size_t count);

/* How many of `count` rows are shown (-n). */
size_t heap_grid_shown(const struct heap_page *page, size_t count);

/* Sets the widths of the columns that have a title. Columns for which there is no room are left
 * out: the title of the first of them becomes NULL. */
void heap_grid_fit(struct heap_grid *grid, const struct heap_figures *rows, size_t count,
		   const struct render_options *options);

/* How many columns are left for the name; if the width is unlimited, the most that a name may
 * take. */
unsigned heap_grid_room(const struct heap_page *page, const struct heap_grid *grid);

/* Prints the figures of a row; NULL: the titles. */
void heap_grid_print(const struct heap_page *page, const struct heap_grid *grid,
		     const struct heap_figures *row);

/* Prints an empty line, the titles, and the title `name` after them. */
void heap_grid_titles(const struct heap_page *page, const struct heap_grid *grid, const char *name);

/* Prints a row's name in at most `room` columns. A `word` follows if there is room for it ("":
 * none).
 */
void heap_grid_name(const struct heap_page *page, unsigned room, const char *name,
		    const char *word);

/* Prints "and 7 more types" if `left` rows are not shown, and the sum of their `bytes` (0: no
 * sum). */
void heap_grid_more(const struct heap_page *page, const struct heap_grid *grid, size_t left,
		    const char *what, uint64_t bytes);

#endif

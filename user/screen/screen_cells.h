/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Texts of the live screen: which columns fit, what their cells say, and the lines above and below
 * them. Pure. All texts are escaped: nothing in them can control a terminal. A `text` without a
 * size has room for CELL_TEXT bytes. */
#ifndef SCREEN_CELLS_H
#define SCREEN_CELLS_H

#include <stdbool.h>
#include <stddef.h>

#include "screen/screen_rows.h"

#define CELL_TEXT 4096 /* bytes for one line of text */

struct screen_columns {
	enum screen_column column[COLUMNS];
	unsigned width[COLUMNS]; /* without the space after it */
	unsigned count;
};

/* Chooses the columns for a screen of `width` columns, in the order in which they are shown. The
 * name is always the last one, and has what is left. */
void screen_columns_choose(struct screen_columns *chosen, const struct screen_data *data,
			   const struct screen_view *view, unsigned width);

/* The title of a column, a constant: at most 9 characters. */
const char *screen_title(enum screen_column column, const struct screen_data *data,
			 const struct screen_view *view);

/* Writes `bytes` in at most 7 characters: "12.3M", "+4.0K", "-1.2G". `sign`: with "+" if
 * positive. */
void screen_amount(char *text, size_t size, int64_t bytes, bool sign);

/* Writes the cell of a column other than the name. `total`: figures of a line with what it calls.
 * Without `utf8` the trend is ASCII. */
void screen_cell(char *text, const struct screen_row *row, enum screen_column column, bool total,
		 bool utf8);

/* Writes the name of the row, at most `columns` wide. If there is room, a line is followed by its
 * source text. */
void screen_name(char *text, const struct screen_row *row, unsigned columns, bool utf8);

/* Writes a target's text, escaped, in at most `columns`, into `out` of CELL_TEXT bytes. Without
 * `utf8` all that is not ASCII is escaped too. If the text is too long its end is left out; with
 * `keep_end`, its beginning. Returns the columns used. */
unsigned screen_fit(char *out, const char *text, unsigned columns, bool utf8, bool keep_end);

/* Writes how often figures are new, "every 4 s"; nothing if that is once a second. `seconds`:
 * between two samples. */
void screen_pace(char *text, size_t size, double seconds);
/* Writes the first line: what is watched, and for how long; then `state` (may be empty). */
void screen_headline(char *text, const char *what, const struct screen_data *data,
		     const char *state, unsigned columns, bool utf8);
/* Writes the second line: RSS, growth, rate and trend of all, and what is unattributed. */
void screen_sums(char *text, const struct screen_data *data, unsigned columns, bool utf8);
/* Writes the third line: where the view is, its filter, and what is left out. */
void screen_path(char *text, const struct screen_data *data, const struct screen_view *view,
		 const struct screen_rows *rows, unsigned columns, bool utf8);
/* Writes the last line: keys. */
void screen_keys_line(char *text, const struct screen_view *view, unsigned columns);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Draws the whole screen into curses' buffer each time; curses compares it with what the terminal
 * shows, and sends the difference. Every text comes from screen_cells.c and is escaped. Colour is
 * never the only sign: what is red or yellow is bold too. */
#include <curses.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "screen/screen_cells.h"
#include "screen/screen_state.h"
#include "base/text.h"

#define PAIR_MUCH 1
#define PAIR_SOME 2
#define PAIR_LESS 3
#define MUCH	  0.5 /* of all growth */
#define SOME	  0.1
#define SMALLEST  1048576 /* growth of less is not marked */

static void put(int y, int x, const char *text, attr_t attributes, short pair)
{
	attr_set(attributes, pair, NULL);
	mvaddstr(y, x, text);
	attr_set(A_NORMAL, 0, NULL);
}

/* Draws a line with `attributes` over the whole width. */
static void put_line(int y, const char *text, attr_t attributes)
{
	attr_set(attributes, 0, NULL);
	mvhline(y, 0, ' ' | attributes, COLS);
	mvaddstr(y, 0, text);
	attr_set(A_NORMAL, 0, NULL);
}

/* --- the list --- */

static void draw_titles(struct screen *screen, const struct screen_columns *columns)
{
	const struct screen_place *place = screen_place(&screen->view);
	char title[CELL_TEXT];
	unsigned x = 1, wide;

	put_line(SCREEN_HEAD_ROWS - 1, "", A_REVERSE);
	for (unsigned i = 0; i < columns->count; i++) {
		enum screen_column column = columns->column[i];
		bool sorted = column == place->sort && screen->view.level != LEVEL_SOURCE;
		const char *mark = !sorted	  ? ""
				   : screen->utf8 ? (place->backwards ? "↑" : "↓")
						  : (place->backwards ? "^" : "v");
		bool left = column == COLUMN_NAME || column == COLUMN_TREND;

		snprintf(title, sizeof(title), "%s%s",
			 screen_title(column, &screen->data, &screen->view), mark);
		wide = text_columns(title);
		put(SCREEN_HEAD_ROWS - 1,
		    (int)(left || wide > columns->width[i] ? x : x + columns->width[i] - wide),
		    title, A_REVERSE | (sorted ? A_BOLD : 0), 0);
		x += columns->width[i] + 1;
	}
}

/* The attributes and the colours of a row's growth. */
static attr_t growth_style(const struct screen *screen, const struct screen_row *row, short *pair)
{
	int64_t bytes = row->object->now.growth_bytes;
	double share = screen->rows.growth_bytes ? (double)bytes / screen->rows.growth_bytes : 0;

	*pair = 0;
	if (bytes < 0)
		*pair = screen->color ? PAIR_LESS : 0;
	if (bytes < SMALLEST || share <= SOME)
		return A_NORMAL;
	if (screen->color)
		*pair = share > MUCH ? PAIR_MUCH : PAIR_SOME;
	return A_BOLD;
}

static void draw_row(struct screen *screen, const struct screen_columns *columns, int y,
		     const struct screen_row *row, bool selected)
{
	attr_t base = selected ? A_REVERSE : A_NORMAL;
	attr_t quiet = row->ended || row->library ? A_DIM : A_NORMAL;
	char text[CELL_TEXT];
	unsigned x = 1, wide;

	put_line(y, selected ? ">" : " ", base);
	for (unsigned i = 0; i < columns->count; i++) {
		enum screen_column column = columns->column[i];
		unsigned width = columns->width[i];
		attr_t style = base | quiet;
		short pair = 0;

		if (column == COLUMN_NAME) {
			screen_name(text, row, width, screen->utf8);
			put(y, (int)x, text, style, 0);
			continue;
		}
		screen_cell(text, row, column,
			    screen->view.total && screen->view.level >= LEVEL_LINES, screen->utf8);
		if (column == COLUMN_GROWTH)
			style |= growth_style(screen, row, &pair);
		wide = text_columns(text);
		put(y, (int)(x + (wide < width ? width - wide : 0)), text, style,
		    selected ? 0 : pair);
		x += width + 1;
	}
}

static const char *why_empty(struct screen *screen)
{
	const struct screen_process *process =
		screen_data_process(&screen->data, screen->data.open_process);

	if (screen->rows.filtered)
		return "nothing passes the filter; / and Enter remove it";
	if (screen->view.level == LEVEL_LINES && process && process->note)
		return process->note;
	if (screen->view.level == LEVEL_LINES)
		return screen->rows.hidden ? "no line has changed memory itself yet; t: with what "
					     "they call"
					   : "no line has changed memory yet";
	return "no Python runs yet";
}

static void draw_list(struct screen *screen)
{
	struct screen_place *place = screen_place(&screen->view);
	size_t shown = screen_list_rows();
	struct screen_columns columns;
	char text[CELL_TEXT];

	screen_columns_choose(&columns, &screen->data, &screen->view, (unsigned)COLS);
	draw_titles(screen, &columns);
	screen_select(&screen->view, &screen->rows, 0, shown);
	for (size_t i = 0; i < shown && place->top + i < screen->rows.count; i++)
		draw_row(screen, &columns, SCREEN_HEAD_ROWS + (int)i,
			 &screen->rows.rows[place->top + i], place->top + i == place->at);
	if (screen->rows.count)
		return;
	screen_fit(text, why_empty(screen), (unsigned)COLS - 2, screen->utf8, false);
	put(SCREEN_HEAD_ROWS + (shown > 1), 1, text, A_NORMAL, 0);
}

/* --- texts --- */

/* `text` without its first `left` characters. */
static const char *shifted(const char *text, size_t left)
{
	for (; left && *text; left--) {
		text++;
		while ((*text & 0xc0) == 0x80)
			text++;
	}
	return text;
}

static void draw_pager(struct screen *screen)
{
	struct screen_pager *pager = &screen->pager;
	size_t shown = screen_list_rows();
	char text[CELL_TEXT], *line;

	screen_fit(text, pager->title, (unsigned)COLS, screen->utf8, false);
	put_line(SCREEN_HEAD_ROWS - 1, text, A_REVERSE);
	for (size_t i = 0; i < shown && pager->top + i < pager->line_count; i++) {
		line = screen_pager_line(pager, pager->top + i);
		if (!line)
			return;
		screen_fit(text, shifted(line, pager->left), (unsigned)COLS, screen->utf8, false);
		free(line);
		put(SCREEN_HEAD_ROWS + (int)i, 0, text, A_NORMAL, 0);
	}
}

/* --- the rest --- */

static void draw_head(struct screen *screen)
{
	const char *state = screen->paused ? "PAUSED" : screen->over ? "ENDED" : "";
	char text[CELL_TEXT], pace[32];

	screen_pace(pace, sizeof(pace), screen->pace_seconds);
	screen_headline(text, screen->options->what, &screen->data, *state ? state : pace,
			(unsigned)COLS, screen->utf8);
	put(0, 0, text, A_BOLD, 0);
	screen_sums(text, &screen->data, (unsigned)COLS, screen->utf8);
	put(1, 0, text, A_NORMAL, 0);
	screen_path(text, &screen->data, &screen->view, &screen->rows, (unsigned)COLS,
		    screen->utf8);
	put(2, 0, text, A_NORMAL, 0);
}

static void draw_foot(struct screen *screen)
{
	char text[CELL_TEXT], whole[CELL_TEXT];

	if (screen->mode == MODE_PROMPT) {
		snprintf(whole, sizeof(whole), "%s%.400s_",
			 screen->prompt == PROMPT_FILTER ? "filter: " : "write report to: ",
			 screen->prompt == PROMPT_FILTER ? screen_place(&screen->view)->filter
							 : screen->answer);
		screen_fit(text, whole, (unsigned)COLS, screen->utf8, true);
	} else if (*screen->message && screen->data.now < screen->message_until) {
		screen_fit(text, screen->message, (unsigned)COLS, screen->utf8, false);
	} else if (screen->mode == MODE_PAGER) {
		screen_fit(text, "q back  up, down, PgUp, PgDn, left, right", (unsigned)COLS,
			   screen->utf8, false);
	} else {
		screen_keys_line(text, &screen->view, (unsigned)COLS);
	}
	put_line(LINES - 1, text, A_REVERSE);
}

size_t screen_list_rows(void)
{
	return LINES > SCREEN_HEAD_ROWS + SCREEN_FOOT_ROWS
		       ? (size_t)(LINES - SCREEN_HEAD_ROWS - SCREEN_FOOT_ROWS)
		       : 0;
}

void screen_draw(struct screen *screen)
{
	erase();
	if (COLS < SCREEN_LEAST_COLUMNS || LINES < SCREEN_LEAST_ROWS) {
		mvaddnstr(0, 0, "too small", COLS);
		refresh();
		return;
	}
	draw_head(screen);
	if (screen->mode == MODE_PAGER)
		draw_pager(screen);
	else
		draw_list(screen);
	draw_foot(screen);
	/* Leaves the cursor here, if the terminal can't hide it. */
	move(LINES - 1, COLS - 1);
	refresh();
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Handles keys, which are as in htop, memray and py-spy. The caller draws after each key. An error
 * ends the screen. */
#include <curses.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "screen/screen_state.h"

#define ESCAPE	  27
#define DELETE	  127
#define CONTROL_L 12
#define CONTROL_U 21
#define WHEEL	  3 /* rows that a turn of the wheel moves */

/* --- in and out --- */

static int enter(struct screen *screen)
{
	int err = screen_enter(&screen->data, &screen->view, &screen->rows);

	if (err)
		return err < 0 ? err : 0;
	if (screen->view.level == LEVEL_SOURCE) {
		err = screen_open_source(screen);
		if (err != -ENOENT)
			return err;
		screen_say(screen, "the source of this line can't be read");
		screen_leave(&screen->data, &screen->view);
		return screen_remake(screen);
	}
	/* Lines of a process are kept only from the next sample on. */
	if (screen->view.level == LEVEL_LINES)
		return screen_sample(screen);
	return screen_remake(screen);
}

static int leave(struct screen *screen)
{
	return screen_leave(&screen->data, &screen->view) ? screen_remake(screen) : 0;
}

static void move_by(struct screen *screen, long by)
{
	screen_select(&screen->view, &screen->rows, by, screen_list_rows());
}

/* --- what is asked for --- */

static int sort_by(struct screen *screen, int step)
{
	struct screen_place *place = screen_place(&screen->view);

	if (step)
		screen_sort_step(&screen->data, &screen->view, step);
	else
		place->backwards = !place->backwards;
	screen_rows_resort(&screen->data);
	place->selected = 0;
	place->top = 0;
	return screen_remake(screen);
}

static int toggle_total(struct screen *screen)
{
	screen->view.total = !screen->view.total;
	screen_rows_resort(&screen->data);
	return screen_remake(screen);
}

/* The process that the view is in, or that is selected. */
static const struct screen_process *process_at(struct screen *screen)
{
	if (screen->view.level >= LEVEL_LINES)
		return screen_data_process(&screen->data, screen->data.open_process);
	if (screen->view.level == LEVEL_PROCESSES && screen->rows.count)
		return screen->rows.rows[screen_place(&screen->view)->at].process;
	return NULL;
}

static int keeps(struct screen *screen)
{
	const struct screen_process *process = process_at(screen);

	if (process)
		return screen_show_heap(screen, process);
	screen_say(screen, "go into a program and select a process first: Enter");
	return 0;
}

static int write_report(struct screen *screen)
{
	struct tm local;
	time_t now;

	if (*screen->report_name) {
		screen_say(screen, "a report is being written");
		return 0;
	}
	if (screen->options->report)
		return screen_write_report(screen, "");
	now = time(NULL);
	localtime_r(&now, &local);
	strftime(screen->answer, sizeof(screen->answer), "pymem-bpf-%H%M%S.txt", &local);
	screen->prompt = PROMPT_REPORT;
	screen->mode = MODE_PROMPT;
	return 0;
}

static int pause_or_go_on(struct screen *screen)
{
	screen->paused = !screen->paused;
	return screen->paused ? 0 : screen_sample(screen);
}

static int begin_filter(struct screen *screen)
{
	screen->prompt = PROMPT_FILTER;
	screen->mode = MODE_PROMPT;
	return 0;
}

/* --- prompts --- */

static void drop_last(char *text)
{
	size_t length = strlen(text);

	while (length && (text[length - 1] & 0xc0) == 0x80)
		length--;
	text[length ? length - 1 : 0] = '\0';
}

/* Adds a character in UTF-8, if there is room. */
static void add_character(char *text, size_t size, unsigned code)
{
	char bytes[5] = {};
	size_t length = strlen(text);

	if (code < 0x80) {
		bytes[0] = (char)code;
	} else if (code < 0x800) {
		bytes[0] = (char)(0xc0 | code >> 6);
		bytes[1] = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		bytes[0] = (char)(0xe0 | code >> 12);
		bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
		bytes[2] = (char)(0x80 | (code & 0x3f));
	} else {
		bytes[0] = (char)(0xf0 | code >> 18);
		bytes[1] = (char)(0x80 | (code >> 12 & 0x3f));
		bytes[2] = (char)(0x80 | (code >> 6 & 0x3f));
		bytes[3] = (char)(0x80 | (code & 0x3f));
	}
	if (length + strlen(bytes) < size)
		strcat(text, bytes);
}

static int end_prompt(struct screen *screen, bool agreed)
{
	screen->mode = MODE_LIST;
	if (screen->prompt == PROMPT_FILTER) {
		if (!agreed)
			*screen_place(&screen->view)->filter = '\0';
		return screen_remake(screen);
	}
	if (!agreed || !*screen->answer)
		return 0;
	if (steward_may_write(screen->answer))
		return screen_write_report(screen, screen->answer);
	screen_say(screen,
		   "a name of letters, digits, '.', '_' and '-' that ends in .txt or .json, in the "
		   "folder where top was started; top -o FILE writes elsewhere");
	return 0;
}

static int prompt_key(struct screen *screen, unsigned key, bool special)
{
	bool filter = screen->prompt == PROMPT_FILTER;
	char *text = filter ? screen_place(&screen->view)->filter : screen->answer;
	size_t size = filter ? SCREEN_FILTER_MAX : sizeof(screen->answer);

	if (special ? key == KEY_ENTER : key == '\r' || key == '\n')
		return end_prompt(screen, true);
	if (!special && key == ESCAPE)
		return end_prompt(screen, false);
	if (special ? key == KEY_BACKSPACE : key == DELETE || key == 8)
		drop_last(text);
	else if (!special && key == CONTROL_U)
		*text = '\0';
	else if (!special && key >= ' ' && (key < DELETE || (screen->utf8 && key >= 0xa0)))
		add_character(text, size, key);
	return filter ? screen_remake(screen) : 0;
}

/* --- the list --- */

static int list_special(struct screen *screen, unsigned key)
{
	long page = (long)screen_list_rows() - 1;

	switch (key) {
	case KEY_UP:
		move_by(screen, -1);
		return 0;
	case KEY_DOWN:
		move_by(screen, 1);
		return 0;
	case KEY_PPAGE:
		move_by(screen, -page);
		return 0;
	case KEY_NPAGE:
		move_by(screen, page);
		return 0;
	case KEY_HOME:
		move_by(screen, -(long)screen->rows.count);
		return 0;
	case KEY_END:
		move_by(screen, (long)screen->rows.count);
		return 0;
	case KEY_ENTER:
	case KEY_RIGHT:
		return enter(screen);
	case KEY_BACKSPACE:
	case KEY_LEFT:
		return leave(screen);
	case KEY_F(1):
		return screen_show_help(screen);
	case KEY_F(10):
		screen_end(screen, 0);
		return 0;
	default:
		return 0;
	}
}

static int list_key(struct screen *screen, unsigned key)
{
	switch (key) {
	case 'q':
	case 'Q':
		screen_end(screen, 0);
		return 0;
	case '?':
	case 'h':
		return screen_show_help(screen);
	case '\r':
	case '\n':
		return enter(screen);
	case DELETE:
	case 8:
	case ESCAPE:
		return leave(screen);
	case ' ':
		return pause_or_go_on(screen);
	case '/':
		return begin_filter(screen);
	case 's':
	case '>':
		return sort_by(screen, 1);
	case '<':
		return sort_by(screen, -1);
	case 'I':
		return sort_by(screen, 0);
	case 't':
		return toggle_total(screen);
	case 'k':
		return keeps(screen);
	case 'w':
		return write_report(screen);
	case 'n':
		return screen_show_notes(screen);
	case 'r':
		return screen_reset(screen);
	case CONTROL_L:
		clearok(stdscr, TRUE);
		return 0;
	default:
		return 0;
	}
}

/* --- the mouse --- */

/* A click selects a row; on the selected row, it goes into it. */
static int click(struct screen *screen, int y)
{
	const struct screen_place *place = screen_place(&screen->view);
	size_t row = (size_t)(y - SCREEN_HEAD_ROWS);

	if (y < SCREEN_HEAD_ROWS || row >= screen_list_rows() ||
	    place->top + row >= screen->rows.count)
		return 0;
	if (place->top + row == place->at)
		return enter(screen);
	move_by(screen, (long)(place->top + row) - (long)place->at);
	return 0;
}

static int mouse(struct screen *screen)
{
	long by = 0;
	MEVENT event;

	if (getmouse(&event) != OK)
		return 0;
	if (event.bstate & BUTTON4_PRESSED)
		by = -WHEEL;
	else if (event.bstate & BUTTON5_PRESSED)
		by = WHEEL;
	if (screen->mode == MODE_PAGER)
		screen_pager_scroll(screen, by);
	else if (screen->mode == MODE_LIST && by)
		move_by(screen, by);
	else if (screen->mode == MODE_LIST && event.bstate & BUTTON1_PRESSED)
		return click(screen, event.y);
	return 0;
}

void screen_key(struct screen *screen, unsigned key, bool special)
{
	int err = 0;

	*screen->message = '\0';
	if (special && key == KEY_MOUSE)
		err = mouse(screen);
	else if (screen->mode == MODE_PAGER)
		screen_pager_key(screen, key, special);
	else if (screen->mode == MODE_PROMPT)
		err = prompt_key(screen, key, special);
	else
		err = special ? list_special(screen, key) : list_key(screen, key);
	if (err)
		screen_end(screen, err);
}

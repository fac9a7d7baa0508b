/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The state of the live screen, which screen.c, screen_keys.c, screen_pager.c and screen_draw.c
 * share. */
#ifndef SCREEN_STATE_H
#define SCREEN_STATE_H

#include "screen/screen.h"
#include "screen/screen_proc.h"
#include "screen/screen_rows.h"
#include "screen/screen_steward.h"

#define SCREEN_LEAST_COLUMNS 20
#define SCREEN_LEAST_ROWS    8
#define SCREEN_HEAD_ROWS     4 /* above the list, with the titles of columns */
#define SCREEN_FOOT_ROWS     1

enum screen_mode { MODE_LIST, MODE_PAGER, MODE_PROMPT };
enum screen_prompt { PROMPT_FILTER, PROMPT_REPORT };

struct screen_pager { /* text in place of the list */
	char *title, *text;
	size_t size, room;
	size_t *lines; /* where each line begins in `text`; NULL: not known */
	size_t line_count, top, left;
	int fd; /* the text still comes from there; -1: it is complete */
	struct loop_fd more;
};

struct screen {
	struct profiler *profiler;
	struct loop *loop;
	const struct screen_options *options;
	struct screen_data data;
	struct screen_view view;
	struct screen_rows rows;
	struct screen_proc *proc;
	struct loop_fd input, written;
	struct loop_timer tick;
	enum screen_mode mode;
	struct screen_pager pager;
	enum screen_prompt prompt;
	char answer[STEWARD_NAME_MAX]; /* to the prompt */
	char message[256];	       /* in place of the keys, until `message_until` */
	double message_until;
	char report_name[STEWARD_NAME_MAX]; /* the report that is being written; "": none */
	size_t report_bytes;
	double built;	     /* time of the last sample; a look that found no change is none */
	double pace_seconds; /* time between two samples */
	bool paused, over;
	bool utf8, color;
	int error; /* -errno: the screen can't go on */
};

/* screen.c: takes a sample now and remakes the rows. 0 or -errno. */
int screen_sample(struct screen *screen);
/* Remakes the rows from what is known. 0 or -errno. */
int screen_remake(struct screen *screen);
/* Opens the source that the view is in. 0; -ENOENT: it can't be read; -errno. */
int screen_open_source(struct screen *screen);
/* Growth counts from now on. 0 or -errno. */
int screen_reset(struct screen *screen);
/* Begins to write a report of what is known to `name` ("": the file of -o). A message says how it
 * ended. 0 or -errno. */
int screen_write_report(struct screen *screen, const char *name);
/* Shows a message in place of the keys for some seconds. */
void screen_say(struct screen *screen, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Ends the screen. `err`: 0, or -errno for screen_run() to return. */
void screen_end(struct screen *screen, int err);
/* Rows of the list that fit on the terminal. */
size_t screen_list_rows(void);

/* screen_draw.c: draws the whole screen; curses sends what differs. */
void screen_draw(struct screen *screen);

/* screen_keys.c: handles one key (`special`: one of curses' KEY_*). */
void screen_key(struct screen *screen, unsigned key, bool special);

/* screen_pager.c. The first three show a text in place of the list: 0 or -errno. screen_pager_key()
 * handles a key while it is shown. */
int screen_show_help(struct screen *screen);
int screen_show_notes(struct screen *screen);
int screen_show_heap(struct screen *screen, const struct screen_process *process);
void screen_pager_key(struct screen *screen, unsigned key, bool special);
/* Scrolls `by` lines down; up if it is negative. */
void screen_pager_scroll(struct screen *screen, long by);
void screen_pager_close(struct screen *screen);
/* The line `i`, without its line feed, as a new string; NULL: out of memory. */
char *screen_pager_line(const struct screen_pager *pager, size_t i);

#endif

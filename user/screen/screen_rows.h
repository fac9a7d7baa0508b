/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rows of a level: which there are, in which order, and which is selected. Pure: no terminal,
 * no clock.
 *
 * Levels are nested: containers, programs, processes, lines, source. A view is where the user is.
 * It remembers for each level what was selected and how it was sorted. */
#ifndef SCREEN_ROWS_H
#define SCREEN_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "screen/screen_data.h"

enum screen_column {
	COLUMN_RSS,
	COLUMN_GROWTH,
	COLUMN_RATE,
	COLUMN_TREND,
	COLUMN_GROWN,
	COLUMN_FREED,
	COLUMN_FAULTS,
	COLUMN_LIMIT,
	COLUMN_COUNT,  /* processes of a group */
	COLUMN_NUMBER, /* PID, or number of a source line */
	COLUMN_NAME,
	COLUMNS
};

struct screen_row {
	struct screen_object *object;
	const char *name;     /* raw bytes of a target; belongs to the data or to `made` */
	const char *function; /* of a line: shown after its place; else NULL */
	const char *text;     /* its source line; NULL: none */
	long number;	      /* COLUMN_NUMBER; 0: none */
	bool ended, library;
	struct screen_process *process; /* of LEVEL_PROCESSES */
	struct screen_line *line;	/* of LEVEL_LINES */
	struct screen_group *group;	/* of the others */
	char *made;
};

#define SCREEN_FILTER_MAX 64

struct screen_place {	   /* of one level */
	uint64_t selected; /* number of the object; 0: the first row */
	size_t at, top;	   /* its row, and the first row that is shown */
	enum screen_column sort;
	bool backwards; /* the smallest first */
	char filter[SCREEN_FILTER_MAX];
};

struct screen_view {
	enum screen_level level, outermost;
	bool total; /* of lines: with what they call; else their own alone */
	struct screen_place places[LEVELS];
	/* What the inner levels are in; belong to the view. "" container: no container. NULL:
	 * any. */
	char *container, *program;
	char *file; /* of LEVEL_SOURCE */
	int line;
};

struct screen_rows {
	struct screen_row *rows;
	size_t count, room;
	size_t hidden;	      /* lines left out, since they changed nothing (see `total`) */
	size_t filtered;      /* rows that the filter leaves out */
	int64_t growth_bytes; /* sum of what has grown, for shares */
};

/* Begins with all programs, or with containers. screen_view_fini() frees what the view owns. */
void screen_view_init(struct screen_view *view, bool containers);
void screen_view_fini(struct screen_view *view);

/* The place of the view's level; it belongs to the view. */
struct screen_place *screen_place(struct screen_view *view);

/* True if rows of this level can be sorted by the column, which is then shown if it fits. */
bool screen_sorts_by(const struct screen_data *data, enum screen_level level,
		     enum screen_column column);
/* Sorts by the next column (`step` 1) or by the one before (-1). */
void screen_sort_step(const struct screen_data *data, struct screen_view *view, int step);
/* Forgets the order that rows had: they are sorted anew. */
void screen_rows_resort(struct screen_data *data);

/* Makes the rows of the view, sorts them, and finds the selected one again. If that is gone,
 * selects the one in its place. Rows point into `data`; screen_rows_fini() frees what they own. 0
 * or -ENOMEM. */
int screen_rows_make(struct screen_rows *rows, struct screen_data *data, struct screen_view *view);
void screen_rows_fini(struct screen_rows *rows);

/* Selects the row that is `by` rows below (above if negative), and scrolls so that it is among the
 * `shown` rows. */
void screen_select(struct screen_view *view, const struct screen_rows *rows, long by, size_t shown);

/* Goes into the selected row. The caller opens what the view is in then (screen_data_open(),
 * screen_source_begin()). 0 or -ENOMEM; 1: there is nothing in it. */
int screen_enter(struct screen_data *data, struct screen_view *view,
		 const struct screen_rows *rows);
/* Goes out of a level. False: it is the outermost one. */
bool screen_leave(struct screen_data *data, struct screen_view *view);

/* The value by which a column sorts; the largest is first. `total`: of a line, with what it
 * calls. */
double screen_value(const struct screen_row *row, enum screen_column column, bool total);

#endif

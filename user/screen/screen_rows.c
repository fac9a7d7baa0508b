/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: rows that change places once a second can't be read. So rows keep the order that they
 * had. One passes another only if it is clearly ahead: by a tenth and by more than noise. All are
 * sorted anew if the user asks for another order. The selected row is found by its object. */
#include "screen/screen_rows.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define AHEAD	      1.1 /* of the value of the row that is passed */
#define ENDED_SECONDS 10
#define MOVED_MOST    100      /* more rows are not moved one by one */
#define NOISE_BYTES   262144.0 /* bytes: no more than this is noise */

/* --- a view --- */

void screen_view_init(struct screen_view *view, bool containers)
{
	*view = (struct screen_view){.outermost = containers ? LEVEL_CONTAINERS : LEVEL_PROGRAMS};
	view->level = view->outermost;
	for (unsigned i = 0; i < LEVELS; i++)
		view->places[i].sort = i == LEVEL_SOURCE ? COLUMN_NUMBER : COLUMN_GROWTH;
}

void screen_view_fini(struct screen_view *view)
{
	free(view->container);
	free(view->program);
	free(view->file);
}

struct screen_place *screen_place(struct screen_view *view)
{
	return &view->places[view->level];
}

bool screen_sorts_by(const struct screen_data *data, enum screen_level level,
		     enum screen_column column)
{
	switch (column) {
	case COLUMN_TREND:
	case COLUMNS:
		return false;
	case COLUMN_RSS:
		return level < LEVEL_LINES;
	case COLUMN_LIMIT:
		return level < LEVEL_LINES && data->has_limits;
	case COLUMN_COUNT:
		return level < LEVEL_PROCESSES;
	case COLUMN_NUMBER:
		return level == LEVEL_PROCESSES || level == LEVEL_SOURCE;
	default:
		return level != LEVEL_SOURCE;
	}
}

void screen_sort_step(const struct screen_data *data, struct screen_view *view, int step)
{
	struct screen_place *place = screen_place(view);
	unsigned column = place->sort;

	if (view->level == LEVEL_SOURCE)
		return;
	do {
		column = (column + COLUMNS + (unsigned)step) % COLUMNS;
	} while (!screen_sorts_by(data, view->level, column));
	place->sort = column;
}

/* --- which rows there are --- */

static struct screen_row *new_row(struct screen_rows *rows, struct screen_object *object)
{
	struct screen_row *row;

	if (!ARRAY_HAS_ROOM(rows->rows, rows->count, rows->room))
		return NULL;
	row = &rows->rows[rows->count++];
	*row = (struct screen_row){.object = object};
	return row;
}

static void clear(struct screen_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		free(rows->rows[i].made);
	rows->count = rows->hidden = rows->filtered = 0;
	rows->growth_bytes = 0;
}

void screen_rows_fini(struct screen_rows *rows)
{
	clear(rows);
	free(rows->rows);
	*rows = (struct screen_rows){};
}

static bool passes(const struct screen_view *view, const char *name, const char *more)
{
	const char *filter = view->places[view->level].filter;

	return !*filter || strcasestr(name, filter) || (more && strcasestr(more, filter));
}

/* True if all processes of the group ended a while ago, unless no process at all is alive. Such a
 * group has no row: a host where programs come and go would show little else. */
static bool is_past(const struct screen_data *data, const struct screen_group *group)
{
	return !group->object.now.count && data->host.now.count &&
	       data->now - group->alive > ENDED_SECONDS;
}

static int add_groups(struct screen_rows *rows, struct screen_data *data,
		      const struct screen_view *view)
{
	struct screen_group *group, *next;
	struct screen_row *row;

	HASH_ITER(hh, data->groups, group, next)
	{
		bool programs = view->level == LEVEL_PROGRAMS;
		const char *name = programs ? group->program : group->container;

		if (group->level != view->level || is_past(data, group))
			continue;
		if (programs && view->container && strcmp(view->container, group->container))
			continue;
		if (!*name)
			name = "(no container)";
		if (!passes(view, name, group->container)) {
			rows->filtered++;
			continue;
		}
		row = new_row(rows, &group->object);
		if (!row)
			return -ENOMEM;
		row->name = name;
		row->group = group;
		row->ended = !group->object.now.count;
	}
	return 0;
}

static int add_processes(struct screen_rows *rows, struct screen_data *data,
			 const struct screen_view *view)
{
	struct screen_process *process, *next;
	struct screen_row *row;

	HASH_ITER(hh, data->processes, process, next)
	{
		if (view->container && strcmp(view->container, process->container))
			continue;
		if (view->program && strcmp(view->program, process->program))
			continue;
		if (!passes(view, process->command, NULL)) {
			rows->filtered++;
			continue;
		}
		row = new_row(rows, &process->object);
		if (!row)
			return -ENOMEM;
		row->name = process->command;
		row->process = process;
		row->number = process->key.pid;
		row->ended = process->ended;
	}
	return 0;
}

static bool changed(const struct screen_figures *now, bool total)
{
	if (total)
		return now->total_bytes;
	return now->growth_bytes || now->grown_bytes || now->freed_bytes;
}

static int add_lines(struct screen_rows *rows, struct screen_data *data,
		     const struct screen_view *view)
{
	struct screen_line *line, *next;
	struct screen_row *row;

	HASH_ITER(hh, data->lines, line, next)
	{
		if (!changed(&line->object.now, view->total)) {
			rows->hidden++;
			continue;
		}
		if (!passes(view, line->file, line->function)) {
			rows->filtered++;
			continue;
		}
		row = new_row(rows, &line->object);
		if (!row)
			return -ENOMEM;
		if (asprintf(&row->made, "%s:%d", line->file, line->key.line) < 0) {
			row->made = NULL;
			return -ENOMEM;
		}
		row->name = row->made;
		row->function = line->function;
		row->text = line->text;
		row->line = line;
		row->library = line->library;
	}
	return 0;
}

static int add_source(struct screen_rows *rows, struct screen_data *data,
		      const struct screen_view *view)
{
	struct screen_source *source = &data->source;
	struct screen_row *row;

	for (int i = 0; i < source->count; i++) {
		const char *text = source->texts[i] ? source->texts[i] : "";

		if (!passes(view, text, NULL)) {
			rows->filtered++;
			continue;
		}
		row = new_row(rows, &source->objects[i]);
		if (!row)
			return -ENOMEM;
		row->name = text;
		row->number = source->first + i;
	}
	return 0;
}

/* --- their order --- */

double screen_value(const struct screen_row *row, enum screen_column column, bool total)
{
	const struct screen_figures *now = &row->object->now;
	double rate = total ? now->total_per_minute : now->per_minute;

	switch (column) {
	case COLUMN_RSS:
		return (double)now->rss_bytes;
	case COLUMN_GROWTH:
		return (double)(total ? now->total_bytes : now->growth_bytes);
	case COLUMN_RATE:
		return isnan(rate) ? -INFINITY : rate;
	case COLUMN_GROWN:
		return (double)now->grown_bytes;
	case COLUMN_FREED:
		return (double)now->freed_bytes;
	case COLUMN_FAULTS:
		return (double)now->faults;
	case COLUMN_LIMIT:
		return isnan(now->limit_share) ? -INFINITY : now->limit_share;
	case COLUMN_COUNT:
		return now->count;
	case COLUMN_NUMBER:
		return (double)-row->number; /* the lowest first */
	default:
		return 0;
	}
}

struct order {
	enum screen_column column;
	bool total, backwards;
};

/* Greater than 0: `b` belongs before `a`. */
static int compare(const struct screen_row *a, const struct screen_row *b,
		   const struct order *order)
{
	double x = screen_value(a, order->column, order->total);
	double y = screen_value(b, order->column, order->total);
	int result = (y > x) - (y < x);

	if (order->column == COLUMN_NAME)
		result = strcmp(a->name, b->name);
	if (order->backwards)
		result = -result;
	return result;
}

static int by_value(const void *x, const void *y, void *arg)
{
	const struct screen_row *a = x, *b = y;
	int result = compare(a, b, arg);

	return result
		       ?: (a->object->number > b->object->number) -
				  (a->object->number < b->object->number);
}

static int by_place(const void *x, const void *y, void *arg)
{
	const struct screen_row *a = x, *b = y;
	int result = (a->object->place > b->object->place) - (a->object->place < b->object->place);

	return result ?: by_value(a, b, arg);
}

/* True if `b`, which comes after `a`, is so far ahead that it passes. */
static bool is_passed(const struct screen_row *a, const struct screen_row *b,
		      const struct order *order)
{
	double x, y, noise;

	if (compare(a, b, order) <= 0)
		return false;
	/* Figures that hardly change are followed at once. */
	if (order->column == COLUMN_NAME || order->column == COLUMN_NUMBER ||
	    order->column == COLUMN_COUNT)
		return true;
	x = screen_value(a, order->column, order->total);
	y = screen_value(b, order->column, order->total);
	if (isinf(x) || isinf(y))
		return true;
	noise = order->column == COLUMN_LIMIT	 ? 0.01
		: order->column == COLUMN_FAULTS ? 100
						 : NOISE_BYTES;
	return fabs(y - x) > noise && fabs(y - x) > (AHEAD - 1) * fmin(fabs(x), fabs(y));
}

/* Moves each row up past those that it is far ahead of. */
static void move_up(struct screen_rows *rows, const struct order *order)
{
	for (size_t i = 1; i < rows->count; i++) {
		struct screen_row moved = rows->rows[i];
		size_t to = i;

		while (to > 0 && is_passed(&rows->rows[to - 1], &moved, order))
			to--;
		memmove(&rows->rows[to + 1], &rows->rows[to], (i - to) * sizeof(moved));
		rows->rows[to] = moved;
	}
}

/* True if a row is far ahead of any row before it. */
static bool is_out_of_order(const struct screen_rows *rows, const struct order *order)
{
	const struct screen_row *best = &rows->rows[rows->count - 1];

	for (size_t i = rows->count - 1; i-- > 0;) {
		if (is_passed(&rows->rows[i], best, order))
			return true;
		if (compare(&rows->rows[i], best, order) < 0)
			best = &rows->rows[i];
	}
	return false;
}

static void sort(struct screen_rows *rows, const struct screen_view *view)
{
	const struct screen_place *place = &view->places[view->level];
	struct order order = {place->sort, view->total && view->level >= LEVEL_LINES,
			      place->backwards};
	size_t i;

	if (!rows->count)
		return;
	qsort_r(rows->rows, rows->count, sizeof(*rows->rows), by_place, &order);
	if (view->level != LEVEL_SOURCE && rows->count <= MOVED_MOST)
		move_up(rows, &order);
	/* If each row is a little ahead of the one before, none passes. And moving very many rows,
	 * one after the other, takes too long. */
	if (view->level != LEVEL_SOURCE && is_out_of_order(rows, &order))
		qsort_r(rows->rows, rows->count, sizeof(*rows->rows), by_value, &order);
	for (i = 0; i < rows->count; i++)
		rows->rows[i].object->place = (unsigned)i;
}

void screen_rows_resort(struct screen_data *data)
{
	struct screen_process *process, *next_process;
	struct screen_group *group, *next_group;
	struct screen_line *line, *next_line;

	HASH_ITER(hh, data->processes, process, next_process)
	process->object.place = SCREEN_NO_PLACE;
	HASH_ITER(hh, data->groups, group, next_group)
	group->object.place = SCREEN_NO_PLACE;
	HASH_ITER(hh, data->lines, line, next_line)
	line->object.place = SCREEN_NO_PLACE;
}

/* --- the selected one --- */

static void find_selected(struct screen_view *view, const struct screen_rows *rows)
{
	struct screen_place *place = screen_place(view);

	for (size_t i = 0; i < rows->count && place->selected; i++) {
		if (rows->rows[i].object->number == place->selected) {
			place->at = i;
			return;
		}
	}
	if (place->at >= rows->count)
		place->at = rows->count ? rows->count - 1 : 0;
	/* The user has selected nothing yet: the first row, whichever that is. */
	if (place->selected)
		place->selected = rows->count ? rows->rows[place->at].object->number : 0;
	else
		place->at = 0;
}

void screen_select(struct screen_view *view, const struct screen_rows *rows, long by, size_t shown)
{
	struct screen_place *place = screen_place(view);
	long at = (long)place->at + by, most = (long)rows->count - 1;

	at = at > most ? most : at;
	place->at = at < 0 ? 0 : (size_t)at;
	if (by && rows->count)
		place->selected = rows->rows[place->at].object->number;
	if (place->at < place->top)
		place->top = place->at;
	if (shown && place->at >= place->top + shown)
		place->top = place->at - shown + 1;
	/* No empty space below if there are rows above. */
	if (place->top && place->top + shown > rows->count)
		place->top = rows->count > shown ? rows->count - shown : 0;
}

int screen_rows_make(struct screen_rows *rows, struct screen_data *data, struct screen_view *view)
{
	static int (*const add[LEVELS])(struct screen_rows *, struct screen_data *,
					const struct screen_view *) = {
		add_groups, add_groups, add_processes, add_lines, add_source,
	};
	int err;

	clear(rows);
	err = add[view->level](rows, data, view);
	if (err)
		return err;
	for (size_t i = 0; i < rows->count; i++) {
		double grown = screen_value(&rows->rows[i], COLUMN_GROWTH, false);

		rows->growth_bytes += grown > 0 ? (int64_t)grown : 0;
	}
	sort(rows, view);
	find_selected(view, rows);
	return 0;
}

/* --- in and out --- */

static void begin_level(struct screen_view *view, enum screen_level level)
{
	struct screen_place *place = &view->places[level];

	view->level = level;
	place->selected = 0;
	place->at = place->top = 0;
	*place->filter = '\0';
}

static int keep(char **name, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*name);
	*name = copy;
	return 0;
}

/* Goes into a group: its container, and its program if it is one. */
static int enter_group(struct screen_view *view, const struct screen_group *group)
{
	int err = keep(&view->container, group->container);

	if (!err && view->level == LEVEL_PROGRAMS)
		err = keep(&view->program, group->program);
	return err;
}

int screen_enter(struct screen_data *data, struct screen_view *view, const struct screen_rows *rows)
{
	struct screen_place *place = screen_place(view);
	const struct screen_row *row;
	int err = 0;

	if (!rows->count || view->level == LEVEL_SOURCE)
		return 1;
	row = &rows->rows[place->at];
	place->selected = row->object->number;
	if (row->group)
		err = enter_group(view, row->group);
	if (row->process)
		screen_data_open(data, row->process->object.number);
	if (row->line) {
		err = keep(&view->file, row->line->file);
		view->line = row->line->key.line;
	}
	if (!err)
		begin_level(view, view->level + 1);
	return err;
}

bool screen_leave(struct screen_data *data, struct screen_view *view)
{
	if (view->level == view->outermost)
		return false;
	if (view->level == LEVEL_SOURCE)
		screen_source_clear(&data->source);
	view->level--;
	if (view->level < LEVEL_PROCESSES) {
		free(view->program);
		view->program = NULL;
	}
	if (view->level < LEVEL_PROGRAMS || view->level == view->outermost) {
		free(view->container);
		view->container = NULL;
	}
	return true;
}

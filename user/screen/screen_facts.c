/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lines above and below the list. Each is a row of facts, the most important ones first; those
 * that do not fit are left out. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "screen/screen_cells.h"

struct facts {
	char *text;
	unsigned columns, used;
};

/* Adds a fact, if it fits. */
__attribute__((format(printf, 2, 3))) static void fact(struct facts *facts, const char *format, ...)
{
	unsigned gap = facts->used ? 2 : 0, wide;
	char one[CELL_TEXT / 4];
	va_list args;

	va_start(args, format);
	vsnprintf(one, sizeof(one), format, args);
	va_end(args);
	wide = text_columns(one);
	if (facts->used + gap + wide > facts->columns)
		return;
	sprintf(facts->text + strlen(facts->text), "%*s%s", (int)gap, "", one);
	facts->used += gap + wide;
}

static struct facts begin(char *text, unsigned columns)
{
	*text = '\0';
	return (struct facts){text, columns > CELL_TEXT / 16 ? CELL_TEXT / 16 : columns, 0};
}

/* "12.3 MiB", as reports have it. */
static void long_amount(char *text, size_t size, int64_t bytes, bool sign)
{
	char amount[32];
	size_t length;

	screen_amount(amount, sizeof(amount), bytes, sign);
	length = strlen(amount);
	if (!bytes)
		snprintf(text, size, "0 MiB");
	else
		snprintf(text, size, "%.*s %ciB", (int)(length - 1), amount, amount[length - 1]);
}

static void duration(char *text, size_t size, double seconds)
{
	unsigned s = (unsigned)seconds;

	if (s < 3600)
		snprintf(text, size, "%u:%02u", s / 60, s % 60);
	else
		snprintf(text, size, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
}

void screen_pace(char *text, size_t size, double seconds)
{
	*text = '\0';
	if (seconds >= 1.5)
		snprintf(text, size, "every %.0f s", seconds);
}

void screen_headline(char *text, const char *what, const struct screen_data *data,
		     const char *state, unsigned columns, bool utf8)
{
	struct facts facts = begin(text, columns);
	char time[32], whole[CELL_TEXT], since[32];
	unsigned room;

	duration(time, sizeof(time), data->now - data->begun);
	duration(since, sizeof(since), data->now - data->reset);
	room = columns > 16 + strlen(time) ? columns - (unsigned)strlen(time) - 14 : 4;
	screen_fit(whole, what, room, utf8, false);
	fact(&facts, "pymem-bpf");
	fact(&facts, "%.900s", whole);
	fact(&facts, "%s", time);
	if (*state)
		fact(&facts, "%s", state);
	fact(&facts, "%u process%s", data->host.now.count, data->host.now.count == 1 ? "" : "es");
	if (data->reset > data->begun)
		fact(&facts, "growth of the last %s", since);
	if (data->notes)
		fact(&facts, "notes: n");
}

void screen_sums(char *text, const struct screen_data *data, unsigned columns, bool utf8)
{
	const struct screen_figures *now = &data->host.now;
	struct facts facts = begin(text, columns);
	char amount[32], trend[HISTORY_TEXT];

	long_amount(amount, sizeof(amount), now->rss_bytes, false);
	fact(&facts, "RSS %s%s", amount,
	     now->count > 1 && data->all_shared && columns >= 60 ? " (shared once)" : "");
	long_amount(amount, sizeof(amount), now->growth_bytes, true);
	fact(&facts, "%s", amount);
	if (!isnan(now->per_minute)) {
		screen_amount(amount, sizeof(amount), (int64_t)now->per_minute, true);
		fact(&facts, "%s/min", amount);
	}
	history_trend(&data->host.history, TREND_LEAST, utf8, trend);
	fact(&facts, "%s", trend);
	long_amount(amount, sizeof(amount), now->lost_bytes, false);
	fact(&facts, now->lost_bytes ? "unattributed %s" : "nothing unattributed", amount);
}

static void add_step(char *text, size_t *used, const char *step, bool utf8)
{
	char one[CELL_TEXT];

	screen_fit(one, step, 60, utf8, true);
	*used += (size_t)snprintf(text + *used, CELL_TEXT - *used, "%s%.700s", *used ? " > " : "",
				  one);
}

void screen_path(char *text, const struct screen_data *data, const struct screen_view *view,
		 const struct screen_rows *rows, unsigned columns, bool utf8)
{
	static const char *const whole[LEVELS] = {"containers", "programs", "processes", "lines",
						  "source"};
	const struct screen_process *process = screen_data_process(data, data->open_process);
	const char *filter = view->places[view->level].filter;
	struct facts facts = begin(text, columns);
	char path[CELL_TEXT] = "", fitted[CELL_TEXT], number[TEXT_PID];
	size_t used = 0;

	if (view->container && *view->container)
		add_step(path, &used, view->container, utf8);
	if (view->program)
		add_step(path, &used, view->program, utf8);
	if (view->level >= LEVEL_LINES && process) {
		if (!view->program)
			add_step(path, &used, process->program, utf8);
		text_pid(number, sizeof(number), process->key.pid, process->ns_pid, " ");
		add_step(path, &used, number, utf8);
	}
	if (view->level == LEVEL_SOURCE)
		add_step(path, &used, view->file, utf8);
	add_step(path, &used, whole[view->level], utf8);
	screen_fit(fitted, path, columns, utf8, true);
	fact(&facts, "%s", fitted);
	if (*filter) {
		screen_fit(path, filter, 30, utf8, false);
		fact(&facts, "[/%s, left out: %zu]", path, rows->filtered);
	}
	if (rows->hidden)
		fact(&facts,
		     view->total ? "(lines without a change: %zu)"
				 : "(lines without a change of their own: %zu; t)",
		     rows->hidden);
}

void screen_keys_line(char *text, const struct screen_view *view, unsigned columns)
{
	struct facts facts = begin(text, columns);

	fact(&facts, "q quit");
	fact(&facts, "? help");
	if (view->level != LEVEL_SOURCE)
		fact(&facts, "Enter in");
	if (view->level != view->outermost)
		fact(&facts, "Bksp out");
	if (view->level >= LEVEL_LINES)
		fact(&facts, view->total ? "t own" : "t total");
	if (view->level >= LEVEL_PROCESSES)
		fact(&facts, "k what it keeps");
	if (view->level != LEVEL_SOURCE)
		fact(&facts, "s sort");
	fact(&facts, "/ filter");
	fact(&facts, "space pause");
	fact(&facts, "w write");
	fact(&facts, "r reset");
}

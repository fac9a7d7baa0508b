/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a screen has 40 columns or 200, and its terminal may know ASCII only. So each text is
 * made for a width. Columns have priorities, and the less important ones are left out; lines of
 * several facts leave out the last ones. */
#include "screen/screen_cells.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/cgroup_name.h"

#define NAME_LEAST 14 /* columns that the name keeps in any case */
#define NAME_LIKED 24 /* columns that the less important columns leave to the name */

/* --- columns --- */

struct column {
	const char *title;
	unsigned width;
	unsigned levels; /* where it is shown: bit N for level N */
	bool liked;	 /* it may make the name as narrow as NAME_LEAST */
};

#define AT(level) (1u << LEVEL_##level)
#define OF_GROUPS (AT(CONTAINERS) | AT(PROGRAMS))
#define OF_HOST	  (OF_GROUPS | AT(PROCESSES))
#define OF_ALL	  (OF_HOST | AT(LINES))

static const struct column columns[COLUMNS] = {
	[COLUMN_RSS] = {"RSS", 7, OF_HOST, true},
	[COLUMN_GROWTH] = {"GROWTH", 7, OF_ALL | AT(SOURCE), true},
	[COLUMN_RATE] = {"/MIN", 7, OF_ALL | AT(SOURCE), false},
	[COLUMN_TREND] = {"TREND", 8, OF_ALL, false},
	[COLUMN_GROWN] = {"GROWN", 7, OF_ALL | AT(SOURCE), false},
	[COLUMN_FREED] = {"FREED", 7, OF_ALL | AT(SOURCE), false},
	[COLUMN_FAULTS] = {"FAULTS", 7, OF_ALL, false},
	[COLUMN_LIMIT] = {"LIMIT", 6, OF_HOST, false},
	[COLUMN_COUNT] = {"N", 4, OF_GROUPS, true},
	[COLUMN_NUMBER] = {"PID", 7, AT(PROCESSES) | AT(SOURCE), true},
	[COLUMN_NAME] = {"NAME", 0, OF_ALL | AT(SOURCE), true},
};

const char *screen_title(enum screen_column column, const struct screen_data *data,
			 const struct screen_view *view)
{
	static const char *const names[LEVELS] = {"CONTAINER", "PROGRAM", "COMMAND", "LINE",
						  "SOURCE"};

	if (column == COLUMN_NAME)
		return names[view->level];
	if (column == COLUMN_NUMBER && view->level == LEVEL_SOURCE)
		return "LINE";
	if (column == COLUMN_GROWTH && view->level >= LEVEL_LINES)
		return view->total ? "TOTAL" : "OWN";
	/* A process has its RSS. In groups shared pages count once (Pss), if Pss of all processes
	 * is known.
	 */
	if (column == COLUMN_RSS && data->all_shared && 1u << view->level & OF_GROUPS)
		return "PSS";
	return columns[column].title;
}

static bool is_there(const struct screen_data *data, enum screen_level level,
		     enum screen_column column)
{
	if (!(columns[column].levels & 1u << level))
		return false;
	return column != COLUMN_LIMIT || data->has_limits;
}

void screen_columns_choose(struct screen_columns *chosen, const struct screen_data *data,
			   const struct screen_view *view, unsigned width)
{
	/* The most important ones first; the column sorted by comes before all. */
	static const enum screen_column wanted[] = {
		COLUMN_GROWTH, COLUMN_NUMBER, COLUMN_RSS,   COLUMN_COUNT, COLUMN_RATE,
		COLUMN_TREND,  COLUMN_LIMIT,  COLUMN_GROWN, COLUMN_FREED, COLUMN_FAULTS,
	};
	static const enum screen_column shown[] = {
		COLUMN_NUMBER, COLUMN_RSS,   COLUMN_GROWTH, COLUMN_RATE,  COLUMN_TREND,
		COLUMN_GROWN,  COLUMN_FREED, COLUMN_FAULTS, COLUMN_LIMIT, COLUMN_COUNT,
	};
	enum screen_column sorted = view->places[view->level].sort;
	unsigned used = 1, taken = 0; /* the mark of the selected row */

	for (int i = -1; i < (int)(sizeof(wanted) / sizeof(wanted[0])); i++) {
		enum screen_column column = i < 0 ? sorted : wanted[i];
		unsigned least = columns[column].liked || i < 0 ? NAME_LEAST : NAME_LIKED;

		if (column == COLUMN_NAME || taken & 1u << column ||
		    !is_there(data, view->level, column) ||
		    used + columns[column].width + 1 + least > width)
			continue;
		taken |= 1u << column;
		used += columns[column].width + 1;
	}
	chosen->count = 0;
	for (unsigned i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		if (!(taken & 1u << shown[i]))
			continue;
		chosen->width[chosen->count] = columns[shown[i]].width;
		chosen->column[chosen->count++] = shown[i];
	}
	chosen->width[chosen->count] = width > used ? width - used : 1;
	chosen->column[chosen->count++] = COLUMN_NAME;
}

/* --- cells --- */

void screen_amount(char *text, size_t size, int64_t bytes, bool sign)
{
	static const char units[] = "KMGTP";
	double amount = fabs((double)bytes) / 1024;
	unsigned unit = 0;

	while (amount >= 999.95 && units[unit + 1]) {
		amount /= 1024;
		unit++;
	}
	if (!bytes)
		snprintf(text, size, "0");
	else
		snprintf(text, size, unit ? "%s%.1f%c" : "%s%.0f%c",
			 bytes < 0 ? "-"
			 : sign	   ? "+"
				   : "",
			 amount, units[unit]);
}

static void rate_cell(char *text, double rate)
{
	if (isnan(rate) || isinf(rate))
		*text = '\0';
	else
		screen_amount(text, CELL_TEXT, (int64_t)rate, true);
}

static void count_cell(char *text, uint64_t count)
{
	if (count < 1000000)
		snprintf(text, CELL_TEXT, "%llu", (unsigned long long)count);
	else
		snprintf(text, CELL_TEXT, "%.1fM", (double)count / 1e6);
}

void screen_cell(char *text, const struct screen_row *row, enum screen_column column, bool total,
		 bool utf8)
{
	const struct screen_figures *now = &row->object->now;
	const struct screen_history *history =
		total && row->line ? &row->line->total_history : &row->object->history;
	bool source = !row->line && !row->group && !row->process;
	int64_t growth = total ? now->total_bytes : now->growth_bytes;

	*text = '\0';
	switch (column) {
	case COLUMN_RSS:
		if (row->ended)
			snprintf(text, CELL_TEXT, "ended");
		else if (now->rss_bytes >= 0)
			screen_amount(text, CELL_TEXT, now->rss_bytes, false);
		break;
	case COLUMN_GROWTH:
		if (growth || !source)
			screen_amount(text, CELL_TEXT, growth, true);
		break;
	case COLUMN_RATE:
		if (growth || !source)
			rate_cell(text, total ? now->total_per_minute : now->per_minute);
		break;
	case COLUMN_TREND:
		history_trend(history, TREND_LEAST, utf8, text);
		break;
	case COLUMN_GROWN:
		if (now->grown_bytes || !source)
			screen_amount(text, CELL_TEXT, (int64_t)now->grown_bytes, false);
		break;
	case COLUMN_FREED:
		if (now->freed_bytes || !source)
			screen_amount(text, CELL_TEXT, (int64_t)now->freed_bytes, false);
		break;
	case COLUMN_FAULTS:
		count_cell(text, now->faults);
		break;
	case COLUMN_LIMIT:
		if (!isnan(now->limit_share))
			snprintf(text, CELL_TEXT, "%.0f%%", now->limit_share * 100);
		break;
	case COLUMN_COUNT:
		snprintf(text, CELL_TEXT, "%u", now->count);
		break;
	case COLUMN_NUMBER:
		snprintf(text, CELL_TEXT, "%ld", row->number);
		break;
	default:
		break;
	}
}

/* --- texts of targets --- */

/* ASCII for the other characters that our own texts use. */
static const struct {
	uint32_t code;
	const char *ascii;
} plain[] = {{0xa0, " "},   {0xd7, "x"},    {0x2013, "-"},
	     {0x2026, "~"}, {0x2190, "<-"}, {0x2192, "->"}};

/* Writes the character in ASCII. Returns the bytes used. */
static size_t put_ascii(char *out, size_t size, uint32_t code)
{
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (plain[i].code == code)
			return (size_t)snprintf(out, size, "%s", plain[i].ascii);
	}
	return (size_t)snprintf(out, size, code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
}

/* Escapes what is not ASCII. `text` is escaped already, so it is UTF-8. */
static void to_ascii(char *out, size_t size, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t used = 0;

	while (*at && used + 12 < size) {
		uint32_t code = *at;
		unsigned length = code < 0x80 ? 1 : code < 0xe0 ? 2 : code < 0xf0 ? 3 : 4;

		if (length == 1) {
			out[used++] = (char)*at++;
			continue;
		}
		code &= 0xffu >> (length + 1);
		for (unsigned i = 1; i < length; i++)
			code = code << 6 | (at[i] & 0x3f);
		at += length;
		used += put_ascii(out + used, size - used, code);
	}
	out[used] = '\0';
}

static unsigned fit_ascii(char *out, const char *text, unsigned columns, bool keep_end)
{
	char escaped[CELL_TEXT], ascii[CELL_TEXT];
	size_t length;

	text_escape(escaped, sizeof(escaped), text);
	to_ascii(ascii, sizeof(ascii), escaped);
	length = strlen(ascii);
	if (length <= columns) {
		strcpy(out, ascii);
	} else if (!columns) {
		*out = '\0';
	} else if (keep_end) {
		*out = '~';
		strcpy(out + 1, ascii + length - (columns - 1));
	} else {
		memcpy(out, ascii, columns - 1);
		strcpy(out + columns - 1, "~");
	}
	return (unsigned)strlen(out);
}

unsigned screen_fit(char *out, const char *text, unsigned columns, bool utf8, bool keep_end)
{
	unsigned used = 0;
	FILE *stream;

	*out = '\0';
	if (!columns)
		return 0;
	columns = columns > CELL_TEXT / 16 ? CELL_TEXT / 16 : columns;
	if (!utf8)
		return fit_ascii(out, text, columns, keep_end);
	stream = fmemopen(out, CELL_TEXT, "w");
	if (!stream)
		return 0;
	used = text_print(stream, text, columns, keep_end);
	fclose(stream);
	return used;
}

/* As screen_fit() does; but whose the container is, the end of its name, is not cut. */
static void fit_container(char *out, const char *name, unsigned columns, bool utf8)
{
	const char *end = cgroup_name_end(name);
	char own[CELL_TEXT], behind[CELL_TEXT];
	unsigned most = CELL_TEXT / 16, kept;

	snprintf(own, sizeof(own), "%.*s", (int)(end - name), name);
	kept = text_end_columns(screen_fit(out, own, most, utf8, false),
				screen_fit(behind, end, most, utf8, false), columns);
	screen_fit(out, own, columns > kept ? columns - kept : 0, utf8, false);
	screen_fit(behind, end, kept, utf8, false);
	snprintf(out + strlen(out), CELL_TEXT - strlen(out), "%s", behind);
}

/* `text` without its indentation, which says nothing beside a place. */
static const char *trimmed(const char *text)
{
	return text + strspn(text, " \t\f");
}

/* Writes the name of a line: its place, its function, and if there is room its text. */
static void name_line(char *text, const struct screen_row *row, unsigned columns, bool utf8)
{
	char place[CELL_TEXT], code[CELL_TEXT], *whole;
	bool with_text = columns >= 60 && row->text && *trimmed(row->text);
	unsigned room = with_text ? columns * 2 / 5 : columns, used;

	if (asprintf(&whole, "%s %s", row->name, row->function) < 0) {
		*text = '\0';
		return;
	}
	used = screen_fit(place, whole, room, utf8, true);
	free(whole);
	if (!with_text) {
		strcpy(text, place);
		return;
	}
	screen_fit(code, trimmed(row->text), columns - room - 2, utf8, false);
	snprintf(text, CELL_TEXT, "%.2000s%*s  %.2000s", place, (int)(room - used), "", code);
}

/* Writes a source line with its indentation. */
static void name_source(char *text, const struct screen_row *row, unsigned columns, bool utf8)
{
	char spaces[2 * CELL_TEXT];
	size_t at = 0;

	for (const char *c = row->name; *c && at + 9 < sizeof(spaces) / 2; c++) {
		if (*c != '\t') {
			spaces[at++] = *c;
			continue;
		}
		do {
			spaces[at++] = ' ';
		} while (at % 8);
	}
	spaces[at] = '\0';
	screen_fit(text, spaces, columns, utf8, false);
}

void screen_name(char *text, const struct screen_row *row, unsigned columns, bool utf8)
{
	char *whole;

	if (row->line) {
		name_line(text, row, columns, utf8);
	} else if (!row->process && !row->group) {
		name_source(text, row, columns, utf8);
	} else if (row->ended && asprintf(&whole, "%s %s", row->process ? "(ended)" : "(none left)",
					  row->name) >= 0) {
		screen_fit(text, whole, columns, utf8, false);
		free(whole);
	} else if (row->group && row->group->level == LEVEL_CONTAINERS) {
		fit_container(text, row->name, columns, utf8);
	} else {
		screen_fit(text, row->name, columns, utf8, false);
	}
}

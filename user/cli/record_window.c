/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/record_window.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SYNTAX                                                                     \
	"expected a time: 90, 90s, 5m or 2h from the recording's start, -5m from " \
	"its end, 14:30[:05], or 2026-02-28[T14:30[:05]]"

/* --- FILE@SINCE,UNTIL --- */

static int split(struct record_window *window, const char *operand, const char *at,
		 const char *comma)
{
	window->file = strndup(operand, (size_t)(at - operand));
	window->since = strndup(at + 1, (size_t)(comma - at - 1));
	window->until = strdup(comma + 1);
	if (window->file && window->since && window->until)
		return 0;
	record_window_fini(window);
	return -ENOMEM;
}

int record_window_read(struct record_window *window, const char *operand, char *why, size_t size)
{
	const char *at = strrchr(operand, '@'), *comma = at ? strchr(at, ',') : NULL;

	*window = (struct record_window){0};
	/* A name with an @, and a name without one, whether or not there is such a file. */
	if (!at || access(operand, F_OK) == 0) {
		at = operand + strlen(operand);
		window->file = strdup(operand);
		window->since = strdup("");
		window->until = strdup("");
		if (window->file && window->since && window->until)
			return 0;
		record_window_fini(window);
		return -ENOMEM;
	}
	if (at == operand || !comma || strchr(comma + 1, ',')) {
		snprintf(why, size,
			 "there is no such file; for a part of a recording, write "
			 "FILE@SINCE,UNTIL, such as run.pymem@5m,10m or run.pymem@-5m,");
		return -EINVAL;
	}
	return split(window, operand, at, comma);
}

void record_window_fini(struct record_window *window)
{
	free(window->file);
	free(window->since);
	free(window->until);
	*window = (struct record_window){0};
}

/* --- times --- */

enum time_kind {
	TIME_WRONG,
	TIME_AMOUNT, /* seconds from the start or, if negative, from the end */
	TIME_CLOCK,  /* a time of day */
	TIME_DATE,   /* seconds since the epoch */
	TIME_NEVER,  /* a date or time that does not exist */
};

struct time_text {
	enum time_kind kind;
	bool from_end; /* of TIME_AMOUNT: also of "-0" */
	double value;  /* of TIME_AMOUNT and TIME_DATE */
	int hour, minute, second;
};

/* Reads exactly `digits` digits. NULL: there are others; else what follows them. */
static const char *read_digits(const char *text, int digits, int *number)
{
	*number = 0;
	for (int i = 0; i < digits; i++) {
		if (text[i] < '0' || text[i] > '9')
			return NULL;
		*number = *number * 10 + text[i] - '0';
	}
	return text + digits;
}

/* Reads HH:MM or HH:MM:SS up to the end of the text. */
static bool read_clock(const char *text, struct time_text *t)
{
	const char *at = read_digits(text, 2, &t->hour);

	at = at && *at == ':' ? read_digits(at + 1, 2, &t->minute) : NULL;
	t->second = 0;
	if (at && *at == ':')
		at = read_digits(at + 1, 2, &t->second);
	return at && !*at && t->hour < 24 && t->minute < 60 && t->second < 60;
}

/* The time in seconds since the epoch; NAN: the clock never shows it, as on 30 February, or where
 * the clock is put forward. */
static double local_time(int year, int month, int day, const struct time_text *clock)
{
	struct tm parts = {.tm_year = year - 1900,
			   .tm_mon = month - 1,
			   .tm_mday = day,
			   .tm_hour = clock->hour,
			   .tm_min = clock->minute,
			   .tm_sec = clock->second,
			   .tm_isdst = -1};
	time_t at;

	errno = 0;
	at = mktime(&parts);
	if ((at == (time_t)-1 && errno) || parts.tm_mon != month - 1 || parts.tm_mday != day ||
	    parts.tm_hour != clock->hour || parts.tm_min != clock->minute)
		return NAN;
	return (double)at;
}

/* Reads a date, with a time of day or without. */
static bool read_date(const char *text, struct time_text *t)
{
	int year, month, day;
	const char *at = read_digits(text, 4, &year);

	at = at && *at == '-' ? read_digits(at + 1, 2, &month) : NULL;
	at = at && *at == '-' ? read_digits(at + 1, 2, &day) : NULL;
	if (!at || (*at && *at != 'T') || (*at && !read_clock(at + 1, t)))
		return false;
	t->kind = TIME_DATE;
	t->value = local_time(year, month, day, t);
	if (isnan(t->value))
		t->kind = TIME_NEVER;
	return true;
}

/* Reads a number with or without a unit. */
static bool read_amount(const char *text, struct time_text *t)
{
	static const char units[] = "smh";
	static const double seconds[] = {1, 60, 3600};
	const char *unit;
	char *end;

	t->from_end = *text == '-';
	text += t->from_end;
	if (!*text || strspn(text, "0123456789.") < strcspn(text, units))
		return false;
	t->value = strtod(text, &end);
	if (end == text || !isfinite(t->value))
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (*end && (!unit || end[1]))
		return false;
	if (unit)
		t->value *= seconds[unit - units];
	t->kind = TIME_AMOUNT;
	return true;
}

static struct time_text read_time(const char *text)
{
	struct time_text t = {.kind = TIME_WRONG};

	if (read_amount(text, &t) || read_date(text, &t))
		return t;
	t = (struct time_text){.kind = TIME_WRONG};
	if (read_clock(text, &t))
		t.kind = TIME_CLOCK;
	return t;
}

/* The first time from `from` on at which the clock shows the time of day; NAN: not until `end`. */
static double next_clock(const struct time_text *t, double from, double end)
{
	time_t begin = (time_t)floor(from);
	struct tm day;
	double at;

	if (!localtime_r(&begin, &day))
		return NAN;
	/* A day on which the clock does not show it is left out. */
	for (int i = 0; i < 4; i++) {
		struct tm parts = {.tm_year = day.tm_year,
				   .tm_mon = day.tm_mon,
				   .tm_mday = day.tm_mday + i,
				   .tm_hour = 12,
				   .tm_isdst = -1};

		if (mktime(&parts) == (time_t)-1)
			return NAN;
		at = local_time(parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, t);
		if (at >= from)
			return at <= end ? at : NAN;
	}
	return NAN;
}

/* --- windows --- */

/* Writes when the recording was made: "2026-02-28 14:30:00 to 14:31:05 (65.2 s)". */
static void write_range(char *text, size_t size, const struct recording_about *about)
{
	time_t start = (time_t)about->start, end = (time_t)about->end;
	char one[32] = "?", other[32] = "?";
	struct tm a, b;

	if (localtime_r(&start, &a) && localtime_r(&end, &b)) {
		bool same = a.tm_year == b.tm_year && a.tm_yday == b.tm_yday;

		strftime(one, sizeof(one), "%Y-%m-%d %H:%M:%S", &a);
		strftime(other, sizeof(other), same ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &b);
	}
	snprintf(text, size, "%s to %s (%.1f s)", one, other, about->end - about->start);
}

/* Says that a time is not in the recording. -EINVAL. */
static int outside(const char *text, const struct recording_about *about, char *why, size_t size)
{
	char range[96];

	write_range(range, sizeof(range), about);
	snprintf(why, size, "%.64s is not in the recording, which is from %s", text, range);
	return -EINVAL;
}

/* Sets `*at` to the time that `text` means. `from`: a time of day is not before it. 0 or
 * -EINVAL. */
static int resolve(const char *text, const struct recording_about *about, double from, double *at,
		   char *why, size_t size)
{
	struct time_text t = read_time(text);

	switch (t.kind) {
	case TIME_AMOUNT:
		*at = t.from_end ? about->end - t.value : about->start + t.value;
		return 0;
	case TIME_DATE:
		*at = t.value;
		return 0;
	case TIME_CLOCK:
		*at = next_clock(&t, from, about->end);
		return isnan(*at) ? outside(text, about, why, size) : 0;
	case TIME_NEVER:
		snprintf(why, size, "%.64s: the clock never shows this time", text);
		return -EINVAL;
	case TIME_WRONG:
		break;
	}
	snprintf(why, size, "%.64s: " SYNTAX, text);
	return -EINVAL;
}

static bool is_given(const char *text)
{
	return text && *text;
}

int record_window_set(struct recording_view *view, const struct recording_about *about,
		      const char *since, const char *until, char *why, size_t size)
{
	double begin = about->start, end = about->end;
	int err = 0;

	/* A time of day without a fraction also means the second in which the recording began. */
	if (is_given(since))
		err = resolve(since, about, floor(about->start), &begin, why, size);
	if (!err && begin >= about->end && is_given(since))
		err = outside(since, about, why, size);
	if (!err && is_given(until))
		err = resolve(until, about, floor(begin) + 1, &end, why, size);
	if (!err && is_given(until) && end <= about->start)
		err = outside(until, about, why, size);
	if (!err && is_given(until) && end <= begin) {
		snprintf(why, size,
			 "%.64s is not after %.64s, so the window is empty: name the earlier time "
			 "first",
			 until, since);
		err = -EINVAL;
	}
	if (err)
		return err;
	/* Beyond the recording there is nothing: all of it is meant. */
	view->since = is_given(since) && begin > about->start ? begin : 0;
	view->until = is_given(until) && end < about->end ? end : 0;
	return 0;
}

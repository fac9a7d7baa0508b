/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A ring of samples, HISTORY_STEP seconds apart. The newest one is replaced until it is that much
 * later than the one before. So it is always up to date, and the ring reaches a minute back
 * whatever the interval of the caller is. */
#include "screen/screen_history.h"

#include <math.h>
#include <string.h>

#define SPAN_MIN 2.0 /* seconds, for a rate */

static unsigned at(const struct screen_history *history, unsigned i)
{
	return (history->first + i) % HISTORY_SAMPLES;
}

void history_add(struct screen_history *history, double now, int64_t value)
{
	unsigned newest, before;

	/* The same time again: the later value is the better one. */
	if (history->count && history->times[at(history, history->count - 1)] == now) {
		history->values[at(history, history->count - 1)] = value;
		return;
	}
	if (history->count >= 2) {
		newest = at(history, history->count - 1);
		before = at(history, history->count - 2);
		if (history->times[newest] - history->times[before] < HISTORY_STEP) {
			history->times[newest] = now;
			history->values[newest] = value;
			return;
		}
	}
	if (history->count == HISTORY_SAMPLES)
		history->first = at(history, 1);
	else
		history->count++;
	newest = at(history, history->count - 1);
	history->times[newest] = now;
	history->values[newest] = value;
}

void history_clear(struct screen_history *history)
{
	history->first = history->count = 0;
}

double history_per_minute(const struct screen_history *history)
{
	unsigned oldest, newest;
	double seconds;

	if (!history->count)
		return NAN;
	oldest = at(history, 0);
	newest = at(history, history->count - 1);
	seconds = history->times[newest] - history->times[oldest];
	if (seconds < SPAN_MIN)
		return NAN;
	return (double)(history->values[newest] - history->values[oldest]) * 60 / seconds;
}

/* The newest sample that is at least `age` seconds older than the newest one of all. False: there
 * is none. */
static bool sample_of_age(const struct screen_history *history, double age, int64_t *value)
{
	double newest = history->times[at(history, history->count - 1)];

	for (unsigned i = history->count; i-- > 0;) {
		if (newest - history->times[at(history, i)] >= age) {
			*value = history->values[at(history, i)];
			return true;
		}
	}
	return false;
}

void history_trend(const struct screen_history *history, int64_t least, bool utf8, char *text)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {"_", "_", ".", ".", "-", "-", "^", "^"};
	const double step = HISTORY_STEP * (HISTORY_SAMPLES - 1) / (HISTORY_CELLS - 1);
	int64_t low = INT64_MAX, high = INT64_MIN, value, span;
	unsigned height;

	for (unsigned i = 0; i < history->count; i++) {
		value = history->values[at(history, i)];
		low = value < low ? value : low;
		high = value > high ? value : high;
	}
	*text = '\0';
	for (unsigned i = 0; i < HISTORY_CELLS; i++) {
		if (!history->count ||
		    !sample_of_age(history, step * (HISTORY_CELLS - 1 - i), &value)) {
			strcat(text, " ");
			continue;
		}
		span = high - low;
		height = span < least || !span ? 0
					       : (unsigned)lround((double)(value - low) / span * 7);
		strcat(text, (utf8 ? blocks : ascii)[height]);
	}
}

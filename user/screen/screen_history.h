/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A value over the last minute: how fast it grows, and its trend. Pure: the caller passes the
 * time. */
#ifndef SCREEN_HISTORY_H
#define SCREEN_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_SAMPLES 31
#define HISTORY_STEP	2.0 /* seconds between two samples that are kept */
#define HISTORY_CELLS	8   /* of a trend */

struct screen_history { /* {}: no sample yet */
	double times[HISTORY_SAMPLES];
	int64_t values[HISTORY_SAMPLES];
	unsigned first, count; /* a ring; the newest sample is always there */
};

/* Adds the value at time `now`, in seconds. Times must not go back. */
void history_add(struct screen_history *history, double now, int64_t value);

/* Forgets all samples. */
void history_clear(struct screen_history *history);

/* Change of the value in a minute, from the oldest and the newest sample. NAN: they are less than
 * two seconds apart. */
double history_per_minute(const struct screen_history *history);

/* Writes HISTORY_CELLS characters, oldest first: how high the value was, between its least and its
 * largest. A change of less than `least` is drawn as none. With `utf8` blocks of eight heights,
 * else ASCII characters of four. Cells without a sample are spaces. `text` has room for
 * HISTORY_TEXT bytes. */
#define HISTORY_TEXT (3 * HISTORY_CELLS + 1)
#define TREND_LEAST  262144 /* bytes: what the screen gives for `least` */
void history_trend(const struct screen_history *history, int64_t least, bool utf8, char *text);

#endif

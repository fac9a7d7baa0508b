/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How fast a size grows, from samples of the last time. Pure: there is no clock.
 *
 * A window is divided into bins. Of each the least sample counts: what a garbage collection frees
 * within a bin is no growth. Over the bins goes a robust line: Theil and Sen's. */
#ifndef ALARM_SLOPE_H
#define ALARM_SLOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALARM_BINS 80

struct alarm_series {			/* 340 bytes, however long the window is */
	double bin;			/* seconds of one */
	double begin;			/* the time of the first sample */
	uint32_t bins;			/* of the window */
	int64_t last;			/* the number of the bin that is filled; -1: none yet */
	uint32_t least[ALARM_BINS + 1]; /* by number modulo bins + 1: units of 4 KiB */
};

/* How many seconds may be from one sample to the next where a growth over `window` seconds is
 * looked for: so many that enough of them come in the window, and no more than an alarm may be
 * late. */
#define ALARM_LOOK_MOST 2.0
double alarm_look_seconds(double window);

/* For samples of `window` seconds, which is at least 10. */
void alarm_series_init(struct alarm_series *series, double window);
/* Adds a sample of `bytes` at `now`, in seconds of a clock that is never set back. True: a bin is
 * complete, so that there is something new to learn. */
bool alarm_series_add(struct alarm_series *series, double now, int64_t bytes);

/* True if it can't have grown by `rate` bytes per second: cheap, and almost always true. False also
 * if there are not enough samples to say so. */
bool alarm_series_is_flat(const struct alarm_series *series, double rate);

struct alarm_slope {	    /* rates are bytes per second */
	bool known;	    /* there were enough samples; else all others are 0 */
	bool significant;   /* the interval below does not have 0 in it */
	double rate;	    /* the most likely one */
	double least, most; /* of 20 such intervals, the true rate is in 19 */
	double seconds;	    /* of the samples that it was made of */
};

/* Needs samples of a tenth of the window, and of two minutes, or of the window if that is
 * shorter. */
void alarm_series_slope(const struct alarm_series *series, struct alarm_slope *slope);

struct alarm_forecast {
	bool known; /* else there is nothing to say: no growth that is sure, or no room is known */
	double seconds;		/* until the room is used up */
	double soonest, latest; /* by the slope's interval */
};

/* When what grows so will have grown by `room` bytes. Negative: no limit is known. */
void alarm_forecast_make(const struct alarm_slope *slope, int64_t room,
			 struct alarm_forecast *forecast);

#endif

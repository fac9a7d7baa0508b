/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When an alarm is told: once, and not again until it was clear for a while; and not too many at a
 * time. Pure: `now` is in seconds, of a clock that is never set back. */
#ifndef ALARM_STATE_H
#define ALARM_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/alarm_rule.h"
#include "model/alarm_slope.h"

#define ALARM_CLEAR_PART    0.9	 /* of the threshold: below that it clears, */
#define ALARM_CLEAR_SECONDS 60.0 /* after so long */
#define ALARM_LINES	    10	 /* a minute */

struct alarm_state { /* of an alarm and what it watches; all zeros at first */
	bool raised;
	bool waits;	    /* it is met, and could not be told so far: alarm_gate_pass() */
	double below_since; /* 0: it is not below */
};

/* `met`: the alarm is met, as far as can be said; `value` is its figure. True: it is to be told
 * now; if alarm_gate_pass() does not allow that, it is asked again the next time. */
bool alarm_state_step(struct alarm_state *state, double value, double threshold, bool met,
		      double now);

/* True if a growth is met: it is above the threshold, and at least half of it is sure. */
bool alarm_growth_is_met(const struct alarm_slope *slope, double threshold);

struct alarm_gate {   /* all zeros at first */
	double since; /* when its minute began; 0: none has */
	unsigned told, held;
};

/* True if another line may be told in this minute. Else the alarm waits, and is counted once. */
bool alarm_gate_pass(struct alarm_gate *gate, struct alarm_state *state, double now);
/* Once a minute is over: the number of those that began to wait in it. */
unsigned alarm_gate_flush(struct alarm_gate *gate, double now);

/* Texts, cut at `size`. alarm_put_bytes(): "512.3 MiB". alarm_put_time(): "41 min". */
void alarm_put_bytes(char *text, size_t size, double bytes);
void alarm_put_time(char *text, size_t size, double seconds);
/* "+212.4 MiB/h (198.0 to 231.0)", in the unit of the rule. */
void alarm_put_rate(char *text, size_t size, const struct alarm_slope *slope,
		    const struct alarm_rule *rule);
/* "at this rate its limit of 512.0 MiB in 41 min (30 to 65 min)"; "": there is nothing to say. */
void alarm_put_forecast(char *text, size_t size, const struct alarm_forecast *forecast,
			double limit_bytes);

#endif

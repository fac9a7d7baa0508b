/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/alarm_state.h"

#include <stdio.h>
#include <string.h>

#define MINUTE	  60.0
#define SURE_PART 0.5 /* of the threshold */

bool alarm_growth_is_met(const struct alarm_slope *slope, double threshold)
{
	return slope->known && slope->significant && slope->rate > threshold &&
	       slope->least > SURE_PART * threshold;
}

bool alarm_state_step(struct alarm_state *state, double value, double threshold, bool met,
		      double now)
{
	if (!state->raised) {
		*state = (struct alarm_state){.raised = met, .waits = met && state->waits};
		return met;
	}
	if (value >= ALARM_CLEAR_PART * threshold)
		state->below_since = 0;
	else if (state->below_since <= 0)
		state->below_since = now;
	else if (now - state->below_since >= ALARM_CLEAR_SECONDS)
		*state = (struct alarm_state){};
	return false;
}

bool alarm_gate_pass(struct alarm_gate *gate, struct alarm_state *state, double now)
{
	if (gate->since <= 0)
		gate->since = now;
	if (gate->told == ALARM_LINES) {
		gate->held += !state->waits;
		*state = (struct alarm_state){.waits = true};
		return false;
	}
	gate->told++;
	state->waits = false;
	return true;
}

unsigned alarm_gate_flush(struct alarm_gate *gate, double now)
{
	unsigned held = gate->held;

	if (gate->since <= 0 || now - gate->since < MINUTE)
		return 0;
	*gate = (struct alarm_gate){};
	return held;
}

/* --- texts --- */

struct scale {
	double at;
	const char *name;
};

static const struct scale sizes[] = {
	{1024.0 * 1024 * 1024, "GiB"}, {1024.0 * 1024, "MiB"}, {1024.0, "KiB"}};
static const struct scale times[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};

/* The unit in which a time is a number of two digits or more; days above all. */
static const struct scale *time_scale(double seconds)
{
	if (seconds >= 3 * 86400.0)
		return &times[0];
	if (seconds >= 3 * 3600.0)
		return &times[1];
	return seconds >= 120 ? &times[2] : &times[3];
}

void alarm_put_bytes(char *text, size_t size, double bytes)
{
	double magnitude = bytes < 0 ? -bytes : bytes;
	/* MiB, so that figures can be compared; others where those would say nothing. */
	const struct scale *scale = magnitude >= 100 * sizes[0].at ? &sizes[0]
				    : magnitude >= sizes[1].at	   ? &sizes[1]
								   : &sizes[2];

	snprintf(text, size, "%.1f %s", bytes / scale->at, scale->name);
}

void alarm_put_time(char *text, size_t size, double seconds)
{
	const struct scale *scale = time_scale(seconds);

	snprintf(text, size, "%.0f %s", seconds / scale->at, scale->name);
}

/* A time in `scale`; with one decimal where a whole number would say nothing. */
static void put_scaled(char *text, size_t size, double seconds, const struct scale *scale)
{
	double value = seconds / scale->at;

	snprintf(text, size, value < 10 ? "%.1f" : "%.0f", value);
}

void alarm_put_rate(char *text, size_t size, const struct alarm_slope *slope,
		    const struct alarm_rule *rule)
{
	/* Of an alarm without a TIME: per hour. */
	double unit = rule->unit > 0 ? rule->unit : 3600;
	double rate = slope->rate * unit;
	const struct scale *scale = rate >= 1e6 ? &sizes[1] : &sizes[2], *time = times;

	while (time->at > unit)
		time++;
	snprintf(text, size, "%+.1f %s/%s (%.1f to %.1f)", rate / scale->at, scale->name,
		 time->name, slope->least * unit / scale->at, slope->most * unit / scale->at);
}

void alarm_put_forecast(char *text, size_t size, const struct alarm_forecast *forecast,
			double limit_bytes)
{
	const struct scale *scale = time_scale(forecast->seconds);
	char limit[32], at[32], soonest[32], latest[32];

	*text = '\0';
	if (!forecast->known)
		return;
	alarm_put_bytes(limit, sizeof(limit), limit_bytes);
	put_scaled(at, sizeof(at), forecast->seconds, scale);
	put_scaled(soonest, sizeof(soonest), forecast->soonest, scale);
	put_scaled(latest, sizeof(latest), forecast->latest, scale);
	snprintf(text, size, "at this rate its limit of %s in %s %s (%s to %s %s)", limit, at,
		 scale->name, soonest, latest, scale->name);
}

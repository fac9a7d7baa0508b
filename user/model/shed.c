/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/shed.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB	     (1024.0 * 1024)
#define STEPS	     (SHED_PROCESSES - 1 + SHED_PARTS)
#define TEXT_MOST    128
#define CPU_LEAST    0.01 /* per cent */
#define CPU_MOST     1e6
#define MEMORY_LEAST 8 /* MiB */
#define MEMORY_MOST  (1 << 20)
#define WINDOW_MOST  3600

/* --- the budget --- */

struct shed_budget shed_budget_default(unsigned cpus)
{
	return (struct shed_budget){
		.cpu = 0.1 * (cpus ? cpus : 1),
		.memory = 256 << 20,
		.window = 10,
	};
}

static int complain(char *why, size_t size, const char *part)
{
	snprintf(why, size,
		 "'%.*s' is not understood: none, or cpu=2%%,memory=64M,window=10s, or "
		 "some of these",
		 TEXT_MOST, part);
	return -EINVAL;
}

/* Reads a number from 0 to `most` and one of the units behind it (NULL ends them); `*unit` becomes
 * its index. False: it is something else. */
static bool get_number(const char *text, const char *const *units, double most, double *number,
		       unsigned *unit)
{
	char *end;

	/* strtod() takes signs, blanks, hexadecimal numbers and words, too. */
	if (!strchr("0123456789", *text) || !*text || text[1] == 'x' || text[1] == 'X')
		return false;
	*number = strtod(text, &end);
	for (*unit = 0; units[*unit] && strcmp(end, units[*unit]) != 0;)
		++*unit;
	return units[*unit] && *number <= most;
}

static bool set_cpu(struct shed_budget *budget, const char *text)
{
	static const char *const units[] = {"%", NULL};
	unsigned unit;
	double number;

	if (!get_number(text, units, CPU_MOST, &number, &unit) || number < CPU_LEAST)
		return false;
	budget->cpu = number / 100;
	return true;
}

static bool set_memory(struct shed_budget *budget, const char *text)
{
	static const char *const units[] = {"M", "MiB", "G", "GiB", NULL};
	unsigned unit;
	double number;

	if (!get_number(text, units, MEMORY_MOST, &number, &unit))
		return false;
	number *= unit < 2 ? 1 : 1024;
	if (number < MEMORY_LEAST || number > MEMORY_MOST)
		return false;
	budget->memory = (uint64_t)(number * MIB);
	return true;
}

static bool set_window(struct shed_budget *budget, const char *text)
{
	static const char *const units[] = {"s", "", NULL};
	unsigned unit;
	double number;

	if (!get_number(text, units, WINDOW_MOST, &number, &unit) || number < 1)
		return false;
	budget->window = number;
	return true;
}

static bool set_part(struct shed_budget *budget, const char *part)
{
	static const struct {
		const char *name;
		bool (*set)(struct shed_budget *budget, const char *text);
	} parts[] = {{"cpu=", set_cpu}, {"memory=", set_memory}, {"window=", set_window}};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strncmp(part, parts[i].name, strlen(parts[i].name)))
			return parts[i].set(budget, part + strlen(parts[i].name));
	return false;
}

int shed_budget_parse(const char *text, struct shed_budget *budget, char *why, size_t size)
{
	struct shed_budget parsed = *budget;
	char copy[TEXT_MOST], *rest = copy, *part;

	if (strlen(text) >= sizeof(copy))
		return complain(why, size, text);
	if (!strcmp(text, "none")) {
		budget->cpu = 0;
		budget->memory = 0;
		return 0;
	}
	snprintf(copy, sizeof(copy), "%s", text);
	while ((part = strsep(&rest, ",")))
		if (!set_part(&parsed, part))
			return complain(why, size, part);
	*budget = parsed;
	return 0;
}

double shed_window(const struct shed_budget *budget, double interval)
{
	/* What is a whole number but for how it is rounded stays that. */
	double intervals = ceil(budget->window / interval - 1e-6);

	return interval * (intervals < 1 ? 1 : intervals);
}

/* --- the steps --- */

enum shed_level shed_level(const struct shed *shed)
{
	return shed->step < SHED_PROCESSES ? (enum shed_level)shed->step : SHED_PROCESSES;
}

bool shed_cuts(const struct shed *shed)
{
	return shed->step >= SHED_DEPTH && !shed->uncut;
}

unsigned shed_parts(const struct shed *shed)
{
	return shed->step < SHED_PROCESSES ? 0 : shed->step - SHED_PROCESSES + 1;
}

const char *shed_name(enum shed_level level)
{
	static const char *const names[] = {"", "events", "depth", "processes"};

	return names[level];
}

static void begin_row(struct shed *shed)
{
	shed->over = shed->under = 0;
	shed->sum = (struct shed_use){};
}

/* In a row of windows of the same kind, `*count` of it. */
static void count(struct shed *shed, const struct shed_use *use, unsigned *count)
{
	if (!*count)
		begin_row(shed);
	++*count;
	shed->sum.seconds += use->seconds;
	shed->sum.trace += use->trace;
	shed->sum.faults += use->faults;
	shed->sum.serve += use->serve;
	shed->sum.memory = use->memory;
}

/* In CPUs: all of it, and what a level can reduce. */
static double all_of(const struct shed_use *use)
{
	return (use->trace + use->faults + use->serve) / use->seconds;
}

static double load_of(const struct shed_use *use, enum shed_level level)
{
	return (use->trace + (level <= SHED_EVENTS ? use->faults : 0)) / use->seconds;
}

static bool has_more(const struct shed_use *use, double low, const struct shed_budget *budget,
		     enum shed_level level)
{
	return budget->cpu > 0 && load_of(use, level) > low * budget->cpu;
}

static bool needs_memory(const struct shed_use *use, const struct shed_budget *budget)
{
	return budget->memory && use->memory > budget->memory;
}

/* The step that comes next is of `level`; `by`: 1 or -1. */
static int change(struct shed *shed, enum shed_level level, unsigned step, int by)
{
	/* What was shed is needed again soon: it would come and go. */
	if (by > 0 && shed->eased && shed->since <= SHED_SOON && shed->later < SHED_LATEST)
		shed->later++;
	shed->cause = (struct shed_cause){
		.level = level,
		.seconds = shed->sum.seconds,
		.cpu = all_of(&shed->sum),
		.memory = shed->sum.memory,
	};
	shed->step = step;
	shed->since = 0;
	shed->eased = by < 0;
	if (step < SHED_PROCESSES)
		shed->uncut = false;
	begin_row(shed);
	return by;
}

static int take_back(struct shed *shed, unsigned step, unsigned *held)
{
	enum shed_level level = shed_level(shed);

	*held = SHED_HELD;
	change(shed, level, step, -1);
	/* It is no reason to wait longer with anything else. */
	shed->eased = false;
	shed->cause.useless = true;
	return -1;
}

/* `*before` is judged once. */
static bool is_useless(double *before, double now, double gain)
{
	bool useless = *before > 0 && now >= (1 - gain) * *before;

	*before = 0;
	return useless;
}

static int more_events(struct shed *shed)
{
	if (shed->events_held)
		return 0;
	shed->events_before = load_of(&shed->sum, SHED_EVENTS);
	return change(shed, SHED_EVENTS, SHED_EVENTS, 1);
}

/* Walks, and what is made of them, are more than the budget. */
static int more_for_trace(struct shed *shed)
{
	double now = load_of(&shed->sum, SHED_DEPTH);

	if (shed->step == STEPS && !shed->uncut)
		return is_useless(&shed->trace_before, now, SHED_GAIN)
			       ? take_back(shed, SHED_EVENTS, &shed->trace_held)
			       : 0;
	if (!shed->step) {
		shed->events_held = 0;
		return more_events(shed);
	}
	if (shed->trace_held)
		return 0;
	if (shed->uncut || shed->step == SHED_EVENTS) {
		shed->trace_before = now;
		change(shed, SHED_DEPTH, shed->uncut ? shed->step : SHED_DEPTH, 1);
		shed->uncut = false;
		return 1;
	}
	return change(shed, SHED_PROCESSES, shed->step + 1, 1);
}

static int more_for_memory(struct shed *shed)
{
	double now = (double)shed->sum.memory;
	bool cut = shed_cuts(shed);
	int by;

	if (shed_parts(shed) && is_useless(&shed->memory_before, now, SHED_GAIN_MEMORY))
		return take_back(shed,
				 shed->step > SHED_PROCESSES || cut ? shed->step - 1 : SHED_EVENTS,
				 &shed->memory_held);
	if (shed->memory_held || shed->step == STEPS)
		return 0;
	shed->memory_before = now;
	if (!shed->step)
		by = change(shed, SHED_EVENTS, SHED_EVENTS, 1);
	else
		by = change(shed, SHED_PROCESSES,
			    shed->step < SHED_PROCESSES ? SHED_PROCESSES : shed->step + 1, 1);
	shed->uncut = shed->step >= SHED_PROCESSES && !cut;
	shed->cause.by_memory = true;
	return by;
}

static int more(struct shed *shed, const struct shed_budget *budget)
{
	if (has_more(&shed->sum, 1, budget, SHED_DEPTH))
		return more_for_trace(shed);
	if (has_more(&shed->sum, 1, budget, SHED_EVENTS)) {
		if (!shed->step)
			return more_events(shed);
		if (shed->step == SHED_EVENTS &&
		    is_useless(&shed->events_before, load_of(&shed->sum, SHED_EVENTS), SHED_GAIN))
			return take_back(shed, SHED_NOTHING, &shed->events_held);
	}
	return needs_memory(&shed->sum, budget) ? more_for_memory(shed) : 0;
}

static int less(struct shed *shed)
{
	unsigned step = shed->step - 1;

	if (shed->uncut && step < SHED_PROCESSES)
		step = SHED_EVENTS;
	shed->events_before = shed->trace_before = shed->memory_before = 0;
	return change(shed, shed_level(shed), step, -1);
}

static void pass(unsigned *held)
{
	*held -= *held > 0;
}

static bool is_under(const struct shed *shed, const struct shed_budget *budget,
		     const struct shed_use *use)
{
	return shed->step && !has_more(use, SHED_LOW, budget, shed_level(shed)) &&
	       (!budget->memory || (double)use->memory < SHED_LOW_MEMORY * (double)budget->memory);
}

int shed_step(struct shed *shed, const struct shed_budget *budget, const struct shed_use *use)
{
	if (use->seconds <= 0)
		return 0;
	if (shed->warm < SHED_WARMUP) {
		shed->warm++;
		return 0;
	}
	if (++shed->since >= SHED_CALM) {
		shed->since = SHED_CALM;
		shed->later = 0;
	}
	pass(&shed->events_held);
	pass(&shed->trace_held);
	pass(&shed->memory_held);
	if (is_under(shed, budget, use))
		count(shed, use, &shed->under);
	else if (has_more(use, 1, budget, SHED_EVENTS) || needs_memory(use, budget))
		count(shed, use, &shed->over);
	else
		begin_row(shed);
	if (shed->over >= SHED_OVER) {
		int by = more(shed, budget);

		/* What follows is seen anew, and a burst that began late is not averaged away. */
		if (!by)
			begin_row(shed);
		return by;
	}
	if (shed->under >= SHED_UNDER << shed->later)
		return less(shed);
	return 0;
}

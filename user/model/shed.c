/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/shed.h"

#include <errno.h>
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

/* --- the steps --- */

enum shed_level shed_level(const struct shed *shed)
{
	return shed->step < SHED_PROCESSES ? (enum shed_level)shed->step : SHED_PROCESSES;
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
	shed->seconds = shed->cpu_seconds = 0;
}

static int change(struct shed *shed, const struct shed_budget *budget, const struct shed_use *use,
		  int by)
{
	double cpu = shed->cpu_seconds / shed->seconds;

	/* What was shed is needed again soon: it would come and go. */
	if (by > 0 && shed->eased && shed->since <= SHED_SOON && shed->later < SHED_LATEST)
		shed->later++;
	shed->cause = (struct shed_cause){
		.seconds = shed->seconds,
		.cpu = cpu,
		.memory = use->memory,
		.by_memory = budget->memory && use->memory > budget->memory &&
			     !(budget->cpu > 0 && cpu > budget->cpu),
	};
	shed->step = by > 0 ? shed->step + 1 : shed->step - 1;
	shed->since = 0;
	shed->eased = by < 0;
	begin_row(shed);
	return by;
}

/* In a row of windows of the same kind, `*count` of it. */
static void count(struct shed *shed, const struct shed_use *use, unsigned *count)
{
	if (!*count)
		begin_row(shed);
	++*count;
	shed->seconds += use->seconds;
	shed->cpu_seconds += use->cpu_seconds;
}

int shed_step(struct shed *shed, const struct shed_budget *budget, const struct shed_use *use)
{
	double cpu = use->seconds > 0 ? use->cpu_seconds / use->seconds : 0;
	bool over = (budget->cpu > 0 && cpu > budget->cpu) ||
		    (budget->memory && use->memory > budget->memory);
	bool under =
		(budget->cpu <= 0 || cpu < SHED_LOW * budget->cpu) &&
		(!budget->memory || (double)use->memory < SHED_LOW_MEMORY * (double)budget->memory);

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
	if (over)
		count(shed, use, &shed->over);
	else if (under && shed->step)
		count(shed, use, &shed->under);
	else
		begin_row(shed);
	if (shed->over >= SHED_OVER && shed->step < STEPS)
		return change(shed, budget, use, 1);
	if (shed->under >= SHED_UNDER << shed->later)
		return change(shed, budget, use, -1);
	return 0;
}

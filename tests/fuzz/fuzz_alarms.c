/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: alarms as a user writes them (user/model/alarm_rule.c), and sizes of a process
 * over time (alarm_slope.c), which the process chooses. Input: a text of lines up to a NUL, then
 * records of (seconds, size), each of 16 bits.
 *
 * Beyond memory safety: what is understood is within bounds, and is understood the same way again;
 * what is not is refused with a column that is in it. An interval has its slope in it. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/alarm_rule.h"
#include "model/alarm_slope.h"
#include "model/alarm_state.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rule(const struct alarm_rule *rule)
{
	struct alarm_rule again;
	char why[256];

	REQUIRE(rule->threshold > 0 && isfinite(rule->threshold));
	REQUIRE(rule->window >= 10 && rule->window <= 604800);
	REQUIRE(rule->scopes && rule->scopes < 16);
	REQUIRE(rule->what == ALARM_GROWTH || rule->what == ALARM_RSS ||
		(rule->what == ALARM_LIMIT && rule->threshold <= 100));
	REQUIRE(!alarm_rule_parse(rule->text, &again, why, sizeof(why)) &&
		alarm_rule_same(rule, &again));
}

static void add(struct alarm_rules *rules, const char *text)
{
	size_t before = rules->count, column = 0;
	char why[256];
	int err = alarm_rules_add(rules, text, why, sizeof(why));

	REQUIRE(rules->count <= ALARM_RULES_MOST);
	if (!err) {
		REQUIRE(rules->count);
		check_rule(&rules->list[rules->count - 1]);
		return;
	}
	REQUIRE(rules->count == before);
	REQUIRE(sscanf(why, "column %zu: ", &column) == 1);
	REQUIRE(column >= 1 && column <= strlen(text) + 1 && strlen(why) < sizeof(why));
	for (const char *at = why; *at; at++)
		REQUIRE((unsigned char)*at >= ' ');
}

static void grow(const struct alarm_rule *rule, const uint8_t *data, size_t size)
{
	struct alarm_forecast forecast;
	struct alarm_series series;
	struct alarm_slope slope;
	double now = 0;
	char text[128];
	bool flat;

	alarm_series_init(&series, rule->window);
	for (; size >= 4; data += 4, size -= 4) {
		now += (data[0] | data[1] << 8) / 8.0;
		alarm_series_add(&series, now, (int64_t)(data[2] | data[3] << 8) << 16);
	}
	flat = alarm_series_is_flat(&series, rule->threshold);
	alarm_series_slope(&series, &slope);
	if (!slope.known)
		return;
	REQUIRE(isfinite(slope.rate) && slope.least <= slope.rate && slope.most >= slope.rate);
	if (flat && alarm_growth_is_met(&slope, rule->threshold))
		abort();
	alarm_forecast_make(&slope, 1 << 30, &forecast);
	REQUIRE(!forecast.known ||
		(forecast.soonest <= forecast.seconds && forecast.latest >= forecast.seconds));
	alarm_put_forecast(text, sizeof(text), &forecast, 1 << 30);
	alarm_put_rate(text, sizeof(text), &slope, rule);
	REQUIRE(strlen(text) < sizeof(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t length = strnlen((const char *)data, size);
	char *copy = strndup((const char *)data, length), *rest = copy, *line;
	struct alarm_rules rules = {};

	REQUIRE(copy);
	while ((line = strsep(&rest, "\n")))
		add(&rules, line);
	if (rules.count && length < size)
		grow(&rules.list[0], data + length + 1, size - length - 1);
	free(copy);
	return 0;
}

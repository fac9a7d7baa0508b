/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model/alarm_*: what an alarm means, how fast something grows, when it is told, and what it says.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/alarm_rule.h"
#include "model/alarm_slope.h"
#include "model/alarm_state.h"

#define MIB 1048576.0

/* --- rules --- */

static const struct {
	const char *text;
	enum alarm_what what;
	unsigned scopes;
	double threshold, window;
} good[] = {
	{"growth>50MiB/h", ALARM_GROWTH, ALARM_PROCESS | ALARM_CONTAINER, 50 * MIB / 3600, 3600},
	{"growth>1.5GiB/d", ALARM_GROWTH, ALARM_PROCESS | ALARM_CONTAINER, 1536 * MIB / 86400,
	 86400},
	{"program:growth>64KiB/s", ALARM_GROWTH, ALARM_PROGRAM, 65536, 120},
	{"container:growth>1MiB/min", ALARM_GROWTH, ALARM_CONTAINER, MIB / 60, 600},
	{" process : growth > 50 MiB / h over 20 min ", ALARM_GROWTH, ALARM_PROCESS,
	 50 * MIB / 3600, 1200},
	{"growth>1MiB/s over 10s", ALARM_GROWTH, ALARM_PROCESS | ALARM_CONTAINER, MIB, 10},
	{"growth>1MiB/s over 7d", ALARM_GROWTH, ALARM_PROCESS | ALARM_CONTAINER, MIB, 604800},
	{"rss>2GiB", ALARM_RSS, ALARM_PROCESS, 2048 * MIB, ALARM_WINDOW},
	{"program:rss>2GiB", ALARM_RSS, ALARM_PROGRAM, 2048 * MIB, ALARM_WINDOW},
	{"limit>90%", ALARM_LIMIT, ALARM_CONTAINER | ALARM_GROUP, 90, ALARM_WINDOW},
	{"container:limit>99.5%", ALARM_LIMIT, ALARM_CONTAINER, 99.5, ALARM_WINDOW},
	{"process:limit>90%", ALARM_LIMIT, ALARM_PROCESS, 90, ALARM_WINDOW},
	{"program:limit>80%", ALARM_LIMIT, ALARM_PROGRAM, 80, ALARM_WINDOW},
};

static void test_good(void **state)
{
	struct alarm_rule rule;
	char why[512];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (alarm_rule_parse(good[i].text, &rule, why, sizeof(why)))
			fail_msg("%s: %s", good[i].text, why);
		if (rule.what != good[i].what || rule.scopes != good[i].scopes ||
		    fabs(rule.threshold - good[i].threshold) > 1e-6 ||
		    fabs(rule.window - good[i].window) > 1e-6)
			fail_msg("%s: %d %u %f %f", good[i].text, rule.what, rule.scopes,
				 rule.threshold, rule.window);
		assert_string_equal(rule.text, good[i].text);
	}
}

static const struct {
	const char *text;
	size_t column;
	const char *remedy;
} bad[] = {
	{"", 1, "it ends too early: write growth, rss or limit"},
	{"grow>5MiB/h", 1, "\"grow>5MiB/h\" is not understood: write growth, rss or limit"},
	{"Growth>5MiB/h", 1, "write growth"},
	{"host:rss>1GiB", 1, "before it perhaps process:, program: or container:"},
	{"process rss>1GiB", 9, "write : and growth, rss or limit, as in process:rss>2GiB"},
	{"process:", 9, "it ends too early: write growth, rss or limit"},
	{"host:limit>90%", 1, "before it perhaps process:, program: or container:"},
	{"rss<1GiB", 4, "write > and from when on it is met"},
	{"rss>=1GiB", 5, "write a number of at most 9 digits, as in rss>2GiB"},
	{"rss>-1GiB", 5, "write a number"},
	{"rss>nanGiB", 5, "write a number"},
	{"rss>0x1GiB", 5, "write a number above 0"},
	{"rss>1e9GiB", 6, "write KiB, MiB or GiB"},
	{"rss>1000000000000KiB", 5, "at most 9 digits"},
	{"rss>1.GiB", 5, "write a number"},
	{"rss>0MiB", 5, "write a number above 0"},
	{"rss>0.1KiB", 5, "write a size from 1 KiB to 1048576 GiB"},
	{"rss>2000000GiB", 5, "write a size from"},
	{"rss>2GB", 6, "\"GB\" is not understood: write KiB, MiB or GiB, as in rss>2GiB"},
	{"rss>2", 6, "it ends too early: write KiB, MiB or GiB"},
	{"rss>2GiB/h", 9, "end it here"},
	{"growth>5MiB", 12, "it ends too early: write / and s, min, h or d"},
	{"growth>5MiB/m", 13, "write s, min, h or d"},
	{"growth>5MiB/h over", 19, "write a number"},
	{"growth>5MiB/h over 5", 21, "write s, min, h or d, as in over 20min"},
	{"growth>5MiB/h over 5s", 20, "write a time from 10s to 7d"},
	{"growth>5MiB/h over 8d", 20, "write a time from 10s to 7d"},
	{"growth>5MiB/h for 8d", 15, "end it here, or write over and a time"},
	{"limit>90", 9, "it ends too early: write %"},
	{"limit>101%", 7, "write at most 100%"},
	{"limit>2GiB", 8, "write %"},
	{"rss>1GiB\x1b[2J", 9, "\"\\x1b[2J\" is not understood"},
	{"rss>1GiB                                                                    ", 64,
	 "write it with fewer blanks"},
};

static void test_bad(void **state)
{
	struct alarm_rule rule;
	char why[512], column[32];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(alarm_rule_parse(bad[i].text, &rule, why, sizeof(why)), -EINVAL);
		snprintf(column, sizeof(column), "column %zu: ", bad[i].column);
		if (strncmp(why, column, strlen(column)) != 0 || !strstr(why, bad[i].remedy))
			fail_msg("%s: %s", bad[i].text, why);
	}
}

static void test_rules(void **state)
{
	static struct alarm_rules rules;
	char why[512], text[64];

	(void)state;
	assert_int_equal(alarm_rules_add(&rules, "rss>1GiB", why, sizeof(why)), 0);
	/* The same in other words is one alarm. */
	assert_int_equal(alarm_rules_add(&rules, "process:rss>1024 MiB", why, sizeof(why)), 0);
	assert_int_equal(rules.count, 1);
	assert_int_equal(alarm_rules_add(&rules, "rss>", why, sizeof(why)), -EINVAL);
	assert_int_equal(rules.count, 1);
	/* A limit is another figure than RSS, and has samples of its own. */
	assert_int_equal(alarm_rules_add(&rules, "limit>90%", why, sizeof(why)), 0);
	assert_int_equal(alarm_rules_add(&rules, "growth>1MiB/h", why, sizeof(why)), 0);
	assert_int_equal(alarm_rules_add(&rules, "growth>1MiB/d", why, sizeof(why)), 0);
	assert_int_equal(alarm_rules_add(&rules, "growth>1MiB/s", why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "one window too many: at most 4"));
	assert_int_equal(alarm_rules_add(&rules, "growth>1MiB/s over 1h", why, sizeof(why)), 0);
	while (rules.count < ALARM_RULES_MOST) {
		snprintf(text, sizeof(text), "rss>%zuGiB", rules.count + 10);
		assert_int_equal(alarm_rules_add(&rules, text, why, sizeof(why)), 0);
	}
	assert_int_equal(alarm_rules_add(&rules, "rss>5GiB", why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "one alarm too many: at most 16"));
	assert_int_equal(rules.count, ALARM_RULES_MOST);
}

/* --- slopes --- */

typedef double shape(double second);

static struct alarm_slope slope_of(shape *bytes, double window, double seconds)
{
	struct alarm_series series;
	struct alarm_slope slope;

	alarm_series_init(&series, window);
	for (double now = 0; now <= seconds; now++)
		alarm_series_add(&series, 5000 + now, (int64_t)bytes(now));
	alarm_series_slope(&series, &slope);
	return slope;
}

static double noise(double second, double most)
{
	return most * fmod(second * 7919, 101) / 101;
}

static double leak(double s)
{
	return 100 * MIB + s * MIB / 10;
}

static double noisy_leak(double s)
{
	return leak(s) + noise(s, 3 * MIB);
}

static double arenas(double s) /* a leak that comes by the MiB */
{
	return 100 * MIB + floor(s / 10) * MIB;
}

static double sawtooth(double s) /* a collection every 25 s */
{
	return 100 * MIB + fmod(s, 25) * MIB;
}

static double slow_sawtooth(double s) /* three of them in the window */
{
	return 100 * MIB + fmod(s, 200) * MIB;
}

static double leaky_sawtooth(double s)
{
	return sawtooth(s) + s * MIB / 10;
}

static double flat(double s)
{
	return 100 * MIB + noise(s, 5 * MIB);
}

static double started(double s) /* imports, then nothing */
{
	return s < 60 ? s * 2 * MIB : 120 * MIB;
}

static double once(double s) /* one large request that stays */
{
	return 100 * MIB + (s > 300 ? 500 * MIB : 0);
}

static double spikes(double s)
{
	return leak(s) + (fmod(s, 40) < 6 ? 900 * MIB : 0);
}

static double shrinking(double s)
{
	return 500 * MIB - s * MIB / 10;
}

static void test_slope(void **state)
{
	static shape *const leaks[] = {leak, noisy_leak, arenas, leaky_sawtooth, spikes};
	static shape *const others[] = {sawtooth, slow_sawtooth, flat, started, once, shrinking};
	struct alarm_slope slope;

	(void)state;
	for (size_t i = 0; i < sizeof(leaks) / sizeof(leaks[0]); i++) {
		slope = slope_of(leaks[i], 600, 900);
		if (!slope.known || !slope.significant || fabs(slope.rate - MIB / 10) > MIB / 50 ||
		    slope.least > slope.rate || slope.most < slope.rate ||
		    slope.least > MIB / 10 * 1.02 || slope.most < MIB / 10 * 0.98 ||
		    fabs(slope.seconds - 600) > 1)
			fail_msg("leak %zu: %d %d %f (%f to %f) over %f", i, slope.known,
				 slope.significant, slope.rate, slope.least, slope.most,
				 slope.seconds);
		assert_true(alarm_growth_is_met(&slope, MIB / 12));
		assert_false(alarm_growth_is_met(&slope, MIB / 8));
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		slope = slope_of(others[i], 600, 900);
		assert_true(slope.known);
		if (alarm_growth_is_met(&slope, MIB / 100))
			fail_msg("other %zu: %f (%f to %f)", i, slope.rate, slope.least,
				 slope.most);
	}
	slope = slope_of(shrinking, 600, 900);
	assert_true(slope.significant && slope.most < 0);
}

static void test_needs(void **state)
{
	(void)state;
	/* Two minutes, or the window if that is shorter; a tenth of a long one. */
	assert_false(slope_of(leak, 120, 107).known);
	assert_true(slope_of(leak, 120, 121).known);
	assert_false(slope_of(leak, 20, 17).known);
	assert_true(slope_of(leak, 20, 20).known);
	assert_false(slope_of(leak, 3600, 320).known);
	assert_true(slope_of(leak, 3600, 370).known);
	assert_false(slope_of(leak, 86400, 7700).known);
	assert_true(slope_of(leak, 86400, 9720).known);
	/* What is older than the window is forgotten: the start is. */
	assert_true(slope_of(started, 120, 90).rate == 0);
	assert_true(fabs(slope_of(started, 120, 400).rate) < 1);
}

static void test_gaps(void **state)
{
	struct alarm_series series;
	struct alarm_slope slope;
	double now = 0;

	(void)state;
	alarm_series_init(&series, 120);
	/* Once in ten seconds only, as of a group that is read in turn. */
	for (; now < 300; now += 10)
		alarm_series_add(&series, now, (int64_t)leak(now));
	alarm_series_slope(&series, &slope);
	assert_true(slope.known && fabs(slope.rate - MIB / 10) < MIB / 50);
	/* Asleep for days: nothing of before is left. */
	alarm_series_add(&series, now + 1e6, 1000);
	alarm_series_add(&series, now + 1e6 + 2, 1000);
	alarm_series_slope(&series, &slope);
	assert_false(slope.known);
	/* The clock stands, goes back, or the size is impossible. */
	assert_false(alarm_series_add(&series, now, -5));
	assert_false(alarm_series_add(&series, now, INT64_MAX));
	assert_true(alarm_series_add(&series, now + 2e6, INT64_MAX));
}

static void test_flat(void **state)
{
	static shape *const shapes[] = {leak,	       noisy_leak,     arenas,	 sawtooth,
					slow_sawtooth, leaky_sawtooth, flat,	 started,
					once,	       spikes,	       shrinking};

	(void)state;
	/* What is flat has no slope that is as steep. */
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		for (double rate = 100; rate < 2 * MIB; rate *= 1.3) {
			struct alarm_series series;
			struct alarm_slope slope;

			alarm_series_init(&series, 300);
			for (double now = 0; now <= 400; now++)
				alarm_series_add(&series, now, (int64_t)shapes[i](now));
			alarm_series_slope(&series, &slope);
			assert_true(slope.known);
			if (alarm_series_is_flat(&series, rate) && slope.rate > rate)
				fail_msg("shape %zu: %f > %f", i, slope.rate, rate);
		}
}

/* --- telling --- */

static void test_hysteresis(void **state)
{
	struct alarm_state s = {};
	double now = 1000;

	(void)state;
	assert_false(alarm_state_step(&s, 50, 100, false, now++));
	assert_true(alarm_state_step(&s, 101, 100, true, now++));
	/* Once; and not when it is met again, shortly below or long just below. */
	for (int i = 0; i < 200; i++)
		assert_false(alarm_state_step(&s, i % 2 ? 101 : 95, 100, i % 2, now++));
	for (int i = 0; i < 59; i++)
		assert_false(alarm_state_step(&s, 10, 100, false, now++));
	assert_false(alarm_state_step(&s, 101, 100, true, now++));
	assert_true(s.raised);
	/* Clear for a minute. */
	for (int i = 0; i < 62; i++)
		assert_false(alarm_state_step(&s, 89, 100, false, now++));
	assert_false(s.raised);
	assert_true(alarm_state_step(&s, 101, 100, true, now++));
}

static void test_gate(void **state)
{
	struct alarm_state states[25] = {};
	struct alarm_gate gate = {};
	unsigned told = 0;

	(void)state;
	assert_int_equal(alarm_gate_flush(&gate, 100), 0);
	/* Each is met all the time, and asked each second. */
	for (int second = 0; second < 3; second++)
		for (int i = 0; i < 25; i++)
			if (alarm_state_step(&states[i], 2, 1, true, 100 + second))
				told += alarm_gate_pass(&gate, &states[i], 100 + second);
	assert_int_equal(told, ALARM_LINES);
	assert_int_equal(alarm_gate_flush(&gate, 159), 0);
	assert_int_equal(alarm_gate_flush(&gate, 161), 15);
	assert_int_equal(alarm_gate_flush(&gate, 161), 0);
	/* One is over meanwhile. The others are told in the next minutes, once. */
	assert_false(alarm_state_step(&states[24], 0, 1, false, 161));
	for (int second = 162; second < 300; second++) {
		alarm_gate_flush(&gate, second);
		for (int i = 0; i < 24; i++)
			if (alarm_state_step(&states[i], 2, 1, true, second))
				told += alarm_gate_pass(&gate, &states[i], second);
	}
	assert_int_equal(told, 24);
}

static void test_forecast(void **state)
{
	struct alarm_slope slope = slope_of(leak, 600, 900);
	struct alarm_forecast forecast;
	char text[256];

	(void)state;
	alarm_forecast_make(&slope, (int64_t)(246 * MIB), &forecast);
	assert_true(forecast.known && forecast.soonest <= forecast.seconds &&
		    forecast.latest >= forecast.seconds);
	forecast = (struct alarm_forecast){true, 41 * 60, 30 * 60, 65 * 60};
	alarm_put_forecast(text, sizeof(text), &forecast, 512 * MIB);
	assert_string_equal(text, "at this rate its limit of 512.0 MiB in 41 min (30 to 65 min)");
	forecast = (struct alarm_forecast){true, 50, 49.5, 55};
	alarm_put_forecast(text, sizeof(text), &forecast, 512 * MIB);
	assert_string_equal(text, "at this rate its limit of 512.0 MiB in 50 s (50 to 55 s)");
	forecast = (struct alarm_forecast){true, 5 * 3600, 4.5 * 3600, 20 * 3600};
	alarm_put_forecast(text, sizeof(text), &forecast, 200 * 1024 * MIB);
	assert_string_equal(text, "at this rate its limit of 200.0 GiB in 5.0 h (4.5 to 20 h)");
	/* No limit; no growth that is sure; in more than a year. */
	alarm_forecast_make(&slope, -1, &forecast);
	assert_false(forecast.known);
	alarm_put_forecast(text, sizeof(text), &forecast, 512 * MIB);
	assert_string_equal(text, "");
	alarm_forecast_make(&slope, INT64_MAX, &forecast);
	assert_false(forecast.known);
	slope = slope_of(slow_sawtooth, 600, 900);
	alarm_forecast_make(&slope, 1 << 20, &forecast);
	assert_false(forecast.known);
	slope = slope_of(shrinking, 600, 900);
	alarm_forecast_make(&slope, 1 << 20, &forecast);
	assert_false(forecast.known);
}

static void test_texts(void **state)
{
	const struct alarm_slope slope = {true, true, 61860, 57671, 67283, 700};
	struct alarm_rule rule;
	char text[128], why[256];

	(void)state;
	assert_int_equal(alarm_rule_parse("growth>50MiB/h", &rule, why, sizeof(why)), 0);
	alarm_put_rate(text, sizeof(text), &slope, &rule);
	assert_string_equal(text, "+212.4 MiB/h (198.0 to 231.0)");
	assert_int_equal(alarm_rule_parse("growth>50KiB/s", &rule, why, sizeof(why)), 0);
	alarm_put_rate(text, sizeof(text), &slope, &rule);
	assert_string_equal(text, "+60.4 KiB/s (56.3 to 65.7)");
	assert_int_equal(alarm_rule_parse("rss>5MiB", &rule, why, sizeof(why)), 0);
	alarm_put_rate(text, sizeof(text), &slope, &rule);
	assert_string_equal(text, "+212.4 MiB/h (198.0 to 231.0)");
	alarm_put_time(text, sizeof(text), 700);
	assert_string_equal(text, "12 min");
	alarm_put_bytes(text, sizeof(text), 5000);
	assert_string_equal(text, "4.9 KiB");
	for (size_t size = 1; size < 40; size++) {
		alarm_put_rate(text, size, &slope, &rule);
		assert_true(strlen(text) < size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),  cmocka_unit_test(test_bad),
		cmocka_unit_test(test_rules), cmocka_unit_test(test_slope),
		cmocka_unit_test(test_needs), cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_flat),  cmocka_unit_test(test_hysteresis),
		cmocka_unit_test(test_gate),  cmocka_unit_test(test_forecast),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

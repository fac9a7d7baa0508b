/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the agent sheds, over time: of a load, the steps it leads to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/shed.h"

#define MIB (1 << 20)

static const struct shed_budget budget = {.cpu = 0.01, .memory = 64 * MIB, .window = 10};

/* So many windows with that part of the budget. Returns the sum of the changes. */
static int go_on(struct shed *shed, unsigned windows, double part)
{
	int changes = 0;

	for (unsigned i = 0; i < windows; i++) {
		const struct shed_use use = {
			.seconds = 10,
			.trace = part * budget.cpu * 10,
			.memory = 30 * MIB,
		};

		changes += shed_step(shed, &budget, &use);
	}
	return changes;
}

/* What is at the beginning is no reason to shed anything. */
static struct shed warm(void)
{
	struct shed shed = {};

	assert_int_equal(go_on(&shed, SHED_WARMUP, 50), 0);
	assert_int_equal(shed_level(&shed), SHED_NOTHING);
	return shed;
}

static void test_nothing_below_the_budget(void **state)
{
	struct shed shed = warm();

	(void)state;
	assert_int_equal(go_on(&shed, 10000, 1), 0);
	assert_int_equal(go_on(&shed, 10000, 0), 0);
	assert_int_equal(shed_level(&shed), SHED_NOTHING);
	assert_int_equal(shed_parts(&shed), 0);
}

static void test_spikes_shed_nothing(void **state)
{
	struct shed shed = warm();

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(go_on(&shed, SHED_OVER - 1, 100), 0);
		assert_int_equal(go_on(&shed, 1, 0.9), 0);
	}
}

/* CPU time that comes once in `interval` seconds, in windows of `window` seconds. Returns the
 * highest step. */
static unsigned run_apart(double interval, double window, unsigned windows)
{
	const double one = 5 * budget.cpu * interval;
	double now = 0, next = interval;
	struct shed shed = {};
	unsigned highest = 0;

	while (windows--) {
		struct shed_use use = {.seconds = window, .memory = 30 * MIB};

		for (now += window; next <= now + 1e-3; next += interval)
			use.trace += one;
		shed_step(&shed, &budget, &use);
		highest = shed.step > highest ? shed.step : highest;
	}
	return highest;
}

/* Readings are the load, five times the budget on average, and there is one in five windows. */
static void test_windows_have_readings(void **state)
{
	struct shed_budget asked = budget;

	(void)state;
	asked.window = 1;
	assert_int_equal(run_apart(5, 1, 1000), 0); /* so windows must not be */
	assert_true(run_apart(5, shed_window(&asked, 5), 100) > SHED_EVENTS);
	asked.window = 10;
	assert_int_equal(run_apart(60, 10, 1000), 0);
	assert_true(run_apart(60, shed_window(&asked, 60), 100) > SHED_EVENTS);
}

static void check_window(double window, double interval, double seconds)
{
	const struct shed_budget asked = {.window = window};
	double found = shed_window(&asked, interval);

	if (found < seconds - 1e-3 || found > seconds + 1e-3)
		fail_msg("%g of %g: %g, not %g", window, interval, found, seconds);
}

static void test_window(void **state)
{
	(void)state;
	check_window(10, 5, 10);
	check_window(10, 1, 10);
	check_window(1, 1, 1);
	check_window(1, 5, 5);
	check_window(10, 60, 60);
	check_window(10, 4, 12);
	check_window(11, 5, 15);
	check_window(0.3, 0.1, 0.3); /* 0.3 / 0.1 is a bit less, or more */
	check_window(3600, 60, 3600);
	check_window(3600, 7, 3605);
}

/* One level after the other, processes by parts, and then there is no more. */
static void test_steady_overload(void **state)
{
	struct shed shed = warm();

	(void)state;
	assert_int_equal(go_on(&shed, SHED_OVER - 1, 1.8), 0);
	assert_int_equal(go_on(&shed, 1, 1.8), 1);
	assert_int_equal(shed_level(&shed), SHED_EVENTS);
	assert_true(shed.cause.cpu > 0.0179 && shed.cause.cpu < 0.0181);
	assert_true(shed.cause.seconds > 29 && shed.cause.seconds < 31);
	assert_false(shed.cause.by_memory);
	assert_int_equal(go_on(&shed, SHED_OVER, 1.5), 1);
	assert_int_equal(shed_level(&shed), SHED_DEPTH);
	assert_int_equal(shed_parts(&shed), 0);
	for (unsigned parts = 1; parts <= SHED_PARTS; parts++) {
		assert_int_equal(go_on(&shed, SHED_OVER, 1.5), 1);
		assert_int_equal(shed_level(&shed), SHED_PROCESSES);
		assert_int_equal(shed_parts(&shed), parts);
	}
	/* It has brought something. */
	assert_int_equal(go_on(&shed, 1000, 1.4), 0);
	assert_int_equal(shed_parts(&shed), SHED_PARTS);
	assert_true(shed_cuts(&shed));
}

/* So many windows, with parts of the budget. Each part is what it is at step 0; what `reduces` says
 * is halved by events, and `trace` goes down with each step behind. Returns the highest step. */
struct load {
	double trace, faults, serve;
	bool events_halve, steps_reduce;
	uint64_t memory, freed; /* bytes; for each part of processes */
};

static unsigned run(struct shed *shed, unsigned windows, const struct load *load)
{
	unsigned highest = 0;

	for (unsigned i = 0; i < windows; i++) {
		bool halved = load->events_halve && shed->step >= SHED_EVENTS;
		double left = load->steps_reduce ? 1 - 0.15 * shed->step : 1;
		const struct shed_use use = {
			.seconds = 10,
			.trace = load->trace * left * budget.cpu * 10,
			.faults = load->faults * (halved ? 0.5 : 1) * budget.cpu * 10,
			.serve = load->serve * budget.cpu * 10,
			.memory = load->memory - shed_parts(shed) * load->freed,
		};

		shed_step(shed, &budget, &use);
		highest = shed->step > highest ? shed->step : highest;
	}
	return highest;
}

/* Whoever sends requests, as many as they like, makes the agent shed nothing. */
static void test_requests(void **state)
{
	const struct load load = {.trace = 0.5, .serve = 20};
	struct shed shed = warm();

	(void)state;
	assert_int_equal(run(&shed, 5000, &load), 0);
	/* And nothing is kept back for them. */
	go_on(&shed, 3 * SHED_OVER, 2);
	assert_int_equal(shed.step, SHED_PROCESSES);
	run(&shed, 1000, &load);
	assert_int_equal(shed.step, 0);
}

/* Whoever causes page faults makes it count no events, and go on tracing. */
static void test_faults(void **state)
{
	const struct load load = {.trace = 0.5, .faults = 20, .events_halve = true},
			  dull = {.trace = 0.5, .faults = 20};
	struct shed shed = warm();
	unsigned tried = 0;

	(void)state;
	assert_int_equal(run(&shed, 5000, &load), SHED_EVENTS);
	assert_int_equal(shed.step, SHED_EVENTS);
	/* Where faults cost the same without events, these come back, for an hour. */
	shed = warm();
	assert_int_equal(run(&shed, SHED_OVER, &dull), SHED_EVENTS);
	assert_int_equal(run(&shed, SHED_OVER, &dull), SHED_EVENTS);
	assert_true(shed.step == SHED_NOTHING && shed.cause.useless);
	assert_int_equal(shed.cause.level, SHED_EVENTS);
	assert_int_equal(run(&shed, SHED_HELD - 1, &dull), 0);
	for (unsigned i = 0; i < 5000; i++)
		tried += run(&shed, 1, &dull) > 0;
	assert_true(tried > 0 && tried < 5000 / 50);
	/* What can be reduced is, beside that. */
	assert_int_equal(go_on(&shed, SHED_OVER, 1.5) + go_on(&shed, SHED_OVER, 1.5) +
				 (int)(shed.step == SHED_EVENTS),
			 2);
}

/* Work that is the same whatever is traced: in the end all is traced again, for an hour. */
static void test_useless(void **state)
{
	const struct load load = {.trace = 3};
	struct shed shed = warm();
	unsigned untraced = 0, windows = 5000;

	(void)state;
	assert_int_equal(run(&shed, (2 + SHED_PARTS) * SHED_OVER, &load), 1 + SHED_PARTS + 1);
	run(&shed, SHED_OVER, &load);
	assert_int_equal(shed.step, SHED_EVENTS);
	assert_true(shed.cause.useless && shed.cause.level == SHED_PROCESSES);
	assert_int_equal(run(&shed, SHED_HELD - 1, &load), SHED_EVENTS);
	for (unsigned i = 0; i < windows; i++)
		untraced += run(&shed, 1, &load) >= SHED_PROCESSES;
	assert_true(untraced < windows / 15);
}

/* What the steps reduce a little, each, is not taken back. */
static void test_useful(void **state)
{
	const struct load load = {.trace = 5, .faults = 3, .steps_reduce = true};
	struct shed shed = warm();

	(void)state;
	run(&shed, 5000, &load);
	assert_int_equal(shed_parts(&shed), SHED_PARTS);
}

static void test_recovers_step_by_step(void **state)
{
	struct shed shed = warm();

	(void)state;
	go_on(&shed, 6 * SHED_OVER, 2);
	assert_int_equal(shed_parts(&shed), SHED_PARTS);
	for (int left = (int)SHED_PARTS + 1; left >= 0; left--) {
		assert_int_equal(go_on(&shed, SHED_UNDER - 1, 0.5), 0);
		assert_int_equal(go_on(&shed, 1, 0.5), -1);
		assert_int_equal(shed.step, left);
	}
	assert_int_equal(shed_level(&shed), SHED_NOTHING);
	assert_int_equal(go_on(&shed, 1000, 0.5), 0);
}

/* A little below the budget is not well below it. */
static void test_keeps_between(void **state)
{
	struct shed shed = warm();

	(void)state;
	go_on(&shed, SHED_OVER, 2);
	assert_int_equal(go_on(&shed, 1000, 0.9), 0);
	/* A window between starts the count anew, in both directions. */
	assert_int_equal(go_on(&shed, SHED_UNDER - 1, 0.5), 0);
	assert_int_equal(go_on(&shed, 1, 0.9), 0);
	assert_int_equal(go_on(&shed, SHED_UNDER - 1, 0.5), 0);
	assert_int_equal(go_on(&shed, 1, 2), 0);
	assert_int_equal(go_on(&shed, 1, 0.9), 0);
	assert_int_equal(go_on(&shed, SHED_OVER - 1, 2), 0);
	assert_int_equal(shed_level(&shed), SHED_EVENTS);
}

/* A load that fits only while events are shed: they come back less and less often. */
static void test_flapping(void **state)
{
	struct shed shed = warm();
	unsigned changes = 0, early = 0;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		changes += go_on(&shed, 1, shed.step ? 0.5 : 1.2) != 0;
		early = i == 99 ? changes : early;
	}
	assert_true(early >= 6);
	assert_true(changes <= 2 + 2 * (2000 / (SHED_UNDER << SHED_LATEST)) + 2 * SHED_LATEST);
	assert_true(shed.later == SHED_LATEST);
	/* And after an hour in peace that is forgotten. */
	go_on(&shed, (SHED_UNDER << SHED_LATEST) + SHED_CALM, 0.5);
	assert_int_equal(shed_level(&shed), SHED_NOTHING);
	assert_int_equal(shed.later, 0);
}

static void test_memory(void **state)
{
	struct shed shed = warm();
	struct shed_use use = {.seconds = 10, .memory = 80 * MIB};
	int changes = 0;

	(void)state;
	for (unsigned i = 0; i < SHED_OVER; i++)
		changes += shed_step(&shed, &budget, &use);
	assert_int_equal(changes, 1);
	assert_true(shed.cause.by_memory);
	assert_int_equal(shed.cause.memory, 80 * MIB);
	use.memory = 60 * MIB;
	for (int i = 0; i < 100; i++)
		assert_int_equal(shed_step(&shed, &budget, &use), 0);
	use.memory = 50 * MIB;
	for (unsigned i = 0; i < SHED_UNDER; i++)
		changes += shed_step(&shed, &budget, &use);
	assert_int_equal(changes, 0);
}

/* For memory no stack is cut, and it ends where a step frees nothing. */
static void test_memory_steps(void **state)
{
	const struct load frees = {.memory = 80 * MIB, .freed = 2 * MIB},
			  keeps = {.memory = 80 * MIB},
			  both = {.memory = 80 * MIB, .freed = 2 * MIB, .trace = 2};
	struct shed shed = warm();

	(void)state;
	assert_int_equal(run(&shed, SHED_OVER, &frees), SHED_EVENTS);
	assert_int_equal(run(&shed, SHED_OVER, &frees), SHED_PROCESSES);
	assert_false(shed_cuts(&shed));
	assert_true(shed.cause.by_memory && shed.cause.level == SHED_PROCESSES);
	run(&shed, 1000, &frees);
	assert_int_equal(shed_parts(&shed), SHED_PARTS);
	assert_false(shed_cuts(&shed));
	/* CPU time is another reason. */
	run(&shed, SHED_OVER, &both);
	assert_true(shed_cuts(&shed) && shed_parts(&shed) == SHED_PARTS);
	shed = warm();
	assert_int_equal(run(&shed, 3 * SHED_OVER, &keeps), SHED_PROCESSES);
	assert_true(shed.step == SHED_EVENTS && shed.cause.useless);
	assert_int_equal(run(&shed, SHED_HELD - 1, &keeps), SHED_EVENTS);
	assert_int_equal(run(&shed, 2 * SHED_OVER, &keeps), SHED_PROCESSES);
	/* From processes it goes back to events: depth was never shed. */
	shed = warm();
	run(&shed, 2 * SHED_OVER, &frees);
	assert_int_equal(go_on(&shed, SHED_UNDER, 0.1), -1);
	assert_true(shed.step == SHED_EVENTS && shed.cause.level == SHED_PROCESSES);
}

static void test_no_limits(void **state)
{
	static const struct shed_budget none = {.window = 10};
	const struct shed_use much = {10, 1000, 1000, 1000, 1ull << 40}, nothing = {};
	struct shed shed = warm();

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(shed_step(&shed, &none, &much), 0);
	/* A clock that stands still says nothing. */
	for (int i = 0; i < 1000; i++)
		assert_int_equal(shed_step(&shed, &budget, &nothing), 0);
	/* One that is lifted gives back what it took. */
	go_on(&shed, SHED_OVER, 2);
	for (unsigned i = 0; i < SHED_UNDER; i++)
		shed_step(&shed, &none, &much);
	assert_int_equal(shed_level(&shed), SHED_NOTHING);
}

static void test_texts(void **state)
{
	static const char *const wrong[] = {
		"",	     "cpu",	     "cpu=",
		"cpu=1",     "cpu=%",	     "cpu=-1%",
		"cpu=0%",    "cpu=nan%",     "cpu=0x1%",
		"cpu= 1%",   "cpu=1%,",	     ",cpu=1%",
		"cpu=1% ",   "memory=64",    "memory=64K",
		"memory=7M", "memory=2000G", "memory=1e30M",
		"window=0",  "window=10-",   "window=1h",
		"disk=1%",   "none,cpu=1%",  "cpu=1%memory=64M",
	};
	struct shed_budget b = shed_budget_default(4);
	char why[300], large[400];

	(void)state;
	assert_true(b.cpu > 0.39 && b.cpu < 0.41 && b.memory == 256 * MIB);
	assert_true(shed_budget_default(0).cpu > 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct shed_budget before = b;

		assert_int_equal(shed_budget_parse(wrong[i], &b, why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, "is not understood"));
		assert_memory_equal(&b, &before, sizeof(b));
	}
	memset(large, 'c', sizeof(large));
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(shed_budget_parse(large, &b, why, sizeof(why)), -EINVAL);
	assert_int_equal(shed_budget_parse("cpu=0.25%,memory=64M", &b, why, sizeof(why)), 0);
	assert_true(b.cpu > 0.00249 && b.cpu < 0.00251 && b.memory == 64 * MIB && b.window == 10);
	assert_int_equal(shed_budget_parse("window=2s", &b, why, sizeof(why)), 0);
	assert_true(b.window == 2 && b.memory == 64 * MIB);
	assert_int_equal(shed_budget_parse("memory=1.5GiB,cpu=200%,window=3", &b, why, sizeof(why)),
			 0);
	assert_true(b.window == 3 && b.memory == 1536ull * MIB && b.cpu == 2);
	assert_int_equal(shed_budget_parse("none", &b, why, sizeof(why)), 0);
	assert_true(b.cpu == 0 && b.memory == 0 && b.window == 3);
	for (int level = SHED_NOTHING; level <= SHED_PROCESSES; level++)
		assert_int_equal(!*shed_name((enum shed_level)level), level == SHED_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_below_the_budget),
		cmocka_unit_test(test_spikes_shed_nothing),
		cmocka_unit_test(test_windows_have_readings),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_steady_overload),
		cmocka_unit_test(test_recovers_step_by_step),
		cmocka_unit_test(test_keeps_between),
		cmocka_unit_test(test_flapping),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_memory_steps),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_useless),
		cmocka_unit_test(test_useful),
		cmocka_unit_test(test_no_limits),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

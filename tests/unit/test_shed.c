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
		const struct shed_use use = {10, part * budget.cpu * 10, 30 * MIB};

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
	assert_int_equal(go_on(&shed, 1000, 1.5), 0);
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
	struct shed_use use = {10, 0, 80 * MIB};
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

static void test_no_limits(void **state)
{
	static const struct shed_budget none = {.window = 10};
	const struct shed_use much = {10, 1000, 1ull << 40}, nothing = {};
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
		cmocka_unit_test(test_steady_overload),
		cmocka_unit_test(test_recovers_step_by_step),
		cmocka_unit_test(test_keeps_between),
		cmocka_unit_test(test_flapping),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_no_limits),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model/metric_lines.c: lines of one reading in a later one, with sums that hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "model/metric_lines.h"

#define ROWS 3

/* Groups a and b, and the rest, of which each has changed by `change` bytes; lines: a has two. */
static struct group_sums sums_of(int64_t change, bool lines)
{
	static const struct model_location first = {.file = "/a.py", .function = "f", .line = 1};
	static const struct model_location second = {.file = "/b.py", .function = "g", .line = 2};
	struct group_sums sums = {.list = calloc(ROWS, sizeof(*sums.list)), .count = ROWS};

	assert_non_null(sums.list);
	sums.lines = calloc(2, sizeof(*sums.lines));
	assert_non_null(sums.lines);
	snprintf(sums.list[0].name, sizeof(sums.list[0].name), "a");
	snprintf(sums.list[1].name, sizeof(sums.list[1].name), "b");
	snprintf(sums.list[2].name, sizeof(sums.list[2].name), "(other)");
	sums.list[2].rest = true;
	for (int i = 0; i < ROWS; i++)
		sums.list[i].other_lines_bytes = change;
	if (lines) {
		sums.lines[0] = (struct group_line_sum){&first, 30};
		sums.lines[1] = (struct group_line_sum){&second, -10};
		sums.list[0].lines = sums.lines;
		sums.list[0].line_count = 2;
		sums.list[0].other_lines_bytes -= 20;
	}
	return sums;
}

/* Kept lines come back in their group, and what came since is in the rest of it. */
static void kept(void **state)
{
	struct metric_lines *lines = metric_lines_new();
	struct group_sums sums = sums_of(100, true);

	(void)state;
	assert_non_null(lines);
	assert_int_equal(metric_lines_keep(lines, &sums, 10, 0.1), 0);
	group_sums_free(&sums);
	sums = sums_of(150, false);
	/* The groups come in another order. */
	snprintf(sums.list[0].name, sizeof(sums.list[0].name), "b");
	snprintf(sums.list[1].name, sizeof(sums.list[1].name), "a");
	assert_int_equal(metric_lines_put(lines, &sums), 0);
	assert_int_equal(sums.list[0].line_count, 0);
	assert_int_equal(sums.list[0].other_lines_bytes, 150);
	assert_int_equal(sums.list[1].line_count, 2);
	assert_string_equal(sums.list[1].lines[0].location->file, "/a.py");
	assert_string_equal(sums.list[1].lines[1].location->function, "g");
	assert_int_equal(sums.list[1].lines[1].location->line, 2);
	assert_int_equal(sums.list[1].lines[0].change_bytes, 30);
	assert_int_equal(sums.list[1].other_lines_bytes, 130);
	assert_int_equal(sums.list[2].line_count, 0);
	assert_int_equal(sums.list[2].other_lines_bytes, 150);
	group_sums_free(&sums);
	metric_lines_free(lines);
}

/* A 500th of the time. */
static void due(void **state)
{
	struct metric_lines *lines = metric_lines_new();
	struct group_sums sums = sums_of(100, true);

	(void)state;
	assert_non_null(lines);
	assert_true(metric_lines_are_due(lines, 1, 0.002));
	assert_true(metric_lines_age(lines, 1) == 0);
	assert_int_equal(metric_lines_keep(lines, &sums, 10, 0.1), 0);
	assert_false(metric_lines_are_due(lines, 10, 0.002));
	assert_false(metric_lines_are_due(lines, 59.9, 0.002));
	assert_true(metric_lines_are_due(lines, 60.1, 0.002));
	assert_true(metric_lines_age(lines, 30) == 20);
	group_sums_free(&sums);
	metric_lines_free(lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept),
		cmocka_unit_test(due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

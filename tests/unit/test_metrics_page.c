/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/metrics_page.c: which interpreters there are is said by files that belong to anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/metrics_page.c"

#define MANY 3 /* times as many versions as have a place */

static void test_interpreters(void **state)
{
	struct interpreter *all = calloc(VERSIONS + 1, sizeof(*all));
	size_t count = 0;

	(void)state;
	assert_non_null(all);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY * VERSIONS; i++) {
			struct model_process process = {.python = "", .engine = "walk"};
			char version[32];

			snprintf(version, sizeof(version), "3.11.%d", i);
			process.python = version;
			count_interpreter(all, &count, &process);
		}
	}
	assert_int_equal(count, VERSIONS + 1);
	for (int i = 0; i < VERSIONS; i++)
		assert_int_equal(all[i].count, 2);
	assert_int_equal(all[VERSIONS].count, 2 * (MANY - 1) * VERSIONS);
	assert_string_equal(all[VERSIONS].version, GROUP_SUMS_REST);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interpreters),
	};

	return cmocka_run_group_tests_name("metrics_page", tests, NULL, NULL);
}

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

static void test_push(void **state)
{
	const struct push_counts pushed = {
		.sent = 1,
		.failed = 2,
		.dropped = {[PUSH_DROP_FULL] = 3,
			    [PUSH_DROP_REFUSED] = 4,
			    [PUSH_DROP_ENDED] = 5,
			    [PUSH_DROP_OLD] = 8},
		.bytes = 6,
		.waiting = 7,
		.names = true,
	};
	static const char *const lines[] = {
		"\npymem_push_sent_total 1\n",
		"\npymem_push_bytes_total 6\n",
		"\npymem_push_failed_total 2\n",
		"\npymem_push_dropped_total{why=\"full\"} 3\n",
		"\npymem_push_dropped_total{why=\"refused\"} 4\n",
		"\npymem_push_dropped_total{why=\"ended\"} 5\n",
		"\npymem_push_dropped_total{why=\"old\"} 8\n",
		"\npymem_push_waiting 7\n",
		"\npymem_push_names 1\n",
	};
	struct metrics_form form = {};
	size_t size = 0;
	char *text = NULL;

	(void)state;
	form.out = open_memstream(&text, &size);
	assert_non_null(form.out);
	put_push(&form, &pushed);
	assert_int_equal(fclose(form.out), 0);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strstr(text, lines[i]))
			fail_msg("%s: %s", lines[i], text);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_push),
	};

	return cmocka_run_group_tests_name("metrics_page", tests, NULL, NULL);
}

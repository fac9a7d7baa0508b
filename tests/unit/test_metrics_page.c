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

/* A limit that there is not is not 0: it is not there. */
static void test_budget(void **state)
{
	static const struct {
		struct shed_budget budget;
		uint64_t memory;
		const char *there[3], *missing[3];
	} cases[] = {
		{{.cpu = 0.02, .memory = 64 << 20},
		 5 << 20,
		 {"\npymem_agent_budget_cpu_ratio 0.02\n",
		  "\npymem_agent_budget_memory_bytes 67108864\n",
		  "\npymem_agent_memory_bytes 5242880\n"},
		 {}},
		{{.memory = 1 << 20},
		 0,
		 {"\npymem_agent_budget_memory_bytes 1048576\n"},
		 {"pymem_agent_budget_cpu_ratio", "pymem_agent_memory_bytes"}},
		{{.cpu = 0.5},
		 1,
		 {"\npymem_agent_budget_cpu_ratio 0.5\n", "\npymem_agent_memory_bytes 1\n"},
		 {"pymem_agent_budget_memory_bytes"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct metrics_agent agent = {.budget = cases[i].budget,
						    .own_memory = cases[i].memory,
						    .spent_seconds = {1, 2, 3, 4.5}};
		struct metrics_form form = {};
		size_t size = 0;
		char *text = NULL;

		form.out = open_memstream(&text, &size);
		assert_non_null(form.out);
		put_budget(&form, &agent);
		assert_int_equal(fclose(form.out), 0);
		for (size_t j = 0; j < 3; j++) {
			if (cases[i].there[j] && !strstr(text, cases[i].there[j]))
				fail_msg("%s: %s", cases[i].there[j], text);
			if (cases[i].missing[j] && strstr(text, cases[i].missing[j]))
				fail_msg("not %s: %s", cases[i].missing[j], text);
		}
		assert_non_null(strstr(text, "_spent_seconds_total{what=\"agent\"} 1\n"));
		assert_non_null(strstr(text, "_spent_seconds_total{what=\"requests\"} 2\n"));
		assert_non_null(strstr(text, "_spent_seconds_total{what=\"walks\"} 3\n"));
		assert_non_null(strstr(text, "_spent_seconds_total{what=\"faults\"} 4.5\n"));
		assert_non_null(strstr(text, "\npymem_agent_bpf_cpu_seconds_total 7.5\n"));
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interpreters),
		cmocka_unit_test(test_push),
		cmocka_unit_test(test_budget),
	};

	return cmocka_run_group_tests_name("metrics_page", tests, NULL, NULL);
}

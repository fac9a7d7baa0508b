/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kernel_refusal.c: kernels that can't do the main job are refused by what they lack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/kernel.h"

static const struct kernel_features modern = {
	.btf = true,
	.rss_stat = true,
	.run_time_alloc = true,
	.faults = true,
	.page_alloc = true,
	.uprobes = true,
	.sys_exit = true,
	.ring_buffer = true,
	.task_iterator = true,
	.percpu_lookup = true,
};

static void check(const struct kernel_features *kernel, bool lines, const char *named,
		  const char *remedy)
{
	const char *why = kernel_refusal(kernel, lines);

	assert_non_null(why);
	if (!strstr(why, named) || !strstr(why, remedy))
		fail_msg("%s and %s are not in: %s", named, remedy, why);
}

static void test_good(void **state)
{
	struct kernel_features old = modern, poor = modern;

	(void)state;
	assert_null(kernel_refusal(&modern, true));
	/* 5.10: batched counters, read at faults. */
	old.batched_counters = true;
	old.run_time_alloc = old.percpu_lookup = false;
	assert_null(kernel_refusal(&old, true));
	/* What only some figures need. */
	poor.faults = poor.page_alloc = poor.sys_exit = poor.uprobes = false;
	assert_null(kernel_refusal(&poor, false));
}

static void test_lacks(void **state)
{
	struct kernel_features kernel = {.btf_error = ENOENT};

	(void)state;
	check(&kernel, false, "type information", "CONFIG_DEBUG_INFO_BTF");
	kernel.btf_error = EACCES;
	check(&kernel, false, "may not be read", "root");
	kernel.btf_error = ENOTSUP;
	check(&kernel, false, "can't be understood", "newer pymem-bpf");
	kernel.btf_error = 0;
	kernel.btf = true;
	check(&kernel, false, "rss_stat", "5.10");
	kernel.rss_stat = true;
	check(&kernel, false, "too old", "5.10");
	kernel.ring_buffer = true;
	check(&kernel, false, "task iterator", "5.10");
	kernel = modern;
	kernel.ring_buffer = false;
	check(&kernel, false, "ring buffer", "5.10");
	kernel = modern;
	kernel.percpu_lookup = false;
	check(&kernel, false, "bpf_map_lookup_percpu_elem", "newer");
}

/* As arm64 before 6.2. */
static void test_batched_without_faults(void **state)
{
	struct kernel_features kernel = modern;

	(void)state;
	kernel.batched_counters = true;
	kernel.faults = false;
	check(&kernel, false, "page fault tracepoints", "6.2 or newer");
}

static void test_lines(void **state)
{
	struct kernel_features kernel = modern;

	(void)state;
	kernel.uprobes = false;
	check(&kernel, true, "uprobes", "leave --lines out");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_lacks),
		cmocka_unit_test(test_batched_without_faults),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kernel_types.c: what is known of a kernel, and why nothing is. What it must have is in
 * test_event_source.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/kernel.h"

static void check(int btf_error, bool btf, const char *named, const char *remedy)
{
	struct kernel_features kernel = {.btf_error = btf_error, .btf = btf};
	const char *why = kernel_refusal(&kernel);

	assert_non_null(why);
	if (!strstr(why, named) || !strstr(why, remedy))
		fail_msg("%s and %s are not in: %s", named, remedy, why);
}

static void test_refusal(void **state)
{
	const struct kernel_features good = {.btf = true};

	(void)state;
	check(ENOENT, false, "type information", "CONFIG_DEBUG_INFO_BTF");
	check(EACCES, false, "may not be read", "root");
	check(EPERM, false, "may not be read", "root");
	check(ENOTSUP, false, "can't be understood", "newer pymem-bpf");
	check(EINVAL, false, "can't be understood", "newer pymem-bpf");
	check(EMFILE, false, "can't be read just now", "descriptors");
	assert_null(kernel_refusal(&good));
}

static void test_types(void **state)
{
	static const struct kernel_btf_wanted one = KERNEL_TRACEPOINT("one");
	static const struct kernel_btf_wanted function = KERNEL_FUNCTION("btf_trace_one");
	static const struct kernel_btf_wanted red = KERNEL_ENUMERATOR("colour", "RED");
	static const struct kernel_btf_wanted blue = KERNEL_ENUMERATOR("colour", "BLUE");
	static struct kernel_features kernel;

	(void)state;
	kernel_ask(&kernel, &one);
	kernel_ask(&kernel, &red);
	kernel_ask(&kernel, &one);
	assert_int_equal(kernel.type_count, 2);
	assert_false(kernel_has(&kernel, &one));
	kernel.types[0].found = kernel.types[1].found = true;
	assert_true(kernel_has(&kernel, &one));
	assert_true(kernel_has(&kernel, &red));
	/* Not asked about: another kind, another enumerator. */
	assert_false(kernel_has(&kernel, &function));
	assert_false(kernel_has(&kernel, &blue));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf_names.c: both builds have all names, and one that is missing is told by name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/bpf_names.h"
#include "kernel/bpf_object.h"

static void test_all_there(void **state)
{
	char why[128] = "";

	(void)state;
	for (int legacy = 0; legacy < 2; legacy++) {
		struct bpf_object *object = object_open(legacy);

		assert_non_null(object);
		if (bpf_names_check(object, legacy, bpf_names, bpf_name_count, why, sizeof(why)))
			fail_msg("%s", why);
		bpf_object__close(object);
	}
}

static void test_missing(void **state)
{
	static const char *const said[] = {
		[BPF_NAME_MAP] = "the embedded BPF object has no map 'renamed': build it anew",
		[BPF_NAME_PROGRAM] =
			"the embedded BPF object has no program 'renamed': build it anew",
		[BPF_NAME_KNOB] =
			"the embedded BPF object has no constant 'renamed': build it anew",
		[BPF_NAME_VARIABLE] =
			"the embedded BPF object has no variable 'renamed': build it anew",
	};
	struct bpf_object *object = object_open(false);
	char why[128];

	(void)state;
	assert_non_null(object);
	for (int kind = BPF_NAME_MAP; kind <= BPF_NAME_VARIABLE; kind++) {
		struct bpf_name names[] = {{BPF_NAME_MAP, "procs", BPF_NAME_BOTH},
					   {BPF_NAME_MAP, "renamed", BPF_NAME_LEGACY},
					   {kind, "renamed", BPF_NAME_MODERN}};

		assert_int_equal(bpf_names_check(object, false, names, 3, why, sizeof(why)),
				 -ENOENT);
		assert_string_equal(why, said[kind]);
		assert_int_equal(bpf_names_check(object, false, names, 2, why, sizeof(why)), 0);
	}
	/* A constant is no variable, and the other way round. */
	assert_false(object_has_variable(object, "nr_cpus"));
	assert_false(object_has_knob(object, "lines_off"));
	assert_int_equal(object_set_knob(object, "renamed", 1), -ENOENT);
	bpf_object__close(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_there),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

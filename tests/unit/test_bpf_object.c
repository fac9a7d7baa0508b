/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf_object.c: both builds fill in their handles; variables are found by name.
 * tests/unit/check_handles shows that a wrong name or type does not compile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/bpf_object.h"

#define EXPECT_MAP(id)                   \
	assert_non_null(handles.map.id); \
	assert_string_equal(bpf_map__name(handles.map.id), #id);
#define EXPECT_PROGRAM(id)                   \
	assert_non_null(handles.program.id); \
	assert_string_equal(bpf_program__name(handles.program.id), #id);
#define EXPECT_KNOB(id, type)	  assert_true(is_in(object, ".rodata", handles.knob.id, sizeof(type)));
#define EXPECT_VARIABLE(id, type) EXPECT_ARRAY(id, type, 1)
#define EXPECT_ARRAY(id, type, length) \
	assert_true(is_variable(object, #id, handles.variable.id, (length) * sizeof(type)));
#define NO_MAP(id)	      assert_null(handles.map.id);
#define NO_PROGRAM(id)	      assert_null(handles.program.id);
#define NO_KNOB(id, type)     assert_null(handles.knob.id);
#define NO_VARIABLE(id, type) assert_null(handles.variable.id);

/* True if the `size` bytes at `at` lie in the first values of that section. */
static bool is_in(const struct bpf_object *object, const char *section, const volatile void *at,
		  size_t size)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, section);
	size_t all;
	const char *start = bpf_map__initial_value(map, &all), *here = (const char *)at;

	return here >= start && here + size <= start + all;
}

/* True if it is the variable that the object's BTF has by that name. */
static bool is_variable(const struct bpf_object *object, const char *name, volatile void *at,
			size_t size)
{
	return is_in(object, ".bss", at, size) && object_variable(object, name, size) == at;
}

static void test_modern(void **state)
{
	struct bpf_handles handles;
	struct bpf_object *object = object_open(false, &handles);

	(void)state;
	assert_non_null(object);
	BPF_OF_BOTH(EXPECT_MAP, EXPECT_PROGRAM, EXPECT_KNOB, EXPECT_VARIABLE, EXPECT_ARRAY)
	BPF_OF_MODERN(EXPECT_MAP, EXPECT_PROGRAM, EXPECT_KNOB, EXPECT_VARIABLE, EXPECT_ARRAY)
	BPF_OF_LEGACY(NO_MAP, NO_PROGRAM, NO_KNOB, NO_VARIABLE, BPF_SKIP)
	bpf_object__close(object);
}

static void test_legacy(void **state)
{
	struct bpf_handles handles;
	struct bpf_object *object = object_open(true, &handles);

	(void)state;
	assert_non_null(object);
	BPF_OF_BOTH(EXPECT_MAP, EXPECT_PROGRAM, EXPECT_KNOB, EXPECT_VARIABLE, EXPECT_ARRAY)
	BPF_OF_LEGACY(EXPECT_MAP, EXPECT_PROGRAM, EXPECT_KNOB, EXPECT_VARIABLE, EXPECT_ARRAY)
	BPF_OF_MODERN(NO_MAP, NO_PROGRAM, NO_KNOB, NO_VARIABLE, BPF_SKIP)
	bpf_object__close(object);
}

/* Each knob has its own place, with the value that the BPF side gives it. */
static void test_knobs(void **state)
{
	struct bpf_handles handles;
	struct bpf_object *object = object_open(false, &handles);

	(void)state;
	assert_non_null(object);
	assert_int_equal(*handles.knob.counter_batch, 32);
	assert_int_equal(*handles.knob.nr_cpus, 1);
	*handles.knob.nr_cpus = 77;
	assert_int_equal(*handles.knob.counter_batch, 32);
	bpf_object__close(object);
	object = object_open(false, &handles);
	assert_int_equal(*handles.knob.nr_cpus, 1);
	bpf_object__close(object);
}

static void test_variable(void **state)
{
	struct bpf_handles handles;
	struct bpf_object *object = object_open(false, &handles);

	(void)state;
	assert_non_null(object);
	assert_non_null(object_variable(object, "dropped_calls", sizeof(uint64_t)));
	/* A wrong size, a constant, and nothing at all. */
	assert_null(object_variable(object, "dropped_calls", sizeof(uint32_t)));
	assert_null(object_variable(object, "nr_cpus", sizeof(uint32_t)));
	assert_null(object_variable(object, "renamed", sizeof(uint64_t)));
	bpf_object__close(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modern),
		cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_knobs),
		cmocka_unit_test(test_variable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

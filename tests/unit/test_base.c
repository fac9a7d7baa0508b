/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* user/base/: arrays that grow, and times as numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"

/* The sanitizer must return NULL when memory runs out, not end the program. */
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void test_array_grows(void **state)
{
	size_t room = 0, count, grown = 0, before;
	int *array = NULL;

	(void)state;
	for (count = 0; count < 5000; count++) {
		before = room;
		assert_true(ARRAY_HAS_ROOM(array, count, room));
		assert_true(room > count);
		grown += room != before;
		array[count] = (int)count;
	}
	for (count = 0; count < 5000; count++)
		assert_int_equal(array[count], count);
	/* It rarely grows, since it doubles each time. */
	assert_true(grown <= 10);
	free(array);
}

static void test_array_without_memory(void **state)
{
	size_t room = 4;
	long *array = calloc(room, sizeof(*array)), *before = array;

	(void)state;
	/* More bytes than there are addresses. */
	assert_null(array_with_room(array, room, &room, SIZE_MAX / 2));
	assert_int_equal(room, 4);
	assert_ptr_equal(array, before);
	free(array);
}

static void test_clock(void **state)
{
	uint64_t ns = clock_ns(CLOCK_MONOTONIC), ms = clock_ms(CLOCK_MONOTONIC);
	double seconds = clock_seconds(CLOCK_MONOTONIC);
	struct timespec after = clock_after_ms(2999);
	uint64_t after_ns = after.tv_sec * 1000000000ULL + after.tv_nsec;

	(void)state;
	assert_true(ms >= ns / 1000000);
	assert_true(seconds >= (double)ms / 1e3 && seconds <= (double)after_ns / 1e9);
	assert_true(after.tv_nsec >= 0 && after.tv_nsec < 1000000000);
	assert_true(after_ns >= ns + 2999000000ULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_array_grows),
		cmocka_unit_test(test_array_without_memory),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}

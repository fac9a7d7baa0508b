/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Snapshots that are copied piece by piece, and those that a keeper's children make. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "heap_targets.h"

/* --- piece by piece --- */

/* Each page begins with its number. */
#define PIECES 3000
static void numbered(int from, int to)
{
	char *at = mmap(NULL, PIECES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	for (uint64_t i = 0; i < PIECES; i++)
		memcpy(at + i * PAGE, &i, sizeof(i));
	say(to, (uintptr_t)at);
	wait_for_end(from);
}

static void check_window(struct snapshot *s, uint64_t at, uint64_t first, uint64_t pages)
{
	for (uint64_t i = first; i < first + pages; i++)
		assert_int_equal(snapshot_word(s, at + i * PAGE), i);
}

static void test_windows(void **state)
{
	const uint64_t size = SNAPSHOT_WINDOW_BYTES / PAGE;
	const struct snapshot_options later = {.later = true},
				      both = {.later = true, .pause = true};
	struct target t = start(numbered);
	uint64_t at = hear(t.from);
	struct snapshot *s;

	(void)state;
	assert_int_equal(snapshot_take(t.pid, &both, &s), -EINVAL);
	assert_int_equal(snapshot_take(t.pid, &later, &s), 0);
	assert_int_equal(snapshot_page(s, at), PAGE_RESIDENT | (snapshot_page(s, at) & PAGE_HUGE));
	assert_null(snapshot_at(s, at, 8));
	/* One that stays, inside of what windows have later. */
	assert_int_equal(snapshot_fetch(s, at + 5 * PAGE, at + 6 * PAGE), 0);
	assert_int_equal(snapshot_fetch(s, at + 5 * PAGE, at + 6 * PAGE), 0);
	assert_int_equal(snapshot_window_begin(s, 0, at, at + size * PAGE + PAGE), -EINVAL);
	assert_int_equal(snapshot_window_begin(s, 0, at, at + size * PAGE), 0);
	assert_int_equal(snapshot_window_await(s, 0), 0);
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t next = at + (i + 1) * size * PAGE;

		assert_int_equal(snapshot_window_begin(s, !(i & 1), next, next + size * PAGE), 0);
		check_window(s, at, i * size, size);
		assert_int_equal(snapshot_window_await(s, !(i & 1)), 0);
		check_window(s, at, i * size, size);
	}
	check_window(s, at, 5, 1);
	assert_null(snapshot_at(s, at, 8)); /* the first one is over */
	snapshot_free(s);
	finish(&t);
}

static void test_heads(void **state)
{
	const struct snapshot_options later = {.later = true}, whole = {.later = false};
	struct target t = start(numbered);
	uint64_t at = hear(t.from), addrs[SNAPSHOT_HEADS], heads[SNAPSHOT_HEADS];
	struct snapshot *s;

	(void)state;
	for (unsigned i = 0; i < SNAPSHOT_HEADS; i++)
		addrs[i] = i % 7 == 3 ? 4096 : at + i * PAGE; /* nothing is at 4096 */
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(snapshot_take(t.pid, round ? &later : &whole, &s), 0);
		assert_int_equal(
			snapshot_fetch_heads(s, addrs, SNAPSHOT_HEADS, 8, (unsigned char *)heads),
			0);
		for (unsigned i = 0; i < SNAPSHOT_HEADS; i++)
			assert_int_equal(heads[i], i % 7 == 3 ? 0 : i);
		assert_int_equal(snapshot_fetch_heads(s, addrs, SNAPSHOT_HEADS + 1, 8,
						      (unsigned char *)heads),
				 -EINVAL);
		snapshot_free(s);
	}
	finish(&t);
}

/* --- a keeper --- */

static void test_keeper(void **state)
{
	const struct snapshot_options pause = {.pause = true}, later = {.later = true};
	struct target t = start(pattern);
	uint64_t at = hear(t.from), text;
	struct snapshot *s, *other;

	(void)state;
	assert_int_equal(snapshot_start(true), 0);
	assert_int_equal(snapshot_take(t.pid, &pause, &s), 0);
	assert_int_equal(snapshot_take(t.pid, &later, &other), 0);
	check_pattern(s, at);
	assert_int_equal(snapshot_fetch(other, at, at + PAGE), 0);
	assert_int_equal(snapshot_read_live(other, (uintptr_t)test_keeper, &text, sizeof(text)), 0);
	snapshot_free(s);
	snapshot_free(other);
	finish(&t);
	assert_int_equal(snapshot_take(t.pid, &pause, &s), -ESRCH);
	snapshot_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_keeper),
	};

	return cmocka_run_group_tests_name("heap_pieces", tests, NULL, NULL);
}

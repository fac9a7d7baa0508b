/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks as data: what adds up, what is passing, in which order holders come. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "heap/births.h"
#include "heap/look_births.h"
#include "heap_looks.h"

static void test_sums(void **state)
{
	struct heap_look *look = look_growing();

	(void)state;
	assert_int_equal(heap_balance_sum(&look->balance), look->rss_bytes);
	assert_int_equal(heap_balance_live(&look->balance), 462 * MIB);
	heap_look_free(look);
	heap_look_free(NULL);
}

static const struct heap_holder_row *row_of(const struct heap_look *look, const char *path)
{
	for (size_t i = 0; i < look->holder_count; i++) {
		if (!strcmp(look->holders[i].path, path))
			return &look->holders[i];
	}
	fail_msg("no holder %s", path);
	return NULL;
}

/* Entries of a cache take one another's place; a table that grows grows by new ones. */
static struct heap_look *look_replaced(double seconds)
{
	struct heap_look *look = look_new(seconds);

	look_holder(look, "a.CACHE", "dict", 50, 0, 10 * MIB, 1 * KIB);
	look_holder(look, "a.CACHE['new']", "list", 50, 50, 2 * MIB, 2 * MIB)->is_new = true;
	look_holder(look, "a.CACHED", "list", 50, 50, 3 * MIB, 3 * MIB)->is_new = true;
	look_holder(look, "a.TABLE", "dict", 50, 5, 9 * MIB, 5 * MIB);
	look_holder(look, "a.TABLE['x'].rows", "list", 5, 5, 4 * MIB, 4 * MIB)->is_new = true;
	look_holder(look, "thread 1 f():rows", "list", 5, 5, 8 * MIB, 8 * MIB)->is_new = true;
	look->holders[5].is_local = true;
	look_holder(look, "thread 2 g():rows", "list", 5, 5, 7 * MIB, 1 * MIB)->is_local = true;
	look_holder(look, "", "list", 5, 5, 1 * MIB, 0);
	return look;
}

static void test_passing(void **state)
{
	static const struct {
		const char *path;
		bool passing;
	} rows[] = {
		{"a.CACHE", false},	     {"a.CACHE['new']", true},
		{"a.CACHED", false},	     {"a.TABLE['x'].rows", false},
		{"thread 1 f():rows", true}, {"thread 2 g():rows", false},
	};
	struct heap_look *look = look_replaced(1), *one = look_replaced(0);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(heap_look_is_passing(look, row_of(look, rows[i].path)),
				 rows[i].passing);
		assert_false(heap_look_is_passing(one, row_of(one, rows[i].path)));
	}
	heap_look_free(look);
	heap_look_free(one);
}

/* Of no variable: whether it was there or not. An entry that was being filled, while all else gave
 * up as much; and one that grows with all that lives. */
static void test_work_is_passing(void **state)
{
	struct heap_look *look = look_new(1);
	struct heap_holder_row *row;

	(void)state;
	look->balance.objects = 20 * MIB;
	look->balance_first.objects = 20 * MIB;
	look_holder(look, "a.CACHE", "dict", 20, 0, 10 * MIB, 10 * KIB);
	look_holder(look, "a.CACHE['k']", "list", 2000, 888, 2 * MIB, 1 * MIB);
	look_holder(look, "main thread f():<temporary>", "list", 50, 5, 8 * MIB, 3 * MIB);
	row = &look->holders[2];
	row->is_local = row->is_temporary = true;
	look_holder(look, "main thread f():<temporary>[0]", "list", 5, 5, 2 * MIB, 1 * MIB);
	row = &look->holders[3];
	row->is_local = row->is_temporary = true;
	assert_true(heap_look_is_passing(look, row_of(look, "a.CACHE['k']")));
	assert_true(heap_look_is_passing(look, row_of(look, "main thread f():<temporary>")));
	assert_int_equal(heap_look_live_grown(look), 0);
	assert_int_equal(heap_look_passing_grown(look), 0);
	look->balance.objects += 4 * MIB;
	assert_false(heap_look_is_passing(look, row_of(look, "a.CACHE['k']")));
	assert_true(heap_look_is_passing(look, row_of(look, "main thread f():<temporary>")));
	assert_int_equal(heap_look_live_grown(look), 4 * MIB);
	assert_int_equal(heap_look_passing_grown(look), 3 * MIB);
	look->balance.objects -= 2 * MIB;
	assert_int_equal(heap_look_passing_grown(look), 2 * MIB);
	look->seconds = 0;
	assert_int_equal(heap_look_live_grown(look), 0);
	assert_false(heap_look_is_passing(look, row_of(look, "main thread f():<temporary>")));
	heap_look_free(look);
}

static void expect_order(struct heap_look *look, const char *const *paths)
{
	assert_int_equal(heap_look_sort_holders(look), 0);
	for (size_t i = 0; i < look->holder_count; i++)
		assert_string_equal(look->holders[i].path, paths[i]);
	heap_look_free(look);
}

static void test_order(void **state)
{
	static const char *const growth[] = {"a.TABLE",		  "a.TABLE['x'].rows", "a.CACHED",
					     "thread 2 g():rows", "a.CACHE",	       "",
					     "thread 1 f():rows", "a.CACHE['new']"},
				 *const size[] = {"a.CACHE",	       "a.TABLE",
						  "thread 1 f():rows", "thread 2 g():rows",
						  "a.TABLE['x'].rows", "a.CACHED",
						  "a.CACHE['new']",    ""};

	(void)state;
	expect_order(look_replaced(1), growth);
	expect_order(look_replaced(0), size);
	expect_order(look_new(1), NULL);
}

static void test_sentences(void **state)
{
	char **sentences = NULL;

	(void)state;
	assert_int_equal(heap_look_say(&sentences, "%d of %s", 1, "two"), 0);
	assert_int_equal(heap_look_say(&sentences, "two"), 0);
	assert_string_equal(sentences[0], "1 of two");
	assert_string_equal(sentences[1], "two");
	assert_null(sentences[2]);
	for (int i = 0; i < 2; i++)
		free(sentences[i]);
	free(sentences);
}

/* No memory is left when lines are to be looked for: the report says so. */
static void test_no_memory(void **state)
{
	struct heap_target target = {0};
	struct heap_look *look = heap_look_new();
	struct census census = {0};

	(void)state;
	assert_non_null(look);
	assert_int_equal(heap_births_prepare(&target.births), 0);
	heap_births_give_up(target.births, -ENOMEM);
	census.births_error = heap_births_finish(target.births);
	assert_int_equal(census.births_error, -ENOMEM);
	assert_int_equal(look_births_add(look, &census, &target, NULL, 0), 0);
	assert_string_equal(look->notes[0], "which lines fill what grew is not known: there is not "
					    "enough memory to find out");
	heap_births_free(target.births);
	heap_look_free(look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_passing),
		cmocka_unit_test(test_work_is_passing),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

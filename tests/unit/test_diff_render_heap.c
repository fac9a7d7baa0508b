/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What heaps kept, in diffs for people and for programs: against stored outputs. Where these lie
 * and how they are renewed: test_render.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "diff_both.h"

/* Looks at the first process of both, and at both workers of B, of which A has one. Of app.py A has
 * more rows than are kept. */
static void add_looks(struct both *both, const char *evil)
{
	struct heap_times_look *l = look(both, 0, 0, 55);
	char name[32];

	hold(both, 0, l, "__main__.AUDIT", "list", 1300, 512);
	hold(both, 0, l, "__main__.SESSIONS", "dict", 90000, 30000);
	hold(both, 0, l, "__main__.SMALL", "set", 12, 40);
	hold(both, 0, l, "shop.models.Item._cache", "shop.cache.LRU", -1, 8000);
	for (int i = 0; i < HEAP_TIMES_ROWS; i++) {
		snprintf(name, sizeof(name), "lib.table_%d", i);
		hold(both, 0, l, name, "tuple", i, 300);
	}
	l = look(both, 1, 0, 58.25);
	hold(both, 1, l, "__main__.AUDIT", "list", 139000, 42700);
	hold(both, 1, l, "__main__.SESSIONS", "dict", 20000, 8000);
	hold(both, 1, l, "__main__.SMALL", "set", 40, 200);
	hold(both, 1, l, "shop.models.Item._cache", "shop.cache.LRU", -1, 8000);
	hold(both, 1, l, evil, evil, 3, 3000);
	l = look(both, 0, 1, 50);
	hold(both, 0, l, "shop.POOL", "list", 10, 1000);
	l = look(both, 1, 1, 57);
	hold(both, 1, l, "shop.POOL", "list", 10, 1000);
}

static const struct golden goldens[] = {
	{"diff-heap-unlimited.txt", "table", {.top = 10}, 0, 0},
	{"diff-heap-100.txt", "table", {.width = 100, .top = 2}, 0, 100 * MIBI},
	{"diff-heap-40.txt", "table", {.width = 40, .top = 3}, 0, 0},
	{"diff-heap-all-120.txt", "table", {.width = 120, .color = true}, 0, 0},
	{"diff-heap-rates-80.txt", "table", {.width = 80, .top = 10}, 600, 0},
	{"diff-heap.json", "json", {0}, 600, 0},
};

/* What heaps kept: below the lines of each program, and in the answer. */
static void test_heaps(void **state)
{
	struct rendered output;
	struct both both;

	(void)state;
	for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
		const struct golden *g = &goldens[i];
		struct model *b;

		both_init(&both, fill_before, fill_after);
		add_looks(&both, "shop.NEW");
		b = both.profile[MODEL_DIFF_B].model;
		if (g->seconds > 0)
			b->end = b->start + g->seconds;
		both.report.limit_bytes = g->limit_bytes;
		compare(&both, g->seconds > 0);
		take_looks(&both);
		output = render(&both, g->format, g->options);
		golden_compare(g->name, &output);
		if (*g->format == 'j')
			assert_non_null(strstr(output.text,
					       "B keeps 41.2 MiB more in __main__.AUDIT (list, "
					       "+137,700 entries) of app.py."));
		free(output.text);
		both_fini(&both);
	}
}

/* RSS of both is the same, and what is kept is not: it is no program without a difference. */
static void test_heaps_only(void **state)
{
	struct rendered output;
	struct both both;

	(void)state;
	both_init(&both, fill_before, fill_before);
	add_looks(&both, "shop.NEW");
	both.report.side[0].unreadable_looks = 2;
	compare(&both, false);
	take_looks(&both);
	output = render(&both, "table", (struct render_options){.width = 80, .top = 10});
	golden_compare("diff-heap-only-80.txt", &output);
	assert_non_null(strstr(output.text, "RSS does not differ in earnest: "));
	free(output.text);
	both_fini(&both);
}

/* A note says which side has no looks; if none has, there is nothing to say. */
static void test_looks_of_one(void **state)
{
	struct rendered output;
	struct both both;

	(void)state;
	for (int sides = 0; sides < 4; sides++) {
		both_init(&both, fill_before, fill_after);
		for (int side = 0; side < MODEL_DIFF_SIDES; side++)
			if (sides & 1 << side)
				hold(&both, side, look(&both, side, 0, 1), "m.A", "list", 1, 9000);
		compare(&both, false);
		take_looks(&both);
		output = render(&both, "table", (struct render_options){.top = 10});
		assert_int_equal(!!strstr(output.text, "--heap-every"), sides == 1 || sides == 2);
		assert_int_equal(!!strstr(output.text, "Note on A: it has no look"), sides == 2);
		assert_int_equal(!!strstr(output.text, "Note on B: it has no look"), sides == 1);
		assert_int_equal(!!strstr(output.text, "Kept at the last look"), sides == 3);
		free(output.text);
		both_fini(&both);
	}
}

/* The holder that grew most is named if it grew by more than a MiB and by more than a twentieth. */
static void test_heap_answer(void **state)
{
	static const struct {
		uint64_t a, b;
		bool told;
	} cases[] = {{0, 1024, false},	    {0, 1025, true},	  {40000, 41500, false},
		     {40000, 42000, false}, {40000, 42100, true}, {42000, 40000, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct both both;
		char *answer;

		both_init(&both, fill_before, fill_after);
		hold(&both, 0, look(&both, 0, 0, 1), "m.A", "list", 1, cases[i].a);
		hold(&both, 1, look(&both, 1, 0, 1), "m.A", "list", 1, cases[i].b);
		compare(&both, false);
		take_looks(&both);
		answer = diff_answer(&both.report);
		assert_non_null(answer);
		assert_int_equal(!!strstr(answer, "B keeps"), cases[i].told);
		free(answer);
		both_fini(&both);
	}
}

/* What can't be compared is said, and has no rows. */
static void test_not_comparable(void **state)
{
	struct rendered output;
	struct both both;

	(void)state;
	both_init(&both, fill_before, fill_after);
	look(&both, 0, 0, 1)->types_only = true;
	hold(&both, 0, &both.heap[0].looks[0], "m.A", "list", 1, 9000);
	hold(&both, 1, look(&both, 1, 0, 1), "m.A", "list", 1, 90000);
	hold(&both, 1, look(&both, 1, 1, 2), "m.B", "list", 1, 90000);
	compare(&both, false);
	take_looks(&both);
	output = render(&both, "table", (struct render_options){.top = 10});
	assert_non_null(strstr(output.text, "Kept at the last look: A after 1.0 s, B after 1.0 s. "
					    "Holders and types can't be compared: of A 1, of B 0 "
					    "looks are of types only, without buffers\n\n"));
	assert_non_null(strstr(output.text, "Kept at the last look: A never, so nothing is "
					    "compared, B after 2.0 s (1 of 2 processes)\n\n"));
	assert_null(strstr(output.text, "  Holder\n"));
	assert_null(strstr(output.text, "  Type\n"));
	assert_null(strstr(output.text, "B keeps"));
	free(output.text);
	output = render(&both, "json", (struct render_options){0});
	assert_non_null(strstr(output.text, "\"holders\":null,\n   \"types\":null}"));
	free(output.text);
	both_fini(&both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heaps),	       cmocka_unit_test(test_heaps_only),
		cmocka_unit_test(test_looks_of_one),   cmocka_unit_test(test_heap_answer),
		cmocka_unit_test(test_not_comparable),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

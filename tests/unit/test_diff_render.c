/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Diffs for people and for programs, against stored outputs and hostile profiles. Where stored
 * outputs lie and how they are renewed: test_render.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <cmocka.h>

#include "diff_both.h"

static const struct golden goldens[] = {
	{"diff-unlimited.txt", "table", {.top = 10}, 0, 0},
	{"diff-120.txt", "table", {.width = 120, .top = 10}, 0, 0},
	{"diff-80.txt", "table", {.width = 80, .top = 10}, 0, 10 * MIBI},
	{"diff-40.txt", "table", {.width = 40, .top = 10}, 0, 100 * MIBI},
	{"diff-color-100.txt", "table", {.width = 100, .color = true, .top = 2}, 0, 0},
	{"diff-all-120.txt", "table", {.width = 120, .verbose = true}, 0, 0},
	{"diff-rates-100.txt", "table", {.width = 100, .top = 10}, 600, 10 * MIBI},
	{"diff.json", "json", {.width = 40, .top = 1}, 0, 0},
	{"diff-rates.json", "json", {0}, 600, 10 * MIBI},
};

static void test_goldens(void **state)
{
	struct rendered output;
	struct both both;

	(void)state;
	for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
		const struct golden *g = &goldens[i];
		struct model *b;

		both_init(&both, fill_before, fill_after);
		b = both.profile[MODEL_DIFF_B].model;
		if (g->seconds > 0)
			b->end = b->start + g->seconds;
		both.report.limit_bytes = g->limit_bytes;
		both.report.limit_by_rates = g->seconds > 0;
		both.report.side[MODEL_DIFF_B].incomplete = g->seconds > 0;
		compare(&both, g->seconds > 0);
		output = render(&both, g->format, g->options);
		golden_compare(g->name, &output);
		free(output.text);
		both_fini(&both);
	}
}

/* Two that are the same: nothing is made of it, but what both did is there. */
static void test_still(void **state)
{
	struct rendered output;
	struct both both;

	(void)state;
	both_init(&both, fill_before, fill_before);
	compare(&both, false);
	output = render(&both, "table", (struct render_options){.width = 80, .top = 10});
	golden_compare("diff-still-80.txt", &output);
	assert_non_null(strstr(output.text, "Nothing differs in earnest: "));
	free(output.text);
	both_fini(&both);
}

static void fill_ended_before(struct profile *profile)
{
	struct model_process *p = add_process(profile, 10, "python3", app_command);

	profile_write(profile, "/builds/1/app.py", app_before, 1000);
	add(profile, p, "/builds/1/app.py", "handle", 4, 2, MIB(30), 0, 0);
	lose(p, PYMEM_LOSS_NO_FRAME, -MIB(29));
	p->rss_peak_bytes = MIB(50) * PAGE;
	p->exited = true;
}

static void fill_ended_after(struct profile *profile)
{
	struct model_process *p = add_process(profile, 11, "python3", app_command);

	profile_write(profile, "/builds/two/app.py", app_after, 1000);
	add(profile, p, "/builds/two/app.py", "handle", 7, 4, MIB(70), 0, 0);
	lose(p, PYMEM_LOSS_NO_FRAME, -MIB(69));
	p->rss_peak_bytes = MIB(90) * PAGE;
	p->exited = true;
}

/* Two runs to the end, in two folders, before which Python freed all: what they grew by counts. */
static void test_ended(void **state)
{
	struct rendered output;
	struct both both;

	(void)state;
	both_init(&both, fill_ended_before, fill_ended_after);
	compare(&both, false);
	both.report.limit_bytes = 39 * MIBI;
	assert_true(diff_is_exceeded(&both.report));
	output = render(&both, "table", (struct render_options){.width = 80, .top = 10});
	golden_compare("diff-ended-80.txt", &output);
	free(output.text);
	both_fini(&both);
}

static void fill_nothing(struct profile *profile)
{
	(void)profile;
}

static void test_nothing(void **state)
{
	struct rendered output;
	struct both both;

	(void)state;
	both_init(&both, fill_nothing, fill_nothing);
	compare(&both, true);
	output = render(&both, "table", (struct render_options){0});
	assert_non_null(strstr(output.text, "B did not grow, A did not grow"));
	golden_harmless(&output, 0);
	free(output.text);
	output = render(&both, "json", (struct render_options){0});
	golden_harmless(&output, 0);
	free(output.text);
	both_fini(&both);
}

/* The limit is one of bytes that B grew more than A, and the report says what was found. */
static void test_limit(void **state)
{
	struct both both;
	char *answer;

	(void)state;
	both_init(&both, fill_before, fill_after);
	compare(&both, false);
	assert_false(diff_is_exceeded(&both.report));
	both.report.limit_bytes = (uint64_t)model_diff_growth(both.diff, false);
	assert_false(diff_is_exceeded(&both.report));
	answer = diff_answer(&both.report);
	assert_non_null(strstr(answer, "is within the limit"));
	free(answer);
	both.report.limit_bytes--;
	assert_true(diff_is_exceeded(&both.report));
	answer = diff_answer(&both.report);
	assert_non_null(strstr(answer, "is above the limit"));
	free(answer);
	both_fini(&both);
}

static double unit_bytes(const char *unit)
{
	return *unit == 'M' ? 1 << 20 : *unit == 'K' ? 1 << 10 : 1;
}

/* What is shown of a program adds up in each column, whatever -n says. */
static void test_columns_add_up(void **state)
{
	struct both both;

	(void)state;
	both_init(&both, fill_before, fill_after);
	compare(&both, false);
	for (unsigned top = 0; top < 8; top++) {
		struct rendered output =
			render(&both, "table", (struct render_options){.top = top});
		double sum[3] = {0}, number[3], a, b;
		char unit[3][8];
		char *at = strstr(output.text, "Difference  "), *line;

		assert_non_null(at);
		at = strchr(at, '\n') + 1;
		while ((line = strsep(&at, "\n")) && *line) {
			if (strspn(line, " ") > 20)
				continue; /* details */
			assert_int_equal(sscanf(line, "%lf %7s %lf %7s %lf %7s", &number[0],
						unit[0], &number[1], unit[1], &number[2], unit[2]),
					 6);
			for (int c = 0; c < 3; c++)
				sum[c] += number[c] * unit_bytes(unit[c]);
		}
		a = (double)model_diff_change(&both.diff->programs[0].side[0]);
		b = (double)model_diff_change(&both.diff->programs[0].side[1]);
		assert_true(sum[0] - (b - a) < MIBI / 2 && sum[0] - (b - a) > -MIBI / 2);
		assert_true(sum[1] - a < MIBI / 2 && sum[1] - a > -MIBI / 2);
		assert_true(sum[2] - b < MIBI / 2 && sum[2] - b > -MIBI / 2);
		free(output.text);
	}
	both_fini(&both);
}

/* Names that attack: no control bytes, no line wider than the terminal, at any width. */
static void test_hostile(void **state)
{
	static const char *const formats[] = {"table", "json"};
	struct rendered output;
	struct both both;

	(void)state;
	both_init(&both, fill_before, profile_fill_hostile);
	hold(&both, 1, look(&both, 1, 0, 1), HOSTILE_NAME, HOSTILE_NAME, INT64_MAX, 1ull << 40);
	hold(&both, 1, &both.heap[1].looks[0], "m." HOSTILE_NAME, HOSTILE_NAME, -1, 9000);
	hold(&both, 0, look(&both, 0, 0, 1), HOSTILE_NAME, HOSTILE_NAME, 1, 1ull << 39);
	both.report.side[0].name = HOSTILE_NAME;
	both.report.side[1].name = HOSTILE_NAME;
	both.report.side[1].incomplete = true;
	compare(&both, false);
	take_looks(&both);
	output = render(&both, "table", (struct render_options){.width = 100});
	golden_compare("diff-hostile-100.txt", &output);
	free(output.text);
	output = render(&both, "json", (struct render_options){0});
	golden_compare("diff-hostile.json", &output);
	free(output.text);
	for (unsigned width = 0; width <= 220; width += width < 40 ? 1 : 3)
		for (size_t i = 0; i < 2; i++)
			for (int verbose = 0; verbose < 2; verbose++) {
				output = render(&both, formats[i],
						(struct render_options){.width = width,
									.verbose = verbose,
									.top = width % 3});
				golden_harmless(&output, i == 0 && width >= 40 ? width : 0);
				free(output.text);
			}
	both_fini(&both);
}

/* A disk that is full is no success. */
static void test_full_disk(void **state)
{
	struct both both;

	(void)state;
	both_init(&both, fill_before, fill_after);
	compare(&both, false);
	for (size_t i = 0; diff_renderers[i]; i++) {
		FILE *out;

		if (diff_renderers[i]->page && diff_renderers[i]->page->absent)
			continue;
		out = fopen("/dev/full", "w");
		assert_non_null(out);
		assert_int_equal(
			diff_renderers[i]->emit(out, &both.report, &(struct render_options){0}),
			-ENOSPC);
		fclose(out);
	}
	assert_null(diff_renderer_find("csv"));
	both_fini(&both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goldens), cmocka_unit_test(test_still),
		cmocka_unit_test(test_ended),	cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_limit),	cmocka_unit_test(test_columns_add_up),
		cmocka_unit_test(test_hostile), cmocka_unit_test(test_full_disk),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

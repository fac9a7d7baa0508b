/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Heap reports, against stored outputs and hostile looks. Where stored outputs lie and how they are
 * renewed: test_render.c. */
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

#include "goldens.h"
#include "heap_looks.h"
#include "render/heap_parts.h"

static struct heap_report report_of(struct heap_look *look)
{
	struct heap_report report = {.host = "build-7",
				     .kernel = "6.12.9",
				     .version = "0.1.0",
				     .start = 1767225600.25,
				     .end = 1767225630.5};

	assert_int_equal(heap_look_sort_holders(look), 0);
	assert_int_equal(heap_report_add(&report, look), 0);
	return report;
}

static struct rendered render(const struct heap_report *report, const char *format,
			      struct render_options options)
{
	struct rendered output = {0};
	FILE *out = open_memstream(&output.text, &output.size);

	assert_non_null(out);
	output.err = heap_renderer_find(format)->emit(out, report, &options);
	fclose(out);
	return output;
}

/* Two looks, of which nobody looked for holders. */
static struct heap_look *look_types_only(void)
{
	struct heap_look *look = look_new(10);

	look->balance = (struct heap_balance){.objects = 300 * MIB, .buffers = 90 * MIB};
	look->balance_first = (struct heap_balance){.objects = 200 * MIB, .buffers = 80 * MIB};
	look_sum(look);
	look->types_only = true;
	look_type(look, "shop.Order", 1200000, 800000, 200 * MIB, 80 * MIB);
	look_type(look, "builtins.str", 500000, 100000, 60 * MIB, 15 * MIB);
	look_type(look, "builtins.dict", 30000, 0, 40 * MIB, 0);
	return look;
}

static const struct golden {
	const char *name, *format;
	struct heap_look *(*look)(void);
	struct render_options options;
} goldens[] = {
	{"heap-unlimited.txt", "table", look_growing, {0}},
	{"heap-120.txt", "table", look_growing, {.width = 120}},
	{"heap-80.txt", "table", look_growing, {.width = 80}},
	{"heap-40.txt", "table", look_growing, {.width = 40}},
	{"heap-sampled-120.txt", "table", look_sampled, {.width = 120}},
	{"heap-sampled-40.txt", "table", look_sampled, {.width = 40}},
	{"heap-color-100.txt", "table", look_growing, {.width = 100, .color = true, .top = 1}},
	{"heap-live-80.txt", "table", look_live, {.width = 80}},
	{"heap-fragmented-80.txt", "table", look_fragmented, {.width = 80}},
	{"heap-hostile-100.txt", "table", look_hostile, {.width = 100}},
	{"heap-hostile-20.txt", "table", look_hostile, {.width = 20}},
	{"heap-types-80.txt", "table", look_types_only, {.width = 80}},
	{"heap.json", "json", look_growing, {.width = 40, .top = 1}},
	{"heap-sampled.json", "json", look_sampled, {0}},
	{"heap-live.json", "json", look_live, {0}},
	{"heap-hostile.json", "json", look_hostile, {0}},
};

static void test_goldens(void **state)
{
	struct heap_report report;
	struct rendered output;

	(void)state;
	for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
		report = report_of(goldens[i].look());
		output = render(&report, goldens[i].format, goldens[i].options);
		golden_compare(goldens[i].name, &output);
		free(output.text);
		heap_report_fini(&report);
	}
}

/* Several processes, and some that could not be looked at. */
static void test_several(void **state)
{
	struct heap_report report = report_of(look_live());
	struct rendered output;
	json_t *root;

	(void)state;
	assert_int_equal(heap_report_add(&report, look_opaque()), 0);
	assert_int_equal(heap_report_skip(&report, 7, HOSTILE, "Python 2.7 is not supported"), 0);
	assert_int_equal(heap_report_skip(&report, 8, "", "no such process"), 0);
	output = render(&report, "table", (struct render_options){.width = 80});
	golden_compare("heap-several-80.txt", &output);
	free(output.text);
	output = render(&report, "json", (struct render_options){0});
	golden_compare("heap-several.json", &output);
	root = json_loads(output.text, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(root, "processes")), 2);
	assert_int_equal(json_array_size(json_object_get(root, "skipped")), 2);
	json_decref(root);
	free(output.text);
	heap_report_fini(&report);
}

static void expect_overview(const struct heap_report *report, const char *wanted)
{
	char *text = heap_overview(report);

	assert_string_equal(text, wanted);
	free(text);
}

#define NB "\xc2\xa0"

/* What several processes have together; of two looks the holder that grew most, and where else it
 * does. */
static void test_overview(void **state)
{
	struct heap_report report = report_of(look_growing());
	struct heap_look *more = look_growing();

	(void)state;
	more->pid = 25403;
	more->holders[0].grown_bytes *= 2;
	more->rss_first_bytes -= 4 * MIB;
	assert_int_equal(heap_report_add(&report, more), 0);
	expect_overview(&report,
			"2 processes, RSS" NB "989.5" NB
			"MiB together (pages that they share count for "
			"each), +12.9" NB "MiB (+25.9/min). Grows most: shop.AUDIT (list) of PID" NB
			"25403, by 17.5" NB "MiB/min; it grows in 2 of them.");
	/* A function's that may pass, and a cache in which entries take one another's place. */
	for (size_t i = 0; i < 2; i++)
		report.looks[i]->holders[0].grown_bytes = 0;
	assert_int_equal(heap_report_skip(&report, 7, "", "no such process"), 0);
	expect_overview(&report, "2 of 3 processes, RSS" NB "989.5" NB
				 "MiB together (pages that they share count for each), +12.9" NB
				 "MiB (+25.9/min). No holder grows by more than noise.");
	heap_report_fini(&report);
	report = report_of(look_types_only());
	assert_int_equal(heap_report_add(&report, look_types_only()), 0);
	report.looks[1]->seconds = 0.5;
	expect_overview(&report,
			"2 processes, RSS" NB "780.0" NB
			"MiB together (pages that they share count for each), +220.0" NB "MiB. ");
	heap_report_fini(&report);
}

static struct heap_look *(*const all_looks[])(void) = {
	look_growing, look_live,   look_bounded,   look_fragmented, look_untrimmed, look_c_leak,
	look_opaque,  look_spread, look_replacing, look_files,	    look_hostile,
};

/* No control bytes, no line wider than the terminal, at any width; -n or not. */
static void test_widths(void **state)
{
	struct heap_report report;
	struct rendered output;

	(void)state;
	for (size_t i = 0; i < sizeof(all_looks) / sizeof(all_looks[0]); i++) {
		report = report_of(all_looks[i]());
		for (unsigned width = 0; width <= 220; width += width < 40 ? 1 : 3) {
			output = render(&report, "table",
					(struct render_options){.width = width, .top = width % 3});
			golden_harmless(&output, width >= 40 ? width : 0);
			assert_true(output.size < 40000);
			free(output.text);
		}
		output = render(&report, "json", (struct render_options){0});
		golden_harmless(&output, 0);
		free(output.text);
		heap_report_fini(&report);
	}
}

/* -n cuts the table, and says what it left out. */
static void test_top(void **state)
{
	struct heap_report report = report_of(look_growing());
	struct rendered output = render(&report, "table", (struct render_options){.top = 1});

	(void)state;
	assert_non_null(strstr(output.text, "shop.AUDIT"));
	assert_null(strstr(output.text, "shop.CACHE  "));
	assert_non_null(strstr(output.text, "and 3 more holders (-n 0 shows all)"));
	assert_non_null(strstr(output.text, "158.0 MiB  and 2 more types (-n 0 shows all)"));
	assert_non_null(strstr(output.text, "40 KiB  and 1 more line (-n 0 shows all)"));
	free(output.text);
	heap_report_fini(&report);
}

/* A full disk is an error, whatever the stream's buffer hid; its number is known where the last
 * write failed. */
static void test_stream_errors(void **state)
{
	struct heap_report report = report_of(look_growing());
	struct render_options options = {0};
	char small[16];
	FILE *out;

	(void)state;
	for (size_t i = 0; heap_renderers[i]; i++) {
		out = fopen("/dev/full", "w");
		assert_non_null(out);
		assert_int_equal(heap_renderers[i]->emit(out, &report, &options), -ENOSPC);
		fclose(out);
		out = fopen("/dev/full", "w");
		assert_non_null(out);
		setvbuf(out, small, _IOFBF, sizeof(small));
		assert_true(heap_renderers[i]->emit(out, &report, &options) < 0);
		fclose(out);
	}
	heap_report_fini(&report);
}

static void test_counts(void **state)
{
	static const struct {
		int64_t count;
		bool sign;
		const char *text;
	} cases[] = {
		{0, false, "0"},
		{0, true, "0"},
		{7, true, "+7"},
		{999, false, "999"},
		{1000, false, "1,000"},
		{-1000, false, "-1,000"},
		{123456, true, "+123,456"},
		{1234567, false, "1,234,567"},
		{INT64_MIN, false, "-9,223,372,036,854,775,808"},
		{INT64_MAX, true, "+9,223,372,036,854,775,807"},
	};
	char text[40], small[6];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		heap_count(text, sizeof(text), cases[i].count, cases[i].sign);
		assert_string_equal(text, cases[i].text);
	}
	heap_count(small, sizeof(small), 1234567, true);
	assert_true(strlen(small) < sizeof(small));
}

static void test_registry(void **state)
{
	(void)state;
	assert_ptr_equal(heap_renderer_find("table"), &heap_table);
	assert_ptr_equal(heap_renderer_find("json"), &heap_json);
	assert_null(heap_renderer_find("csv"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goldens),	 cmocka_unit_test(test_several),
		cmocka_unit_test(test_overview), cmocka_unit_test(test_widths),
		cmocka_unit_test(test_top),	 cmocka_unit_test(test_stream_errors),
		cmocka_unit_test(test_counts),	 cmocka_unit_test(test_registry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

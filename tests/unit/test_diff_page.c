/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The data of a diff's web page, against stored outputs, hostile profiles, and the diff itself, to
 * which they must add up. Where stored outputs lie and how they are renewed: test_render.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <jansson.h>
#include <cmocka.h>

#include "diff_both.h"
#include "many_stacks.h"
#include "page_text.h"

static bool is_absent(void)
{
	return diff_renderer_find("html")->page->absent != NULL;
}

static struct rendered data_of(const struct both *both, const char *format)
{
	struct rendered output = render(both, format, (struct render_options){0});

	assert_int_equal(output.err, 0);
	page_to_data(&output);
	return output;
}

static void add_looks(struct both *both, const char *evil)
{
	struct heap_times_look *l = look(both, 0, 0, 55);

	hold(both, 0, l, "__main__.AUDIT", "list", 1300, 512);
	hold(both, 0, l, "__main__.SESSIONS['secret']", "dict", 90000, 30000);
	l = look(both, 1, 0, 58.25);
	hold(both, 1, l, "__main__.AUDIT", "list", 139000, 42700);
	hold(both, 1, l, "__main__.SESSIONS['secret']", "dict", 90000, 90000);
	hold(both, 1, l, evil, evil, 3, 3000);
}

static void redact(struct both *both)
{
	assert_int_equal(model_diff_redact(both->diff, both->profile[0].model,
					   both->profile[1].model, both->sources),
			 0);
	both->report.side[0].sources = both->report.side[1].sources = NULL;
}

static void test_goldens(void **state)
{
	static const struct {
		const char *name, *format;
		bool looks, redacted;
		double seconds;
	} pages[] = {
		{"diff.flamegraph", "flamegraph", false, false, 0},
		{"diff.html", "html", true, false, 0},
		{"diff-rates.html", "html", false, false, 600},
		{"diff-redacted.html", "html", true, true, 0},
	};

	(void)state;
	if (is_absent())
		skip();
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct rendered output;
		struct both both;
		struct model *b;

		both_init(&both, fill_before, fill_after);
		b = both.profile[MODEL_DIFF_B].model;
		if (pages[i].looks)
			add_looks(&both, "shop.NEW");
		if (pages[i].seconds > 0)
			b->end = b->start + pages[i].seconds;
		compare(&both, pages[i].seconds > 0);
		take_looks(&both);
		if (pages[i].redacted)
			redact(&both);
		output = data_of(&both, pages[i].format);
		golden_compare(pages[i].name, &output);
		free(output.text);
		both_fini(&both);
	}
}

static void test_hostile(void **state)
{
	struct rendered output;
	struct both both;

	(void)state;
	if (is_absent())
		skip();
	both_init(&both, profile_fill_hostile, profile_fill_hostile);
	hold(&both, 0, look(&both, 0, 0, 1), HOSTILE_NAME, HOSTILE_NAME, 1, 1ull << 39);
	hold(&both, 1, look(&both, 1, 0, 1), HOSTILE_NAME, HOSTILE_NAME, INT64_MAX, 1ull << 40);
	both.report.side[0].name = both.report.side[1].name = HOSTILE_NAME;
	both.report.side[1].incomplete = true;
	compare(&both, false);
	take_looks(&both);
	output = data_of(&both, "html");
	golden_compare("diff-hostile.html", &output);
	free(output.text);
	both_fini(&both);
}

static int64_t number_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

/* What the amounts of a side of a metric add up to, in bytes; and that is what it says. */
static int64_t sum_of(const json_t *data, const char *metric, const char *side)
{
	const json_t *figures =
		json_object_get(json_object_get(json_object_get(data, "figures"), metric), side);
	const json_t *amounts = json_object_get(figures, "amount");
	int64_t sum = 0, unit = number_of(figures, "unit");

	for (size_t i = 0; i < json_array_size(amounts); i++)
		sum += json_integer_value(json_array_get(amounts, i)) * unit;
	/* Net amounts are not there if they are what is grown less what is freed. */
	if (!amounts)
		sum = sum_of(data, "grown", side) - sum_of(data, "freed", side);
	assert_int_equal(sum, number_of(figures, "total"));
	return sum;
}

static void expect_sums(const struct model_diff *diff, const json_t *data, int side)
{
	const char *name = side ? "b" : "a";
	const struct model_gathered *g = &diff->side[side].model->unfolded;
	int64_t grown = g->charged_bytes > 0 ? g->charged_bytes : 0, copied = 0, faults = 0;
	size_t i, j;
	int loss;

	for (loss = 0; loss < PYMEM_LOSS_COUNT; loss++)
		grown += g->lost_bytes[loss] > 0 ? g->lost_bytes[loss] : 0;
	for (i = 0; i < diff->program_count; i++) {
		const struct model_diff_program *p = &diff->programs[i];

		for (j = 0; j < p->line_count; j++) {
			grown += (int64_t)p->lines[j].side[side].grown_bytes;
			copied += (int64_t)p->lines[j].side[side].copied_bytes;
			faults += (int64_t)p->lines[j].side[side].faults;
		}
		for (loss = 0; loss < PYMEM_LOSS_COUNT; loss++)
			grown += p->side[side].lost_bytes[loss] > 0 ? p->side[side].lost_bytes[loss]
								    : 0;
		faults += (int64_t)p->side[side].lost_faults;
	}
	assert_int_equal(sum_of(data, "net", name), diff->side[side].change_bytes);
	assert_int_equal(sum_of(data, "grown", name), grown);
	assert_int_equal(sum_of(data, "copied", name), copied);
	assert_int_equal(sum_of(data, "faults", name), faults);
}

/* Of each side, the page has what the table and the JSON have, to the byte. */
static void test_sums(void **state)
{
	struct rendered output;
	struct both both;
	json_t *data;

	(void)state;
	if (is_absent())
		skip();
	both_init(&both, fill_before, fill_after);
	compare(&both, false);
	output = data_of(&both, "html");
	data = json_loads(output.text, 0, NULL);
	assert_non_null(data);
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		expect_sums(both.diff, data, side);
	json_decref(data);
	free(output.text);
	both_fini(&both);
}

/* Nothing of paths, arguments, source text or keys is in any format. */
static void test_redacted(void **state)
{
	static const char *const secrets[] = {"/srv",	"/old/",	"/new/",
					      "--port", "CACHE.append", "secret"};
	struct rendered output;
	struct both both;

	(void)state;
	both_init(&both, fill_before, fill_after);
	add_looks(&both, "shop.NEW");
	compare(&both, false);
	take_looks(&both);
	redact(&both);
	for (size_t i = 0; diff_renderers[i]; i++) {
		if (diff_renderers[i]->page && is_absent())
			continue;
		output = render(&both, diff_renderers[i]->name, (struct render_options){0});
		if (diff_renderers[i]->page)
			page_to_data(&output);
		for (size_t j = 0; j < sizeof(secrets) / sizeof(secrets[0]); j++)
			if (strstr(output.text, secrets[j]))
				fail_msg("%s has %s", diff_renderers[i]->name, secrets[j]);
		assert_non_null(strstr(output.text, "app.py"));
		if (strcmp(diff_renderers[i]->name, "flamegraph") != 0)
			assert_non_null(strstr(output.text, "SESSIONS["));
		free(output.text);
	}
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
	if (is_absent())
		skip();
	both_init(&both, fill_nothing, fill_nothing);
	compare(&both, false);
	output = data_of(&both, "html");
	assert_non_null(strstr(output.text, "\"tree\":[]"));
	free(output.text);
	both_fini(&both);
}

static void fill_many_before(struct profile *profile)
{
	many_fill(profile->model, MANY_STACKS, MANY_STACKS / 2, 7);
}

static void fill_many_after(struct profile *profile)
{
	many_fill(profile->model, MANY_STACKS, MANY_STACKS / 2, 11);
}

/* 100,000 stacks on each side, of which half are in both. */
static void test_many(void **state)
{
	static const char *const formats[] = {"flamegraph", "html"};
	struct rendered output;
	struct both both;
	clock_t begun = clock();
	double seconds;

	(void)state;
	if (is_absent())
		skip();
	both_init(&both, fill_many_before, fill_many_after);
	compare(&both, false);
	for (size_t i = 0; i < 2; i++) {
		char name[64];

		output = render(&both, formats[i], (struct render_options){0});
		assert_int_equal(output.err, 0);
		seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
		print_message("# note: diff %s: 100,000 stacks of 24 frames on each side, %zu "
			      "KiB, %.1f s from the start\n",
			      formats[i], output.size >> 10, seconds);
		assert_true(seconds < 2 * MANY_SECONDS);
		snprintf(name, sizeof(name), "many-diff.%s", formats[i]);
		many_keep(name, &output);
		free(output.text);
	}
	both_fini(&both);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goldens), cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_sums),	cmocka_unit_test(test_redacted),
		cmocka_unit_test(test_nothing), cmocka_unit_test(test_many),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

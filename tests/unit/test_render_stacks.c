/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The formats for other programs say the same, to the byte: what CSV, folded stacks, pprof and
 * speedscope add up to is compared with the lines of the model (format_sums.h). Also with names of
 * random bytes, and with 100,000 stacks. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "format_sums.h"
#include "profiles.h"

/* --- profiles --- */

static void gather(struct model *model)
{
	model->gathered = (struct model_gathered){
		.processes = 1234,
		.change_bytes = 30 << 20,
		.charged_bytes = 25 << 20,
		.lost_bytes = {[PYMEM_LOSS_NO_FRAME] = 6 << 20, [PYMEM_LOSS_EXIT] = -(1 << 20)}};
}

static void test_agree(void **state)
{
	void (*const fill[])(struct profile *) = {profile_fill, profile_fill_touched,
						  profile_fill_hostile};
	struct profile profile;
	size_t i;

	(void)state;
	for (i = 0; i < 2 * sizeof(fill) / sizeof(fill[0]); i++) {
		profile_init(&profile);
		fill[i / 2](&profile);
		if (i % 2)
			gather(profile.model);
		check_all(profile.model);
		profile_fini(&profile);
	}
}

/* A report of nothing is valid, too. */
static void test_empty(void **state)
{
	struct profile profile;

	(void)state;
	profile_init(&profile);
	check_all(profile.model);
	profile_fini(&profile);
}

/* The stacks of a process that has ended are gone; its tree is left. */
static void test_ended(void **state)
{
	struct profile profile;
	struct sums sums;

	(void)state;
	profile_init(&profile);
	profile_fill_touched(&profile);
	sums = sums_of_model(profile.model);
	assert_int_equal(model_freeze(profile.model), 0);
	model_clear(profile.model);
	assert_int_equal(model_compute(profile.model), 0);
	assert_int_equal(profile.model->process_count, 3);
	check_all(profile.model);
	check_folded(profile.model, &sums);
	profile_fini(&profile);
}

/* A model that keeps no trees has no stacks to write: that is an error, not an empty file. */
static void test_no_trees(void **state)
{
	struct render_options options = {0};
	struct profile profile;
	FILE *out = fopen("/dev/null", "w");
	size_t i;

	(void)state;
	profile_init(&profile);
	profile.model->trees_kept = false;
	profile_fill(&profile);
	for (i = 0; renderers[i]; i++)
		assert_int_equal(renderers[i]->emit(out, profile.model, &options),
				 renderers[i]->stacks ? -EINVAL : 0);
	fclose(out);
	profile_fini(&profile);
}

/* Frames that are missing, and where the amounts of a stack go that freed more than it added. */
static void test_frames(void **state)
{
	const struct model_location *frames[2];
	struct pymem_counters up = {
		.pages = {[PYMEM_ANON] = 3}, .grown_pages = 5, .freed_pages = 2};
	struct pymem_counters down = {.pages = {[PYMEM_ANON] = -2}, .freed_pages = 2};
	char *argv[] = {"python3", "a;b c.py", NULL};
	struct model_process *p;
	struct profile profile;
	struct rendered output;

	(void)state;
	profile_init(&profile);
	p = model_add_process(profile.model, 5, 1, "python3", argv, "", "3.11.2", "walk");
	frames[0] = model_location(profile.model, "/x;y z.py", "f 3;\ng", 7, 1);
	frames[1] = model_location(profile.model, "", "", 0, 0);
	assert_int_equal(model_add_stack(profile.model, p, frames, 2, true, &up, NULL), 0);
	assert_int_equal(model_add_stack(profile.model, p, frames, 1, false, &down, NULL), 0);
	p->rss_end_bytes = PAGE;
	assert_int_equal(model_compute(profile.model), 0);
	output = render(profile.model, "folded", RENDER_NET);
	assert_string_equal(
		output.text,
		"a\\x3bb c.py (5);[freed on balance];f 3\\x3b\\ng (/x\\x3by z.py:7) 8192\n"
		"a\\x3bb c.py (5);[callers not kept];? ((no file name):0);"
		"f 3\\x3b\\ng (/x\\x3by z.py:7) 12288\n");
	free(output.text);
	check_all(profile.model);
	profile_fini(&profile);
}

/* --- random ones --- */

static uint32_t seed;

static uint32_t pick(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(seed >> 8) * below) >> 24);
}

/* Random bytes, among them those that mean something in one of the formats. */
static const char *random_name(void)
{
	static const char special[] = "\n\r\t \",;\"'=+-@[]()\\<>&\033\177\xff\xc3\xe2\x80\xae";
	static char names[4][5000];
	static unsigned next;
	char *name = names[next++ % 4];
	size_t length = pick(100) ? pick(24) : pick(4900), i;
	bool semicolons = !pick(12); /* each takes four bytes, escaped */

	if (semicolons)
		length = 1000 + pick(3000);
	for (i = 0; i < length; i++)
		name[i] = semicolons ? ';'
			  : pick(2)  ? special[pick(sizeof(special) - 1)]
				     : (char)(1 + pick(255));
	name[length] = '\0';
	return name;
}

static void add_random_stack(struct model *model, struct model_process *p,
			     const struct model_location *const *places, size_t count)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES];
	struct pymem_counters counters = {.grown_pages = pick(1000),
					  .freed_pages = pick(1000),
					  .minor_faults = pick(100),
					  .major_faults = pick(3),
					  .cow_faults = pick(4)};
	unsigned depth = 1 + (pick(12) ? pick(6) : pick(PYMEM_MAX_FRAMES)), i;
	uint64_t resident = pick(50);
	int64_t page = model->page_size;

	for (i = 0; i < depth; i++)
		frames[i] = places[pick(count)];
	counters.pages[PYMEM_ANON] = (int64_t)counters.grown_pages - (int64_t)counters.freed_pages;
	assert_int_equal(model_add_stack(model, p, frames, depth, !pick(9), &counters, NULL), 0);
	p->rss_end_bytes += counters.pages[PYMEM_ANON] * page;
	if (p->resident_known) {
		assert_int_equal(model_add_resident(model, p, frames, depth, resident), 0);
		p->resident_unknown_bytes -= resident * page;
	}
}

static void fill_random(struct model *model)
{
	const struct model_location *places[24];
	char *argv[3] = {NULL, NULL, NULL};
	struct model_process *p;
	size_t i, j;

	/* Each second one is on the line of the one before, in other code: they are one frame. */
	for (i = 0; i < 24; i += 2) {
		places[i] = model_location(model, random_name(), random_name(), (int)pick(INT_MAX),
					   (int)pick(INT_MAX));
		places[i + 1] = model_location(model, places[i]->file, places[i]->function,
					       places[i]->line, places[i]->first_line ^ 1);
	}
	for (i = 0; i < 3; i++) {
		argv[0] = (char *)random_name();
		argv[1] = (char *)random_name();
		p = model_add_process(model, 1 + pick(1 << 22), 1, random_name(), argv,
				      random_name(), "3.11.2", "walk");
		p->resident_known = pick(2);
		p->rss_start_bytes = p->rss_end_bytes = 4000000 * (int64_t)PAGE;
		for (j = 0; j < 20; j++)
			add_random_stack(model, p, places, 24);
		for (j = 0; j < PYMEM_LOSS_COUNT; j++) {
			p->lost_bytes[j] = pick(3) ? 0 : ((int64_t)pick(100) - 50) * PAGE;
			p->rss_end_bytes += p->lost_bytes[j];
		}
		p->lost_faults = pick(3);
		if (p->resident_known) {
			p->resident_before_bytes = pick(1000) * (int64_t)PAGE;
			p->resident_unknown_bytes += p->rss_end_bytes - p->resident_before_bytes;
			p->resident_unknown_bytes++; /* it begins as -1 */
		}
	}
	assert_int_equal(model_add_note(model, random_name()), 0);
	assert_int_equal(model_add_skip(model, 3, random_name(), random_name()), 0);
	assert_int_equal(model_compute(model), 0);
}

/* Whatever the names are, each format is valid and adds up. */
static void test_random(void **state)
{
	struct profile profile;

	(void)state;
	for (uint32_t round = 1; round <= 20; round++) {
		seed = round;
		profile_init(&profile);
		fill_random(profile.model);
		if (round % 2)
			gather(profile.model);
		check_all(profile.model);
		profile_fini(&profile);
	}
}

/* --- many --- */

#define MANY_STACKS  100000
#define MANY_DEPTH   24
#define MANY_SECONDS 60 /* of CPU time, under the sanitizers; it takes a fraction of that */

static void fill_many(struct model *model)
{
	const struct model_location *places[3000], *frames[MANY_DEPTH];
	struct pymem_counters counters = {.pages = {[PYMEM_ANON] = 1}, .grown_pages = 1};
	struct model_process *p;
	char file[64];
	unsigned i, j;

	seed = 1;
	for (i = 0; i < 3000; i++) {
		snprintf(file, sizeof(file), "/srv/app/package/module_%u.py", i / 30);
		places[i] = model_location(model, file, "Class.method", (int)i + 1, 1);
	}
	p = model_add_process(model, 9, 1, "python3", NULL, "", "3.11.2", "walk");
	for (i = 0; i < MANY_STACKS; i++) {
		for (j = 0; j < MANY_DEPTH; j++)
			frames[j] = places[j * 125 + pick(j > 18 ? 2 : 60)];
		assert_int_equal(
			model_add_stack(model, p, frames, MANY_DEPTH, false, &counters, NULL), 0);
	}
	p->rss_end_bytes = MANY_STACKS * (int64_t)PAGE;
	assert_int_equal(model_compute(model), 0);
}

static void test_many(void **state)
{
	struct profile profile;
	struct rendered output;
	clock_t begun;
	double seconds;
	size_t i;

	(void)state;
	profile_init(&profile);
	fill_many(profile.model);
	for (i = 0; renderers[i]; i++) {
		if (!renderers[i]->stacks)
			continue;
		begun = clock();
		output = render(profile.model, renderers[i]->name, 0);
		seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
		print_message("# note: %s: 100,000 stacks of 24 frames in %.1f s, %zu KiB\n",
			      renderers[i]->name, seconds, output.size >> 10);
		assert_true(seconds < MANY_SECONDS);
		free(output.text);
	}
	profile_fini(&profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agree),  cmocka_unit_test(test_empty),
		cmocka_unit_test(test_ended),  cmocka_unit_test(test_no_trees),
		cmocka_unit_test(test_frames), cmocka_unit_test(test_random),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

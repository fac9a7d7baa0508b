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
#include "many_stacks.h"
#include "profiles.h"

/* --- profiles --- */

static void gather(struct model *model)
{
	model->gathered = (struct model_gathered){
		.processes = 1234,
		.change_bytes = 30 << 20,
		.charged_bytes = 25 << 20,
		.lost_bytes = {[PYMEM_LOSS_NO_FRAME] = 6 << 20, [PYMEM_LOSS_EXIT] = -(1 << 20)}};
	model->unfolded = model->gathered;
}

static void test_agree(void **state)
{
	void (*const fill[])(struct profile *) = {profile_fill, profile_fill_touched,
						  profile_fill_stalled, profile_fill_cached,
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
				 renderers[i]->absent	? -ENOSYS
				 : renderers[i]->stacks ? -EINVAL
							: 0);
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
		"a\\x3bb c.py (5);[callers not kept];? ((no file name):0);"
		"f 3\\x3b\\ng (/x\\x3by z.py:7) 12288\n"
		"a\\x3bb c.py (5);[freed on balance];f 3\\x3b\\ng (/x\\x3by z.py:7) 8192\n");
	free(output.text);
	check_all(profile.model);
	profile_fini(&profile);
}

/* --- threads --- */

static void add_of_thread(struct model *model, struct model_process *p, uint32_t tid,
			  const char *name, const struct model_location *line, int64_t pages,
			  bool truncated)
{
	struct pymem_counters counters = {.pages = {[PYMEM_ANON] = pages},
					  .grown_pages = pages > 0 ? (uint64_t)pages : 0,
					  .freed_pages = pages < 0 ? (uint64_t)-pages : 0};
	const struct model_location *thread = tid || name ? model_thread(model, tid, name) : NULL;

	assert_int_equal(model_add_stack(model, p, &line, 1, truncated, &counters, NULL), 0);
	assert_int_equal(model_add_part(model, p, thread, &line, 1, truncated, &counters, NULL, 0),
			 0);
	p->rss_end_bytes += pages * (int64_t)PAGE;
}

/* Two threads on one line, one that has the first one's TID, those that are not told apart, and a
 * stack of which no thread is known. */
static void fill_threads(struct profile *profile, bool told)
{
	char *argv[] = {"python3", "a.py", NULL};
	struct model *model = profile->model;
	const struct model_location *line, *other;
	struct model_process *p;

	profile_init(profile);
	model = profile->model;
	model->threads_told = told;
	p = model_add_process(model, 5, 1, "python3", argv, "", "3.11.2", "walk");
	line = model_location(model, "/a.py", "work", 7, 1);
	/* Code that looks like a thread is none. */
	other = model_location(model, "", "w;1", 11, 0);
	add_of_thread(model, p, 12, "w2", line, 20, false);
	add_of_thread(model, p, 11, "w;1", line, 10, false);
	add_of_thread(model, p, 11, "w;1", line, -1, true);
	add_of_thread(model, p, 11, "w;1", other, 4, false);
	add_of_thread(model, p, 11, "\033[2J", line, 3, false);
	add_of_thread(model, p, 13, "", line, 2, false);
	add_of_thread(model, p, 0, "", line, 5, false);
	add_of_thread(model, p, 0, NULL, line, 6, false);
	assert_int_equal(model_compute(model), 0);
}

static void test_threads(void **state)
{
	struct profile profile;
	struct rendered output;

	(void)state;
	fill_threads(&profile, true);
	output = render(profile.model, "folded", RENDER_GROWN);
	assert_string_equal(output.text,
			    "a.py (5);other threads;work (/a.py:7) 20480\n"
			    "a.py (5);thread 11 (\\x1b[2J);work (/a.py:7) 12288\n"
			    "a.py (5);thread 11 (w\\x3b1);w\\x3b1 ((no file name):11) 16384\n"
			    "a.py (5);thread 11 (w\\x3b1);[callers not kept];work (/a.py:7) 40960\n"
			    "a.py (5);thread 12 (w2);work (/a.py:7) 81920\n"
			    "a.py (5);thread 13;work (/a.py:7) 8192\n"
			    "a.py (5);work (/a.py:7) 24576\n");
	free(output.text);
	check_all(profile.model);
	profile_fini(&profile);
}

/* {amount of rss_net: its labels} of the samples, in their order. */
static void test_thread_labels(void **state)
{
	static const struct {
		const char *name;
		int64_t tid, pages;
	} samples[] = {{"other threads", 0, 5},
		       {"thread 11 (\\x1b[2J)", 11, 3},
		       {"thread 11 (w;1)", 11, 4},
		       {"thread 11 (w;1)", 11, 9},
		       {"thread 12 (w2)", 12, 20},
		       {"thread 13", 13, 2},
		       {NULL, 0, 6}};
	struct profile profile;
	struct rendered output;
	Pprof__Profile *p;
	size_t i, j;

	(void)state;
	fill_threads(&profile, true);
	output = render(profile.model, "pprof", 0);
	p = pprof_unpack(&output);
	assert_int_equal(p->n_sample, sizeof(samples) / sizeof(samples[0]));
	for (i = 0; i < p->n_sample; i++) {
		const char *name = NULL;
		int64_t tid = 0;

		for (j = 0; j < p->sample[i]->n_label; j++) {
			const Pprof__Label *label = p->sample[i]->label[j];

			if (!strcmp(pprof_string(p, label->key), "thread"))
				name = pprof_string(p, label->str);
			if (!strcmp(pprof_string(p, label->key), "thread_id"))
				tid = label->num;
		}
		assert_int_equal(!name, !samples[i].name);
		if (name)
			assert_string_equal(name, samples[i].name);
		assert_int_equal(tid, samples[i].tid);
		assert_int_equal(p->sample[i]->value[2], samples[i].pages * (int64_t)PAGE);
		/* The thread is no frame. */
		assert_in_range(p->sample[i]->n_location_id, 1, 2);
	}
	pprof__profile__free_unpacked(p, NULL);
	free(output.text);
	profile_fini(&profile);
}

/* What is said of lines is the same, to the byte, whether threads are told or not. */
static void test_threads_and_lines(void **state)
{
	static const char *const formats[] = {"table", "json", "csv"};
	struct rendered told, merged;
	struct profile profile;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		fill_threads(&profile, true);
		told = render(profile.model, formats[i], 0);
		profile_fini(&profile);
		fill_threads(&profile, false);
		merged = render(profile.model, formats[i], 0);
		assert_string_equal(told.text, merged.text);
		assert_int_equal(profile.model->processes[0]->nodes[1].location->thread, false);
		profile_fini(&profile);
		free(told.text);
		free(merged.text);
	}
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

/* What is counted only if it is asked for. */
static void add_random_events(struct model *model, struct model_process *p,
			      const struct model_location *const *frames, unsigned depth)
{
	const struct model_cache_amounts cached = {.bytes = pick(200) * PAGE};
	const struct pymem_kernel kernel = {.bytes = {((int64_t)pick(60) - 30) * PAGE, pick(5000)},
					    .gone = {0, pick(5000)},
					    .unknown = pick(100)};

	if (!pick(2))
		assert_int_equal(model_add_cached(model, p, frames, pick(4) ? depth : 0,
						  pick(PYMEM_LOSS_COUNT), "/srv/data", pick(2),
						  &cached),
				 0);
	if (!pick(2))
		assert_int_equal(model_add_kernel(model, p, frames, pick(4) ? depth : 0,
						  pick(PYMEM_LOSS_COUNT), &kernel),
				 0);
}

static void add_random_stack(struct model *model, struct model_process *p,
			     const struct model_location *const *places, size_t count)
{
	const struct model_location *frames[PYMEM_MAX_FRAMES], *thread;
	struct pymem_counters counters = {.grown_pages = pick(1000),
					  .freed_pages = pick(1000),
					  .minor_faults = pick(100),
					  .major_faults = pick(3),
					  .cow_faults = pick(4)};
	struct pymem_vmcalls vmcalls = {.stall_ns = {pick(3) ? 0 : pick(1000000)}};
	unsigned depth = 1 + (pick(12) ? pick(6) : pick(PYMEM_MAX_FRAMES)), i;
	uint64_t resident = pick(50);
	int64_t page = model->page_size;
	bool truncated = !pick(9);

	for (i = 0; i < depth; i++)
		frames[i] = places[pick(count)];
	counters.pages[PYMEM_ANON] = (int64_t)counters.grown_pages - (int64_t)counters.freed_pages;
	vmcalls.stalls[0] = vmcalls.stall_ns[0] ? 1 : 0;
	for (i = 0; i < PYMEM_EXTRA_COUNT; i++)
		vmcalls.extras[i] = pick(3) ? 0 : pick(100);
	assert_int_equal(model_add_stack(model, p, frames, depth, truncated, &counters, &vmcalls),
			 0);
	thread = pick(5) ? model_thread(model, pick(9), pick(3) ? "worker" : random_name()) : NULL;
	assert_int_equal(model_add_part(model, p, thread, frames, depth, truncated, &counters,
					&vmcalls, p->resident_known ? resident : 0),
			 0);
	add_random_events(model, p, frames, depth);
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

	model->stalls_known = model->cache_known = model->kernel_known = true;
	model->extras = PYMEM_EXTRA_HUGE | PYMEM_EXTRA_SWAP | PYMEM_EXTRA_WAITS;
	model->huge_page_bytes = 512 * PAGE;
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
		p->lost_stall_ns = pick(1000);
		for (j = 0; j < PYMEM_EXTRA_COUNT; j++)
			p->lost_extras[j] = pick(100);
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
		profile.model->threads_told = round % 3 == 0;
		fill_random(profile.model);
		if (round % 2)
			gather(profile.model);
		check_all(profile.model);
		profile_fini(&profile);
	}
}

/* --- many --- */

static void test_many(void **state)
{
	struct profile profile;
	struct rendered output;
	char name[64];
	clock_t begun;
	double seconds;
	size_t i;

	(void)state;
	profile_init(&profile);
	many_fill(profile.model, MANY_STACKS, MANY_STACKS, 1);
	for (i = 0; renderers[i]; i++) {
		if (!renderers[i]->stacks || renderers[i]->absent)
			continue;
		begun = clock();
		output = render(profile.model, renderers[i]->name, 0);
		seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
		print_message("# note: %s: 100,000 stacks of 24 frames in %.1f s, %zu KiB\n",
			      renderers[i]->name, seconds, output.size >> 10);
		assert_true(seconds < MANY_SECONDS);
		snprintf(name, sizeof(name), "many.%s", renderers[i]->name);
		many_keep(name, &output);
		free(output.text);
	}
	profile_fini(&profile);
}

#define PAGE_STACKS 20000
#define PAGE_BYTES  (3 << 20)

/* A page of 20,000 stacks goes into a mail. */
static void test_page_size(void **state)
{
	static const char *const formats[] = {"flamegraph", "html"};
	struct profile profile;
	struct rendered output;
	size_t i;

	(void)state;
	profile_init(&profile);
	many_fill(profile.model, PAGE_STACKS, PAGE_STACKS, 1);
	for (i = 0; i < 2 && !renderer_find(formats[i])->absent; i++) {
		output = render(profile.model, formats[i], 0);
		print_message("# note: %s: 20,000 stacks of 24 frames in %zu KiB\n", formats[i],
			      output.size >> 10);
		assert_in_range(output.size, 0, PAGE_BYTES);
		free(output.text);
	}
	profile_fini(&profile);
}

/* A metric without figures is named, with what would count it where that helps. */
static void test_missing(void **state)
{
	struct model model = {.extras = PYMEM_EXTRA_HUGE, .faults_unknown = true};
	char why[256] = "";

	(void)state;
	assert_false(render_metric_missing(&model, 0, true, why, sizeof(why)));
	assert_false(render_metric_missing(&model, RENDER_HUGE, true, why, sizeof(why)));
	assert_string_equal(why, "");
	assert_true(render_metric_missing(&model, RENDER_SWAP_WAIT, true, why, sizeof(why)));
	assert_non_null(strstr(why, "--metric swap-wait: this was not counted: record with "
				    "--events swap,"));
	assert_true(render_metric_missing(&model, RENDER_COPIED, false, why, sizeof(why)));
	assert_non_null(strstr(why, "--metric copied: this kernel does not tell of it"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agree),	      cmocka_unit_test(test_empty),
		cmocka_unit_test(test_ended),	      cmocka_unit_test(test_no_trees),
		cmocka_unit_test(test_frames),	      cmocka_unit_test(test_threads),
		cmocka_unit_test(test_thread_labels), cmocka_unit_test(test_threads_and_lines),
		cmocka_unit_test(test_random),	      cmocka_unit_test(test_many),
		cmocka_unit_test(test_page_size),     cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

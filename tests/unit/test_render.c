/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The renderers, compared with stored outputs, and with hostile profiles.
 *
 * Stored outputs are in tests/golden, or in PYMEM_GOLDEN_DIR. With PYMEM_GOLDEN_UPDATE=1 they are
 * written instead of compared: look at the difference before you keep it.
 * tests/unit/validate_json.py compares the JSON ones with the schema. */
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
#include "page_text.h"
#include "pprof_text.h"
#include "profile_functions.h"
#include "render/render_parts.h"

static struct rendered render(struct profile *profile, const char *format,
			      struct render_options options)
{
	struct rendered output = {0};
	FILE *out = open_memstream(&output.text, &output.size);

	assert_non_null(out);
	options.sources = source_cache_new(source_read_here);
	output.err = renderer_find(format)->emit(out, profile->model, &options);
	source_cache_free(options.sources);
	fclose(out);
	if (renderer_find(format)->page)
		page_to_data(&output);
	else if (renderer_find(format)->binary)
		pprof_to_text(&output);
	return output;
}

static const struct golden {
	const char *name, *format;
	bool hostile;
	/* Sorted by what is resident, by stalls: these are known. */
	struct render_options options;
} goldens[] = {
	{"table-unlimited.txt", "table", false, {.verbose = true}},
	{"table-200.txt", "table", false, {.width = 200, .verbose = true}},
	{"table-120.txt", "table", false, {.width = 120, .verbose = true}},
	{"table-80.txt", "table", false, {.width = 80, .verbose = true}},
	{"table-40.txt", "table", false, {.width = 40, .verbose = true}},
	{"table-live-100.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 100, .live = true, .top = 4}},
	{"table-color-100.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 100, .color = true, .top = 3}},
	{"table-freed-80.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 80, .sort = MODEL_SORT_FREED, .top = 2}},
	{"table-peak-60.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 60, .sort = MODEL_SORT_PEAK, .top = 2}},
	{"table-touched-120.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 120, .sort = MODEL_SORT_RESIDENT}},
	{"table-stalled-120.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 120, .sort = MODEL_SORT_STALLED}},
	{"table-cached-120.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 120, .sort = MODEL_SORT_CACHED}},
	{"table-cached-40.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 40, .top = 2, .sort = MODEL_SORT_CACHED}},
	{"table-extras-120.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 120, .sort = MODEL_SORT_GROWN}},
	{"functions-table-120.txt", "table", false, {.verbose = true, .width = 120}},
	{"functions-answer-100.txt", "table", false, {.width = 100, .top = 3}},
	{"functions-answer-60.txt", "table", false, {.width = 60, .top = 2}},
	{"functions-answer-40.txt", "table", false, {.width = 40, .top = 2}},
	{"functions-one-80.txt", "table", false, {.width = 80, .function = "sum_of_lists"}},
	{"functions-idle-60.txt", "table", false, {.width = 60, .function = "serve_forever"}},
	{"functions.json", "json", false, {0}},
	{"functions.csv", "csv", false, {0}},
	{"extras.json", "json", false, {.sort = MODEL_SORT_GROWN}},
	{"away.json", "json", false, {.sort = MODEL_SORT_GROWN}},
	{"cached.json", "json", false, {.sort = MODEL_SORT_CACHED}},
	{"cached.csv", "csv", false, {.sort = MODEL_SORT_CACHED}},
	{"table-kernel-120.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 120, .sort = MODEL_SORT_KERNEL}},
	{"kernel.json", "json", false, {.sort = MODEL_SORT_KERNEL}},
	{"memory.json", "json", false, {.sort = MODEL_SORT_KERNEL}},
	{"table-memory-120.txt",
	 "table",
	 false,
	 {.width = 120, .cgroup = true, .top = 20, .sort = MODEL_SORT_KERNEL}},
	{"table-memory-70.txt",
	 "table",
	 false,
	 {.verbose = true, .width = 70, .cgroup = true, .sort = MODEL_SORT_KERNEL}},
	{"table-memory-kernel-100.txt",
	 "table",
	 false,
	 {.width = 100, .top = 20, .sort = MODEL_SORT_KERNEL}},
	{"kernel.csv", "csv", false, {.sort = MODEL_SORT_KERNEL}},
	{"kernel.folded", "folded", false, {.sort = MODEL_SORT_KERNEL, .metric = RENDER_KERNEL}},
	{"kernel.flamegraph", "flamegraph", false, {.sort = MODEL_SORT_KERNEL}},
	{"cached.folded", "folded", false, {.sort = MODEL_SORT_CACHED, .metric = RENDER_CACHED}},
	{"extras.csv", "csv", false, {.sort = MODEL_SORT_GROWN}},
	{"extras-huge.folded", "folded", false, {.sort = MODEL_SORT_GROWN, .metric = RENDER_HUGE}},
	{"extras-swapped.folded",
	 "folded",
	 false,
	 {.sort = MODEL_SORT_GROWN, .metric = RENDER_SWAPPED_IN}},
	{"extras.html", "html", false, {.sort = MODEL_SORT_GROWN}},
	{"extras.speedscope", "speedscope", false, {.sort = MODEL_SORT_GROWN}},
	{"pprof-extras.txt", "pprof", false, {.sort = MODEL_SORT_GROWN}},
	{"pprof-kernel.txt", "pprof", false, {.sort = MODEL_SORT_KERNEL}},
	{"pprof-cached.txt", "pprof", false, {.sort = MODEL_SORT_CACHED}},
	{"stalled.json", "json", false, {.sort = MODEL_SORT_STALLED}},
	{"stalled.csv", "csv", false, {.sort = MODEL_SORT_STALLED}},
	{"stalled.folded", "folded", false, {.sort = MODEL_SORT_STALLED, .metric = RENDER_STALLED}},
	{"stalled.flamegraph", "flamegraph", false, {.sort = MODEL_SORT_STALLED}},
	{"touched.json", "json", false, {.sort = MODEL_SORT_RESIDENT}},
	{"table-hostile-100.txt", "table", true, {.width = 100, .verbose = true}},
	{"table-hostile-20.txt", "table", true, {.width = 20, .verbose = true}},
	{"function-unlimited.txt", "table", false, {.function = "sum_of_lists"}},
	{"function-120.txt", "table", false, {.width = 120, .function = "mprun_demo.py:load"}},
	{"function-80.txt", "table", false, {.width = 80, .function = "Store.load"}},
	{"function-40.txt", "table", false, {.width = 40, .function = "load"}},
	{"function-module.txt", "table", false, {.function = "<module>"}},
	{"profile.json", "json", false, {.width = 40, .top = 1}},
	{"hostile.json", "json", true, {0}},
	{"profile.csv", "csv", false, {0}},
	{"touched.csv", "csv", false, {.sort = MODEL_SORT_RESIDENT}},
	{"hostile.csv", "csv", true, {0}},
	{"grown.folded", "folded", false, {0}},
	{"net.folded", "folded", false, {.metric = RENDER_NET}},
	{"copied.folded", "folded", false, {.metric = RENDER_COPIED}},
	{"resident.folded",
	 "folded",
	 false,
	 {.sort = MODEL_SORT_RESIDENT, .metric = RENDER_RESIDENT}},
	{"hostile.folded", "folded", true, {0}},
	{"pprof.txt", "pprof", false, {0}},
	{"pprof-touched.txt", "pprof", false, {.sort = MODEL_SORT_RESIDENT}},
	{"pprof-hostile.txt", "pprof", true, {0}},
	{"profile.speedscope", "speedscope", false, {0}},
	{"hostile.speedscope", "speedscope", true, {0}},
	{"profile.openmetrics", "openmetrics", false, {.top = 3}},
	{"hostile.openmetrics", "openmetrics", true, {0}},
	{"profile.flamegraph", "flamegraph", false, {.metric = RENDER_COPIED}},
	{"touched.flamegraph", "flamegraph", false, {.sort = MODEL_SORT_RESIDENT}},
	{"hostile.flamegraph", "flamegraph", true, {0}},
	{"profile.html", "html", false, {.top = 1}},
	{"hostile.html", "html", true, {0}},
};

static void test_goldens(void **state)
{
	struct profile profile;
	struct rendered output;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
		if (renderer_find(goldens[i].format)->absent)
			continue;
		profile_init(&profile);
		if (goldens[i].hostile)
			profile_fill_hostile(&profile);
		else if (goldens[i].options.sort == MODEL_SORT_RESIDENT)
			profile_fill_touched(&profile);
		else if (goldens[i].options.sort == MODEL_SORT_STALLED)
			profile_fill_stalled(&profile);
		else if (strstr(goldens[i].name, "memory"))
			profile_fill_memory(&profile);
		else if (strstr(goldens[i].name, "functions"))
			profile_fill_functions(&profile);
		else if (strstr(goldens[i].name, "away"))
			profile_fill_away(&profile);
		else if (strstr(goldens[i].name, "extras"))
			profile_fill_extras(&profile);
		else if (goldens[i].options.sort == MODEL_SORT_CACHED)
			profile_fill_cached(&profile);
		else if (goldens[i].options.sort == MODEL_SORT_KERNEL)
			profile_fill_kernel(&profile);
		else
			profile_fill(&profile);
		output = render(&profile, goldens[i].format, goldens[i].options);
		golden_compare(goldens[i].name, &output);
		free(output.text);
		profile_fini(&profile);
	}
}

static void test_hostile(void **state)
{
	static const unsigned widths[] = {0, 40, 41, 57, 60, 79, 80, 99, 120, 133, 160, 200, 500};
	static const char *const functions[] = {NULL, HOSTILE_NAME};
	struct profile profile;
	struct rendered output;
	size_t w, f;

	(void)state;
	profile_init(&profile);
	profile_fill_hostile(&profile);
	for (w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
		for (f = 0; f < 2; f++) {
			output = render(&profile, "table",
					(struct render_options){.width = widths[w],
								.function = functions[f],
								.live = w % 2,
								.verbose = true});
			golden_harmless(&output, f ? 0 : widths[w]);
			/* Names of 10 KB, and marks without end, are bounded too. */
			assert_true(output.size < 40000);
			free(output.text);
		}
	}
	for (size_t i = 0; renderers[i]; i++) {
		if (renderers[i]->absent)
			continue;
		output = render(&profile, renderers[i]->name, (struct render_options){0});
		golden_harmless(&output, 0);
		free(output.text);
	}
	profile_fini(&profile);
}

static void test_widths(void **state)
{
	struct profile profile;
	struct rendered output;
	unsigned width;

	(void)state;
	profile_init(&profile);
	profile_fill(&profile);
	for (width = 40; width <= 220; width += 3) {
		output = render(&profile, "table",
				(struct render_options){.width = width, .verbose = true});
		golden_harmless(&output, width);
		free(output.text);
		output = render(&profile, "table",
				(struct render_options){.width = width, .function = "load"});
		golden_harmless(&output, width);
		free(output.text);
	}
	/* Too narrow to be useful, but it must not hang or crash. */
	for (width = 1; width < 40; width++) {
		output = render(&profile, "table",
				(struct render_options){.width = width, .verbose = true});
		golden_harmless(&output, 0);
		free(output.text);
	}
	profile_fini(&profile);
}

static void test_unknown_function(void **state)
{
	static const char *const unknown[] = {
		"nope",	 "Store", "rprun_demo.py:load", "demo.py:load", "mprun_demo.py:nope",
		":load", ""};
	struct profile profile;
	struct rendered output;
	size_t i;

	(void)state;
	profile_init(&profile);
	profile_fill(&profile);
	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		output = render(&profile, "table", (struct render_options){.function = unknown[i]});
		assert_int_equal(output.err, -ENOENT);
		assert_int_equal(output.size, 0);
		free(output.text);
	}
	output = render(&profile, "table",
			(struct render_options){.function = "app/mprun_demo.py:Store.load"});
	assert_int_equal(output.err, 0);
	free(output.text);
	profile_fini(&profile);
}

/* A difference between what the kernel reports and the sum of the figures is shown. */
static void test_imbalance(void **state)
{
	struct profile profile;
	struct rendered output;

	(void)state;
	profile_init(&profile);
	profile_fill(&profile);
	profile.model->processes[0]->rss_end_bytes += 25 * PAGE;
	output = render(&profile, "table", (struct render_options){.verbose = true});
	assert_non_null(strstr(output.text, "lost +0.9 MiB: +100 KiB is unaccounted for"));
	free(output.text);
	profile_fini(&profile);
}

static const struct model_location *place(struct profile *profile, const char *function, int line,
					  int first)
{
	return model_location(profile->model, "/srv/app/mprun_demo.py", function, line, first);
}

/* With the exact engine, the table is memory_profiler's own, column by column. Each source line has
 * one row. Comprehensions on it add to its runs, and to its increment if that is not part of the
 * function's own. */
#define LISTCOMP "sum_of_lists.<locals>.<listcomp>"

/* What the exact engine saw of the profile's function. */
static void add_runs(struct profile *profile)
{
	struct pymem_line
		calls = {.runs = 1, .usage_pages = 9984},
		/* One run inside another one, and 256 pages of an item outside the list. */
		lists = {.runs = 5,
			 .usage_pages = 18406,
			 .pages = 6600,
			 .once_pages = 6502,
			 .row_pages = 6502},
		items = {.runs = 1000000,
			 .usage_pages = 18400,
			 .pages = 6400,
			 .once_pages = 6400,
			 .row_pages = 256},
		frees = {.runs = 5,
			 .usage_pages = 11904,
			 .pages = -6502,
			 .once_pages = -6502,
			 .gc_pages = -6502,
			 .collections = 2},
		module = {.runs = 1, .usage_pages = 5000, .pages = 9, .once_pages = 9};
	struct model_process *p = profile->model->processes[0];

	model_add_runs(profile->model, p, place(profile, "sum_of_lists", 1, 1), &calls);
	model_add_runs(profile->model, p, place(profile, "sum_of_lists", 4, 1), &lists);
	model_add_runs(profile->model, p, place(profile, LISTCOMP, 4, 4), &items);
	model_add_runs(profile->model, p, place(profile, "sum_of_lists", 6, 1), &frees);
	/* The line on which the module ran the def does not belong to the function. */
	model_add_runs(profile->model, p, place(profile, "<module>", 1, 1), &module);
	assert_int_equal(model_compute(profile->model), 0);
}

static void test_lines_engine(void **state)
{
	static const char head[] =
		"Line #    Mem usage    Increment  Occurrences   Line Contents\n"
		"=============================================================\n";
	struct render_options options = {.function = "sum_of_lists"};
	struct profile profile;
	struct rendered output;

	(void)state;
	profile_init(&profile);
	profile_fill(&profile);
	add_runs(&profile);
	output = render(&profile, "table", options);
	assert_int_equal(output.err, 0);
	assert_non_null(strstr(output.text, head));
	assert_non_null(strstr(output.text, "\n     1     39.0 MiB      0.0 MiB           1   "));
	assert_non_null(strstr(output.text, "\n     2                                       "));
	assert_non_null(strstr(output.text, "\n     4     71.9 MiB     26.4 MiB     1000005   "));
	assert_non_null(strstr(output.text, "\n     6     46.5 MiB    -25.4 MiB           5   "));
	assert_non_null(
		strstr(output.text, "\n\nGarbage collections: -25.4 MiB on line 6 (2)\n\n"));
	free(output.text);
	output = render(&profile, "table", (struct render_options){.verbose = true});
	assert_non_null(strstr(output.text, "  Occurrences         GC      Total"));
	free(output.text);
	output = render(&profile, "table", (struct render_options){.function = LISTCOMP});
	assert_non_null(strstr(output.text, "\n     4     71.9 MiB     25.0 MiB     1000000   "));
	assert_null(strstr(output.text, "Garbage"));
	free(output.text);
	options.peak = true;
	output = render(&profile, "table", options);
	assert_non_null(strstr(output.text, "Increment          Peak  Occurrences   Line"));
	free(output.text);
	profile_fini(&profile);
}

/* If a function has too many lines, those that changed something are shown, wherever they are. */
static void test_long_function(void **state)
{
	const struct pymem_line nothing = {.runs = 3}, something = {.runs = 1,
								    .pages = 2560,
								    .once_pages = 2560,
								    .row_pages = 2560};
	struct render_options options = {.function = "big"};
	struct profile profile;
	struct model_process *p;
	struct rendered output;

	(void)state;
	profile_init(&profile);
	profile_fill(&profile);
	p = profile.model->processes[0];
	model_add_runs(profile.model, p, place(&profile, "big", 500, 500), &nothing);
	model_add_runs(profile.model, p, place(&profile, "big", 501, 500), &nothing);
	model_add_runs(profile.model, p, place(&profile, "big", 2147483647, 500), &something);
	model_add_runs(profile.model, p, place(&profile, "big", 30000, 500), &something);
	assert_int_equal(model_compute(profile.model), 0);
	output = render(&profile, "table", options);
	assert_int_equal(output.err, 0);
	assert_non_null(strstr(output.text, "\n   500      0.0 MiB      0.0 MiB           3   "));
	assert_null(strstr(output.text, "\n   501 "));
	assert_non_null(
		strstr(output.text, "   ...\n 30000      0.0 MiB     10.0 MiB           1   "));
	assert_non_null(strstr(output.text, "   ...\n2147483647      0.0 MiB     10.0 MiB "));
	assert_non_null(strstr(output.text, "\nMore than 20000 lines: those with an increment of "
					    "nothing are left out.\n"));
	free(output.text);
	profile_fini(&profile);
}

static void test_json_adds_up(void **state)
{
	struct profile profile;
	struct rendered output;
	json_t *root, *process, *line, *loss;
	json_int_t sum = 0, lost = 0;
	const char *name;
	size_t i;

	(void)state;
	profile_init(&profile);
	profile_fill(&profile);
	output = render(&profile, "json", (struct render_options){.top = 1});
	assert_int_equal(output.err, 0);
	root = json_loads(output.text, 0, NULL);
	assert_non_null(root);
	/* The process that changed most comes first, though it is a child of the other. */
	process = json_array_get(json_object_get(root, "processes"), 0);
	assert_int_equal(json_integer_value(json_object_get(process, "pid")), 4720);
	process = json_array_get(json_object_get(root, "processes"), 1);
	json_array_foreach(json_object_get(process, "lines"), i, line) sum +=
		json_integer_value(json_object_get(line, "increment_bytes"));
	json_object_foreach(json_object_get(process, "lost_bytes"), name, loss) lost +=
		json_integer_value(loss);
	assert_int_equal(json_array_size(json_object_get(process, "lines")),
			 9); /* -n does not matter */
	assert_int_equal(json_object_size(json_object_get(process, "lost_bytes")),
			 PYMEM_LOSS_COUNT);
	assert_int_equal(sum, json_integer_value(json_object_get(process, "charged_bytes")));
	assert_int_equal(sum + lost,
			 json_integer_value(json_object_get(process, "rss_end_bytes")) -
				 json_integer_value(json_object_get(process, "rss_start_bytes")));
	json_decref(root);
	free(output.text);
	profile_fini(&profile);
}

/* Processes that were gathered are in the table and in JSON as a sum. */
static void test_gathered(void **state)
{
	struct profile profile;
	struct rendered output;
	json_t *root, *rest;

	(void)state;
	profile_init(&profile);
	profile.model->gathered = (struct model_gathered){
		.processes = 1234,
		.change_bytes = 30 << 20,
		.charged_bytes = 25 << 20,
		.lost_bytes = {[PYMEM_LOSS_NO_FRAME] = 6 << 20, [PYMEM_LOSS_EXIT] = -(1 << 20)}};
	profile.model->unfolded = profile.model->gathered;
	output = render(&profile, "table", (struct render_options){.verbose = true});
	assert_string_equal(output.text, "and 1234 more processes, ended: change +30.0 MiB = "
					 "charged +25.0 MiB + lost +5.0 MiB\n");
	free(output.text);
	output = render(&profile, "table", (struct render_options){0});
	assert_string_equal(output.text, "and 1234 more processes, ended: change +30.0 MiB = "
					 "attributed +25.0 MiB + unattributed +5.0 MiB\n");
	free(output.text);
	output = render(&profile, "json", (struct render_options){0});
	root = json_loads(output.text, 0, NULL);
	rest = json_object_get(root, "ended");
	assert_int_equal(json_integer_value(json_object_get(rest, "processes")), 1234);
	assert_int_equal(json_integer_value(json_object_get(rest, "change_bytes")), 30 << 20);
	assert_int_equal(json_integer_value(json_object_get(rest, "charged_bytes")), 25 << 20);
	rest = json_object_get(rest, "lost_bytes");
	assert_int_equal(json_object_size(rest), PYMEM_LOSS_COUNT);
	assert_int_equal(json_integer_value(json_object_get(rest, "exit")), -(1 << 20));
	json_decref(root);
	free(output.text);
	profile_fini(&profile);
}

static void test_empty(void **state)
{
	struct profile profile;
	struct rendered output;

	(void)state;
	profile_init(&profile);
	output = render(&profile, "table", (struct render_options){0});
	assert_string_equal(output.text, "no process was profiled\n");
	free(output.text);
	output = render(&profile, "json", (struct render_options){0});
	assert_non_null(strstr(output.text, "\"processes\":[]"));
	free(output.text);
	profile_fini(&profile);
}

/* A full disk is an error of the renderer, even if the stream has buffered its output. */
static void test_stream_errors(void **state)
{
	static const char *const functions[] = {NULL, "sum_of_lists"};
	struct profile profile;
	struct render_options options = {0};
	char small[16];
	FILE *out;
	size_t i, f, buffered;

	(void)state;
	profile_init(&profile);
	profile_fill(&profile);
	for (i = 0; renderers[i]; i++) {
		for (f = 0; f < 2; f++) {
			for (buffered = 0; buffered < 3; buffered++) {
				out = fopen("/dev/full", "w");
				assert_non_null(out);
				if (buffered < 2)
					setvbuf(out, buffered ? small : NULL,
						buffered ? _IOFBF : _IONBF,
						buffered ? sizeof(small) : 0);
				options.function = functions[f];
				assert_int_equal(renderers[i]->emit(out, profile.model, &options),
						 -ENOSPC);
				fclose(out);
			}
		}
	}
	profile_fini(&profile);
}

static bool has_golden(const char *format, bool hostile)
{
	size_t i;

	for (i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
		if (!strcmp(goldens[i].format, format) && goldens[i].hostile == hostile)
			return true;
	}
	return false;
}

/* Each format is found by its name, which no other has, and has outputs to compare with. */
static void test_registry(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; renderers[i]; i++) {
		assert_ptr_equal(renderer_find(renderers[i]->name), renderers[i]);
		if (!has_golden(renderers[i]->name, false) || !has_golden(renderers[i]->name, true))
			fail_msg("%s: no golden output, or none of the hostile profile",
				 renderers[i]->name);
	}
	assert_ptr_equal(renderer_find("table"), &render_table);
	assert_ptr_equal(renderer_find("json"), &render_json);
	assert_null(renderer_find("yaml"));
	assert_null(renderer_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goldens),	      cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_widths),	      cmocka_unit_test(test_unknown_function),
		cmocka_unit_test(test_imbalance),     cmocka_unit_test(test_lines_engine),
		cmocka_unit_test(test_long_function), cmocka_unit_test(test_json_adds_up),
		cmocka_unit_test(test_gathered),      cmocka_unit_test(test_empty),
		cmocka_unit_test(test_stream_errors), cmocka_unit_test(test_registry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

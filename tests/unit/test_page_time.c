/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a page has of time and of looks at heaps: sums, shapes, and texts that nobody may trust. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "model/timeline.h"
#include "page_text.h"
#include "record/recording_heap.h"
#include "render/render.h"

#define PAGE   4096
#define SLICES 4
#define MARKS  7
#define EVIL   "\033]0;owned\a</script><img src=x>\xe2\x80\xae\xff[']"

struct fixture {
	struct model *model;
	struct model_process *processes[2];
	size_t nodes[3]; /* load of the first process, its caller, load of the second */
	struct timeline timeline;
	struct timeline_process timed[2];
	struct timeline_level levels[2][SLICES];
	int64_t pss[SLICES], peak[2][SLICES], most[2][SLICES];
	struct timeline_cgroup cgroup;
	int64_t current[SLICES], limit[SLICES];
	struct timeline_change changes[16];
	struct timeline_mark marks[MARKS];
	struct heap_times heap;
};

#define STALLED_NS 1001 /* for each page that a stack grew */

static char *const argv[] = {"python3", "app.py", NULL};

static void add_stack(struct fixture *f, int process, bool inner, int grown, int freed)
{
	const struct model_location *frames[2];
	struct pymem_counters counters = {.grown_pages = (uint64_t)grown,
					  .freed_pages = (uint64_t)freed,
					  .minor_faults = (uint64_t)grown,
					  .cow_faults = (uint64_t)freed};
	const struct pymem_vmcalls vmcalls = {
		.stall_ns = {[PYMEM_STALL_MEMCG] = (uint64_t)grown * STALLED_NS}};
	struct model *model = f->model;
	size_t *node = &f->nodes[process ? 2 : inner ? 0 : 1];
	unsigned depth = inner ? 2 : 1;

	counters.pages[PYMEM_ANON] = grown - freed;
	frames[depth - 1] = model_location(model, "/home/alice/app.py", "main", 30, 28);
	if (inner)
		frames[0] = model_location(model, "/home/alice/app.py", "load", 12, 10);
	assert_int_equal(model_add_stack(model, f->processes[process], frames, depth, false,
					 &counters, &vmcalls),
			 0);
	assert_int_equal(model_compute(model), 0);
	*node = model_find_node(model, f->processes[process], NULL, frames, depth);
	assert_true(*node);
}

static void add_change(struct fixture *f, int process, int node, uint32_t slice, int64_t grown,
		       int64_t freed)
{
	f->changes[f->timeline.change_count++] = (struct timeline_change){
		.process = f->processes[process],
		.node = node < 0 ? 0 : f->nodes[node],
		.slice = slice,
		.grown_bytes = (uint64_t)(grown * PAGE),
		.freed_bytes = (uint64_t)(freed * PAGE),
		.cow_faults = (uint64_t)freed,
		.faults = (uint64_t)grown,
		.peak_bytes = grown > 0 ? (uint64_t)(100 + grown) * PAGE : 0,
		.stalled_ns = (uint64_t)(grown * STALLED_NS),
	};
}

static void fill_marks(struct fixture *f)
{
	static char why[] = EVIL " is not known";
	const struct timeline_mark marks[] = {
		{.event = TIMELINE_BEGIN, .process = f->processes[1], .cgroup = SIZE_MAX},
		{.event = TIMELINE_OOM},
		{.event = TIMELINE_END, .process = f->processes[1], .cgroup = SIZE_MAX},
		{.event = TIMELINE_GC,
		 .process = f->processes[1],
		 .cgroup = SIZE_MAX,
		 .count = 3,
		 .more = 40},
		{.event = TIMELINE_RECLAIM,
		 .group_length = strlen("/secret.folder/" EVIL),
		 .count = 5,
		 .more = 6},
		{.event = TIMELINE_HOST_RECLAIM, .cgroup = SIZE_MAX, .count = 7},
		{.event = TIMELINE_UNSEEN,
		 .process = f->processes[0],
		 .cgroup = SIZE_MAX,
		 .text = why},
	};

	memcpy(f->marks, marks, sizeof(f->marks));
	for (int i = 0; i < MARKS; i++)
		f->marks[i].time = 1700000001.5 + i / 4.0;
}

static void fill_timeline(struct fixture *f)
{
	f->timeline = (struct timeline){.start = 1700000000.5,
					.end = 1700000004.5,
					.slices = SLICES,
					.processes = f->timed,
					.process_count = 2,
					.cgroups = &f->cgroup,
					.cgroup_count = 1,
					.changes = f->changes,
					.marks = f->marks,
					.mark_count = MARKS};
	for (int i = 0; i < 2; i++)
		f->timed[i] = (struct timeline_process){.process = f->processes[i],
							.levels = f->levels[i],
							.peak_bytes = f->peak[i],
							.most_bytes = f->most[i],
							.peak_before_bytes = i ? -1 : 90 * PAGE,
							.cgroup = i ? SIZE_MAX : 0};
	f->timed[0].pss_bytes = f->pss;
	for (int i = 0; i < SLICES; i++) {
		f->pss[i] = i == 2 ? -1 : 60000 + i;
		for (int p = 0; p < 2; p++) {
			f->peak[p][i] = p && !i ? -1 : (120 + i) * PAGE;
			f->most[p][i] = p && !i ? -1 : (110 + i / 2) * PAGE;
		}
		f->levels[0][i] = (struct timeline_level){(100 + i / 2) * PAGE, 7 * PAGE, 0, 0};
		f->levels[1][i] = i ? (struct timeline_level){50 * PAGE, i * PAGE, PAGE, 3 * PAGE}
				    : (struct timeline_level){-1, -1, -1, -1};
		f->current[i] = 1000 + i;
		f->limit[i] = i ? 1 << 30 : -1;
	}
	f->cgroup = (struct timeline_cgroup){"/secret.folder/" EVIL "/api.service", f->current,
					     f->limit};
	fill_marks(f);
	add_change(f, 0, 0, 0, 5, 1);
	add_change(f, 0, -1, 0, 99, 0);
	add_change(f, 0, 0, 2, 4, 0);
	add_change(f, 0, 1, 2, 1, 0);
	/* Given back: only the sum is above zero. */
	add_change(f, 0, 0, 3, -2, 2);
	add_change(f, 1, 2, 1, 8, 0);
	add_change(f, 1, 2, 3, 0, 6);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->model = model_new(PAGE);
	f->model->trees_kept = true;
	f->processes[0] =
		model_add_process(f->model, 10, 1, "app", argv, "/api.service", "3.11.2", "walk");
	f->processes[1] = model_add_process(f->model, 11, 10, EVIL, argv, NULL, "3.11.2", "walk");
	f->processes[1]->id = 1;
	add_stack(f, 0, true, 7, 3);
	add_stack(f, 0, false, 1, 0);
	add_stack(f, 1, true, 8, 6);
	for (int i = 0; i < 2; i++)
		f->processes[i]->rss_end_bytes = 5 * PAGE;
	fill_timeline(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	model_free(f->model);
	heap_times_fini(&f->heap);
	free(f);
	return 0;
}

/* The page's data. The caller frees them. */
static json_t *data_of(struct fixture *f, const struct render_options *options)
{
	struct rendered output = {0};
	FILE *out = open_memstream(&output.text, &output.size);
	json_t *data;

	assert_non_null(out);
	assert_int_equal(renderer_find("html")->emit(out, f->model, options), 0);
	fclose(out);
	page_to_data(&output);
	data = json_loads(output.text, 0, NULL);
	assert_non_null(data);
	free(output.text);
	return data;
}

static json_t *timed_data(struct fixture *f)
{
	const struct render_options options = {.timeline = &f->timeline, .heap_times = &f->heap};

	return data_of(f, &options);
}

static json_int_t number(const json_t *list, size_t i)
{
	assert_true(i < json_array_size(list));
	return json_integer_value(json_array_get(list, i));
}

static const json_t *in(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!value)
		fail_msg("%s is missing", name);
	return value;
}

/* What a metric has of each frame. */
static void take_figures(const json_t *data, const char *metric, int64_t sums[16])
{
	const json_t *figures = in(in(data, "figures"), metric), *at = in(figures, "at");
	json_int_t frame = 0;

	memset(sums, 0, 16 * sizeof(*sums));
	for (size_t i = 0; i < json_array_size(at); i++) {
		frame += number(at, i);
		assert_true(frame >= 0 && frame < 16);
		sums[frame] += number(in(figures, "amount"), i);
	}
}

/* What the changes of a name add up to. */
static void take_changes(const json_t *data, const char *name, int64_t sums[16])
{
	const json_t *process, *processes = in(in(data, "time"), "processes");
	size_t i, j;

	memset(sums, 0, 16 * sizeof(*sums));
	json_array_foreach((json_t *)processes, i, process)
	{
		const json_t *changes = in(process, "changes"), *frames = in(changes, "frame");
		json_int_t frame = 0;

		assert_int_equal(json_array_size(in(changes, "slice")), json_array_size(frames));
		for (j = 0; j < json_array_size(frames); j++) {
			frame += number(frames, j);
			assert_true(frame >= 0 && frame < 16);
			sums[frame] += number(in(changes, name), j);
		}
	}
}

static void test_sums(void **state)
{
	static const char *const names[] = {"grown", "freed", "copied", "faults", "stalled"};
	int64_t wanted[16], found[16], all = 0;
	json_t *data = timed_data(*state);

	for (size_t i = 0; i < 5; i++) {
		take_figures(data, names[i], wanted);
		take_changes(data, names[i], found);
		assert_memory_equal(wanted, found, sizeof(wanted));
		for (int j = 0; j < 16; j++)
			all += found[j];
	}
	/* What has no frames is in none of them. */
	assert_int_equal(all, 16 + 9 + 9 + 16 + 16 * STALLED_NS);
	json_decref(data);
}

/* The level of a slice, unpacked. */
static int64_t level(const json_t *process, const char *kind, json_int_t wanted)
{
	const json_t *steps = in(process, kind);
	json_int_t slice = 0, now = -1;

	for (size_t i = 0; i < json_array_size(steps); i += 2) {
		slice += number(steps, i);
		if (slice > wanted)
			break;
		now += number(steps, i + 1);
	}
	return now;
}

static void test_levels(void **state)
{
	struct fixture *f = *state;
	json_t *data = timed_data(f);
	const json_t *time = in(data, "time"), *cgroup = json_array_get(in(time, "cgroups"), 0);

	assert_int_equal(json_integer_value(in(time, "slices")), SLICES);
	for (int p = 0; p < 2; p++)
		for (int i = 0; i < SLICES; i++) {
			const json_t *process = json_array_get(in(time, "processes"), (size_t)p);
			const struct timeline_level *at = &f->levels[p][i];

			assert_int_equal(level(process, "anon", i),
					 at->anon < 0 ? -1 : at->anon / PAGE);
			assert_int_equal(level(process, "file", i),
					 at->file < 0 ? -1 : at->file / PAGE);
			assert_int_equal(level(process, "swap", i),
					 at->swap < 0 ? -1 : at->swap / PAGE);
		}
	for (int i = 0; i < SLICES; i++) {
		assert_int_equal(level(cgroup, "current", i), f->current[i]);
		assert_int_equal(level(cgroup, "limit", i), f->limit[i]);
	}
	assert_string_equal(json_string_value(in(cgroup, "name")), "api.service");
	json_decref(data);
}

/* PSS is there where it is known, in bytes. */
static void test_pss_and_peaks(void **state)
{
	struct fixture *f = *state;
	json_t *data = timed_data(f);
	const json_t *processes = in(in(data, "time"), "processes");
	const json_t *first = json_array_get(processes, 0), *second = json_array_get(processes, 1);

	for (int i = 0; i < SLICES; i++) {
		assert_int_equal(level(first, "pss", i), f->pss[i]);
		assert_int_equal(level(first, "peak", i), 120 + i);
		assert_int_equal(level(second, "most", i), i ? 110 + i / 2 : -1);
	}
	assert_null(json_object_get(second, "pss"));
	assert_int_equal(json_integer_value(in(first, "peak_before")), 90);
	assert_null(json_object_get(second, "peak_before"));
	json_decref(data);
}

/* Peaks of lines are in a page only if all of them are known; what was before, of a part. */
static void test_peaks_of_changes(void **state)
{
	struct fixture *f = *state;
	const json_t *changes;
	json_t *data = timed_data(f);

	changes = in(json_array_get(in(in(data, "time"), "processes"), 0), "changes");
	assert_null(json_object_get(changes, "peak"));
	json_decref(data);
	f->timeline.peaks_known = true;
	data = timed_data(f);
	changes = in(json_array_get(in(in(data, "time"), "processes"), 0), "changes");
	assert_int_equal(number(in(changes, "peak"), 0), 105);
	assert_int_equal(number(in(changes, "peak"), 3), 0);
	assert_null(json_object_get(changes, "peak_before"));
	json_decref(data);
	f->changes[2].peak_before_bytes = 70 * PAGE;
	data = timed_data(f);
	changes = in(json_array_get(in(in(data, "time"), "processes"), 0), "changes");
	assert_int_equal(number(in(changes, "peak_before"), 1), 70);
	json_decref(data);
}

static void test_marks(void **state)
{
	json_t *data = timed_data(*state);
	const json_t *marks = in(in(data, "time"), "marks"), *oom = json_array_get(marks, 1);

	assert_int_equal(json_array_size(marks), MARKS);
	assert_string_equal(json_string_value(in(json_array_get(marks, 0), "event")), "begin");
	assert_string_equal(json_string_value(in(oom, "event")), "oom");
	assert_true(json_is_null(in(oom, "process")));
	assert_int_equal(json_integer_value(in(oom, "cgroup")), 0);
	assert_true(json_integer_value(in(oom, "time")) == 1700000001750000);
	json_decref(data);
}

static void test_counted_marks(void **state)
{
	json_t *data = timed_data(*state);
	const json_t *marks = in(in(data, "time"), "marks"), *mark = json_array_get(marks, 3);
	const char *text;

	assert_string_equal(json_string_value(in(mark, "event")), "gc");
	assert_int_equal(json_integer_value(in(mark, "process")), 1);
	assert_int_equal(json_integer_value(in(mark, "count")), 3);
	assert_int_equal(json_integer_value(in(mark, "more")), 40);
	/* The group at its limit is above the only one that is known. */
	mark = json_array_get(marks, 4);
	assert_string_equal(json_string_value(in(mark, "event")), "reclaim");
	assert_int_equal(json_integer_value(in(mark, "count")), 5);
	assert_int_equal(json_integer_value(in(mark, "more")), 6);
	assert_int_equal(json_array_size(in(mark, "groups")), 1);
	assert_int_equal(json_integer_value(json_array_get(in(mark, "groups"), 0)), 0);
	text = json_string_value(in(mark, "group"));
	assert_true(*text && !strchr(text, '\033') && !strstr(text, "secret"));
	mark = json_array_get(marks, 5);
	assert_string_equal(json_string_value(in(mark, "event")), "host-reclaim");
	assert_int_equal(json_integer_value(in(mark, "count")), 7);
	mark = json_array_get(marks, 6);
	assert_string_equal(json_string_value(in(mark, "event")), "unseen");
	assert_non_null(strstr(json_string_value(in(mark, "text")), "is not known"));
	assert_null(json_object_get(mark, "count"));
	json_decref(data);
}

static void test_unknown(void **state)
{
	struct render_options options = {0};
	struct fixture *f = *state;
	json_t *data = data_of(f, &options);

	assert_null(json_object_get(data, "time"));
	assert_null(json_object_get(data, "heap"));
	json_decref(data);
	/* No look was made. */
	data = timed_data(f);
	assert_null(json_object_get(data, "heap"));
	json_decref(data);
}

/* Nothing of a host's folders, and no key of a dict. */
static void test_redacted(void **state)
{
	static const char json[] =
		"{\"processes\":[{\"rss_bytes\":4096,\"verdict\":\"put there by "
		"/home/alice/x.py:3\","
		"\"holders\":[{\"path\":\"app.USERS['bob@example.com'].name\",\"type\":\"dict\","
		"\"retained_bytes\":9}]}]}";
	struct fixture *f = *state;
	struct render_options options = {
		.timeline = &f->timeline, .heap_times = &f->heap, .redacted = true};
	json_t *data;
	char *text;

	assert_int_equal(recording_heap_read(&f->heap, f->processes[0], 1.5, json, strlen(json)),
			 0);
	assert_int_equal(model_redact(f->model, NULL), 0);
	data = data_of(f, &options);
	text = json_dumps(data, 0);
	assert_null(strstr(text, "alice"));
	assert_null(strstr(text, "bob"));
	assert_null(strstr(text, "secret.folder"));
	assert_non_null(strstr(text, "app.USERS["));
	free(text);
	json_decref(data);
}

/* --- looks --- */

static void read_text(struct fixture *f, const char *text)
{
	assert_int_equal(recording_heap_read(&f->heap, f->processes[0], 1.5, text, strlen(text)),
			 0);
}

static void test_looks(void **state)
{
	char text[16384];
	struct fixture *f = *state;
	int length =
		snprintf(text, sizeof(text),
			 "{\"processes\":[{\"rss_bytes\":8192,\"verdict\":\"Grows.\",\"balance\":"
			 "{\"objects\":4096,\"files\":4096},\"types\":[");
	json_t *data;
	const json_t *look;

	/* In any order, more than are kept. */
	for (int i = 0; i < 100; i++)
		length += snprintf(text + length, sizeof(text) - (size_t)length,
				   "%s{\"type\":\"t%d\",\"objects\":%d,\"bytes\":%d}", i ? "," : "",
				   i * 37 % 100, i + 1, 1 + i * 37 % 100);
	snprintf(text + length, sizeof(text) - (size_t)length,
		 "],\"holders\":[{\"path\":\"a.B\",\"type\":\"t99\",\"entries\":null,"
		 "\"retained_bytes\":5},{\"path\":\"a.C\",\"type\":\"list\",\"entries\":0,"
		 "\"retained_bytes\":6}]}]}");
	read_text(f, text);
	assert_int_equal(f->heap.looks[0].type_count, HEAP_TIMES_ROWS);
	for (size_t i = 0; i < HEAP_TIMES_ROWS; i++)
		assert_int_equal(f->heap.looks[0].types[i].bytes, 100 - i);
	assert_int_equal(f->heap.looks[0].holders[0].entries, 0);
	assert_int_equal(f->heap.looks[0].holders[1].entries, -1);
	data = timed_data(f);
	look = json_array_get(in(in(data, "heap"), "looks"), 0);
	assert_int_equal(json_array_size(in(look, "types")), 3 * HEAP_TIMES_ROWS);
	assert_string_equal(
		json_string_value(json_array_get(in(in(data, "heap"), "names"),
						 (size_t)number(in(look, "holders"), 0))),
		"a.C");
	assert_string_equal(json_string_value(in(look, "verdict")), "Grows.");
	assert_int_equal(json_integer_value(in(in(look, "balance"), "files")), 4096);
	json_decref(data);
}

static void test_hostile_looks(void **state)
{
	static const char *const refused[] = {
		"",
		"[",
		"null",
		"{}",
		"[1]",
		"{\"processes\":{}}",
		"{\"processes\":[]}",
		"{\"processes\":[7]}",
		"{\"processes\":[{}]}",
		"{\"processes\":[{\"rss_bytes\":-1}]}",
		"{\"processes\":[{\"rss_bytes\":9223372036854775807}]}",
		"{\"processes\":[{\"rss_bytes\":1e300}]}",
		"{\"processes\":[{\"rss_bytes\":\"1\"}]}",
		"\xff\xfe",
		"{\"processes\":[{\"rss_bytes\":1,\"verdict\":\"\\u0000\"}]}"};
	static const char taken[] =
		"{\"processes\":[{\"rss_bytes\":1,\"verdict\":[],\"balance\":7,\"types\":{\"a\":1},"
		"\"holders\":[1,null,{},{\"path\":7,\"retained_bytes\":5,\"entries\":-4},"
		"{\"path\":\"\\u001b</script>\\u202e\",\"type\":{},\"retained_bytes\":-1},"
		"{\"path\":\"\\u001b</script>\\u202e\",\"type\":[],\"retained_bytes\":1}]}]}";
	struct fixture *f = *state;
	size_t i, count = sizeof(refused) / sizeof(refused[0]), size = 9u << 20;
	char *deep = malloc(size);
	json_t *data;

	for (i = 0; i < count; i++) {
		read_text(f, refused[i]);
		assert_int_equal(f->heap.unreadable, i + 1);
	}
	memset(deep, '[', size);
	for (size_t length = 1000; length <= size; length *= 100)
		assert_int_equal(recording_heap_read(&f->heap, f->processes[0], 1, deep, length),
				 0);
	assert_int_equal(recording_heap_read(&f->heap, f->processes[0], 1, deep, size), 0);
	free(deep);
	assert_int_equal(f->heap.look_count, 0);
	read_text(f, taken);
	assert_int_equal(f->heap.look_count, 1);
	assert_int_equal(f->heap.looks[0].holder_count, 2);
	assert_int_equal(f->heap.looks[0].holders[0].entries, 0);
	/* page_to_data() refuses what is not harmless. */
	data = timed_data(f);
	assert_true(json_integer_value(in(in(data, "heap"), "unreadable")) > (json_int_t)count);
	json_decref(data);
}

/* Of a look only the largest rows are kept, in whatever order they come, and the names of no
 * others: a recording may be made of nothing but names. */
static void test_many_names(void **state)
{
	struct fixture *f = *state;
	size_t i, size, count = 4000;
	struct heap_times *times = &f->heap;
	char *json;
	FILE *out = open_memstream(&json, &size);

	assert_non_null(out);
	fputs("{\"processes\":[{\"rss_bytes\":1,\"types\":[", out);
	for (i = 1; i <= count; i++)
		fprintf(out, "%s{\"type\":\"t%zu\",\"bytes\":%zu}", i > 1 ? "," : "", i, i);
	fputs("],\"holders\":[", out);
	for (i = 1; i <= count / 10; i++)
		fprintf(out, "%s{\"path\":\"p%zu\",\"type\":\"h\",\"retained_bytes\":%zu}",
			i > 1 ? "," : "", i, i);
	fputs("]}]}", out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(recording_heap_read(times, f->processes[0], 1, json, size), 0);
	free(json);
	assert_int_equal(times->look_count, 1);
	assert_int_equal(times->name_count, 2 * HEAP_TIMES_ROWS + 1);
	assert_string_equal(times->names[times->looks[0].types[0].type], "t4000");
	assert_string_equal(times->names[times->looks[0].holders[29].path], "p371");
	assert_false(heap_times_is_full(times));
	while (!heap_times_is_full(times))
		assert_non_null(heap_times_add(times));
	assert_int_equal(times->look_count, HEAP_TIMES_MOST);
}

static void test_names(void **state)
{
	struct heap_times times = {0};
	char longer[3000];

	(void)state;
	assert_int_equal(heap_times_name(&times, "a"), 0);
	assert_int_equal(heap_times_name(&times, "b"), 1);
	assert_int_equal(heap_times_name(&times, "a"), 0);
	/* "ü" would be cut in its middle. */
	memset(longer, 'x', HEAP_TIMES_NAME - 1);
	strcpy(longer + HEAP_TIMES_NAME - 1, "\xc3\xbc"
					     "more");
	assert_int_equal(heap_times_name(&times, longer), 2);
	assert_int_equal(strlen(times.names[2]), HEAP_TIMES_NAME - 1);
	heap_times_fini(&times);
}

static void test_thinned(void **state)
{
	(void)state;
	for (size_t count = 0; count < 300; count++)
		for (size_t kept = 2; kept < 60; kept++) {
			size_t found = 0;

			for (size_t i = 0; i < count; i++)
				found += heap_times_keeps(i, count, kept);
			assert_int_equal(found, count < kept ? count : kept);
			if (count) {
				assert_true(heap_times_keeps(0, count, kept));
				assert_true(heap_times_keeps(count - 1, count, kept));
			}
		}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_sums),	  TEST(test_levels),
		TEST(test_pss_and_peaks), TEST(test_peaks_of_changes),
		TEST(test_marks),	  TEST(test_counted_marks),
		TEST(test_unknown),	  TEST(test_redacted),
		TEST(test_looks),	  TEST(test_hostile_looks),
		TEST(test_names),	  TEST(test_many_names),
		TEST(test_thinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

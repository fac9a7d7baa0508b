/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/: looks at heaps, read back from what `heap` printed, and the report that is made of the
 * first and the last one of a process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

#include "heap_looks.h"
#include "record/look_read.h"
#include "record/recording_heap.h"
#include "record_fixture.h"
#include "render/heap_render.h"

/* The look as `heap --format json` prints it. The caller frees it. */
static char *json_of(struct heap_look *look)
{
	struct heap_report report = {
		.host = "h", .kernel = "k", .version = "v", .looks = &look, .look_count = 1};
	const struct render_options options = {};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(heap_renderer_find("json")->emit(out, &report, &options), 0);
	fclose(out);
	return text;
}

/* --- one look --- */

/* All of a look of one census that is printed is read back. */
static void test_round_trip(void **state)
{
	struct heap_look *(*const makers[])(void) = {look_live, look_fragmented, look_untrimmed,
						     look_opaque};

	(void)state;
	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		struct heap_look *look = makers[i](), *read;
		char *json, *again, *verdict;

		look->seconds = 0;
		look->gc_known = look->gc_enabled = true;
		look->generation_count = 3;
		look->generations[2] = (struct heap_generation){1, 10, 2, 55, 4};
		look->gc_frozen = 7;
		look->gc_uncollectable = 8;
		if (look->holder_count) {
			look->holders[0].shared_by = looks_copy("a.B and c.D");
			look->holders[0].is_local = look->holders[0].is_temporary = true;
			look->holders[0].is_unreached = true;
		}
		assert_int_equal(heap_look_say(&look->notes, "a note of %d", 1), 0);
		assert_int_equal(heap_look_say(&look->skipped, "a mapping"), 0);
		json = json_of(look);
		read = look_read(json, strlen(json), &verdict);
		assert_non_null(read);
		assert_non_null(strstr(verdict, "live"));
		again = json_of(read);
		assert_string_equal(again, json);
		free(json);
		free(again);
		free(verdict);
		heap_look_free(look);
		heap_look_free(read);
	}
}

/* What no `heap` prints: refused, or taken without what is impossible. */
static void test_hostile(void **state)
{
	static const char *const refused[] = {
		"",
		"[]",
		"{}",
		"{\"processes\":[]}",
		"{\"processes\":[3]}",
		"{\"processes\":[{\"rss_bytes\":0}]}",
		"{\"processes\":[{\"rss_bytes\":-5}]}",
		"{\"processes\":[{\"rss_bytes\":1e300}]}",
		"{\"processes\":[{\"rss_bytes\":99999999999999999}]}"};
	static const char taken[] =
		"{\"processes\":[{\"rss_bytes\":5,\"pid\":-3,\"python\":[],\"comm\":{},\"gc\":7,"
		"\"pools\":{\"by_fullness\":[1,-1,\"x\",4,5,6,7,8,9,10,11,12],\"pinned_by\":3},"
		"\"types\":{\"a\":1},\"holders\":[{\"retained_bytes\":3},[],{\"path\":4}],"
		"\"notes\":[1,\"%n%s\"],\"cmdline\":\"x\",\"verdict\":null}]}";
	struct heap_look *look;
	char *verdict, *json;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		errno = 0;
		assert_null(look_read(refused[i], strlen(refused[i]), &verdict));
		assert_int_equal(errno, EINVAL);
		assert_null(verdict);
	}
	look = look_read(taken, strlen(taken), &verdict);
	assert_non_null(look);
	assert_int_equal(look->pid, 0);
	assert_string_equal(look->python, "");
	assert_string_equal(look->comm, "");
	assert_false(look->gc_known);
	assert_int_equal(look->pools_by_fullness[1], 0);
	assert_int_equal(look->pools_by_fullness[9], 10);
	assert_int_equal(look->type_count + look->pin_count, 0);
	assert_int_equal(look->holder_count, 1);
	assert_string_equal(look->holders[0].path, "");
	assert_string_equal(look->notes[0], "%n%s");
	assert_null(look->notes[1]);
	assert_string_equal(verdict, "");
	json = json_of(look);
	assert_non_null(strstr(json, "\"pid\":0"));
	free(json);
	free(verdict);
	heap_look_free(look);
}

/* Long texts are cut between characters. */
static void test_long(void **state)
{
	struct heap_look *look = look_live(), *read;
	char name[4 * LOOK_READ_NAME + 2], *json, *verdict;

	(void)state;
	name[0] = 'x'; /* so that the limit is within an "é" */
	for (size_t i = 0; i < 2 * LOOK_READ_NAME; i++)
		memcpy(name + 1 + 2 * i, "é", 2);
	name[sizeof(name) - 1] = '\0';
	look_holder(look, name, name, 3, 0, MIB, 0);
	json = json_of(look);
	read = look_read(json, strlen(json), &verdict);
	assert_non_null(read);
	assert_int_equal(strlen(read->holders[1].path), LOOK_READ_NAME - 1);
	assert_memory_equal(read->holders[1].path, name, LOOK_READ_NAME - 1);
	free(json);
	free(verdict);
	heap_look_free(look);
	heap_look_free(read);
}

/* --- of a recording --- */

static void add_text(struct run *run, uint32_t image, double seconds, const char *json)
{
	uLongf size = compressBound(strlen(json));
	Bytef *packed = malloc(size);

	assert_non_null(packed);
	assert_int_equal(compress(packed, &size, (const Bytef *)json, strlen(json)), Z_OK);
	recorder_add_look(run->recorder, image, RUN_START + seconds, packed, size, strlen(json));
	free(packed);
}

/* Adds the look, and frees it. */
static void add_look(struct run *run, uint32_t image, double seconds, struct heap_look *look)
{
	char *json = json_of(look);

	add_text(run, image, seconds, json);
	free(json);
	heap_look_free(look);
}

/* `entries` of 1 KiB in m.CACHE, beside what is always there. */
static struct heap_look *cache_of(int64_t entries)
{
	struct heap_look *look = look_new(0);

	look->balance = (struct heap_balance){.objects = (uint64_t)(20 * MIB + entries * KIB),
					      .pool_free = MIB,
					      .files = 9 * MIB};
	look_sum(look);
	look->garbage_bytes = (uint64_t)(entries * 10);
	if (entries)
		look_holder(look, "m.CACHE", "dict", entries, 0, entries * KIB, 0);
	look_holder(look, "m.TABLE", "list", 9, 0, 20 * MIB, 0);
	look_type(look, "str", 1000, 0, 20 * MIB, 0);
	if (entries)
		look_type(look, "bytes", (uint64_t)entries, 0, entries * KIB, 0);
	else
		look_type(look, "gone.Type", 5, 0, 3 * KIB, 0);
	return look;
}

/* An interval in which something changed: of those in which nothing did, one is made. */
static void tick(struct run *run, double seconds)
{
	table_image(&run->table, 1)->record.now_pages[PYMEM_ANON]++;
	run_tick(run, seconds);
}

static void begin(struct run *run, unsigned images)
{
	run_begin(run, NULL);
	for (uint32_t id = 1; id <= images; id++)
		table_add_image(&run->table, id);
	tick(run, 1);
}

/* The report of a part. The caller frees it with heap_report_fini(). */
static struct heap_report looks_in(struct run *run, double since, double until)
{
	struct heap_report report = {0};

	if (recording_heap_report(run->recording, run_window(run, since, until), &report, run->why,
				  sizeof(run->why)))
		fail_msg("%s", run->why);
	return report;
}

static const struct heap_holder_row *holder(const struct heap_look *look, const char *path)
{
	for (size_t i = 0; i < look->holder_count; i++)
		if (!strcmp(look->holders[i].path, path))
			return &look->holders[i];
	fail_msg("no holder %s", path);
	return NULL;
}

static const struct heap_type_row *type(const struct heap_look *look, const char *name)
{
	for (size_t i = 0; i < look->type_count; i++)
		if (!strcmp(look->types[i].type, name))
			return &look->types[i];
	fail_msg("no type %s", name);
	return NULL;
}

static void test_first_and_last(void **state)
{
	struct run *run = *state;
	struct heap_report report;
	struct heap_look *look;
	char *verdict;

	begin(run, 2);
	add_look(run, 1, 0.5, cache_of(0));
	add_look(run, 2, 0.6, cache_of(5));
	tick(run, 100);
	add_look(run, 1, 100, cache_of(70000));
	tick(run, 100);
	add_look(run, 1, 200.5, cache_of(10240));
	run_end(run, 1);
	run_open(run);
	report = looks_in(run, 0, 0);
	assert_int_equal(report.look_count, 2);
	look = report.looks[0]; /* it grew most */
	assert_float_equal(look->seconds, 200, 1e-6);
	assert_int_equal(look->rss_bytes - look->rss_first_bytes, 10 * MIB);
	assert_int_equal(look->balance.objects - look->balance_first.objects, 10 * MIB);
	assert_int_equal(look->garbage_grown, 102400);
	assert_string_equal(look->holders[0].path, "m.CACHE");
	/* The look in between has it; the first one lists what has 5 KiB, a 4,096th, or more. */
	assert_false(look->holders[0].is_new);
	assert_int_equal(look->holders[0].grown_bytes, 10 * MIB - 5 * KIB);
	assert_false(look->holders[0].has_entries);
	assert_false(holder(look, "m.TABLE")->is_new);
	assert_int_equal(holder(look, "m.TABLE")->grown_bytes, 0);
	assert_string_equal(look->types[0].type, "bytes");
	assert_int_equal(look->types[0].bytes_grown, 10 * MIB);
	assert_int_equal(type(look, "gone.Type")->objects_grown, -5);
	verdict = heap_verdict(look);
	assert_ptr_equal(strstr(verdict, "Grows by 3.0\u00a0MiB/min: kept by m.CACHE (dict)"),
			 verdict);
	free(verdict);
	assert_non_null(strstr(look->notes[0], "1 of the holders is not in the first look"));
	assert_non_null(strstr(look->notes[1], "those between are in --format html"));
	assert_null(look->notes[2]);
	assert_true(report.looks[1]->seconds == 0);
	assert_memory_equal(report.looks[1]->notes[0], "the look was made at ", 21);
	assert_true(report.start == RUN_START);
	heap_report_fini(&report);
	report = looks_in(run, 50, 150);
	assert_int_equal(report.look_count, 1);
	assert_float_equal(report.looks[0]->seconds, 0, 1e-9);
	assert_int_equal(report.looks[0]->holders[1].entries, 9);
	assert_true(report.start == RUN_START + 1);
	assert_int_equal(report.skip_count, 1); /* the other process has no look then */
	heap_report_fini(&report);
}

/* The report of two looks at one process, which are freed. */
static struct heap_report of_two(struct run *run, struct heap_look *first, struct heap_look *last)
{
	begin(run, 1);
	add_look(run, 1, 0.5, first);
	add_look(run, 1, 0.9, last);
	run_end(run, 1);
	run_open(run);
	return looks_in(run, 0, 0);
}

/* Of a full list, a holder that is not in it may have had as much as the least that is. */
static void test_unlisted(void **state)
{
	struct heap_look *first = cache_of(0), *last = cache_of(0);
	struct heap_report report;
	char name[32];

	for (int i = 0; i < HEAP_LOOK_HOLDERS - 1; i++) {
		snprintf(name, sizeof(name), "m.LIST%d", i);
		look_holder(first, name, "list", 5, 0, 100 * KIB + i, 0);
		look_holder(last, name, "list", 6, 0, 150 * KIB + i, 0);
	}
	look_holder(last, "m.LATER", "list", 4, 0, 130 * KIB, 0);
	look_holder(last, "m.SMALL", "list", 4, 0, 30 * KIB, 0);
	look_holder(last, "m.LARGE", "list", 4, 0, 900 * KIB, 0);
	report = of_two(*state, first, last);
	last = report.looks[0];
	assert_int_equal(holder(last, "m.LIST7")->grown_bytes, 50 * KIB);
	assert_int_equal(holder(last, "m.LIST7")->entries_grown, 1);
	assert_false(holder(last, "m.LATER")->is_new);
	assert_int_equal(holder(last, "m.LATER")->grown_bytes, 30 * KIB);
	assert_false(holder(last, "m.LATER")->has_entries);
	assert_int_equal(holder(last, "m.SMALL")->grown_bytes, 0);
	assert_true(holder(last, "m.LARGE")->is_new);
	assert_int_equal(holder(last, "m.LARGE")->grown_bytes, 800 * KIB);
	assert_int_equal(holder(last, "m.LARGE")->entries_grown, 4);
	assert_memory_equal(last->notes[0], "3 of the holders are not in the first look", 42);
	heap_report_fini(&report);
}

/* A heap so large that what it lists begins at 10 MiB. */
static void test_threshold(void **state)
{
	struct heap_look *first = cache_of(0), *last = cache_of(11 * KIB);
	struct heap_report report;

	first->balance.objects = last->balance.objects = 40ull << 30;
	look_sum(first);
	look_sum(last);
	report = of_two(*state, first, last);
	last = report.looks[0];
	assert_false(holder(last, "m.CACHE")->is_new);
	assert_int_equal(holder(last, "m.CACHE")->grown_bytes, 1 * MIB);
	heap_report_fini(&report);
}

static struct heap_look *with_twins(void)
{
	struct heap_look *look = cache_of(100);
	char deep[3000];

	look_holder(look, "held by C: x.so", "dict", 5, 0, 700 * KIB, 0);
	look_holder(look, "held by C: x.so", "dict", 9, 0, 3 * MIB, 0);
	look_holder(look, "held by C: x.so", "dict", 7, 0, 100 * KIB, 0);
	memset(deep, 'a', sizeof(deep));
	strcpy(deep + sizeof(deep) - 2, "b");
	look_holder(look, deep, "list", 5, 0, 9 * MIB, 0);
	deep[sizeof(deep) - 2] = 'c';
	look_holder(look, deep, "list", 5, 0, 2 * MIB, 0);
	return look;
}

/* One look twice: nothing has grown, whatever is called the same. */
static void test_same(void **state)
{
	struct heap_report report = of_two(*state, with_twins(), with_twins());
	const struct heap_look *look = report.looks[0];

	assert_true(look->seconds > 0);
	for (size_t i = 0; i < look->holder_count; i++) {
		assert_int_equal(look->holders[i].grown_bytes, 0);
		assert_int_equal(look->holders[i].entries_grown, 0);
		assert_false(look->holders[i].is_new);
	}
	for (size_t i = 0; i < look->type_count; i++)
		assert_int_equal(look->types[i].bytes_grown, 0);
	heap_report_fini(&report);
}

/* What a function has had for two looks is not what it works on just now. */
static void test_local(void **state)
{
	struct run *run = *state;
	struct heap_report report;
	struct heap_look *look;

	for (int between = 0; between < 2; between++) {
		begin(run, 1);
		add_look(run, 1, 0.1, cache_of(0));
		for (int i = between ? 1 : 2; i < 3; i++) {
			look = cache_of(i * 10240);
			strcpy(look->holders[0].path, "main:r");
			look->holders[0].is_local = true;
			add_look(run, 1, 0.1 + i / 3.0, look);
		}
		run_end(run, 1);
		run_open(run);
		report = looks_in(run, 0, 0);
		look = report.looks[0];
		assert_int_equal(heap_look_is_passing(look, holder(look, "main:r")), !between);
		heap_report_fini(&report);
		recording_close(run->recording);
		run->recording = NULL;
		report_free(run->live);
		recorder_free(run->recorder);
		run->live = NULL;
		run->recorder = NULL;
		run->table = (struct counts_table){};
		unlink(run->path);
	}
}

/* A look at types alone is not compared with one that has holders. */
static void test_unlike(void **state)
{
	struct heap_look *types = cache_of(0);
	struct heap_report report;

	types->types_only = true;
	free(types->holders[0].path);
	free(types->holders[0].type);
	types->holder_count = 0;
	report = of_two(*state, types, cache_of(9));
	assert_true(report.looks[0]->seconds == 0);
	assert_string_equal(report.looks[0]->notes[1], "looks without holders are not compared: 1");
	heap_report_fini(&report);
}

/* What can't be read is said. */
static void test_unreadable(void **state)
{
	struct run *run = *state;
	struct heap_report report;

	begin(run, 2);
	add_text(run, 1, 0.1, "{}");
	add_text(run, 2, 0.1, "{}");
	add_look(run, 2, 0.2, cache_of(7));
	add_look(run, 2, 0.3, cache_of(8));
	add_text(run, 2, 0.4, "[");
	run_end(run, 1);
	run_open(run);
	report = looks_in(run, 0, 0);
	assert_int_equal(report.skip_count, 1);
	assert_string_equal(report.skips[0].reason, "no look at it can be read");
	assert_int_equal(report.look_count, 1);
	assert_float_equal(report.looks[0]->seconds, 0.1, 1e-6);
	assert_int_equal(holder(report.looks[0], "m.CACHE")->entries, 8);
	assert_string_equal(report.looks[0]->notes[1], "2 of 4 looks can't be read");
	heap_report_fini(&report);
}

/* Rows without end, and figures that would overflow. */
static void test_many_rows(void **state)
{
	struct heap_look *look;
	char *json = NULL, *verdict;
	size_t size;
	FILE *out = open_memstream(&json, &size);

	(void)state;
	fputs("{\"processes\":[{\"rss_bytes\":5,\"pools\":{\"pinned_by\":[0", out);
	for (int i = 0; i < 100000; i++)
		fputs(",0", out);
	fputs("]},\"types\":[0", out);
	for (int i = 0; i < 20000; i++)
		fputs(",{\"type\":\"x\",\"bytes\":1125899906842623}", out);
	fputs("],\"holders\":[0", out);
	for (int i = 0; i < 20000; i++)
		fputs(",{\"path\":\"x\",\"type\":\"y\",\"local\":true,"
		      "\"retained_bytes\":1125899906842623}",
		      out);
	fputs("]}]}", out);
	fclose(out);
	look = look_read(json, size, &verdict);
	assert_non_null(look);
	assert_in_range(look->pin_count, 0, 1000);
	assert_in_range(look->type_count, 1, 8192);
	assert_in_range(look->holder_count, HEAP_LOOK_HOLDERS, 1000);
	look->seconds = 1;
	for (size_t i = 0; i < look->holder_count; i++) {
		look->holders[i].grown_bytes = (int64_t)look->holders[i].retained_bytes;
		look->holders[i].is_new = true;
	}
	assert_int_equal(heap_look_sort_holders(look), 0);
	free(heap_verdict(look));
	heap_look_free(look);
	free(verdict);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_long),
		cmocka_unit_test_setup_teardown(test_first_and_last, run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(test_unlisted, run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(test_threshold, run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(test_same, run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(test_local, run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(test_unlike, run_setup, run_teardown),
		cmocka_unit_test(test_many_rows),
		cmocka_unit_test_setup_teardown(test_unreadable, run_setup, run_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

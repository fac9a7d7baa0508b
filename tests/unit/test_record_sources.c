/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/recorder_sources.c: texts of a process that gives up rights while it is recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/rights.h"
#include "record_fixture.h"

#define FILES 40 /* more than are read in a tick */

struct texts {
	struct source_cache *cache;
	struct source_root roots[2]; /* before and after */
	char names[FILES][128];
};

static void write_files(const struct run *run, struct texts *texts)
{
	for (int i = 0; i < FILES; i++) {
		FILE *out;

		snprintf(texts->names[i], sizeof(texts->names[i]), "%s/f%d.py", run->folder, i);
		out = fopen(texts->names[i], "w");
		assert_non_null(out);
		fprintf(out, "line 1 of %d\n", i);
		assert_int_equal(fclose(out), 0);
	}
}

static void add_stacks(struct run *run, const struct texts *texts, int from, int to)
{
	for (int i = from; i < to; i++) {
		struct table_stack *stack = table_add_stack(&run->table, 1, 10 + i, 1, 0);

		stack->frames[0].file = texts->names[i];
		stack->frames[0].line = 1;
		stack->counters.pages[PYMEM_ANON] = 1;
		stack->counters.grown_pages = 1;
		table_image(&run->table, 1)->record.now_pages[PYMEM_ANON]++;
	}
}

static void begin_with(struct run *run, struct texts *texts, source_read_fn *read)
{
	struct recorder_options options = {};
	struct rights rights;

	write_files(run, texts);
	texts->cache = source_cache_new(read);
	assert_non_null(texts->cache);
	source_root_open(&texts->roots[0], getpid());
	source_root_copy(&texts->roots[1], &texts->roots[0]);
	assert_int_equal(rights_of(getpid(), &rights), 0);
	rights.groups[rights.group_count++] = 4711;
	source_root_set_rights(&texts->roots[1], &rights);
	options.sources = texts->cache;
	run_begin(run, &options);
	table_add_image(&run->table, 1)->image.root = &texts->roots[0];
}

static void begin(struct run *run, struct texts *texts)
{
	begin_with(run, texts, source_read_here);
}

static void check_texts(struct run *run, const struct texts *texts)
{
	const struct model_process *p;

	run_open(run);
	p = run_process(run_window(run, 0, 0), 1);
	assert_non_null(p);
	for (int i = 0; i < FILES; i++) {
		char wanted[64];
		const char *line = source_line(recording_sources(run->recording), &p->root,
					       texts->names[i], 1, NULL);

		snprintf(wanted, sizeof(wanted), "line 1 of %d", i);
		if (!line || strcmp(line, wanted) != 0)
			fail_msg("%s: %s", texts->names[i], line ?: "no text");
	}
}

/* Those that are still to be read are read as they were met; all are there under the rights that
 * the process has in the end. */
static void test_rights_given_up(void **state)
{
	struct texts texts;
	struct run *run = *state;

	begin(run, &texts);
	add_stacks(run, &texts, 0, FILES - 1);
	run_tick(run, 1);
	table_image(&run->table, 1)->image.root = &texts.roots[1];
	for (int i = 0; i < 4; i++)
		run_tick(run, 1);
	add_stacks(run, &texts, FILES - 1, FILES);
	run_tick(run, 1);
	run_end(run, 1);
	check_texts(run, &texts);
	for (int i = 0; i < 2; i++)
		source_root_close(&texts.roots[i]);
	source_cache_free(texts.cache);
}

/* More files than are read in a tick. */
static void test_many_files(void **state)
{
	struct texts texts;
	struct run *run = *state;

	begin(run, &texts);
	add_stacks(run, &texts, 0, FILES);
	for (int i = 0; i < 4; i++)
		run_tick(run, 1);
	run_end(run, 1);
	check_texts(run, &texts);
	for (int i = 0; i < 2; i++)
		source_root_close(&texts.roots[i]);
	source_cache_free(texts.cache);
}

static unsigned reads; /* of files that take 15 ms each */

static int read_slowly(const struct source_root *root, const char *name, struct source_text *text)
{
	reads++;
	usleep(15000);
	return source_read_here(root, name, text);
}

/* Of a long interval many files may be read, but not for long: all else waits meanwhile. */
static void test_slow_files(void **state)
{
	struct texts texts;
	struct run *run = *state;
	unsigned before;

	begin_with(run, &texts, read_slowly);
	reads = 0;
	add_stacks(run, &texts, 0, FILES);
	run_tick(run, 60);
	assert_in_range(reads, 1, 100 / 15 + 1);
	/* A bit longer where a file ends: what is not read then is not in it. */
	before = reads;
	snprintf(run->path, sizeof(run->path), "%s/next.pymem", run->folder);
	assert_int_equal(recorder_go_on(run->recorder, run->path), 0);
	assert_in_range(reads - before, 1, 200 / 15 + 1);
	run_tick(run, 60);
	run_end(run, 1);
	for (int i = 0; i < 2; i++)
		source_root_close(&texts.roots[i]);
	source_cache_free(texts.cache);
}

/* Fills the cache to the last byte, with files without a line end. */
static void fill_cache(const struct run *run, const struct texts *texts)
{
	size_t left = SOURCE_CACHE_MAX, around = sizeof(uint32_t) + 1;
	char name[128];

	for (int i = 0; left; i++) {
		size_t size = left - around < SOURCE_FILE_MAX ? left - around : SOURCE_FILE_MAX;
		FILE *out;

		snprintf(name, sizeof(name), "%s/big%d.py", run->folder, i);
		out = fopen(name, "w");
		assert_non_null(out);
		assert_int_equal(ftruncate(fileno(out), (off_t)size), 0);
		assert_int_equal(fclose(out), 0);
		assert_int_equal(source_line_count(texts->cache, &texts->roots[0], name), 1);
		left -= size + around;
	}
}

/* Texts for which the cache has no room any more are missing, and each report says so. */
static void test_full_cache(void **state)
{
	struct texts texts;
	struct run *run = *state;
	const struct model *model;
	bool said = false;

	begin(run, &texts);
	fill_cache(run, &texts);
	add_stacks(run, &texts, 0, FILES);
	for (int i = 0; i < 4; i++)
		run_tick(run, 1);
	run_end(run, 1);
	run_open(run);
	model = run_window(run, 0, 0);
	for (size_t i = 0; i < model->note_count; i++)
		said |= !strcmp(model->notes[i], "40 source files had no room in the recording");
	assert_true(said);
	for (int i = 0; i < 2; i++)
		source_root_close(&texts.roots[i]);
	source_cache_free(texts.cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rights_given_up, run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(test_many_files, run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(test_slow_files, run_setup, run_teardown),
		cmocka_unit_test_setup_teardown(test_full_cache, run_setup, run_teardown),
	};

	return cmocka_run_group_tests_name("record_sources", tests, NULL, NULL);
}

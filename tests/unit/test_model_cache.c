/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* model/model_cache.c: what was brought into the page cache, by line and by file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "model/model.h"

#define PAGE 4096

struct given {
	struct model *model;
	struct model_process *process;
	const struct model_location *load, *save, *main;
};

static int setup(void **state)
{
	static char *const command[] = {(char *)"python3", NULL};
	static struct given g;

	g.model = model_new(PAGE);
	g.process = model_add_process(g.model, 1, 0, "python3", command, "/", "3.11", "walk");
	g.load = model_location(g.model, "a.py", "load", 10, 9);
	g.save = model_location(g.model, "a.py", "save", 20, 19);
	g.main = model_location(g.model, "a.py", "<module>", 30, 1);
	*state = &g;
	return g.process && g.load && g.save && g.main ? 0 : -1;
}

static int teardown(void **state)
{
	model_free(((struct given *)*state)->model);
	return 0;
}

/* `line` NULL: no line. */
static void add(struct given *g, const struct model_location *line, const char *path,
		uint64_t pages, uint64_t gone)
{
	const struct model_location *frames[] = {line, g->main};
	const struct model_cache_amounts amounts = {
		.bytes = pages * PAGE, .gone_bytes = gone * PAGE, .own_bytes = pages * PAGE};

	assert_int_equal(model_add_cached(g->model, g->process, frames, line ? 2 : 0,
					  PYMEM_LOSS_NO_FRAME, path, false, &amounts),
			 0);
}

static const struct model_line *line(const struct given *g, int number)
{
	for (size_t i = 0; i < g->process->line_count; i++)
		if (g->process->lines[i].location->line == number)
			return &g->process->lines[i];
	fail_msg("no line %d", number);
	return NULL;
}

/* All that lines have and what is in no line is the sum, and so is all that files have. */
static void check_sums(const struct given *g)
{
	const struct model_process *p = g->process;
	uint64_t lines = 0, files = 0;

	for (size_t i = 0; i < p->line_count; i++)
		lines += p->lines[i].cached.bytes;
	for (int i = 0; i < PYMEM_LOSS_COUNT; i++)
		lines += p->cached_lost_bytes[i];
	for (size_t i = 0; i < p->cached_file_count; i++)
		files += p->cached_files[i]->amounts.bytes;
	assert_int_equal(lines, p->cached.bytes);
	assert_int_equal(files + p->cached_lost_bytes[PYMEM_LOSS_MAP_FULL], p->cached.bytes);
}

static void test_lines_and_files(void **state)
{
	struct given *g = *state;
	struct model_process *p = g->process;

	add(g, g->load, "/data", 100, 40);
	add(g, g->save, "/data", 30, 0);
	add(g, g->save, "/out", 200, 200);
	add(g, g->load, "/data", 5, 0);
	add(g, NULL, "/lib", 7, 0);
	add(g, g->load, NULL, 3, 0);
	model_lose_cached(p, PYMEM_LOSS_MAP_FULL, 2 * PAGE);
	assert_int_equal(model_compute(g->model), 0);
	check_sums(g);
	assert_int_equal(line(g, 10)->cached.bytes, 108 * PAGE);
	assert_int_equal(model_cached_there(&line(g, 10)->cached), 68 * PAGE);
	assert_int_equal(line(g, 20)->cached.bytes, 230 * PAGE);
	assert_int_equal(line(g, 30)->cached.bytes, 0);
	assert_int_equal(p->cached_file_count, 4);
	assert_string_equal(p->cached_files[0]->path, "/out");
	assert_ptr_equal(p->cached_files[0]->most, line(g, 20)->location);
	assert_string_equal(p->cached_files[1]->path, "/data");
	assert_int_equal(p->cached_files[1]->amounts.bytes, 135 * PAGE);
	assert_ptr_equal(p->cached_files[1]->most, line(g, 10)->location);
	assert_int_equal(p->cached_files[1]->most_bytes, 105 * PAGE);
	assert_null(p->cached_files[2]->most);
	assert_null(p->cached_files[3]->path);
	assert_int_equal(p->cached.unknown_bytes, 2 * PAGE);
	model_sort_lines(p, MODEL_SORT_CACHED);
	assert_int_equal(p->lines[0].location->line, 20);
	/* More may come. */
	add(g, g->save, "/data", 500, 0);
	assert_int_equal(model_compute(g->model), 0);
	check_sums(g);
	assert_ptr_equal(p->cached_files[0]->most, line(g, 20)->location);
}

/* A file that was deleted is another one than the one that has its name now. */
static void test_deleted(void **state)
{
	struct given *g = *state;
	const struct model_location *frames[] = {g->load, g->main};
	const struct model_cache_amounts amounts = {.bytes = PAGE};

	add(g, g->load, "/data", 1, 0);
	assert_int_equal(
		model_add_cached(g->model, g->process, frames, 2, 0, "/data", true, &amounts), 0);
	assert_int_equal(model_compute(g->model), 0);
	assert_int_equal(g->process->cached_file_count, 2);
	assert_int_equal(
		g->process->cached_files[0]->deleted + g->process->cached_files[1]->deleted, 1);
}

/* A process that has ended keeps its files, and their lines, when all else that it used is freed.
 */
static void test_frozen(void **state)
{
	const struct model_ended_limits limits = {.bytes = SIZE_MAX};
	struct given *g = *state;
	struct model_process *p = g->process;

	add(g, g->load, "/data", 100, 40);
	assert_int_equal(model_freeze(g->model), 0);
	model_clear(g->model);
	assert_int_equal(model_gather_ended(g->model, &limits, NULL, NULL), 0);
	assert_int_equal(model_compute(g->model), 0);
	assert_int_equal(p->cached_file_count, 1);
	assert_string_equal(p->cached_files[0]->path, "/data");
	assert_int_equal(p->cached_files[0]->most->line, 10);
	assert_int_equal(p->lines[0].cached.bytes, 100 * PAGE);
}

/* Pages that went while the others were read: never less than nothing. */
static void test_there(void **state)
{
	const struct model_cache_amounts amounts = {.bytes = 5, .gone_bytes = 6};

	(void)state;
	assert_int_equal(model_cached_there(&amounts), 0);
}

/* As many files as the table has, in no order. */
static void test_many(void **state)
{
	struct given *g = *state;
	char path[64];

	for (unsigned i = 0; i < 32768; i++) {
		snprintf(path, sizeof(path), "/tmp/%u", i * 2654435761u % 32768);
		add(g, i % 3 ? g->load : g->save, path, 1 + i % 5, 0);
	}
	assert_int_equal(model_compute(g->model), 0);
	assert_int_equal(g->process->cached_file_count, 32768);
	check_sums(g);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_lines_and_files), TEST(test_deleted), TEST(test_frozen),
		TEST(test_there),	    TEST(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

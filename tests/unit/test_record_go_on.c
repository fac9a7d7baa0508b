/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/: a recording in several files, of which each has what came in its time, and nothing is in
 * two. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "record/recorder_private.h"
#include "record_fixture.h"

#define IMAGES 3
#define STACKS 4 /* of each image */
#define FIRST  10
#define PAGE   4096
#define FILES  8

struct parts {
	struct run *run;
	char paths[FILES][96];
	int count;
	struct table_stack *stacks[IMAGES][STACKS];
	int64_t charged[IMAGES][STACKS]; /* pages, of all files */
	int64_t unattributed[IMAGES];
	unsigned seed;
};

static struct parts parts;

static void go_on(void)
{
	char *path = parts.paths[parts.count++];

	snprintf(path, sizeof(parts.paths[0]), "%s/%d.pymem", parts.run->folder, parts.count);
	if (recorder_go_on(parts.run->recorder, path))
		fail_msg("%s", recorder_why(parts.run->recorder));
}

static void add_image(uint32_t id)
{
	struct table_image *image = table_add_image(&parts.run->table, id);

	image->record.start_pages[PYMEM_ANON] = image->record.now_pages[PYMEM_ANON] = 1000;
	for (int j = 0; j < STACKS; j++)
		parts.stacks[id - 1][j] =
			table_add_stack(&parts.run->table, id, FIRST + 10 * j, 2, 0);
}

static void change(int i, int j, int64_t pages)
{
	struct table_stack *stack = parts.stacks[i][j];

	stack->counters.pages[PYMEM_ANON] += pages;
	*(pages > 0 ? &stack->counters.grown_pages : &stack->counters.freed_pages) +=
		(uint64_t)llabs(pages);
	if (stack->counters.pages[PYMEM_ANON] > (int64_t)stack->counters.peak_pages)
		stack->counters.peak_pages = (uint64_t)stack->counters.pages[PYMEM_ANON];
	table_image(&parts.run->table, (uint32_t)i + 1)->record.now_pages[PYMEM_ANON] += pages;
}

static void begin(struct run *run)
{
	const struct recorder_options options = {.mode = 0600};

	parts = (struct parts){.run = run, .seed = 1};
	run_begin(run, &options);
	snprintf(parts.paths[parts.count++], sizeof(parts.paths[0]), "%s", run->path);
	add_image(1);
	add_image(2);
}

static void tick(bool third)
{
	for (int k = rand_r(&parts.seed) % 4; k > 0; k--) {
		int i = rand_r(&parts.seed) % IMAGES;

		if (i < 2 || third)
			change(i, rand_r(&parts.seed) % STACKS, rand_r(&parts.seed) % 100 - 30);
	}
	run_tick(parts.run, 1);
}

static const struct model_line *find_line(const struct model_process *p, int line)
{
	for (size_t i = 0; i < p->line_count; i++)
		if (p->lines[i].location->line == line)
			return &p->lines[i];
	return NULL;
}

/* Adds up what the report of a file has. */
static struct model *add_up(int file)
{
	struct model *model;

	memcpy(parts.run->path, parts.paths[file], sizeof(parts.run->path));
	run_open(parts.run);
	model = run_window(parts.run, 0, 0);
	for (size_t p = 0; p < model->process_count; p++) {
		const struct model_process *process = model->processes[p];

		assert_int_equal(run_excess(process), 0);
		parts.unattributed[process->id - 1] += model_lost_bytes(process) / PAGE;
		for (int j = 0; j < STACKS; j++) {
			const struct model_line *line = find_line(process, FIRST + 10 * j);

			if (line)
				parts.charged[process->id - 1][j] += line->increment_bytes / PAGE;
		}
	}
	return model;
}

static void expect_sums(int images)
{
	for (int i = 0; i < images; i++) {
		assert_int_equal(parts.unattributed[i], 0);
		for (int j = 0; j < STACKS; j++)
			assert_int_equal(parts.charged[i][j],
					 parts.stacks[i][j]->counters.pages[PYMEM_ANON]);
	}
}

static void test_files_add_up(void **state)
{
	begin(*state);
	for (int k = 0; k < 70; k++) {
		if (k == 25)
			add_image(3);
		tick(k >= 25);
		if (k % 10 == 9)
			go_on();
	}
	assert_int_equal(parts.count, FILES);
	change(0, 0, 7);
	run_end(parts.run, 0.5);
	for (int file = 0; file < parts.count; file++)
		add_up(file);
	expect_sums(IMAGES);
}

/* One that ends, and is taken, some time before a new file begins; what comes late is in no file
 * twice. */
static void test_an_image_ends(void **state)
{
	begin(*state);
	run_tick(parts.run, 1);
	change(1, 1, 20);
	table_image(&parts.run->table, 2)->image.ended = true;
	run_take(parts.run);
	run_tick(parts.run, 1);
	go_on();
	run_tick(parts.run, 1);
	change(0, 0, 3);
	go_on();
	run_tick(parts.run, 1);
	run_end(parts.run, 0.5);
	for (int file = 0; file < parts.count; file++) {
		const struct model_process *process = run_process(add_up(file), 2);

		if (file)
			assert_true(!process || (!process->charged_bytes && !process->line_count));
		else
			assert_int_equal(process->charged_bytes, 20 * PAGE);
	}
	expect_sums(2);
}

/* The frames of a stack become known in the file after that in which its figures are. */
static void test_frames_come_late(void **state)
{
	struct table_stack *stack;
	struct model *model;

	begin(*state);
	stack = parts.stacks[0][2];
	stack->depth = 0;
	stack->cut = true;
	change(0, 2, 40);
	for (int k = 0; k < 6; k++)
		run_tick(parts.run, 1);
	go_on();
	stack->depth = 2;
	stack->cut = false;
	change(0, 2, 2);
	run_tick(parts.run, 1);
	run_end(parts.run, 0.5);
	model = add_up(0);
	assert_int_equal(model_lost_bytes(run_process(model, 1)), 40 * PAGE);
	model = add_up(1);
	/* As in a part of one recording: what moved began before it. */
	assert_int_equal(run_process(model, 1)->charged_bytes, 42 * PAGE);
	expect_sums(1);
}

/* A line's peak of a file is exact if it became higher there, and otherwise unknown. */
static void test_peaks(void **state)
{
	struct model *model;

	begin(*state);
	change(0, 0, 100);
	run_tick(parts.run, 1);
	change(0, 0, -60);
	run_tick(parts.run, 1);
	go_on();
	change(0, 0, 10);
	change(0, 1, 30);
	run_tick(parts.run, 1);
	go_on();
	change(0, 0, 70);
	run_tick(parts.run, 1);
	run_end(parts.run, 0.5);
	model = add_up(1);
	assert_int_equal(find_line(run_process(model, 1), FIRST + 10)->peak_bytes, 30 * PAGE);
	assert_int_equal(find_line(run_process(model, 1), FIRST)->peak_bytes, -1);
	model = add_up(2);
	assert_int_equal(find_line(run_process(model, 1), FIRST)->peak_bytes, 120 * PAGE);
}

/* What happens while there is no file is in none; what comes after is as if it had been. */
static void test_pause(void **state)
{
	int64_t before, meanwhile;

	begin(*state);
	change(0, 0, 10);
	run_tick(parts.run, 1);
	assert_int_equal(recorder_go_on(parts.run->recorder, "/nowhere/x.pymem"), -ENOENT);
	assert_string_equal(recorder_why(parts.run->recorder), "No such file or directory");
	assert_true(recorder_pauses(parts.run->recorder));
	assert_int_equal(recorder_bytes(parts.run->recorder), 0);
	before = parts.stacks[0][0]->counters.pages[PYMEM_ANON];
	change(0, 0, 5);
	for (int k = 0; k < 3; k++)
		run_tick(parts.run, 1);
	change(1, 2, 8); /* a line that was in no file */
	change(0, 0, 6);
	run_tick(parts.run, 1);
	meanwhile = parts.stacks[0][0]->counters.pages[PYMEM_ANON] - before;
	go_on();
	change(0, 0, 50);
	change(1, 2, 4);
	run_tick(parts.run, 1);
	run_end(parts.run, 0.5);
	add_up(0);
	add_up(1);
	assert_int_equal(parts.charged[0][0] + meanwhile,
			 parts.stacks[0][0]->counters.pages[PYMEM_ANON]);
	assert_int_equal(parts.charged[1][2], 4);
}

/* No process is left when a file begins: those that come later have the names of ones before. */
static void test_none_is_left(void **state)
{
	struct model *model;

	begin(*state);
	change(0, 0, 10);
	run_tick(parts.run, 1);
	for (uint32_t id = 1; id <= 2; id++)
		table_image(&parts.run->table, id)->image.ended = true;
	run_take(parts.run);
	run_tick(parts.run, 1);
	for (uint32_t id = 1; id <= 2; id++)
		recorder_image(parts.run->recorder, id)->gone_ms = 1; /* long ago */
	for (int k = 0; k < 2; k++)
		run_tick(parts.run, 1);
	assert_null(parts.run->recorder->images);
	go_on();
	run_tick(parts.run, 1);
	add_image(3);
	change(2, 0, 7);
	run_tick(parts.run, 1);
	run_end(parts.run, 0.5);
	model = add_up(1);
	assert_int_equal(model->process_count, 1);
	assert_int_equal(find_line(run_process(model, 3), FIRST)->increment_bytes, 7 * PAGE);
}

/* One that ends while there is no file does not run in the next one. */
static void test_an_image_ends_in_a_pause(void **state)
{
	const struct model_process *process;

	begin(*state);
	run_tick(parts.run, 1);
	assert_int_equal(recorder_go_on(parts.run->recorder, "/nowhere/x.pymem"), -ENOENT);
	table_image(&parts.run->table, 2)->image.ended = true;
	run_take(parts.run);
	run_tick(parts.run, 1);
	/* The clock of this machine is not that of the run. */
	assert_true(recorder_image(parts.run->recorder, 2)->ended > 0);
	recorder_image(parts.run->recorder, 2)->ended = parts.run->recorder->since;
	go_on();
	run_tick(parts.run, 1);
	run_end(parts.run, 0.5);
	process = run_process(add_up(1), 2);
	assert_true(!process || process->exited);
}

/* The first file of a recorder that began without one is as any other recording. */
static void test_no_file_at_first(void **state)
{
	struct run *run = *state;
	const struct recorder_options options = {.mode = 0600};

	parts = (struct parts){.run = run, .seed = 1};
	run->recorder = recorder_new(&options, run->why, sizeof(run->why));
	assert_non_null(run->recorder);
	run->live = report_new(recorder_counts(run->recorder, table_counts(&run->table)), RUN_START,
			       64u << 20, false);
	recorder_begin(run->recorder, RUN_START);
	run->table.facts.end = RUN_START;
	go_on();
	add_image(1);
	change(0, 0, 10);
	run_tick(run, 1);
	run_end(run, 1);
	memcpy(run->path, parts.paths[0], sizeof(run->path));
	run_same(run);
}

/* Old intervals are put together; not the one that has what was before. */
static void test_gathered(void **state)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *query = NULL;

	begin(*state);
	for (int k = 0; k < 5; k++)
		tick(false);
	go_on();
	for (int k = 0; k < 900; k++)
		tick(false);
	run_end(parts.run, 0.5);
	for (int file = 0; file < parts.count; file++)
		add_up(file);
	expect_sums(2);
	assert_int_equal(sqlite3_open(parts.paths[1], &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db, "SELECT count(*), min(id) FROM interval", -1, &query, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(query), SQLITE_ROW);
	assert_in_range(sqlite3_column_int(query, 0), 500, 800);
	assert_int_equal(sqlite3_column_int(query, 1), 1);
	sqlite3_finalize(query);
	sqlite3_close(db);
}

/* The clock is set back: times of a file do not, and those of the next one are right. */
static void test_clock(void **state)
{
	const struct recording_about *about;

	begin(*state);
	for (int k = 0; k < 5; k++)
		tick(false);
	run_tick(parts.run, -3600);
	change(0, 0, 5);
	run_tick(parts.run, 1);
	go_on();
	change(0, 0, 7);
	run_tick(parts.run, 10);
	run_end(parts.run, 0.5);
	add_up(0);
	about = recording_about(parts.run->recording);
	assert_true(about->end == RUN_START + 5);
	add_up(1);
	about = recording_about(parts.run->recording);
	assert_true(about->start == RUN_START + 5 - 3600 + 1);
	assert_true(about->end == about->start + 10.5);
	expect_sums(2);
}

/* What several files can't have is refused, and the one file goes on. */
static void test_refused(void **state)
{
	struct run *run = *state;
	const struct recorder_options options = {.mode = 0600, .lines = true};

	run_begin(run, &options);
	assert_int_equal(recorder_go_on(run->recorder, "/tmp/never.pymem"), -ENOTSUP);
	assert_false(recorder_pauses(run->recorder));
	run_tick(run, 1);
	run_end(run, 1);
	run_same(run);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, run_setup, run_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_files_add_up),
		TEST(test_an_image_ends),
		TEST(test_frames_come_late),
		TEST(test_peaks),
		TEST(test_pause),
		TEST(test_none_is_left),
		TEST(test_an_image_ends_in_a_pause),
		TEST(test_no_file_at_first),
		TEST(test_gathered),
		TEST(test_clock),
		TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

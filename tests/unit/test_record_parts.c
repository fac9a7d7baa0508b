/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/: parts of a recording add up to all of it, and gathering old intervals loses nothing but
 * when it was. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "record_fixture.h"

#define IMAGES 3
#define STACKS 4 /* of each image */
#define TIMES  4096
#define FIRST  10 /* the line of the first stack */

/* What was so at the end of each tick. */
struct history {
	struct run *run;
	size_t count;
	double times[TIMES]; /* since the start */
	int64_t pages[TIMES][IMAGES][STACKS], rss[TIMES][IMAGES];
	struct table_stack *stacks[IMAGES][STACKS];
	unsigned seed;
};

static struct history history;

static void remember(struct history *h, double time)
{
	assert_true(h->count < TIMES);
	h->times[h->count] = time;
	for (int i = 0; i < IMAGES; i++) {
		const struct table_image *image = table_image(&h->run->table, (uint32_t)i + 1);

		h->rss[h->count][i] = image ? image->record.now_pages[PYMEM_ANON] : 0;
		for (int j = 0; j < STACKS; j++)
			h->pages[h->count][i][j] =
				h->stacks[i][j] ? h->stacks[i][j]->counters.pages[PYMEM_ANON] : 0;
	}
	h->count++;
}

static void add_image(struct history *h, uint32_t id)
{
	struct table_image *image = table_add_image(&h->run->table, id);

	image->record.start_pages[PYMEM_ANON] = image->record.now_pages[PYMEM_ANON] = 1000;
	for (int j = 0; j < STACKS; j++)
		h->stacks[id - 1][j] = table_add_stack(&h->run->table, id, FIRST + 10 * j, 1, 0);
}

static void change(struct history *h, int i, int j, int64_t pages)
{
	struct table_stack *stack = h->stacks[i][j];

	stack->counters.pages[PYMEM_ANON] += pages;
	*(pages > 0 ? &stack->counters.grown_pages : &stack->counters.freed_pages) +=
		(uint64_t)llabs(pages);
	table_image(&h->run->table, (uint32_t)i + 1)->record.now_pages[PYMEM_ANON] += pages;
}

static void begin(struct history *h, struct run *run, const struct recorder_options *options)
{
	*h = (struct history){.run = run, .seed = 1};
	run_begin(run, options);
	add_image(h, 1);
	add_image(h, 2);
	remember(h, 0);
}

static double now(const struct history *h)
{
	return h->run->table.facts.end - RUN_START;
}

/* Something changes in most ticks; image 3 begins on the way, and image 2 ends. */
static void tick(struct history *h, double seconds)
{
	struct run *run = h->run;

	if (h->count == 20)
		add_image(h, 3);
	for (int k = rand_r(&h->seed) % 4; k > 0; k--) {
		int i = rand_r(&h->seed) % IMAGES;

		if ((i == 1 && h->count >= 30) || (i == 2 && h->count < 20))
			continue;
		change(h, i, rand_r(&h->seed) % STACKS, rand_r(&h->seed) % 100 - 30);
	}
	if (h->count == 30) {
		table_image(&run->table, 2)->image.ended = true;
		run_take(run);
	}
	run_tick(run, seconds);
	remember(h, now(h));
}

static size_t at_time(const struct history *h, double time)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->times[i] > time - 1e-3 && h->times[i] < time + 1e-3)
			return i;
	fail_msg("%f is no time of a tick", time);
	return 0;
}

static int64_t increment(const struct model_process *p, int line)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->line_count; i++)
		if (p->lines[i].location->line == line)
			sum += p->lines[i].increment_bytes;
	return sum;
}

/* The report of that window has what came in between, to the byte. */
static void check_window(struct history *h, double since, double until)
{
	struct model *model = run_window(h->run, since, until);
	size_t from = at_time(h, since), to = at_time(h, until);
	int64_t page = sysconf(_SC_PAGESIZE);

	for (int i = 0; i < IMAGES; i++) {
		const struct model_process *p = run_process(model, (uint32_t)i + 1);

		if (!p) {
			/* It was not there, or nothing is there to tell. */
			assert_int_equal(h->rss[to][i], h->rss[from][i]);
			continue;
		}
		for (int j = 0; j < STACKS; j++)
			assert_int_equal(increment(p, FIRST + 10 * j),
					 (h->pages[to][i][j] - h->pages[from][i][j]) * page);
		assert_int_equal(p->rss_end_bytes, h->rss[to][i] * page);
		assert_int_equal(p->rss_start_bytes, (h->rss[from][i] ?: 1000) * page);
		assert_int_equal(run_excess(p), 0);
		assert_int_equal(model_lost_bytes(p), 0);
	}
}

struct interval {
	double since, until;
};

/* The intervals that the file has. */
static size_t intervals(const struct run *run, struct interval *list)
{
	sqlite3 *db;
	sqlite3_stmt *query;
	size_t count = 0;

	assert_int_equal(sqlite3_open(run->path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db, "SELECT until FROM interval ORDER BY id", -1, &query, NULL),
		SQLITE_OK);
	for (; sqlite3_step(query) == SQLITE_ROW; count++)
		list[count] = (struct interval){count ? list[count - 1].until : 0,
						sqlite3_column_double(query, 0) - RUN_START};
	sqlite3_finalize(query);
	sqlite3_close(db);
	return count;
}

static struct interval list[TIMES];

/* Each interval, and windows of several, have what came in them. */
static void check_all_windows(struct history *h, size_t count)
{
	run_open(h->run);
	for (size_t i = 0; i + 1 < count; i++) {
		if (count < 200 || i % 7 == 0 || i + 50 > count)
			check_window(h, list[i].since, list[i].until);
	}
	for (size_t i = 0; i + 9 < count; i += 1 + count / 16)
		check_window(h, list[i].since, list[i + 8].until);
	check_window(h, list[count / 2].since, list[count - 1].until);
}

static void test_windows(void **state)
{
	struct run *run = *state;

	begin(&history, run, NULL);
	while (history.count < 50)
		tick(&history, 1);
	run_end(run, 0.5);
	remember(&history, now(&history));
	run_same(run);
	check_all_windows(&history, intervals(run, list));
}

/* What has not changed in a window has no line in it, although its peak is known. */
static void test_nothing_in_window(void **state)
{
	struct run *run = *state;

	begin(&history, run, NULL);
	history.stacks[0][0]->counters.peak_pages = 9;
	change(&history, 0, 0, 9);
	run_tick(run, 1);
	change(&history, 0, 1, 5);
	run_tick(run, 1);
	run_end(run, 1);
	run_open(run);
	assert_int_equal(run_process(run_window(run, 1, 2), 1)->line_count, 1);
	assert_int_equal(run_process(run_window(run, 0, 1), 1)->line_count, 1);
	assert_int_equal(run_process(run_window(run, 0, 0), 1)->line_count, STACKS);
}

static void set_end(struct run *run, double ended)
{
	char sql[64];
	sqlite3 *db;

	snprintf(sql, sizeof(sql), "UPDATE image SET ended=%.17g WHERE id=1", ended);
	assert_int_equal(sqlite3_open(run->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* An image's last figures come in the interval after the one in which its end was seen. */
static void test_end_between(void **state)
{
	int64_t page = sysconf(_SC_PAGESIZE);
	struct run *run = *state;
	struct model *model;

	begin(&history, run, NULL);
	change(&history, 0, 0, 9);
	table_image(&run->table, 1)->image.ended = true;
	run_tick(run, 1);
	change(&history, 0, 0, 5);
	run_take(run);
	run_tick(run, 1);
	run_end(run, 1);
	run_same(run);
	/* Ends are noted by the clock, which is later than the times of this table. */
	recording_close(run->recording);
	run->recording = NULL;
	set_end(run, RUN_START + 0.9);
	run_open(run);
	model = run_window(run, 1, 2);
	assert_non_null(run_process(model, 1));
	assert_int_equal(increment(run_process(model, 1), FIRST), 5 * page);
	assert_int_equal(run_excess(run_process(model, 1)), 0);
}

/* While nothing happens, nothing is written but the time. */
static void test_idle(void **state)
{
	struct run *run = *state;
	uint64_t count;

	begin(&history, run, NULL);
	while (history.count < 40)
		tick(&history, 1);
	count = recorder_sizes(run->recorder).intervals;
	for (int i = 0; i < 50; i++) {
		run_tick(run, 1);
		remember(&history, now(&history));
	}
	assert_in_range(recorder_sizes(run->recorder).intervals, count, count + 2);
	tick(&history, 1);
	run_end(run, 1);
	remember(&history, now(&history));
	run_same(run);
	check_all_windows(&history, intervals(run, list));
}

/* All levels: 1 s, 10 s, a minute, an hour. */
static void test_gathering(void **state)
{
	struct run *run = *state;
	size_t count, lengths[4] = {};

	begin(&history, run, NULL);
	while (history.count < 800)
		tick(&history, 1);
	while (history.count < 1200)
		tick(&history, 20);
	while (history.count < 1600)
		tick(&history, 700);
	while (history.count < 2700)
		tick(&history, 1);
	run_end(run, 1);
	remember(&history, now(&history));
	run_same(run);
	count = intervals(run, list);
	assert_in_range(count, 4, 1200);
	for (size_t i = 0; i < count; i++) {
		double length = list[i].until - list[i].since;

		/* The last one of an hour may be longer, as nothing happened in it. */
		assert_true(length < 3600 + 8 * 700);
		lengths[length > 700 ? 3 : length > 20 ? 2 : length > 1.1]++;
	}
	for (int i = 0; i < 4; i++)
		assert_true(lengths[i] > 0);
	check_all_windows(&history, count);
}

/* --- --max-size --- */

/* A change of each of many stacks, in each second. Returns the number of seconds until it fails. */
static int fill(struct run *run, int seconds)
{
	for (int i = 0; i < seconds; i++) {
		for (size_t k = 0; k < run->table.stack_count; k++) {
			struct table_stack *stack = &run->table.stacks[k];

			stack->counters.pages[PYMEM_ANON] += 1 + (int64_t)k;
			stack->counters.grown_pages += 1 + k;
			run->table.images[0].record.now_pages[PYMEM_ANON] += 1 + (int64_t)k;
		}
		run->table.facts.end += 1;
		if (recorder_tick(run->recorder))
			return i;
	}
	return seconds;
}

static void begin_large(struct run *run, const struct recorder_options *options)
{
	run_begin(run, options);
	table_add_image(&run->table, 1);
	for (int k = 0; k < 200; k++)
		table_add_stack(&run->table, 1, 10 + k, 1, 0);
}

static void test_size_is_kept(void **state)
{
	const struct recorder_options options = {.most_bytes = 300000};
	struct run *run = *state;
	struct stat status;

	begin_large(run, &options);
	assert_int_equal(fill(run, 600), 600);
	run_end(run, 1);
	assert_int_equal(stat(run->path, &status), 0);
	/* Unlike what is in use, the file itself may be a little larger. */
	assert_in_range(status.st_size, 100000, 450000);
	run_same(run);
}

static void test_size_is_reached(void **state)
{
	const struct recorder_options options = {.most_bytes = 150000};
	struct run *run = *state;
	struct model *model;
	int seconds;

	begin_large(run, &options);
	for (seconds = 0; seconds < 10000 && fill(run, 1); seconds++) {
		/* A line that was never there before. */
		run->table.stacks[0].key.hash++;
		run->table.stacks[0].frames[0].line += 1000;
	}
	assert_in_range(seconds, 100, 9999);
	assert_non_null(strstr(recorder_why(run->recorder), "--max-size is reached"));
	assert_int_equal(recorder_tick(run->recorder), -EFBIG);
	assert_int_equal(recorder_finish(run->recorder, NULL), -EFBIG);
	/* What was recorded until then can be read. */
	run_open(run);
	model = run_window(run, 0, 0);
	assert_true(run_process(model, 1)->charged_bytes > 0);
	assert_int_equal(run_excess(run_process(model, 1)), 0);
}

/* Of what ends, all is kept until it is written: so a tick is asked for before it is much. */
static void test_much_has_ended(void **state)
{
	struct run *run = *state;
	struct counts_table *table = &run->table;
	unsigned stacks = 0, each = TABLE_ROWS / 2;

	run_begin(run, NULL);
	for (uint32_t id = 1; stacks < RECORDER_WAIT_MOST; id++) {
		struct table_image *image;

		assert_false(recorder_has_much(run->recorder));
		table->image_count = table->stack_count = 0;
		image = table_add_image(table, id);
		for (unsigned i = 0; i < each; i++)
			table_add_stack(table, id, FIRST + (int)i, 1, 0)
				->counters.pages[PYMEM_ANON] = 1;
		/* A reading that is no taking is no reason. */
		if (id == 1)
			run_tick(run, 1);
		assert_false(recorder_has_much(run->recorder));
		image->image.ended = true;
		run_take(run);
		stacks += each;
	}
	assert_true(recorder_has_much(run->recorder));
	run_tick(run, 1);
	assert_false(recorder_has_much(run->recorder));
	run_end(run, 1);
}

int main(void)
{
#define RUN(test) cmocka_unit_test_setup_teardown(test, run_setup, run_teardown)
	const struct CMUnitTest tests[] = {
		RUN(test_windows),	   RUN(test_nothing_in_window),
		RUN(test_end_between),	   RUN(test_idle),
		RUN(test_gathering),	   RUN(test_size_is_kept),
		RUN(test_size_is_reached), RUN(test_much_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

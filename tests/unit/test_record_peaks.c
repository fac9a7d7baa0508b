/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/: peaks of parts of a recording, and PSS. What a part says to be known is the truth. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "record_fixture.h"

#define STACKS 3
#define TICKS  60
#define FIRST  10 /* the line of the first stack */
#define CALLER 90 /* that of their caller */

struct truth {
	struct table_stack *stacks[STACKS];
	unsigned seed;
	int64_t rss, page;
	int64_t end[TICKS + 1], most[TICKS + 1]; /* RSS at the end of a tick; the highest in it */
	int64_t peak[TICKS + 1][STACKS];	 /* the highest at a change of the stack; 0: none */
};

static void keep_larger(int64_t *most, int64_t more)
{
	if (*most < more)
		*most = more;
}

static void begin(struct truth *t, struct run *run)
{
	struct table_image *image;

	*t = (struct truth){.seed = 7, .rss = 1000, .page = sysconf(_SC_PAGESIZE)};
	run_begin(run, NULL);
	image = table_add_image(&run->table, 1);
	image->record.start_pages[PYMEM_ANON] = image->record.now_pages[PYMEM_ANON] = 1000;
	image->record.peak_pages = 1000;
	t->end[0] = t->most[0] = 1000;
	for (int j = 0; j < STACKS; j++) {
		t->stacks[j] = table_add_stack(&run->table, 1, FIRST + j, 2, 0);
		t->stacks[j]->frames[1].line = CALLER;
	}
}

/* As the BPF side counts it. */
static void change(struct truth *t, struct run *run, int tick, int j, int64_t pages)
{
	struct pymem_counters *counters = &t->stacks[j]->counters;
	struct pymem_proc *record = &table_image(&run->table, 1)->record;

	t->rss += pages;
	counters->pages[PYMEM_ANON] += pages;
	*(pages > 0 ? &counters->grown_pages : &counters->freed_pages) += (uint64_t)llabs(pages);
	record->now_pages[PYMEM_ANON] = t->rss;
	if (counters->peak_pages < (uint64_t)t->rss)
		counters->peak_pages = (uint64_t)t->rss;
	if (record->peak_pages < (uint64_t)t->rss)
		record->peak_pages = (uint64_t)t->rss;
	keep_larger(&t->most[tick], t->rss);
	keep_larger(&t->peak[tick][j], t->rss);
}

static void tick(struct truth *t, struct run *run, int tick)
{
	for (int k = rand_r(&t->seed) % 5; k > 0; k--) {
		int64_t pages = rand_r(&t->seed) % 300 - 150;

		change(t, run, tick, rand_r(&t->seed) % STACKS,
		       pages && t->rss + pages > 100 ? pages : 120);
	}
	t->end[tick] = t->rss;
	run_tick(run, 1);
}

static const struct model_line *line_of(const struct model_process *p, const char *function,
					int line)
{
	for (size_t i = 0; i < p->line_count; i++)
		if (!strcmp(p->lines[i].location->function, function) &&
		    p->lines[i].location->line == line)
			return &p->lines[i];
	return NULL;
}

/* Counts how often something was known, and not. */
struct tally {
	unsigned exact, at_least, known, unknown;
};

static void check_line(const struct truth *t, const struct model_line *line, int64_t truth,
		       struct tally *tally)
{
	if (!line)
		return;
	if (line->peak_bytes < 0) {
		tally->unknown++;
		return;
	}
	tally->known++;
	assert_int_equal(line->peak_bytes, truth * t->page);
}

static void check_window(const struct truth *t, struct run *run, int from, int to,
			 struct tally *tally)
{
	struct model *model = run_window(run, from, to);
	const struct model_process *p = run_process(model, 1);
	int64_t most = t->end[from], ends = most, peak[STACKS] = {}, all = 0;

	if (!p)
		return;
	for (int i = from + 1; i <= to; i++) {
		keep_larger(&most, t->most[i]);
		keep_larger(&ends, t->end[i]);
		for (int j = 0; j < STACKS; j++) {
			keep_larger(&peak[j], t->peak[i][j]);
			keep_larger(&all, t->peak[i][j]);
		}
	}
	if (p->rss_peak_at_least) {
		tally->at_least++;
		assert_in_range(p->rss_peak_bytes, ends * t->page, most * t->page);
	} else {
		tally->exact++;
		assert_int_equal(p->rss_peak_bytes, most * t->page);
	}
	for (int j = 0; j < STACKS; j++)
		check_line(t, line_of(p, "leaf", FIRST + j), peak[j], tally);
	check_line(t, line_of(p, "caller", CALLER), all, tally);
}

static void test_peaks(void **state)
{
	static struct truth truth;
	struct tally tally = {}, whole = {};
	struct run *run = *state;

	begin(&truth, run);
	for (int i = 1; i <= TICKS; i++)
		tick(&truth, run, i);
	run_end(run, 0.5);
	run_same(run);
	run_open(run);
	for (int from = 0; from < TICKS; from++)
		for (int to = from + 1; to <= TICKS; to += 1 + from % 3)
			check_window(&truth, run, from, to, &tally);
	/* All cases were there. */
	assert_true(tally.exact > 50 && tally.at_least > 50);
	assert_true(tally.known > 50 && tally.unknown > 50);
	check_window(&truth, run, 0, TICKS, &whole);
	assert_int_equal(whole.at_least + whole.unknown, 0);
}

/* Of the exact engine, too: usage and peak of runs. */
static void test_runs(void **state)
{
	const struct recorder_options options = {.lines = true};
	const struct model_line *line;
	int64_t page = sysconf(_SC_PAGESIZE);
	struct run *run = *state;
	struct table_image *image;
	struct table_line *row;

	run_begin(run, &options);
	image = table_add_image(&run->table, 1);
	image->image.lines = true;
	row = table_add_line(&run->table, 1, 7, 1);
	row->counted.usage_pages = 100;
	row->counted.peak_pages = 200;
	run_tick(run, 1);
	row->counted.runs++;
	row->counted.usage_pages = 150;
	run_tick(run, 1);
	row->counted.runs++;
	run_tick(run, 1);
	run_end(run, 1);
	run_same(run);
	run_open(run);
	line = &run_process(run_window(run, 1, 2), 1)->lines[0];
	assert_int_equal(line->occurrences, 1);
	assert_int_equal(line->mem_usage_bytes, 150 * page);
	assert_int_equal(line->peak_bytes, -1);
	line = &run_process(run_window(run, 2, 3), 1)->lines[0];
	assert_int_equal(line->occurrences, 1);
	assert_int_equal(line->mem_usage_bytes, -1);
	line = &run_process(run_window(run, 0, 2), 1)->lines[0];
	assert_int_equal(line->mem_usage_bytes, 150 * page);
	assert_int_equal(line->peak_bytes, 200 * page);
}

/* --- PSS --- */

static void sql(struct run *run, const char *text)
{
	sqlite3 *db;
	char *why = NULL;

	recording_close(run->recording);
	run->recording = NULL;
	assert_int_equal(sqlite3_open(run->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
}

static int64_t number(const struct run *run, const char *text)
{
	sqlite3 *db;
	sqlite3_stmt *query;
	int64_t value;

	assert_int_equal(sqlite3_open(run->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &query, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(query), SQLITE_ROW);
	value = sqlite3_column_type(query, 0) == SQLITE_NULL ? -1 : sqlite3_column_int64(query, 0);
	sqlite3_finalize(query);
	sqlite3_close(db);
	return value;
}

static struct timeline *timeline_of(struct run *run, double since, double until)
{
	const struct recording_view view = {.since = since ? RUN_START + since : 0,
					    .until = until ? RUN_START + until : 0,
					    .keep_trees = true};
	struct timeline *timeline;

	run_open(run);
	if (!recording_model(run->recording, &view, run->why, sizeof(run->why)))
		fail_msg("%s", run->why);
	timeline = recording_timeline(run->recording, 10, 1000, run->why, sizeof(run->why));
	if (!timeline)
		fail_msg("%s", run->why);
	return timeline;
}

/* Ten seconds: known from the second on, unknown in the sixth, the same as before in the eighth. */
static void record_pss(struct run *run)
{
	static const int64_t read[10] = {0, 5000, 6000, 6000, 6500, -1, 7000, 7000, 7000, 8000};

	run_begin(run, NULL);
	table_add_image(&run->table, 1);
	table_add_image(&run->table, 2);
	for (int i = 0; i < 10; i++) {
		if (read[i])
			recorder_add_pss(run->recorder, 1, read[i], read[i] < 0 ? -1 : 100);
		recorder_add_pss(run->recorder, 77, 1, 1);
		table_image(&run->table, 1)->record.now_pages[PYMEM_ANON]++;
		run_tick(run, 1);
	}
}

static void test_pss(void **state)
{
	static const int64_t wanted[10] = {-1, 5000, 6000, 6000, 6500, -1, 7000, 7000, 7000, 8000};
	struct run *run = *state;
	struct timeline *timeline;

	record_pss(run);
	run_end(run, 0);
	run_same(run);
	/* Only what changed is written. */
	assert_int_equal(number(run, "SELECT count(*) FROM pss"), 6);
	assert_int_equal(number(run, "SELECT sum(swap) FROM pss"), 500);
	timeline = timeline_of(run, 0, 0);
	for (size_t i = 0; i < timeline->slices && i < 10; i++)
		assert_int_equal(timeline->processes[0].pss_bytes[i], wanted[i]);
	assert_null(timeline->processes[1].pss_bytes);
	timeline_free(timeline);
	/* What was read before a part is so in it. */
	timeline = timeline_of(run, 3, 5);
	assert_int_equal(timeline->processes[0].pss_bytes[0], 6000);
	timeline_free(timeline);
	assert_int_equal(run_process(run_window(run, 2, 5), 1)->pss_bytes, 6500);
	assert_int_equal(run_process(run_window(run, 2, 6), 1)->pss_bytes, -1);
	assert_int_equal(run_process(run_window(run, 2, 5), 2)->pss_bytes, -1);
	/* At the end of the recording it is what the live report had. */
	assert_int_equal(run_process(run_window(run, 2, 0), 1)->pss_bytes, -1);
}

/* What was read of a process that has ended meanwhile may be of another one. */
static void test_pss_of_the_ended(void **state)
{
	struct run *run = *state;

	record_pss(run);
	recorder_add_pss(run->recorder, 1, 9999, 0);
	table_image(&run->table, 1)->image.ended = true;
	run_tick(run, 1);
	run_end(run, 1);
	assert_int_equal(number(run, "SELECT count(*) FROM pss WHERE bytes = 9999"), 0);
}

/* The last one of what is put together stays. */
static void test_pss_is_gathered(void **state)
{
	struct run *run = *state;

	run_begin(run, NULL);
	table_add_image(&run->table, 1);
	for (int i = 1; i <= 700; i++) {
		recorder_add_pss(run->recorder, 1, 1000 + i, i);
		run_tick(run, 1);
	}
	run_end(run, 1);
	run_same(run);
	assert_true(number(run, "SELECT count(*) FROM pss") < 650);
	assert_int_equal(number(run, "SELECT count(*) FROM pss WHERE interval NOT IN"
				     " (SELECT id FROM interval)"),
			 0);
	/* Second N ends at RUN_START + N. */
	assert_int_equal(number(run, "SELECT count(*) FROM pss JOIN interval ON id = interval WHERE"
				     " abs(1700000000.25 + bytes - 1000 - until) > 0.01"),
			 0);
}

static void test_hostile_pss(void **state)
{
	static const char *const rows[] = {
		"1, 2, -1, -1",	       "1, 3, 9223372036854775807, 1",
		"1, 4, 'x', x'ff'",    "1, -5, 7, 7",
		"99, 2, 5, 5",	       "1, 1e300, 5, 5",
		"1, 5, NULL, NULL",    "1, 6, 1e300, 0",
		"-1, 6, 1000, 0.5",    "1, 9223372036854775807, 5, 0",
		"x'00', 7, 'y', NULL",
	};
	struct run *run = *state;
	struct timeline *timeline;
	char text[256];

	record_pss(run);
	run_end(run, 0);
	sql(run, "DELETE FROM pss");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "INSERT OR REPLACE INTO pss VALUES(%s)", rows[i]);
		sql(run, text);
	}
	for (int until = 0; until < 10; until++) {
		timeline = timeline_of(run, 0, until);
		for (size_t p = 0; p < timeline->process_count; p++)
			for (size_t i = 0; i < timeline->slices; i++)
				if (timeline->processes[p].pss_bytes)
					assert_in_range(timeline->processes[p].pss_bytes[i] + 1, 0,
							(1ll << 50) + 1);
		timeline_free(timeline);
	}
	sql(run, "UPDATE image SET pss = 9223372036854775807");
	run_open(run);
	assert_int_equal(run_process(run_window(run, 0, 0), 1)->pss_bytes, -1);
}

/* Peaks that no machine has, and such that fall. */
static void test_hostile_peaks(void **state)
{
	static const char *const changes[] = {
		"UPDATE sample SET peak = -5",
		"UPDATE sample SET peak = 9223372036854775807 WHERE interval < 4",
		"UPDATE sample SET peak = 1000 - interval, anon = -9223372036854775807 - 1",
		"UPDATE sample SET anon = 9223372036854775807, file = 9223372036854775807, peak = "
		"3",
		"UPDATE sample SET peak = 5, anon = 9223372036854775807 WHERE interval BETWEEN 5 "
		"AND 6",
	};
	struct run *run = *state;
	struct timeline *timeline;
	struct recording_view view = {.since = RUN_START + 4, .until = RUN_START + 8};

	record_pss(run);
	run_end(run, 0);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		sql(run, changes[i]);
		run_open(run);
		view.keep_trees = true;
		/* Refused, or read: nothing overflows. */
		if (!recording_model(run->recording, &view, run->why, sizeof(run->why)))
			continue;
		timeline = recording_timeline(run->recording, 3, 1000, run->why, sizeof(run->why));
		timeline_free(timeline);
	}
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, run_setup, run_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RUN(test_peaks),
		RUN(test_runs),
		RUN(test_pss),
		RUN(test_pss_of_the_ended),
		RUN(test_pss_is_gathered),
		RUN(test_hostile_pss),
		RUN(test_hostile_peaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

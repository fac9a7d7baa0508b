/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/: marks of collections and reclaims, from what the test says there was. Like
 * fake_examiner.h, it defines functions, so that the linker does not take them from the library. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "os/cgroup_memory.h"
#include "python/examiner.h"
#include "record_fixture.h"

#define IMAGES 64

static struct {
	int find_error[IMAGES], error[IMAGES]; /* by image less 1 */
	uint64_t counts[IMAGES][PY_GENERATIONS];
	unsigned found, find_us;
	struct cgroup_memory memory;
	const char *group;
	int64_t reclaims;
} world;

static unsigned image_of(pid_t pid)
{
	return (unsigned)pid - 1001; /* counts_table.h */
}

int examiner_find_collector(pid_t pid, struct py_collector *collector, char why[EXAMINER_WHY])
{
	int err = world.find_error[image_of(pid)];

	world.found++;
	usleep(world.find_us);
	*collector = (struct py_collector){};
	snprintf(why, EXAMINER_WHY, "%s", err == -ENOTSUP ? "it is too new" : "");
	return err;
}

void examiner_count_collections(struct examiner_counted *all, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned image = image_of(all[i].pid);

		all[i].error = world.error[image];
		memcpy(all[i].counts, world.counts[image], sizeof(all[i].counts));
	}
}

void cgroup_memory_read(const char *path, struct cgroup_memory *memory)
{
	*memory = world.memory;
	memory->length = memory->reclaims.length = strrchr(path, '/') - path ?: 1;
}

void cgroup_memory_name(pid_t pid, const char *path, char *name, size_t size)
{
	(void)path;
	snprintf(name, size, "/limit/%c", 'a' + (int)image_of(pid));
}

/* report/ has it read live ones. */
void cgroup_usage_read(const char *path, struct cgroup_usage *usage)
{
	(void)path;
	*usage = (struct cgroup_usage){-1, -1, -1, -1, -1};
}

int64_t cgroup_idle_cache_at(const char *root __attribute__((unused)),
			     const char *path __attribute__((unused)),
			     size_t length __attribute__((unused)))
{
	return -1;
}

bool cgroup_lists_memory(const char *controllers)
{
	(void)controllers;
	return false;
}

int64_t host_reclaims(void)
{
	return world.reclaims;
}

static int setup(void **state)
{
	memset(&world, 0, sizeof(world));
	return run_setup(state);
}

static void begin(struct run *run, unsigned images)
{
	run_begin(run, NULL);
	for (uint32_t id = 1; id <= images; id++)
		table_add_image(&run->table, id);
}

static void end(struct run *run)
{
	run_end(run, 1);
	run_same(run);
}

/* The first column of the first row. */
static int64_t number(const struct run *run, const char *sql)
{
	sqlite3_stmt *query;
	sqlite3 *db;
	int64_t found;

	assert_int_equal(sqlite3_open_v2(run->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &query, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(query), SQLITE_ROW);
	found = sqlite3_column_int64(query, 0);
	sqlite3_finalize(query);
	sqlite3_close(db);
	return found;
}

static void collect(unsigned image, uint64_t full, uint64_t younger)
{
	world.counts[image - 1][2] += full;
	world.counts[image - 1][1] += younger / 2;
	world.counts[image - 1][0] += younger - younger / 2;
}

static void test_collections(void **state)
{
	struct run *run = *state;

	begin(run, 2);
	collect(1, 100, 1000); /* before it was read */
	run_tick(run, 1);
	run_tick(run, 1);
	collect(1, 3, 7);
	collect(2, 0, 50); /* no full ones */
	run_tick(run, 1);
	run_tick(run, 1);
	collect(1, 1, 0);
	end(run);
	assert_int_equal(number(run, "SELECT count(*) FROM mark WHERE kind = 'gc'"), 2);
	assert_int_equal(number(run, "SELECT image = 1 AND count = 3 AND more = 7 AND text IS NULL"
				     " FROM mark WHERE kind = 'gc'"),
			 1);
	assert_int_equal(number(run, "SELECT sum(count) FROM mark WHERE kind = 'gc'"), 4);
	assert_int_equal(number(run, "SELECT count(*) FROM mark WHERE kind = 'unseen'"), 0);
}

/* New ones are looked at for some time of each second, but in a long interval not for long at once.
 */
static void test_many_are_new(void **state)
{
	struct run *run = *state;
	unsigned of_a_second;

	world.find_us = 2000;
	begin(run, IMAGES);
	run_tick(run, 1);
	run_tick(run, 1);
	of_a_second = world.found;
	assert_in_range(of_a_second, 1, 20 / 2 + 1);
	run_tick(run, 60);
	assert_in_range(world.found - of_a_second, 20 / 2 + 2, 100 / 2 + 1);
	world.find_us = 0;
	end(run);
}

/* Counts that were read while they changed, or that are spoilt, are no collections. */
static void test_odd_counts(void **state)
{
	struct run *run = *state;

	begin(run, 1);
	collect(1, 100, 0);
	run_tick(run, 1);
	run_tick(run, 1);
	world.counts[0][2] = 98; /* of another item of a ring */
	run_tick(run, 1);
	world.counts[0][2] = 101;
	run_tick(run, 1);
	world.counts[0][0] = UINT64_MAX;
	run_tick(run, 1);
	run_tick(run, 1);
	world.counts[0][0] = 5;
	run_tick(run, 1);
	world.counts[0][2] = 3; /* a new interpreter in the same process */
	run_tick(run, 1);
	run_tick(run, 1);
	collect(1, 2, 0);
	run_tick(run, 1);
	end(run);
	assert_int_equal(number(run, "SELECT sum(count) FROM mark WHERE kind = 'gc'"), 3);
}

static void test_unseen(void **state)
{
	struct run *run = *state;

	begin(run, 4);
	world.find_error[0] = -ENOTSUP;
	world.error[1] = -ETIME;
	world.find_error[2] = -EFAULT;
	for (int i = 0; i < 6; i++) {
		run_tick(run, 1);
		collect(4, 1, 0);
	}
	end(run);
	assert_int_equal(number(run, "SELECT count(*) FROM mark WHERE kind = 'unseen'"), 3);
	assert_int_equal(number(run,
				"SELECT image FROM mark WHERE kind = 'unseen' AND text ="
				" CAST('full collections are not seen: it is too new' AS BLOB)"),
			 1);
	assert_int_equal(number(run, "SELECT image FROM mark WHERE kind = 'unseen'"
				     " AND CAST(text AS TEXT) LIKE '%took over%'"),
			 2);
	assert_int_equal(number(run, "SELECT image FROM mark WHERE kind = 'unseen'"
				     " AND CAST(text AS TEXT) LIKE '%counts can''t be read%'"),
			 3);
	/* None is looked for again once that is known. */
	assert_int_equal(world.found, 1 + 1 + 3 + 1);
	assert_int_equal(number(run, "SELECT sum(count) FROM mark WHERE kind = 'gc'"), 5);
}

/* A limit above two groups is one limit. */
static void test_reclaims(void **state)
{
	struct run *run = *state;

	world.memory = (struct cgroup_memory){1 << 20, 1 << 19, 0, 0, {5, 7, 0}};
	world.reclaims = 9;
	begin(run, 2);
	run_tick(run, 1);
	run_tick(run, 1);
	world.memory.reclaims.limit += 2;
	world.memory.reclaims.high += 30;
	run_tick(run, 1);
	run_tick(run, 1);
	world.reclaims += 4;
	run_tick(run, 1);
	world.reclaims = 3;
	run_tick(run, 1);
	world.memory.oom_kills = 1;
	run_tick(run, 1);
	end(run);
	assert_int_equal(number(run, "SELECT count(*) FROM mark WHERE kind = 'reclaim'"), 2);
	assert_int_equal(number(run,
				"SELECT count(*) FROM mark WHERE kind = 'reclaim' AND count = 2"
				" AND more = 30 AND text = CAST('/limit' AS BLOB)"),
			 1);
	assert_int_equal(number(run,
				"SELECT count(*) FROM mark WHERE kind = 'reclaim' AND count = 4"
				" AND more = 0 AND text IS NULL AND image IS NULL"),
			 1);
	assert_int_equal(number(run, "SELECT count(*) FROM mark WHERE kind = 'oom'"), 2);
}

static void test_host_is_silent(void **state)
{
	struct run *run = *state;

	world.reclaims = -1;
	begin(run, 1);
	run_tick(run, 1);
	end(run);
	assert_int_equal(number(run,
				"SELECT count(*) FROM mark WHERE kind = 'unseen'"
				" AND image IS NULL AND CAST(text AS TEXT) LIKE '%allocstall%'"),
			 1);
}

/* A process that collects each second, and a group at its limit, for some hours: few marks stay,
 * with all that there was. */
static void test_gathered(void **state)
{
	const unsigned seconds = 3 * 3600;
	struct run *run = *state;
	int64_t marks, old;

	world.memory.limit_bytes = 1;
	begin(run, 2);
	run_tick(run, 1);
	run_tick(run, 1);
	for (unsigned i = 0; i < seconds; i++) {
		collect(1, 2, 3);
		if (i % 2)
			collect(2, 1, 0);
		world.memory.reclaims.limit++;
		run_tick(run, 1);
	}
	end(run);
	assert_int_equal(number(run, "SELECT sum(count) FROM mark WHERE kind = 'gc' AND image = 1"),
			 2 * seconds);
	assert_int_equal(number(run, "SELECT sum(more) FROM mark WHERE kind = 'gc' AND image = 1"),
			 3 * seconds);
	assert_int_equal(number(run, "SELECT sum(count) FROM mark WHERE kind = 'gc' AND image = 2"),
			 seconds / 2);
	assert_int_equal(number(run, "SELECT sum(count) FROM mark WHERE kind = 'reclaim'"),
			 seconds);
	marks = number(run, "SELECT count(*) FROM mark WHERE kind = 'gc' AND image = 1");
	/* 10 minutes of seconds, then a mark each 10 s, and each minute for the first hour. */
	assert_in_range(marks, 600 + 60 + 660, 620 + 70 + 670);
	old = number(run, "SELECT max(count) FROM mark WHERE kind = 'gc' AND image = 1");
	assert_int_equal(old, 120);
	assert_int_equal(number(run, "SELECT count(*) FROM mark WHERE kind = 'begin'"), 2);
}

/* --- the timeline --- */

static struct timeline *timeline_of(struct run *run, size_t slices)
{
	struct timeline *timeline;

	run_window(run, 0, 0);
	timeline = recording_timeline(run->recording, slices, 100000, run->why, sizeof(run->why));
	if (!timeline)
		fail_msg("%s", run->why);
	return timeline;
}

static const struct timeline_mark *find_mark(const struct timeline *timeline,
					     enum timeline_event event, size_t *count)
{
	const struct timeline_mark *found = NULL;

	*count = 0;
	for (size_t i = 0; i < timeline->mark_count; i++) {
		if (timeline->marks[i].event != event)
			continue;
		found = &timeline->marks[i];
		(*count)++;
	}
	return found;
}

static void test_timeline(void **state)
{
	struct run *run = *state;
	struct timeline *timeline;
	const struct timeline_mark *mark;
	size_t count;

	world.memory = (struct cgroup_memory){1 << 20, 1 << 19, 0, 0, {5, 7, 0}};
	world.find_error[1] = -ENOTSUP;
	begin(run, 2);
	for (int i = 0; i < 40; i++) {
		collect(1, 1, 2);
		/* Something changes in each interval, so none becomes longer. */
		table_image(&run->table, 1)->record.now_pages[PYMEM_ANON]++;
		table_image(&run->table, 1)->record.lost_pages[PYMEM_LOSS_NO_FRAME]++;
		world.memory.reclaims.limit++;
		world.reclaims += i == 20;
		run_tick(run, 1);
	}
	end(run);
	timeline = timeline_of(run, 4);
	assert_int_equal(timeline->slices, 4);
	mark = find_mark(timeline, TIMELINE_GC, &count);
	assert_int_equal(count, 4);
	assert_int_equal(mark->process->id, 1);
	assert_true(mark->count >= 9 && mark->count <= 11 && mark->more == 2 * mark->count);
	mark = find_mark(timeline, TIMELINE_RECLAIM, &count);
	assert_int_equal(count, 4);
	assert_int_equal(mark->cgroup, 0);
	assert_int_equal(mark->group_length, strlen("/limit"));
	assert_true(timeline_is_below(&timeline->cgroups[1], timeline->cgroups[0].path,
				      mark->group_length));
	assert_false(timeline_is_below(&timeline->cgroups[1], "/lim", 4));
	mark = find_mark(timeline, TIMELINE_HOST_RECLAIM, &count);
	assert_true(count == 1 && mark->count == 1 && !mark->process);
	mark = find_mark(timeline, TIMELINE_UNSEEN, &count);
	assert_int_equal(count, 1);
	assert_int_equal(mark->process->id, 2);
	assert_string_equal(mark->text, "full collections are not seen: it is too new");
	timeline_free(timeline);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, run_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_collections),	   TEST(test_odd_counts),   TEST(test_unseen),
		TEST(test_reclaims),	   TEST(test_gathered),	    TEST(test_timeline),
		TEST(test_host_is_silent), TEST(test_many_are_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

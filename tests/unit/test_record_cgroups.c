/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* record/recorder_cgroups.c: what a control group uses is kept in steps; its limit, kills in it,
 * and another group that has the limit, always. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "os/cgroup_memory.h"
#include "record_fixture.h"

#define NO_RECLAIMS \
	{           \
		0   \
	}

static struct cgroup_memory memory;

/* In place of those of os/, which ask the kernel. */
void cgroup_usage_read(const char *path, struct cgroup_usage *usage)
{
	(void)path;
	*usage = (struct cgroup_usage){-1, -1, -1, -1, -1};
}

void cgroup_memory_read(const char *path __attribute__((unused)), struct cgroup_memory *into)
{
	*into = memory;
}

void cgroup_memory_name(pid_t pid __attribute__((unused)), const char *path, char *name,
			size_t size)
{
	snprintf(name, size, "%s", path ?: "");
}

int64_t cgroup_idle_cache_at(const char *root __attribute__((unused)),
			     const char *path __attribute__((unused)),
			     size_t length __attribute__((unused)))
{
	return -1;
}

bool cgroup_lists_memory(const char *controllers __attribute__((unused)))
{
	return false;
}

int64_t host_reclaims(void)
{
	return -1;
}

static int64_t number(const struct run *run, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *query;
	int64_t found;

	assert_int_equal(sqlite3_open(run->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &query, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(query), SQLITE_ROW);
	found = sqlite3_column_int64(query, 0);
	sqlite3_finalize(query);
	sqlite3_close(db);
	return found;
}

static int64_t rows(const struct run *run)
{
	return number(run, "SELECT count(*) FROM cgroup_sample");
}

static void begin(struct run *run, const struct cgroup_memory *at_first)
{
	memory = *at_first;
	run_begin(run, NULL);
	table_add_image(&run->table, 1)->image.cgroup = "/job";
	run_tick(run, 1);
}

static void test_steps(void **state)
{
	struct run *run = *state;

	begin(run, &(struct cgroup_memory){4000000000, 1280000, 0, 4, NO_RECLAIMS});
	assert_int_equal(rows(run), 1);
	/* A 128th, at once or bit by bit. */
	for (int i = 0; i < 10; i++) {
		memory.current_bytes += 1000;
		run_tick(run, 1);
	}
	assert_int_equal(rows(run), 1);
	memory.current_bytes++;
	run_tick(run, 1);
	assert_int_equal(rows(run), 2);
	assert_int_equal(number(run, "SELECT current FROM cgroup_sample ORDER BY interval DESC"),
			 1290001);
	memory.current_bytes -= 20000;
	run_tick(run, 1);
	assert_int_equal(rows(run), 3);
}

static void test_what_is_always_kept(void **state)
{
	struct run *run = *state;

	begin(run, &(struct cgroup_memory){4000000000, 1280000, 0, 4, NO_RECLAIMS});
	memory.oom_kills = 1;
	run_tick(run, 1);
	assert_int_equal(rows(run), 2);
	assert_int_equal(number(run, "SELECT count(*) FROM mark WHERE kind = 'oom'"), 1);
	memory.limit_bytes = 3999995904;
	run_tick(run, 1);
	assert_int_equal(rows(run), 3);
	/* Another group has the lowest limit: its kills are not new. */
	memory.length = 1;
	memory.oom_kills = 7;
	run_tick(run, 1);
	assert_int_equal(rows(run), 4);
	assert_int_equal(number(run, "SELECT count(*) FROM mark WHERE kind = 'oom'"), 1);
	/* It can't be read any more. */
	memory = (struct cgroup_memory){-1, -1, -1, 0, NO_RECLAIMS};
	run_tick(run, 1);
	run_tick(run, 1);
	assert_int_equal(rows(run), 5);
}

static void test_no_limit(void **state)
{
	struct run *run = *state;

	begin(run, &(struct cgroup_memory){-1, -1, -1, 0, NO_RECLAIMS});
	run_tick(run, 1);
	assert_int_equal(rows(run), 0);
}

/* Eight groups have their turn each second, also if a reading comes less often. */
static void test_turns(void **state)
{
	static char paths[30][16];
	struct run *run = *state;

	memory = (struct cgroup_memory){4000000000, 1280000, 0, 4, NO_RECLAIMS};
	run_begin(run, NULL);
	for (uint32_t i = 0; i < 30; i++) {
		snprintf(paths[i], sizeof(paths[i]), "/job%u", i);
		table_add_image(&run->table, i + 1)->image.cgroup = paths[i];
	}
	run_tick(run, 1);
	assert_int_equal(rows(run), 8);
	run_tick(run, 2);
	assert_int_equal(rows(run), 8 + 16);
	/* The clock may jump. */
	run_tick(run, 1e9);
	assert_int_equal(rows(run), 30);
}

int main(void)
{
#define RUN(test) cmocka_unit_test_setup_teardown(test, run_setup, run_teardown)
	const struct CMUnitTest tests[] = {
		RUN(test_steps),
		RUN(test_what_is_always_kept),
		RUN(test_no_limit),
		RUN(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/cgroup_last.c and model/death_group.c: what a group had when a process of it was killed, from
 * trees of files made by hand, and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "file_tree.h"
#include "model/death_group.h"

#define V1 "/sys/fs/cgroup/memory"
#define V2 "/sys/fs/cgroup"

static struct cgroup_last last_of(const char *path)
{
	struct cgroup_last last = {.late_ns = 1500000};

	cgroup_last_read_at(root, path, strlen(path), &last);
	return last;
}

/* What is written is read again. */
static void check_round(const struct cgroup_last *last)
{
	json_t *value = death_group_value(last), *missing = death_group_missing(last);
	struct cgroup_last read;

	assert_true(value && missing);
	assert_true(death_group_take(value, missing, &read));
	assert_int_equal(read.state, last->state);
	assert_string_equal(read.path, last->path);
	if (last->state == CGROUP_LAST_READ) {
		assert_int_equal(read.v1, last->v1);
		assert_int_equal(read.late_ns, last->late_ns);
		assert_int_equal(read.idle_bytes, last->idle_bytes);
		assert_memory_equal(read.bytes, last->bytes, sizeof(read.bytes));
		assert_memory_equal(read.events, last->events, sizeof(read.events));
	}
	json_decref(value);
	json_decref(missing);
}

static void test_v2(void **state)
{
	struct cgroup_last last;

	(void)state;
	put(V2 "/a/b/memory.current", "9000000\n");
	put(V2 "/a/b/memory.stat", "anon 4096000\nfile 2048000\nkernel 1024000\ninactive_file 7\n");
	put(V2 "/a/b/memory.events", "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 0\n");
	last = last_of("/a/b");
	assert_int_equal(last.state, CGROUP_LAST_READ);
	assert_false(last.v1);
	assert_string_equal(last.path, "/a/b");
	assert_int_equal(last.bytes[CGROUP_TOTAL], 9000000);
	assert_int_equal(last.bytes[CGROUP_ANON], 4096000);
	assert_int_equal(last.bytes[CGROUP_ZSWAP], -1);
	assert_int_equal(last.idle_bytes, 7);
	assert_int_equal(last.events[CGROUP_EVENT_LOW], 1);
	assert_int_equal(last.events[CGROUP_EVENT_MAX], 3);
	assert_int_equal(last.events[CGROUP_EVENT_OOM], 4);
	assert_int_equal(last.events[CGROUP_EVENT_OOM_KILL], 5);
	assert_int_equal(last.events[CGROUP_EVENT_OOM_GROUP_KILL], 0);
	check_round(&last);
	/* A group above it, by length. */
	put(V2 "/a/memory.current", "12\n");
	cgroup_last_read_at(root, "/a/b", 2, &last);
	assert_string_equal(last.path, "/a");
	assert_int_equal(last.bytes[CGROUP_TOTAL], 12);
	assert_int_equal(last.events[CGROUP_EVENT_OOM_KILL], -1);
	check_round(&last);
}

static void test_v1(void **state)
{
	struct cgroup_last last;

	(void)state;
	put(V1 "/a/memory.usage_in_bytes", "5000\n");
	put(V1 "/a/memory.stat",
	    "cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\ntotal_inactive_file 4\n");
	put(V1 "/a/memory.failcnt", "77\n");
	put(V1 "/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	last = last_of("memory:/a");
	assert_int_equal(last.state, CGROUP_LAST_READ);
	assert_true(last.v1);
	assert_string_equal(last.path, "memory:/a");
	assert_int_equal(last.bytes[CGROUP_TOTAL], 5000);
	assert_int_equal(last.bytes[CGROUP_ANON], 20);
	assert_int_equal(last.bytes[CGROUP_FILE], 10);
	assert_int_equal(last.idle_bytes, 4);
	assert_int_equal(last.events[CGROUP_EVENT_MAX], 77);
	assert_int_equal(last.events[CGROUP_EVENT_OOM_KILL], 2);
	assert_int_equal(last.events[CGROUP_EVENT_OOM], -1);
	check_round(&last);
}

static void test_missing(void **state)
{
	static const struct {
		const char *path;
		enum cgroup_last_state state;
		const char *name;
	} all[] = {
		{"", CGROUP_LAST_UNNAMED, "unnamed"},	    {"/", CGROUP_LAST_ROOT, "root"},
		{"memory:/", CGROUP_LAST_ROOT, "root"},	    {"/none", CGROUP_LAST_GONE, "gone"},
		{"memory:/none", CGROUP_LAST_GONE, "gone"}, {"/../x", CGROUP_LAST_GONE, "gone"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct cgroup_last last = last_of(all[i].path);
		json_t *value = death_group_value(&last), *missing = death_group_missing(&last);

		assert_int_equal(last.state, all[i].state);
		assert_true(json_is_null(value));
		assert_string_equal(json_string_value(missing), all[i].name);
		check_round(&last);
		json_decref(value);
		json_decref(missing);
	}
}

/* Of a path that is too long the end is kept; files that are none of the kernel's say nothing. */
static void test_odd(void **state)
{
	char path[400] = V2 "/", *name = path + strlen(V2);
	struct cgroup_last last;

	(void)state;
	memset(name + 1, 'x', 100);
	name[101] = '/';
	memset(name + 102, 'y', 200);
	strcpy(name + 302, "/memory.events");
	put(path, "max -1\nmax 4\nhigh 99999999999999999999\noom x\noom_kill 3z\nlow\n\n");
	name[302] = '\0';
	last = last_of(name);
	assert_int_equal(last.state, CGROUP_LAST_READ);
	assert_int_equal(strlen(last.path), CGROUP_LAST_PATH - 1);
	assert_int_equal(strncmp(last.path, "...x", 4), 0);
	assert_int_equal(last.events[CGROUP_EVENT_MAX], 4);
	assert_int_equal(last.events[CGROUP_EVENT_HIGH], -1);
	assert_int_equal(last.events[CGROUP_EVENT_OOM], -1);
	assert_int_equal(last.events[CGROUP_EVENT_OOM_KILL], -1);
	check_round(&last);
}

static void test_hostile_json(void **state)
{
	static const char *const bad[] = {
		"[]",
		"7",
		"{}",
		"{\"path\":\"/a\",\"version\":2,\"late_ms\":1,\"stat_bytes\":{},\"events\":[]}",
		"{\"path\":\"/"
		"a\",\"version\":2,\"late_ms\":1,\"stat_bytes\":{\"anon\":-4},\"events\":{}}",
		"{\"path\":\"/"
		"a\",\"version\":2,\"late_ms\":1,\"stat_bytes\":{},\"events\":{\"max\":\"1\"}}",
		"{\"path\":\"/a\",\"version\":2,\"late_ms\":1e300,\"stat_bytes\":{},\"events\":{}}",
		"{\"path\":7,\"version\":2,\"late_ms\":1,\"stat_bytes\":{},\"events\":{}}",
		"{\"path\":\"/a\",\"late_ms\":1,\"stat_bytes\":{},\"events\":{}}",
	};
	json_t *value, *reason = json_string("of a later kind"), *number = json_integer(4);
	struct cgroup_last read;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		value = json_loads(bad[i], JSON_DECODE_ANY, NULL);
		assert_non_null(value);
		if (death_group_take(value, NULL, &read))
			fail_msg("%s is taken", bad[i]);
		json_decref(value);
	}
	assert_true(death_group_take(NULL, NULL, &read));
	assert_int_equal(read.state, CGROUP_LAST_UNSEEN);
	assert_true(death_group_take(NULL, reason, &read));
	assert_int_equal(read.state, CGROUP_LAST_GONE);
	assert_false(death_group_take(NULL, number, &read));
	json_decref(reason);
	json_decref(number);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_v2, begin, end),
		cmocka_unit_test_setup_teardown(test_v1, begin, end),
		cmocka_unit_test_setup_teardown(test_missing, begin, end),
		cmocka_unit_test_setup_teardown(test_odd, begin, end),
		cmocka_unit_test(test_hostile_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What control groups and the host say of their memory, from trees of files made by hand. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "file_tree.h"
#include "os/cgroup_memory.h"

#define V1 "/sys/fs/cgroup/memory"
#define V2 "/sys/fs/cgroup"

static struct cgroup_memory memory_of(const char *path)
{
	struct cgroup_memory memory;

	cgroup_memory_read_at(root, path, &memory);
	return memory;
}

static void test_nothing(void **state)
{
	struct cgroup_memory memory = memory_of("/a/b");

	(void)state;
	assert_true(memory.limit_bytes == -1 && memory.current_bytes == -1 &&
		    memory.oom_kills == -1 && !memory.length);
	assert_true(memory.reclaims.limit == -1 && memory.reclaims.high == -1 &&
		    !memory.reclaims.length);
	put(V2 "/secret/memory.max", "5\n");
	assert_true(memory_of("/../secret").limit_bytes == -1);
}

/* Pages of files that nobody uses, of the group that a part of the path names. */
static void test_idle_cache(void **state)
{
	(void)state;
	put(V2 "/a/memory.stat", "anon 1\nfile 5000\ninactive_anon 7\ninactive_file 4096\n");
	put(V1 "/b/memory.stat", "inactive_file 5\nhierarchical_memory_limit 9\n"
				 "total_inactive_file 8192\n");
	assert_int_equal(cgroup_idle_cache_at(root, "/a/b", 2), 4096);
	assert_int_equal(cgroup_idle_cache_at(root, "/a/b", 4), -1);
	assert_int_equal(
		cgroup_idle_cache_at(root, CGROUP_MEMORY_V1 "/b/c", strlen(CGROUP_MEMORY_V1 "/b")),
		8192);
	assert_int_equal(cgroup_idle_cache_at(root, "/a", 0), -1);
	assert_int_equal(cgroup_idle_cache_at(root, "/a", 99), -1);
	assert_int_equal(cgroup_idle_cache_at(root, "/../a", 5), -1);
	assert_int_equal(cgroup_idle_cache_at(root, CGROUP_MEMORY_V1 "/b", 3), -1);
}

static void test_v2(void **state)
{
	struct cgroup_memory memory;

	(void)state;
	put(V2 "/a/memory.max", "104857600\n");
	put(V2 "/a/memory.high", "max\n");
	put(V2 "/a/memory.current", "5000\n");
	put(V2 "/a/memory.events", "low 0\nhigh 4\nmax 17\noom 1\noom_kill 2\n");
	put(V2 "/a/b/memory.max", "max\n");
	put(V2 "/a/b/memory.high", "max\n");
	put(V2 "/a/b/memory.events", "low 0\nhigh 40\nmax 170\noom 0\noom_kill 0\n");
	memory = memory_of("/a/b");
	assert_int_equal(memory.limit_bytes, 104857600);
	assert_int_equal(memory.current_bytes, 5000);
	assert_int_equal(memory.oom_kills, 2);
	assert_int_equal(memory.length, 2);
	assert_int_equal(memory.reclaims.limit, 17);
	assert_int_equal(memory.reclaims.high, 4);
	assert_int_equal(memory.reclaims.length, 2);
	/* A lower memory.high below it slows down first; the limit is that of the other one. */
	put(V2 "/a/b/memory.high", "1000000\n");
	memory = memory_of("/a/b");
	assert_int_equal(memory.length, 2);
	assert_int_equal(memory.limit_bytes, 104857600);
	assert_int_equal(memory.reclaims.length, 4);
	assert_int_equal(memory.reclaims.high, 40);
	assert_int_equal(memory.reclaims.limit, 170);
}

static void test_v1(void **state)
{
	struct cgroup_memory memory;

	(void)state;
	put(V1 "/a/memory.limit_in_bytes", "104857600\n");
	put(V1 "/a/memory.usage_in_bytes", "5000\n");
	put(V1 "/a/memory.failcnt", "31\n");
	put(V1 "/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
	put(V1 "/a/b/memory.limit_in_bytes", "9223372036854771712\n");
	put(V1 "/a/b/memory.failcnt", "99\n");
	memory = memory_of(CGROUP_MEMORY_V1 "/a/b");
	assert_int_equal(memory.limit_bytes, 104857600);
	assert_int_equal(memory.current_bytes, 5000);
	assert_int_equal(memory.oom_kills, 3);
	assert_int_equal(memory.length, strlen(CGROUP_MEMORY_V1 "/a"));
	assert_int_equal(memory.reclaims.limit, 31);
	assert_int_equal(memory.reclaims.high, -1);
	assert_int_equal(memory.reclaims.length, memory.length);
	/* Numbers that stand for no limit. */
	put(V1 "/a/memory.limit_in_bytes", "9223372036854771712\n");
	assert_true(memory_of(CGROUP_MEMORY_V1 "/a/b").limit_bytes == -1);
	assert_int_equal(memory_of(CGROUP_MEMORY_V1 "/a/b").reclaims.length, 0);
}

static const char *name_of(pid_t pid, const char *path)
{
	static char name[64];

	cgroup_memory_name_at(root, pid, path, name, sizeof(name));
	return name;
}

static void test_names(void **state)
{
	(void)state;
	put("/proc/7/cgroup", "9:name=systemd:/s\n4:cpu,memory:/docker/x\n0::/\n");
	put("/proc/8/cgroup", "0::/b\n");
	/* cgroup v2: the path as it is. */
	assert_string_equal(name_of(7, "/"), "/");
	assert_string_equal(name_of(7, NULL), "");
	put(V1 "/memory.usage_in_bytes", "1\n");
	assert_string_equal(name_of(7, "/"), CGROUP_MEMORY_V1 "/docker/x");
	/* Without a group of the memory controller, or gone: another hierarchy's path is none. */
	assert_string_equal(name_of(8, "/b"), "");
	assert_string_equal(name_of(9, "/c"), "");
}

static struct cgroup_usage usage_of(const char *path)
{
	struct cgroup_usage usage;

	cgroup_usage_read_at(root, path, &usage);
	return usage;
}

/* The group's own use, and the limit that counts, which may be one above it. */
static void test_usage(void **state)
{
	struct cgroup_usage usage = usage_of("/a/b");

	(void)state;
	assert_true(usage.current_bytes == -1 && usage.limit_bytes == -1 &&
		    usage.limited_bytes == -1 && usage.oom_kills == -1 && usage.pressure < 0);
	put(V2 "/a/memory.max", "1000000\n");
	put(V2 "/a/memory.current", "700000\n");
	put(V2 "/a/memory.events", "oom_kill 9\n");
	put(V2 "/a/b/memory.max", "max\n");
	put(V2 "/a/b/memory.current", "5000\n");
	put(V2 "/a/b/memory.events", "oom 4\noom_kill 2\noom_group_kill 0\n");
	put(V2 "/a/b/memory.pressure", "some avg10=12.34 avg60=1.00 avg300=0.00 total=9\n"
				       "full avg10=0.50 avg60=0.00 avg300=0.00 total=1\n");
	usage = usage_of("/a/b");
	assert_int_equal(usage.current_bytes, 5000);
	assert_int_equal(usage.limit_bytes, 1000000);
	assert_int_equal(usage.limited_bytes, 700000);
	assert_int_equal(usage.oom_kills, 2);
	assert_true(usage.pressure > 12.33 && usage.pressure < 12.35);
	put(V2 "/a/b/memory.pressure", "some avg10=nan\n");
	assert_true(usage_of("/a/b").pressure < 0);
	put(V2 "/a/b/memory.pressure", "full avg10=1.00\n");
	assert_true(usage_of("/a/b").pressure < 0);
	assert_int_equal(usage_of("/").current_bytes, -1);
	assert_int_equal(usage_of("/../a/b").current_bytes, -1);
	put(V1 "/c/memory.usage_in_bytes", "6000\n");
	put(V1 "/c/memory.limit_in_bytes", "9000\n");
	put(V1 "/c/memory.oom_control", "under_oom 0\noom_kill 1\n");
	put(V1 "/c/memory.pressure", "some avg10=12.34 avg60=1.00 avg300=0.00 total=9\n");
	usage = usage_of(CGROUP_MEMORY_V1 "/c");
	assert_int_equal(usage.current_bytes, 6000);
	assert_int_equal(usage.limit_bytes, 9000);
	assert_int_equal(usage.limited_bytes, 6000);
	assert_int_equal(usage.oom_kills, 1);
	assert_true(usage.pressure < 0);
}

static void test_host(void **state)
{
	(void)state;
	assert_int_equal(host_reclaims_at(root), -1);
	put("/proc/vmstat", "nr_free_pages 5\npgalloc_dma 9\n");
	assert_int_equal(host_reclaims_at(root), -1);
	put("/proc/vmstat", "nr_free_pages 5\nallocstall_dma 0\nallocstall_normal 3\n"
			    "allocstall_movable 4\ncompact_stall 8\n");
	assert_int_equal(host_reclaims_at(root), 7);
	/* Before 4.10. */
	put("/proc/vmstat", "pgrotated 5\nallocstall 11\n");
	assert_int_equal(host_reclaims_at(root), 11);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing), TEST(test_idle_cache), TEST(test_v2),   TEST(test_v1),
		TEST(test_names),   TEST(test_usage),	   TEST(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is left of a host's memory and of its control groups', from trees of files made by hand. */
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
#include "os/memory.h"

#define MIB (1ull << 20)

static void test_nothing(void **state)
{
	(void)state;
	assert_true(memory_available_at(root) == MEMORY_UNKNOWN);
}

static void test_host(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemTotal:  8000 kB\nMemAvailable:     2048 kB\n");
	assert_int_equal(memory_available_at(root), 2 * MIB);
	assert_true(memory_available() > 0);
	assert_true(memory_available() != MEMORY_UNKNOWN);
}

static void test_groups(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemAvailable:   1048576 kB\n");
	put("/proc/self/cgroup", "0::/a/b\n");
	put("/sys/fs/cgroup/a/b/memory.max", "max\n");
	put("/sys/fs/cgroup/a/b/memory.current", "1000\n");
	assert_int_equal(memory_available_at(root), 1024 * MIB);
	/* A group above; files' pages that may be dropped count as free. */
	put("/sys/fs/cgroup/a/memory.max", "104857600\n");
	put("/sys/fs/cgroup/a/memory.current", "73400320\n");
	assert_int_equal(memory_available_at(root), 30 * MIB);
	put("/sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 10485760\n");
	assert_int_equal(memory_available_at(root), 40 * MIB);
	put("/sys/fs/cgroup/a/memory.current", "209715200\n");
	assert_int_equal(memory_available_at(root), 0);
}

static void test_groups_of_version_1(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "5:cpuset:/x\n4:memory:/a\n3:memoryless:/y\n0::/\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n");
	put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "10485760\n");
	put("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "9437184\n");
	put("/sys/fs/cgroup/memory/a/memory.stat",
	    "inactive_file 1\ntotal_inactive_file 1048576\n");
	assert_int_equal(memory_available_at(root), 2 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, begin, end),
		cmocka_unit_test_setup_teardown(test_host, begin, end),
		cmocka_unit_test_setup_teardown(test_groups, begin, end),
		cmocka_unit_test_setup_teardown(test_groups_of_version_1, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

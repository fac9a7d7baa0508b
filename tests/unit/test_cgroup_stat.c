/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a group's memory is made of, from trees of files made by hand: both versions, older kernels,
 * files that are no such files; and the book that has a reading of each group. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "file_tree.h"
#include "os/cgroup_book.h"
#include "os/cgroup_memory.h"

#define V1 "/sys/fs/cgroup/memory"
#define V2 "/sys/fs/cgroup"

static unsigned looks; /* calls of access() */

/* In place of the system's. */
int access(const char *path, int mode)
{
	looks++;
	return faccessat(AT_FDCWD, path, mode, 0);
}

static struct cgroup_stat stat_of(const char *path)
{
	struct cgroup_stat sums;

	cgroup_stat_count_at(root, path, &sums);
	return sums;
}

static bool is_empty(const struct cgroup_stat *sums)
{
	for (int i = 0; i < CGROUP_PART_COUNT; i++)
		if (sums->bytes[i] != -1)
			return false;
	return sums->processes == -1 && !sums->derived && !sums->inode;
}

static void test_v2(void **state)
{
	struct cgroup_stat sums;

	(void)state;
	put(V2 "/a/memory.current", "9000000\n");
	put(V2 "/a/memory.stat",
	    "anon 4096000\nfile 2048000\nkernel 1024000\nkernel_stack 16384\npagetables 40960\n"
	    "sec_pagetables 0\npercpu 1234\nsock 5\nvmalloc 8192\nshmem 4096\nzswap 7\n"
	    "file_mapped 11\nslab_reclaimable 3\nslab 900000\nworkingset_refault_anon 1\n");
	put(V2 "/a/cgroup.procs", "1\n22\n333\n");
	sums = stat_of("/a");
	assert_int_equal(sums.bytes[CGROUP_TOTAL], 9000000);
	assert_int_equal(sums.bytes[CGROUP_ANON], 4096000);
	assert_int_equal(sums.bytes[CGROUP_FILE], 2048000);
	assert_int_equal(sums.bytes[CGROUP_SHMEM], 4096);
	assert_int_equal(sums.bytes[CGROUP_KERNEL], 1024000);
	assert_int_equal(sums.bytes[CGROUP_KERNEL_STACK], 16384);
	assert_int_equal(sums.bytes[CGROUP_PAGETABLES], 40960);
	assert_int_equal(sums.bytes[CGROUP_SEC_PAGETABLES], 0);
	assert_int_equal(sums.bytes[CGROUP_PERCPU], 1234);
	assert_int_equal(sums.bytes[CGROUP_SOCK], 5);
	assert_int_equal(sums.bytes[CGROUP_VMALLOC], 8192);
	assert_int_equal(sums.bytes[CGROUP_SLAB], 900000);
	assert_int_equal(sums.bytes[CGROUP_ZSWAP], 7);
	assert_int_equal(sums.processes, 3);
	assert_false(sums.derived || sums.v1 || sums.root || sums.has_children);
	assert_int_not_equal(sums.inode, 0);
	put(V2 "/a/b/cgroup.procs", "");
	assert_true(stat_of("/a").has_children);
	assert_int_equal(stat_of("/a/b").processes, 0);
}

/* 5.10 has neither `kernel` nor `pagetables`. */
static void test_older(void **state)
{
	struct cgroup_stat sums;

	(void)state;
	put(V2 "/a/memory.current", "10000\n");
	put(V2 "/a/memory.stat", "anon 4000\nfile 3000\nkernel_stack 100\npercpu 5\nsock 500\n"
				 "shmem 1\nslab 70\n");
	sums = stat_of("/a");
	assert_true(sums.derived);
	assert_int_equal(sums.bytes[CGROUP_KERNEL], 2500);
	assert_int_equal(sums.bytes[CGROUP_PAGETABLES], -1);
	assert_int_equal(sums.bytes[CGROUP_KERNEL_STACK], 100);
	/* Sums of different instants. */
	put(V2 "/a/memory.current", "6000\n");
	assert_int_equal(stat_of("/a").bytes[CGROUP_KERNEL], 0);
	/* Without one of the others nothing follows. */
	put(V2 "/a/memory.stat", "anon 4000\nkernel_stack 100\n");
	sums = stat_of("/a");
	assert_false(sums.derived);
	assert_int_equal(sums.bytes[CGROUP_KERNEL], -1);
}

static void test_v1(void **state)
{
	struct cgroup_stat sums;

	(void)state;
	put(V1 "/a/memory.usage_in_bytes", "70000\n");
	put(V1 "/a/memory.kmem.usage_in_bytes", "8192\n");
	put(V1 "/a/memory.kmem.tcp.usage_in_bytes", "4096\n");
	put(V1 "/a/memory.stat", "cache 1\nrss 2\nshmem 3\nmapped_file 4\ntotal_cache 20000\n"
				 "total_rss 30000\ntotal_shmem 5000\ntotal_mapped_file 7\n");
	/* What v2 says of a group of the same name is not read. */
	put(V2 "/a/memory.stat", "anon 5\nkernel 6\n");
	sums = stat_of("memory:/a");
	assert_true(sums.v1);
	assert_int_equal(sums.bytes[CGROUP_TOTAL], 70000);
	assert_int_equal(sums.bytes[CGROUP_ANON], 30000);
	assert_int_equal(sums.bytes[CGROUP_FILE], 20000);
	assert_int_equal(sums.bytes[CGROUP_SHMEM], 5000);
	assert_int_equal(sums.bytes[CGROUP_KERNEL], 8192);
	assert_int_equal(sums.bytes[CGROUP_SOCK], 4096);
	assert_int_equal(sums.bytes[CGROUP_PAGETABLES], -1);
	assert_false(sums.derived);
	/* Kernels that let one choose: groups below are in it, or not. */
	assert_false(sums.alone);
	put(V1 "/a/memory.use_hierarchy", "1\n");
	assert_false(stat_of("memory:/a").alone);
	put(V1 "/a/memory.use_hierarchy", "0\n");
	assert_true(stat_of("memory:/a").alone);
	/* Built without accounting of kernel memory: nothing takes its place. */
	put(V1 "/b/memory.usage_in_bytes", "70000\n");
	put(V1 "/b/memory.stat", "total_cache 20000\ntotal_rss 30000\n");
	sums = stat_of("memory:/b");
	assert_true(sums.bytes[CGROUP_KERNEL] == -1 && !sums.derived);
}

static void test_nothing(void **state)
{
	struct cgroup_stat sums = stat_of("/a/b");
	char name[8192];

	(void)state;
	assert_true(is_empty(&sums));
	put("/secret/memory.stat", "anon 5\n");
	put(V2 "/secret/memory.stat", "anon 5\n");
	put(V2 "/memory.stat", "anon 5\n");
	sums = stat_of("/../secret");
	assert_true(is_empty(&sums));
	sums = stat_of("memory:/x/../../secret");
	assert_true(is_empty(&sums));
	sums = stat_of("");
	assert_true(is_empty(&sums) && !sums.root);
	sums = stat_of("secret");
	assert_true(is_empty(&sums));
	/* The root has a memory.stat, but no sum. */
	sums = stat_of("/");
	assert_true(is_empty(&sums) && sums.root);
	sums = stat_of("memory:/");
	assert_true(is_empty(&sums) && sums.root && sums.v1);
	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	sums = stat_of(name);
	assert_true(is_empty(&sums));
}

/* No kernel writes such files. */
static void test_hostile(void **state)
{
	struct cgroup_stat sums;
	char *text = malloc(1 << 20), *at = text;

	(void)state;
	assert_non_null(text);
	put(V2 "/a/memory.current", "-5\n");
	put(V2 "/a/memory.stat",
	    "anon 99999999999999999999\nfile 1152921504606846977\nkernel\nkernel_stack 12x\n"
	    "pagetables  \nsock 7 8\nanon 5\npercpu -1\nslab +12\nvmalloc 0x10\n\n shmem 4\n"
	    "shmem 1152921504606846976\n");
	sums = stat_of("/a");
	assert_int_equal(sums.bytes[CGROUP_TOTAL], -1);
	assert_int_equal(sums.bytes[CGROUP_FILE], -1);
	assert_int_equal(sums.bytes[CGROUP_KERNEL], -1);
	assert_int_equal(sums.bytes[CGROUP_KERNEL_STACK], -1);
	assert_int_equal(sums.bytes[CGROUP_PAGETABLES], -1);
	assert_int_equal(sums.bytes[CGROUP_SOCK], -1);
	assert_int_equal(sums.bytes[CGROUP_PERCPU], -1);
	assert_int_equal(sums.bytes[CGROUP_VMALLOC], -1);
	assert_int_equal(sums.bytes[CGROUP_SHMEM], 1ll << 60);
	/* A million bytes without an end of line; then lines without end. */
	memset(text, 'a', (1 << 20) - 1);
	text[(1 << 20) - 1] = '\0';
	put(V2 "/a/memory.stat", text);
	put(V2 "/a/memory.current", text);
	sums = stat_of("/a");
	assert_int_equal(sums.bytes[CGROUP_ANON], -1);
	assert_int_equal(sums.bytes[CGROUP_TOTAL], -1);
	for (int i = 0; i < 5000; i++)
		at += sprintf(at, "key%d %d\n", i, i);
	sprintf(at, "anon 5\n");
	put(V2 "/a/memory.stat", text);
	assert_int_equal(stat_of("/a").bytes[CGROUP_ANON], -1);
	/* More processes than are counted. */
	for (at = text; at < text + (1 << 20) - 16;)
		at += sprintf(at, "1234\n");
	put(V2 "/a/cgroup.procs", text);
	assert_int_equal(stat_of("/a").processes, CGROUP_PROCESSES);
	free(text);
}

/* What groups can tell, by the files of the root. */
static void test_probe(void **state)
{
	struct cgroup_stat sums;

	(void)state;
	cgroup_stat_probe_at(root, &sums);
	assert_true(is_empty(&sums));
	put(V2 "/memory.stat", "anon 1\nfile 2\nshmem 3\nkernel 4\npagetables 5\n");
	cgroup_stat_probe_at(root, &sums);
	assert_true(sums.bytes[CGROUP_TOTAL] >= 0 && sums.bytes[CGROUP_PAGETABLES] >= 0);
	assert_true(sums.bytes[CGROUP_PERCPU] == -1 && !sums.derived && !sums.v1);
	put(V2 "/memory.stat", "anon 1\nfile 2\n");
	cgroup_stat_probe_at(root, &sums);
	assert_true(sums.derived && sums.bytes[CGROUP_TOTAL] >= 0);
	put(V1 "/memory.usage_in_bytes", "70000\n");
	put(V1 "/memory.kmem.usage_in_bytes", "0\n");
	put(V1 "/memory.stat", "total_cache 20000\ntotal_rss 30000\n");
	cgroup_stat_probe_at(root, &sums);
	assert_true(sums.v1 && sums.bytes[CGROUP_KERNEL] == 0 && sums.bytes[CGROUP_SHMEM] == -1);
}

static void check_owner(const char *path, const char *owner)
{
	char name[64];

	strcpy(name, path);
	cgroup_stat_owner_at(root, name);
	assert_string_equal(name, owner);
}

/* A group without the controller has its memory accounted above it. */
static void test_owner(void **state)
{
	(void)state;
	check_owner("/a/b/c", "/");
	check_owner("/", "/");
	check_owner("", "");
	check_owner("memory:/a", "memory:/");
	check_owner("/../a", "/../a");
	put(V2 "/a/memory.current", "1\n");
	put(V2 "/a/b/cgroup.procs", "1\n");
	check_owner("/a/b/c", "/a");
	check_owner("/a/b", "/a");
	check_owner("/a", "/a");
	check_owner("/ab", "/");
	check_owner("memory:/a/b", "memory:/");
	put(V1 "/a/b/memory.usage_in_bytes", "1\n");
	check_owner("memory:/a/b", "memory:/a/b");
}

/* A path of more than a thousand levels takes few looks; and each depth is found. */
static void test_deep_owner(void **state)
{
	char name[4096] = "", folder[PATH_MAX], owner[4096] = "/";

	(void)state;
	put(V2 "/cgroup.procs", "");
	for (int depth = 1; depth <= 24; depth++) {
		memset(name, 0, sizeof(name));
		for (int i = 1; i <= 24; i++)
			sprintf(name + strlen(name), "/%.*s", 1 + i % 5, "abcdef");
		looks = 0;
		cgroup_stat_owner_at(root, name);
		assert_string_equal(name, owner);
		assert_true(looks <= 10);
		/* The next level has the controller, too. */
		if (depth == 1)
			*owner = '\0';
		sprintf(owner + strlen(owner), "/%.*s", 1 + depth % 5, "abcdef");
		snprintf(folder, sizeof(folder), V2 "%.3000s/memory.current", owner);
		put(folder, "1\n");
	}
	for (int i = 0; i < 1900; i++)
		memcpy(name + 2 * i, "/x", 3);
	looks = 0;
	cgroup_stat_owner_at(root, name);
	assert_string_equal(name, "/");
	assert_true(looks <= 16);
}

static void test_book(void **state)
{
	struct cgroup_book *book = cgroup_book_new();

	(void)state;
	assert_non_null(book);
	assert_true(book->batch >= 64 * 4096);
	put(V2 "/a/memory.current", "100\n");
	put(V2 "/a/cgroup.procs", "1\n2\n");
	put(V2 "/b/memory.current", "7\n");
	assert_int_equal(cgroup_book_see_at(book, root, "", false), 0);
	assert_int_equal(cgroup_book_see_at(book, root, "/a", false), 1);
	assert_int_equal(cgroup_book_see_at(book, root, "/b", true), 2);
	put(V2 "/a/memory.current", "250\n");
	/* What it used at first is not read again. */
	assert_int_equal(cgroup_book_see_at(book, root, "/a", false), 1);
	assert_int_equal(book->groups[0].start.bytes[CGROUP_TOTAL], 100);
	/* Processes are counted at the end alone: there may be many. */
	assert_int_equal(book->groups[0].start.processes, -1);
	/* Of the first process of each. */
	assert_int_equal(cgroup_book_see_at(book, root, "/a", true), 1);
	assert_true(!book->groups[0].began && book->groups[1].began);
	assert_false(book->ended);
	cgroup_book_end_at(book, root);
	assert_true(book->ended);
	assert_int_equal(book->groups[0].start.bytes[CGROUP_TOTAL], 100);
	assert_int_equal(book->groups[0].end.bytes[CGROUP_TOTAL], 250);
	assert_int_equal(book->groups[0].end.processes, 2);
	assert_int_equal(book->groups[1].end.bytes[CGROUP_TOTAL], 7);
	cgroup_book_free(book);
	cgroup_book_free(NULL);
}

/* A process is in another group than it was: by the group in which its memory is accounted, of v1
 * and v2. */
static void test_left(void **state)
{
	struct cgroup_book *book = cgroup_book_new();

	(void)state;
	assert_non_null(book);
	put(V2 "/a/memory.current", "100\n");
	put(V2 "/b/memory.current", "100\n");
	put("/proc/7/cgroup", "1:name=systemd:/x\n0::/a\n");
	assert_int_equal(cgroup_book_see_at(book, root, "/a", false), 1);
	assert_false(cgroup_book_has_left_at(book, root, 7, 1));
	/* A group below without the controller is accounted in the one above. */
	put("/proc/7/cgroup", "0::/a/inner\n");
	assert_false(cgroup_book_has_left_at(book, root, 7, 1));
	put("/proc/7/cgroup", "0::/b\n");
	assert_true(cgroup_book_has_left_at(book, root, 7, 1));
	/* Nothing is known of one that is gone, nor of a group that the book has not. */
	assert_false(cgroup_book_has_left_at(book, root, 8, 1));
	assert_false(cgroup_book_has_left_at(book, root, 7, 0));
	assert_false(cgroup_book_has_left_at(book, root, 7, CGROUP_BOOK_BEYOND));
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
	put("/sys/fs/cgroup/memory/c/memory.usage_in_bytes", "1\n");
	assert_int_equal(cgroup_book_see_at(book, root, CGROUP_MEMORY_V1 "/c", false), 2);
	put("/proc/7/cgroup", "4:cpu,memory:/c\n0::/a\n");
	assert_false(cgroup_book_has_left_at(book, root, 7, 2));
	put("/proc/7/cgroup", "4:cpu,memory:/\n0::/a\n");
	assert_true(cgroup_book_has_left_at(book, root, 7, 2));
	cgroup_book_free(book);
}

/* The group in which a process is now: none of one that is gone, or ending, or whose group was
 * removed. */
static void test_now(void **state)
{
	struct cgroup_book *book = cgroup_book_new();

	(void)state;
	assert_non_null(book);
	put(V2 "/a/memory.current", "100\n");
	put("/proc/7/cgroup", "1:name=systemd:/x\n0::/a\n");
	assert_int_equal(cgroup_book_see_now_at(book, root, 7), 1);
	assert_true(book->groups[0].began);
	assert_int_equal(cgroup_book_see_now_at(book, root, 8), 0);
	put("/proc/7/cgroup", "0::/a (deleted)\n");
	assert_int_equal(cgroup_book_see_now_at(book, root, 7), 0);
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
	put("/sys/fs/cgroup/memory/c/memory.usage_in_bytes", "1\n");
	put("/proc/7/cgroup", "4:cpu,memory:/c\n0::/a\n");
	assert_int_equal(cgroup_book_see_now_at(book, root, 7), 2);
	put("/proc/7/cgroup", "4:cpu,memory:/\n0::/a\n");
	assert_int_equal(cgroup_book_see_now_at(book, root, 7), 0);
	assert_int_equal(book->count, 2);
	cgroup_book_free(book);
}

/* A folder that is a group of that user, seen; as root alone can make it. */
static unsigned see_new(struct cgroup_book *book, unsigned number, uid_t owner)
{
	char name[64], file_name[PATH_MAX];

	snprintf(name, sizeof(name), "/many/%u", number);
	snprintf(file_name, sizeof(file_name), "%s" V2 "%s", root, name);
	assert_int_equal(mkdir(file_name, 0700), 0);
	assert_int_equal(chown(file_name, owner, 0), 0);
	strcat(file_name, "/memory.current");
	assert_int_equal(mknod(file_name, 0600 | S_IFREG, 0), 0);
	return cgroup_book_see_at(book, root, name, false);
}

/* Too many groups: the first ones are read. A user fills his own share, all users theirs, and
 * root's part is left to it. */
static void test_crowded_book(void **state)
{
	struct cgroup_book *book = cgroup_book_new();
	unsigned number = 0;
	uid_t user = 1000;

	(void)state;
	if (geteuid())
		skip();
	assert_non_null(book);
	put(V2 "/many/x", "");
	for (; number < CGROUP_BOOK_USERS; number++) {
		if (number && number % CGROUP_BOOK_USER == 0)
			assert_int_equal(see_new(book, 5000 + number, user++), CGROUP_BOOK_BEYOND);
		assert_int_equal(see_new(book, number, user), number + 1);
	}
	assert_int_equal(see_new(book, 4000, 3000), CGROUP_BOOK_BEYOND);
	for (; number < CGROUP_BOOK_MOST; number++)
		assert_int_equal(see_new(book, number, 0), number + 1);
	assert_int_equal(see_new(book, number, 0), CGROUP_BOOK_BEYOND);
	assert_int_equal(book->count, CGROUP_BOOK_MOST);
	/* Of 10,000 more none is kept. */
	for (number = 10000; number < 20000; number++)
		assert_int_equal(see_new(book, number, number % 3), CGROUP_BOOK_BEYOND);
	assert_int_equal(book->count, CGROUP_BOOK_MOST);
	/* Those that it has are found as before. */
	assert_int_equal(cgroup_book_see_at(book, root, "/many/0", false), 1);
	cgroup_book_free(book);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_v2, begin, end),
		cmocka_unit_test_setup_teardown(test_older, begin, end),
		cmocka_unit_test_setup_teardown(test_v1, begin, end),
		cmocka_unit_test_setup_teardown(test_nothing, begin, end),
		cmocka_unit_test_setup_teardown(test_hostile, begin, end),
		cmocka_unit_test_setup_teardown(test_probe, begin, end),
		cmocka_unit_test_setup_teardown(test_owner, begin, end),
		cmocka_unit_test_setup_teardown(test_deep_owner, begin, end),
		cmocka_unit_test_setup_teardown(test_book, begin, end),
		cmocka_unit_test_setup_teardown(test_left, begin, end),
		cmocka_unit_test_setup_teardown(test_now, begin, end),
		cmocka_unit_test_setup_teardown(test_crowded_book, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

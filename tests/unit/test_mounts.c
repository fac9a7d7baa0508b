/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/mounts.c: from a path in a filesystem to one that can be typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "os/mounts.h"

static struct mounts *mounts_of(const char *text)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	struct mounts *mounts;

	assert_non_null(file);
	mounts = mounts_read(file);
	fclose(file);
	assert_non_null(mounts);
	return mounts;
}

static const char *path_of(const struct mounts *mounts, unsigned minor, const char *path)
{
	static char to[64];

	mounts_path(mounts, 8, minor, path, to, sizeof(to));
	return to;
}

static void test_paths(void **state)
{
	struct mounts *mounts =
		mounts_of("24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
			  "31 24 8:2 / /home rw - ext4 /dev/sda2 rw\n"
			  "32 24 8:2 /data/big /mnt/with\\040blank rw - ext4 /dev/sda2 rw\n"
			  "33 24 8:3 /sub /only/a/part rw - btrfs /dev/sda3 rw\n"
			  "34 24 8:2 / /again rw - ext4 /dev/sda2 rw\n"
			  "35 24 8:2 /data /mnt/data rw - ext4 /dev/sda2 rw\n"
			  "36 24 7:2 / /loop rw - ext4 /dev/loop2 rw\n");

	(void)state;
	assert_string_equal(path_of(mounts, 1, "/etc/passwd"), "/etc/passwd");
	assert_string_equal(path_of(mounts, 2, "/user/a"), "/home/user/a");
	assert_string_equal(path_of(mounts, 2, "/data/big/a"), "/mnt/with blank/a");
	assert_string_equal(path_of(mounts, 2, "/data/bigger/a"), "/mnt/data/bigger/a");
	assert_string_equal(path_of(mounts, 2, "/database/a"), "/home/database/a");
	assert_string_equal(path_of(mounts, 3, "/sub/a"), "/only/a/part/a");
	/* Not mounted: it can't be typed, and is shown as it is. */
	assert_string_equal(path_of(mounts, 3, "/other/a"), "/other/a");
	assert_string_equal(path_of(mounts, 9, "/a"), "/a");
	assert_string_equal(path_of(NULL, 1, "/a"), "/a");
	mounts_free(mounts);
	mounts_free(NULL);
}

/* Lines that the kernel does not write; a path that is too long is cut. */
static void test_odd(void **state)
{
	char text[256], expected[64];
	struct mounts *mounts = mounts_of("\nnonsense\n1 2 8:1\n1 2 8:1 / \n1 2 8:x / / rw\n"
					  "1 2 8:1 root point rw\n"
					  "5 5 8:1 /\\04 /m\\999\\1 rw\n"
					  "24 1 8:2 / /ok rw");

	(void)state;
	assert_string_equal(path_of(mounts, 1, "/a"), "/a");
	assert_string_equal(path_of(mounts, 2, "/a"), "/ok/a");
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	snprintf(expected, sizeof(expected), "/ok%.60s", text);
	assert_string_equal(path_of(mounts, 2, text), expected);
	mounts_free(mounts);
}

/* Of this process: its root is mounted. */
static void test_own(void **state)
{
	struct mounts *mounts = mounts_read(NULL);

	(void)state;
	assert_non_null(mounts);
	mounts_free(mounts);
}

/* Not more than are kept. */
static void test_many(void **state)
{
	FILE *file = tmpfile();
	struct mounts *mounts;

	(void)state;
	assert_non_null(file);
	for (int i = 0; i < MOUNTS_MOST + 10; i++)
		fprintf(file, "1 2 8:%d / /m/%d rw\n", i, i);
	rewind(file);
	mounts = mounts_read(file);
	fclose(file);
	assert_non_null(mounts);
	assert_string_equal(path_of(mounts, MOUNTS_MOST - 1, "/a"), "/m/8191/a");
	assert_string_equal(path_of(mounts, MOUNTS_MOST, "/a"), "/a");
	mounts_free(mounts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_odd),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* source.c: line ends, states, and a target that chooses hostile names and files. The
 * root is a temporary folder, as a container's would be; nothing here needs privileges. */
#include <errno.h>
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

#include "source.h"

struct fixture {
	char outer[64], root_path[80];
	struct source_root root; /* outer/root, working in outer/root/work */
	struct source_cache *cache;
};

static void write_file(int dir, const char *name, const void *data, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int outer;

	if (!fixture)
		return -1;
	strcpy(fixture->outer, "/tmp/pymem-source-XXXXXX");
	assert_non_null(mkdtemp(fixture->outer));
	snprintf(fixture->root_path, sizeof(fixture->root_path), "%s/root", fixture->outer);
	assert_int_equal(mkdir(fixture->root_path, 0755), 0);
	outer = open(fixture->outer, O_PATH | O_DIRECTORY);
	write_file(outer, "secret.py", "secret\n", 7);
	close(outer);
	fixture->root.root_fd = open(fixture->root_path, O_PATH | O_DIRECTORY);
	assert_int_equal(mkdirat(fixture->root.root_fd, "work", 0755), 0);
	assert_int_equal(mkdirat(fixture->root.root_fd, "work/pkg", 0755), 0);
	fixture->root.cwd_fd = openat(fixture->root.root_fd, "work", O_PATH | O_DIRECTORY);
	fixture->cache = source_cache_new();
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", fixture->outer);
	assert_int_equal(system(command), 0);
	source_cache_free(fixture->cache);
	source_root_close(&fixture->root);
	free(fixture);
	return 0;
}

static void put(struct fixture *fixture, const char *name, const char *text)
{
	write_file(fixture->root.root_fd, name, text, strlen(text));
}

static const char *get(struct fixture *fixture, const char *name, int line)
{
	return source_line(fixture->cache, &fixture->root, name, line, NULL);
}

static enum source_state state_of(struct fixture *fixture, const char *name)
{
	enum source_state state;
	const char *text = source_line(fixture->cache, &fixture->root, name, 1, &state);

	assert_true(text == NULL || state == SOURCE_OK || state == SOURCE_CHANGED);
	return state;
}

static void test_lines(void **state)
{
	struct fixture *fixture = *state;
	const char *first;

	put(fixture, "a.py", "one\r\n\ntwo\rthree\nlast");
	first = get(fixture, "/a.py", 1);
	assert_string_equal(first, "one");
	assert_string_equal(get(fixture, "/a.py", 2), "");
	assert_string_equal(get(fixture, "/a.py", 3), "two");
	assert_string_equal(get(fixture, "/a.py", 4), "three");
	assert_string_equal(get(fixture, "/a.py", 5), "last");
	assert_null(get(fixture, "/a.py", 6));
	assert_null(get(fixture, "/a.py", 0));
	assert_null(get(fixture, "/a.py", INT_MIN));
	assert_int_equal(source_line_count(fixture->cache, &fixture->root, "/a.py"), 5);
	/* Read once: what callers hold stays, and stays what it was. */
	put(fixture, "a.py", "other\n");
	assert_ptr_equal(get(fixture, "/a.py", 1), first);
	assert_string_equal(first, "one");

	put(fixture, "empty.py", "");
	assert_int_equal(state_of(fixture, "/empty.py"), SOURCE_OK);
	assert_null(get(fixture, "/empty.py", 1));
	write_file(fixture->root.root_fd, "binary.py", "a\0b\n\0\nc\377\0", 9);
	assert_string_equal(get(fixture, "/binary.py", 1), "a");
	assert_string_equal(get(fixture, "/binary.py", 2), "");
	assert_string_equal(get(fixture, "/binary.py", 3), "c\377");
	assert_int_equal(source_line_count(fixture->cache, &fixture->root, "/binary.py"), 3);
}

static void test_names(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, "top.py", "top\n");
	put(fixture, "work/rel.py", "rel\n");
	put(fixture, "work/pkg/mod.py", "mod\n");
	assert_string_equal(get(fixture, "rel.py", 1), "rel");
	assert_string_equal(get(fixture, "./pkg/../pkg/mod.py", 1), "mod");
	assert_string_equal(get(fixture, "../top.py", 1), "top");
	assert_int_equal(symlinkat("/top.py", fixture->root.root_fd, "work/absolute.py"), 0);
	assert_string_equal(get(fixture, "absolute.py", 1), "top");
	assert_int_equal(state_of(fixture, "/nowhere.py"), SOURCE_MISSING);
	assert_int_equal(state_of(fixture, "/top.py/inside/zip.py"), SOURCE_MISSING);
	assert_int_equal(state_of(fixture, "<stdin>"), SOURCE_NONE);
	assert_int_equal(state_of(fixture, "<frozen importlib._bootstrap>"), SOURCE_NONE);
	assert_int_equal(state_of(fixture, ""), SOURCE_NONE);
	assert_int_equal(source_line_count(fixture->cache, &fixture->root, "<stdin>"), 0);
}

static void test_escapes(void **state)
{
	struct fixture *fixture = *state;
	char target[128];

	snprintf(target, sizeof(target), "%s/secret.py", fixture->outer);
	assert_int_equal(access(target, R_OK), 0); /* it is there, but not for the target */
	assert_int_equal(symlinkat(target, fixture->root.root_fd, "abs.py"), 0);
	assert_int_equal(symlinkat("../secret.py", fixture->root.root_fd, "rel.py"), 0);
	assert_int_equal(symlinkat("../..", fixture->root.root_fd, "work/up"), 0);
	assert_int_equal(state_of(fixture, "/abs.py"), SOURCE_MISSING);
	assert_int_equal(state_of(fixture, "/rel.py"), SOURCE_MISSING);
	assert_int_equal(state_of(fixture, "/../secret.py"), SOURCE_MISSING);
	assert_int_equal(state_of(fixture, "../../secret.py"), SOURCE_MISSING);
	assert_int_equal(state_of(fixture, "up/secret.py"), SOURCE_MISSING);
	assert_int_equal(symlinkat("loop.py", fixture->root.root_fd, "loop.py"), 0);
	assert_int_equal(state_of(fixture, "/loop.py"), SOURCE_UNREADABLE);
}

/* The working folder lies outside the root (chroot after chdir): only what is below it. */
static void test_unrelated_cwd(void **state)
{
	struct fixture *fixture = *state;

	close(fixture->root.cwd_fd);
	fixture->root.cwd_fd = open(fixture->outer, O_PATH | O_DIRECTORY);
	put(fixture, "top.py", "top\n");
	assert_string_equal(get(fixture, "secret.py", 1), "secret");
	assert_string_equal(get(fixture, "root/top.py", 1), "top");
	assert_int_equal(state_of(fixture, "../etc/passwd"), SOURCE_UNREADABLE);
	assert_int_equal(state_of(fixture, "../../etc/passwd"), SOURCE_UNREADABLE);
	close(fixture->root.cwd_fd);
	fixture->root.cwd_fd = -1;
	assert_int_equal(state_of(fixture, "secret.py"), SOURCE_UNREADABLE);
}

static void test_not_regular(void **state)
{
	struct fixture *fixture = *state;
	int root = fixture->root.root_fd, fd;

	alarm(20); /* opening a FIFO the wrong way would wait for ever */
	assert_int_equal(mkfifoat(root, "fifo.py", 0644), 0);
	assert_int_equal(state_of(fixture, "/fifo.py"), SOURCE_UNREADABLE);
	assert_int_equal(state_of(fixture, "/work"), SOURCE_UNREADABLE);
	fd = openat(root, "large.py", O_WRONLY | O_CREAT, 0644);
	assert_int_equal(ftruncate(fd, SOURCE_FILE_MAX + 1), 0);
	assert_int_equal(state_of(fixture, "/large.py"), SOURCE_UNREADABLE);
	close(fd);
	fixture->root.start_wall = 0;
	/* From here on the root is the real one. */
	close(fixture->root.root_fd);
	fixture->root.root_fd = open("/", O_PATH | O_DIRECTORY);
	assert_int_equal(state_of(fixture, "/dev/zero"), SOURCE_UNREADABLE);
	assert_int_equal(state_of(fixture, "/proc/self/environ"), SOURCE_UNREADABLE);
	assert_int_equal(state_of(fixture, "/proc/self/root/etc/passwd"), SOURCE_UNREADABLE);
	assert_int_equal(state_of(fixture, "/proc/kmsg"), SOURCE_UNREADABLE);
	assert_int_equal(symlinkat("/dev/zero", fixture->root.cwd_fd, "zero.py"), 0);
	assert_int_equal(state_of(fixture, "zero.py"), SOURCE_UNREADABLE);
	alarm(0);
}

static void test_limits(void **state)
{
	struct fixture *fixture = *state;
	size_t size = SOURCE_LINES_MAX + 1;
	char *lines = malloc(size), name[32];
	int readable = 0, fd;

	memset(lines, '\n', size);
	write_file(fixture->root.root_fd, "lines.py", lines, size);
	assert_int_equal(state_of(fixture, "/lines.py"), SOURCE_UNREADABLE);
	write_file(fixture->root.root_fd, "fewer.py", lines, size - 1);
	assert_int_equal(source_line_count(fixture->cache, &fixture->root, "/fewer.py"),
			 SOURCE_LINES_MAX);
	free(lines);
	/* Sparse files of the largest size: the cache takes as many as it may hold. */
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "/big%d.py", i);
		fd = openat(fixture->root.root_fd, name + 1, O_WRONLY | O_CREAT, 0644);
		assert_int_equal(ftruncate(fd, SOURCE_FILE_MAX), 0);
		close(fd);
		readable += state_of(fixture, name) == SOURCE_OK;
	}
	assert_true(readable == 7 || readable == 6);
}

static void test_changed(void **state)
{
	struct fixture *fixture = *state;
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	enum source_state state_now;

	put(fixture, "a.py", "text\n");
	assert_int_equal(utimensat(fixture->root.root_fd, "a.py", times, 0), 0);
	fixture->root.start_wall = 1001;
	assert_int_equal(state_of(fixture, "/a.py"), SOURCE_OK);
	fixture->root.start_wall = 999; /* another process, which started before */
	assert_int_equal(state_of(fixture, "/a.py"), SOURCE_CHANGED);
	assert_string_equal(source_line(fixture->cache, &fixture->root, "/a.py", 1, &state_now),
			    "text");
	fixture->root.start_wall = 0;
	assert_int_equal(state_of(fixture, "/a.py"), SOURCE_OK);
}

static void test_roots(void **state)
{
	struct fixture *fixture = *state;
	struct source_root self, closed = {.root_fd = -1, .cwd_fd = -1};
	enum source_state state_now;

	put(fixture, "same.py", "inner\n");
	put(fixture, "work/same.py", "work\n");
	assert_string_equal(get(fixture, "/same.py", 1), "inner");
	/* The same name under another root is another file. */
	assert_int_equal(dup3(fixture->root.cwd_fd, fixture->root.root_fd, O_CLOEXEC),
			 fixture->root.root_fd);
	assert_string_equal(get(fixture, "/same.py", 1), "work");
	source_root_open(&self, getpid());
	assert_true(self.root_fd >= 0 && self.cwd_fd >= 0 && self.start_wall > 1e9);
	assert_non_null(source_line(fixture->cache, &self, "/etc/passwd", 1, &state_now));
	source_root_close(&self);
	assert_int_equal(self.root_fd, -1);
	assert_null(source_line(fixture->cache, &closed, "/same.py", 1, &state_now));
	assert_int_equal(state_now, SOURCE_UNREADABLE);
	source_root_open(&self, INT_MAX);
	assert_int_equal(self.root_fd, -1);
	assert_true(self.start_wall == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines),	  TEST(test_names),	  TEST(test_escapes),
		TEST(test_unrelated_cwd), TEST(test_not_regular), TEST(test_limits),
		TEST(test_changed),	  TEST(test_roots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

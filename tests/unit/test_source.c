/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* source.c: line ends, states, and a target that chooses hostile names and files. A temporary
 * folder is the root, as in a container. No privileges are needed. */
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
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/rights.h"
#include "os/source.h"
#include "os/source_encoding.h"

struct fixture {
	char outer[64], root_path[80];
	struct source_root root; /* outer/root; the working folder is outer/root/work */
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
	struct rights rights;
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
	assert_int_equal(rights_of(getpid(), &rights), 0);
	source_root_set_rights(&fixture->root, &rights);
	fixture->cache = source_cache_new(source_read_here);
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

static void expect_text(struct fixture *fixture, const char *file, const char *text)
{
	size_t size;
	char *all = source_text_of(fixture->cache, &fixture->root, file, &size);

	assert_non_null(all);
	assert_int_equal(size, strlen(text));
	assert_memory_equal(all, text, size);
	free(all);
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
	expect_text(fixture, "/a.py", "one\n\ntwo\nthree\nlast\n");
	expect_text(fixture, "/none.py", "");
	expect_text(fixture, "<stdin>", "");
	/* It is read once: pointers stay valid, and the text stays the same. */
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
	assert_int_equal(access(target, R_OK), 0); /* it exists, but the target can't read it */
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

/* The working folder lies outside the root (chroot after chdir): only files below it can be
 * read. */
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

	alarm(20); /* opening a FIFO in the wrong way would wait for ever */
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

/* mtime may be set to an earlier time, as some deployments do. ctime can't be set. */
static int fail_with;
static unsigned reads;

static int read_or_fail(const struct source_root *root, const char *name, struct source_text *text)
{
	reads++;
	*text = (struct source_text){.state = SOURCE_UNREADABLE};
	return fail_with ? fail_with : source_read_here(root, name, text);
}

/* A read that failed because of a signal, or because of other processes, is tried again at the next
 * request. One that hung is not tried at once. */
static void test_read_again(void **state)
{
	static const int passing[] = {-EINTR, -EBUSY, -ENOTCONN};
	struct fixture *fixture = *state;
	char name[16];

	source_cache_free(fixture->cache);
	fixture->cache = source_cache_new(read_or_fail);
	put(fixture, "hangs.py", "text\n");
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "/%d.py", i);
		put(fixture, name + 1, "text\n");
		fail_with = passing[i];
		assert_int_equal(state_of(fixture, name), SOURCE_UNREADABLE);
		fail_with = 0;
		assert_string_equal(get(fixture, name, 1), "text");
	}
	fail_with = -ETIME;
	reads = 0;
	assert_int_equal(state_of(fixture, "/hangs.py"), SOURCE_UNREADABLE);
	fail_with = 0;
	assert_int_equal(state_of(fixture, "/hangs.py"), SOURCE_UNREADABLE);
	assert_int_equal(reads, 1);
}

static void test_changed(void **state)
{
	struct fixture *fixture = *state;
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}}, now, later[2];
	enum source_state state_now;

	put(fixture, "a.py", "text\n");
	assert_int_equal(utimensat(fixture->root.root_fd, "a.py", old, 0), 0);
	clock_gettime(CLOCK_REALTIME, &now);
	fixture->root.start_wall = (double)now.tv_sec + 10;
	assert_int_equal(state_of(fixture, "/a.py"), SOURCE_OK);
	fixture->root.start_wall = (double)now.tv_sec - 10; /* a process that started earlier */
	assert_int_equal(state_of(fixture, "/a.py"), SOURCE_CHANGED);
	assert_string_equal(source_line(fixture->cache, &fixture->root, "/a.py", 1, &state_now),
			    "text");
	fixture->root.start_wall = 0;
	assert_int_equal(state_of(fixture, "/a.py"), SOURCE_OK);
	put(fixture, "later.py", "text\n");
	later[0] = later[1] = (struct timespec){.tv_sec = now.tv_sec + 1000};
	assert_int_equal(utimensat(fixture->root.root_fd, "later.py", later, 0), 0);
	fixture->root.start_wall = (double)now.tv_sec + 500;
	assert_int_equal(state_of(fixture, "/later.py"), SOURCE_CHANGED);
}

/* PEP 263: what Python accepts as a declaration, and what it does not. */
static void test_encodings(void **state)
{
	static const struct {
		const char *text, *second, *name;
	} cases[] = {
		{"# -*- coding: latin-1 -*-\nx = '\xe4\xf6'\n", "x = '\303\244\303\266'",
		 "latin-1"},
		{"# vim: set fileencoding=shift_jis :\ns = '\x83\\'\n", "s = '\343\202\275'",
		 "shift-jis"},
		{"#coding=cp1252\r\n\x80\r\n", "\342\202\254", "cp1252"},
		{"#!/usr/bin/python\n# coding: koi8_r \xc1\n", "# coding: koi8_r \320\260",
		 "koi8-r"},
		{"\n  # coding:iso8859_15\n\xa4\n", "  # coding:iso8859_15", "iso8859-15"},
		{"# coding: utf-8\n\xc3\xa4\n", "\303\244", ""},
		{"# coding: utf8\n\xc3\xa4\n", "\303\244", ""},
		{"x = 1\n# coding: latin-1 \xe4\n", "# coding: latin-1 \xe4", ""},
		{"x = '# coding'\n\xe4 # encoding\n", "\xe4 # encoding", ""},
		{
			"# coding: ../../../etc/passwd\n\xe4\n",
			"\xe4",
			"..",
		},
		{"# coding: rot13\n\xe4\n", "\xe4", "rot13"},
		{"# coding: euc_jp\n\xa4\xa2 \xff\n", "\343\201\202 \xff", "euc-jp"},
		{"\xef\xbb\xbf# a\n# coding: latin-1 \xc3\xa4\n", "# coding: latin-1 \303\244", ""},
	};
	struct fixture *fixture = *state;
	char name[40], file[32];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		source_declared_encoding(cases[i].text, strlen(cases[i].text), name, sizeof(name));
		assert_string_equal(name, cases[i].name);
		snprintf(file, sizeof(file), "/e%zu.py", i);
		put(fixture, file + 1, cases[i].text);
		assert_string_equal(get(fixture, file, 2), cases[i].second);
	}
	assert_string_equal(get(fixture, "/e12.py", 1), "# a");
}

/* A file that the user can't read is not shown for the user's process, nor is one that another
 * user's process could read. */
static void test_rights(void **state)
{
	struct rights root, nobody = {.uid = 65534, .gid = 65534}, other;
	struct fixture *fixture = *state;
	int dir = fixture->root.root_fd;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(fixture->outer, 0755), 0);
	put(fixture, "secret.py", "secret\n");
	assert_int_equal(fchmodat(dir, "secret.py", 0600, 0), 0);
	put(fixture, "group.py", "group\n");
	assert_int_equal(fchownat(dir, "group.py", 0, 4711, 0), 0);
	assert_int_equal(fchmodat(dir, "group.py", 0640, 0), 0);
	put(fixture, "work/hidden.py", "hidden\n");
	assert_int_equal(fchmodat(dir, "work", 0700, 0), 0);
	put(fixture, "open.py", "open\n");
	assert_string_equal(get(fixture, "/secret.py", 1), "secret");
	assert_string_equal(get(fixture, "/work/hidden.py", 1), "hidden");
	assert_int_equal(rights_of(getpid(), &root), 0);

	source_root_set_rights(&fixture->root, &nobody);
	assert_int_equal(state_of(fixture, "/secret.py"), SOURCE_UNREADABLE);
	assert_int_equal(state_of(fixture, "/group.py"), SOURCE_UNREADABLE);
	assert_int_equal(state_of(fixture, "/work/hidden.py"), SOURCE_UNREADABLE);
	assert_int_equal(state_of(fixture, "hidden.py"), SOURCE_UNREADABLE);
	assert_string_equal(get(fixture, "/open.py", 1), "open");
	other = nobody;
	other.groups[other.group_count++] = 4711;
	source_root_set_rights(&fixture->root, &other);
	assert_string_equal(get(fixture, "/group.py", 1), "group");
	assert_int_equal(state_of(fixture, "/secret.py"), SOURCE_UNREADABLE);
	other.any = 1;
	source_root_set_rights(&fixture->root, &other);
	assert_string_equal(get(fixture, "/secret.py", 1), "secret");
	/* This process has its own rights again. */
	assert_int_equal(rights_of(getpid(), &other), 0);
	assert_int_equal(rights_size(&other), rights_size(&root));
	assert_memory_equal(&other, &root, rights_size(&root));
	/* If nothing is known about the rights, nothing is shown. */
	source_root_set_rights(&fixture->root, NULL);
	assert_int_equal(state_of(fixture, "/open.py"), SOURCE_UNREADABLE);
}

static void test_rights_parse(void **state)
{
	static const char text[] = "Name:\tUid:\\n5\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"
				   "Groups:\t10 20 \nCapPrm:\t0000000000000002\n"
				   "CapEff:\t0000000000000004\n";
	struct rights rights;

	(void)state;
	assert_int_equal(rights_parse(text, strlen(text), &rights), 0);
	assert_int_equal(rights.uid, 4);
	assert_int_equal(rights.gid, 8);
	assert_int_equal(rights.group_count, 2);
	assert_int_equal(rights.groups[1], 20);
	assert_int_equal(rights.any, 1);
	assert_int_equal(rights_parse(text, strlen(text) - 30, &rights), -EBADMSG);
	assert_int_equal(rights_parse("", 0, &rights), -EBADMSG);
	assert_int_equal(rights_parse("Uid:\t1\t2\t3\t4\nGroups:\tx\n", 25, &rights), -EBADMSG);
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
	assert_non_null(source_root_rights(&self));
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
		TEST(test_lines),	TEST(test_names),
		TEST(test_escapes),	TEST(test_unrelated_cwd),
		TEST(test_not_regular), TEST(test_limits),
		TEST(test_changed),	TEST(test_read_again),
		TEST(test_roots),	TEST(test_encodings),
		TEST(test_rights),	cmocka_unit_test(test_rights_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

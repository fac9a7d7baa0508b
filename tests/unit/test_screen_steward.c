/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The stewards of the live screen: what they do when they are asked, what they refuse, and which
 * rights they have. Also what a screen could ask that somebody has taken over. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "screen/screen_steward.h"

#define PATIENCE_MS 60000

static char folder[] = "/tmp/pymem-steward.XXXXXX";

/* --- what is asked of them --- */

/* In place of a heap: tries what a look must not be able to do. Exits itself, without the checks
 * of sanitizers, which need what is refused. */
static int try_all(pid_t pid, unsigned columns)
{
	char *const arguments[] = {(char *)"true", NULL};

	printf("pid %d, %u columns\n", (int)pid, columns);
	execv("/bin/true", arguments);
	printf("exec: %s\n", strerror(errno));
	open("made-by-a-look", O_CREAT | O_WRONLY, 0600);
	printf("create: %s\n", strerror(errno));
	syscall(SYS_bpf, 0, NULL, 0);
	printf("bpf: %s\n", strerror(errno));
	fflush(stdout);
	_exit(0);
}

/* What comes out of the descriptor until its end. */
static void read_all(int fd, char *text, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t used = 0;
	ssize_t length = -1;

	while (length) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		length = read(fd, text + used, size - 1 - used);
		assert_true(length >= 0);
		used += (size_t)length;
	}
	text[used] = '\0';
	close(fd);
}

static int content(const char *text)
{
	int fd = memfd_create("report", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Asks for a report of that name. Returns the result. */
static int written(const char *name, const char *text)
{
	struct pollfd p = {.fd = steward_fd(), .events = POLLIN};
	int fd = content(text);

	assert_int_equal(steward_write(fd, name), 0);
	close(fd);
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	return steward_written();
}

static void check_file(const char *name, const char *wanted, mode_t mode)
{
	char text[200] = "";
	struct stat st;
	int fd = open(name, O_RDONLY | O_NOFOLLOW);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	assert_string_equal(text, wanted);
	close(fd);
}

static int begin(void **state)
{
	(void)state;
	return steward_start(try_all, NULL, 0600);
}

static int end(void **state)
{
	(void)state;
	steward_stop();
	return 0;
}

/* --- tests --- */

static void test_look(void **state)
{
	char text[1000];
	int first, second;

	(void)state;
	first = steward_look(7, 80);
	assert_true(first >= 0);
	read_all(first, text, sizeof(text));
	assert_string_equal(text, "pid 7, 80 columns\n"
				  "exec: Operation not permitted\n"
				  "create: Operation not permitted\n"
				  "bpf: Operation not permitted\n");
	/* No process has such a number, and kill(2) and its like would take it for all. */
	second = steward_look(-1, 80);
	read_all(second, text, sizeof(text));
	assert_string_equal(text, "");
	steward_give_up();
	assert_int_not_equal(access("made-by-a-look", F_OK), 0);
}

static void test_write(void **state)
{
	(void)state;
	assert_int_equal(written("one.txt", "first"), 0);
	check_file("one.txt", "first", 0600);
	assert_int_equal(written("one.txt", "second"), -EEXIST);
	check_file("one.txt", "first", 0600);
	/* Without -o there is no file of that kind. */
	assert_int_equal(written("", "x"), -EINVAL);
}

/* A screen that was taken over asks for other names. */
static void test_names(void **state)
{
	static const char *const names[] = {
		"../up.txt", "/tmp/pymem-x.txt", ".profile.txt", "a/b.txt", "-.txt",
		"a b.txt",   "json.py",		 "Makefile",	 ".txt"};

	(void)state;
	assert_int_equal(symlink("behind", "link.txt"), 0);
	assert_int_equal(mkdir("inside.txt", 0700), 0);
	assert_int_equal(mkfifo("fifo.txt", 0600), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(written(names[i], "x"), -EINVAL);
	assert_int_equal(written("link.txt", "x"), -EEXIST);
	assert_int_equal(written("inside.txt", "x"), -EEXIST);
	assert_int_equal(written("fifo.txt", "x"), -EEXIST);
	assert_int_not_equal(access("behind", F_OK), 0);
}

static void test_file_of_ones_own(void **state)
{
	static const char path[] = "own.txt";

	(void)state;
	steward_stop();
	assert_int_equal(steward_start(try_all, path, 0640), 0);
	assert_int_equal(written("", "first"), 0);
	assert_int_equal(written("", "second"), 0);
	check_file(path, "second", 0640);
}

/* Without a descriptor beside it, a request is refused, and the next one is served. */
static void test_no_descriptor(void **state)
{
	struct pollfd p = {.fd = steward_fd(), .events = POLLIN};

	(void)state;
	assert_int_equal(steward_write(-1, "none.txt"), 0);
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(steward_written(), -EINVAL);
	assert_int_equal(written("two.txt", "x"), 0);
	/* What is no request at all ends the scribe. */
	assert_int_equal(write(steward_fd(), "x", 1), 1);
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(steward_written(), -EPIPE);
}

static int leave_folder(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return chdir("/") || system(command);
}

static int enter_folder(void **state)
{
	(void)state;
	return !mkdtemp(folder) || chdir(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_look),	  TEST(test_write),
		TEST(test_names),	  TEST(test_file_of_ones_own),
		TEST(test_no_descriptor),
	};

	return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}

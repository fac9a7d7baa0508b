/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* python/inner_pid.c: who has a PID inside, and that those who make thousands of them hold up
 * nobody. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "python/examiner.h"
#include "python/inner_pid.h"

#define INITS 10

static struct {
	pid_t makers[INITS];
	unsigned examined, pythons;
	long slow_ms;
} test;

/* In place of the examiner's: the first `pythons` processes are Pythons. */
int examiner_identify(pid_t pid, struct py_process *process)
{
	struct timespec time = {test.slow_ms / 1000, test.slow_ms % 1000 * 1000000};

	(void)pid, (void)process;
	nanosleep(&time, NULL);
	return test.examined++ < test.pythons ? 0 : -ENOENT;
}

/* Each of them has the PID 1 in a namespace of its own, until `makers` end. */
static pid_t make_init(void)
{
	int ready[2];
	char byte;
	pid_t maker;

	assert_int_equal(pipe(ready), 0);
	maker = fork();
	assert_true(maker >= 0);
	if (!maker) {
		pid_t init = unshare(CLONE_NEWPID) ? -1 : fork();

		if (!init)
			for (;;)
				pause();
		if (init < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		waitpid(maker, NULL, 0);
		maker = 0;
	}
	close(ready[0]);
	return maker;
}

static int begin(void **state)
{
	(void)state;
	for (size_t i = 0; i < INITS; i++)
		test.makers[i] = make_init();
	return 0;
}

static void kill_children(pid_t pid)
{
	char path[64];
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "r");
	while (file && fscanf(file, "%d", &child) == 1)
		kill(child, SIGKILL);
	if (file)
		fclose(file);
}

static int end(void **state)
{
	(void)state;
	for (size_t i = 0; i < INITS; i++) {
		if (!test.makers[i])
			continue;
		kill_children(test.makers[i]);
		kill(test.makers[i], SIGKILL);
		waitpid(test.makers[i], NULL, 0);
	}
	return 0;
}

static void explain(unsigned pythons, long slow_ms, char *text, size_t size)
{
	/* Without the right to make namespaces there is nothing to be found. */
	if (!test.makers[INITS - 1])
		skip();
	test.examined = 0;
	test.pythons = pythons;
	test.slow_ms = slow_ms;
	inner_pid_explain(1, text, size);
}

static void test_many(void **state)
{
	char text[128];

	(void)state;
	explain(INITS, 0, text, sizeof(text));
	assert_int_equal(test.examined, 8);
	assert_ptr_equal(strstr(text, "; 1 is the PID in containers of what is "), text);
	assert_non_null(strstr(text, " and perhaps more here"));
	explain(1, 0, text, sizeof(text));
	assert_int_equal(test.examined, 8);
	assert_ptr_equal(strstr(text, "; 1 is the PID in containers of what is "), text);
	assert_non_null(strstr(text, " and perhaps more here"));
	explain(0, 0, text, sizeof(text));
	assert_string_equal(text, "");
}

static void test_slow(void **state)
{
	char text[128];

	(void)state;
	explain(INITS, 600, text, sizeof(text));
	assert_in_range(test.examined, 1, 2);
	assert_non_null(strstr(text, " and perhaps more here"));
}

static void test_none(void **state)
{
	char text[128] = "x";

	(void)state;
	inner_pid_explain(0, text, sizeof(text));
	assert_string_equal(text, "");
	test.examined = 0;
	inner_pid_explain(INT32_MAX, text, sizeof(text));
	assert_string_equal(text, "");
	assert_int_equal(test.examined, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, begin, end);
}

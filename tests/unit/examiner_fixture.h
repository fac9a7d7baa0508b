/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Starts an examiner for the tests of it. */
#ifndef EXAMINER_FIXTURE_H
#define EXAMINER_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "python/examiner.h"

static bool asked_to_end;

static bool interrupted(void)
{
	return asked_to_end;
}

static int start(void **state)
{
	(void)state;
	asked_to_end = false;
	return examiner_start(interrupted);
}

static int stop(void **state)
{
	(void)state;
	examiner_stop();
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif

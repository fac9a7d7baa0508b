/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/progress.c, with a terminal for stderr: what takes long is told, and wiped out. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "os/progress.h"

struct screen {
	int master, before;
	char said[4096];
};

static void screen_open(struct screen *s)
{
	int slave;

	*s = (struct screen){.before = dup(STDERR_FILENO),
			     .master = posix_openpt(O_RDWR | O_NOCTTY)};
	assert_true(s->master >= 0);
	assert_int_equal(grantpt(s->master) | unlockpt(s->master), 0);
	slave = open(ptsname(s->master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_int_equal(fcntl(s->master, F_SETFL, O_NONBLOCK), 0);
	dup2(slave, STDERR_FILENO);
	close(slave);
}

static void screen_close(struct screen *s)
{
	dup2(s->before, STDERR_FILENO);
	close(s->before);
	close(s->master);
}

/* Adds what was written to s->said. */
static const char *read_screen(struct screen *s)
{
	size_t used = strlen(s->said);
	ssize_t n = read(s->master, s->said + used, sizeof(s->said) - 1 - used);

	s->said[used + (n > 0 ? (size_t)n : 0)] = '\0';
	return s->said;
}

/* Waits up to a minute until that text is on the screen. */
static void wait_for(struct screen *s, const char *text)
{
	for (int i = 0; i < 600 && !strstr(read_screen(s), text); i++)
		poll(NULL, 0, 100);
	assert_non_null(strstr(s->said, text));
}

static void test_long(void **state)
{
	struct screen s;
	size_t length;

	(void)state;
	screen_open(&s);
	progress_start(true);
	progress_say("copying %d pages", 12);
	wait_for(&s, "\rcopying 12 pages … ");
	/* Another text goes on with the same clock. */
	progress_say("looking");
	wait_for(&s, "\rlooking … ");
	assert_null(strstr(s.said, "looking … 0 s"));
	progress_done();
	read_screen(&s);
	length = strlen(s.said);
	assert_true(length > 2 && !strcmp(s.said + length - 2, " \r"));
	/* It is quiet from now on, also if it ends again. */
	progress_done();
	progress_stop();
	assert_int_equal(strlen(read_screen(&s)), length);
	screen_close(&s);
}

static void test_short(void **state)
{
	struct screen s;

	(void)state;
	screen_open(&s);
	progress_start(true);
	progress_say("short");
	progress_done();
	progress_stop();
	assert_string_equal(read_screen(&s), "");
	screen_close(&s);
}

/* Neither without a terminal nor unasked. */
static void test_unwanted(void **state)
{
	struct screen s;
	int null = open("/dev/null", O_WRONLY);

	(void)state;
	screen_open(&s);
	progress_start(false);
	progress_say("unwanted");
	poll(NULL, 0, 2500);
	progress_done();
	assert_string_equal(read_screen(&s), "");
	dup2(null, STDERR_FILENO);
	progress_start(true);
	progress_say("nowhere");
	progress_done();
	progress_stop();
	screen_close(&s);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_unwanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

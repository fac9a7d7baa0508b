/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which part of a recording a user means: files, times, and what is said of wrong ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <cmocka.h>

#include "cli/record_window.h"

static char why[512];

/* Seconds since the epoch, of a local time. */
static double local(int year, int month, int day, int hour, int minute, int second)
{
	struct tm parts = {.tm_year = year - 1900,
			   .tm_mon = month - 1,
			   .tm_mday = day,
			   .tm_hour = hour,
			   .tm_min = minute,
			   .tm_sec = second,
			   .tm_isdst = -1};

	return (double)mktime(&parts);
}

static struct recording_about about;

/* A recording of `seconds` that begins on 28 February 2026 at 14:30:00.25, in a place with summer
 * time. */
static void begin(double seconds)
{
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	about = (struct recording_about){.start = local(2026, 2, 28, 14, 30, 0) + 0.25};
	about.end = about.start + seconds;
}

/* `since` and `until` are seconds from the start; -1: not limited. */
static void expect(const char *from, const char *to, double since, double until)
{
	struct recording_view view = {.since = 1, .until = 1};

	*why = '\0';
	if (record_window_set(&view, &about, from, to, why, sizeof(why)))
		fail_msg("%s,%s: %s", from ? from : "", to ? to : "", why);
	if (since < 0)
		assert_true(view.since == 0);
	else if (view.since - about.start - since > 1e-5 ||
		 view.since - about.start - since < -1e-5)
		fail_msg("%s: %g", from, view.since - about.start);
	if (until < 0)
		assert_true(view.until == 0);
	else if (view.until - about.start - until > 1e-5 ||
		 view.until - about.start - until < -1e-5)
		fail_msg("%s: %g", to, view.until - about.start);
}

static void refuse(const char *from, const char *to, const char *words)
{
	struct recording_view view = {.since = 7, .until = 8};

	*why = '\0';
	assert_int_equal(record_window_set(&view, &about, from, to, why, sizeof(why)), -EINVAL);
	if (!strstr(why, words))
		fail_msg("%s", why);
	/* Nothing is half set. */
	assert_true(view.since == 7 && view.until == 8);
}

static void test_amounts(void **state)
{
	(void)state;
	begin(600);
	expect(NULL, NULL, -1, -1);
	expect("", "", -1, -1);
	expect("90", "95.5", 90, 95.5);
	expect("90s", "5m", 90, 300);
	expect("0.5m", "0.1h", 30, 360);
	expect("0", "", -1, -1);
	expect("-90", "-30s", 510, 570);
	expect("-5m", NULL, 300, -1);
	expect("-5m", "-0", 300, -1);
	/* A window is cut to what there is. */
	expect("-2h", "2h", -1, -1);
	expect("", "600", -1, -1);
	expect("", "599", -1, 599);
}

static void test_clock(void **state)
{
	(void)state;
	begin(3 * 86400);
	expect("14:30", "14:31:05", -1, 64.75);
	expect("15:00", "14:00", 1799.75, 23 * 3600 + 1799.75);
	/* The end of the window is after its beginning: here the next day. */
	expect("15:00", "15:00", 1799.75, 86400 + 1799.75);
	expect("2026-03-01T15:00", "15:00:01", 86400 + 1799.75, 86400 + 1800.75);
	expect("2026-03-01", "2026-03-02", 9.5 * 3600 - 0.25, 33.5 * 3600 - 0.25);
	expect("2026-02-28T14:30:10", "", 9.75, -1);
	expect("2020-01-01", "2030-12-31T23:59:59", -1, -1);
	begin(600);
	expect("14:35", "", 299.75, -1);
	expect("", "14:35", -1, 299.75);
	refuse("14:41", "",
	       "14:41 is not in the recording, which is from 2026-02-28 14:30:00 to "
	       "14:40:00 (600.0 s)");
	refuse("", "09:00", "09:00 is not in the recording");
	refuse("14:35", "14:35", "14:35 is not in the recording");
}

static void test_empty_windows(void **state)
{
	(void)state;
	begin(600);
	refuse("600", "", "600 is not in the recording, which is from");
	refuse("11m", "12m", "11m is not in the recording");
	refuse("2027-01-01", "", "2027-01-01 is not in the recording");
	refuse("", "2020-01-01", "2020-01-01 is not in the recording");
	refuse("", "-10m", "-10m is not in the recording");
	refuse("5m", "90",
	       "90 is not after 5m, so the window is empty: name the earlier time first");
	refuse("5m", "5m", "5m is not after 5m");
}

static void test_wrong_times(void **state)
{
	static const char *const wrong[] = {
		"x",
		"5x",
		"5ms",
		"5 m",
		"0x10",
		"1e3",
		"inf",
		"nan",
		"-",
		"--5",
		"+5",
		".",
		"1.2.3",
		"m",
		"5m3s",
		"14:3",
		"1:30",
		"14:30:",
		"24:00",
		"14:60",
		"14:30:60",
		"14:30:00Z",
		"2026-2-28",
		"2026-02",
		"2026/02/28",
		"2026-02-28T",
		"2026-02-28 14:30",
		"2026-02-28T14",
		"28.2.2026",
		"today",
	};

	(void)state;
	begin(600);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		refuse(wrong[i], "", ": expected a time: 90, 90s, 5m or 2h from the recording's");
		refuse("", wrong[i], ": expected a time");
		assert_int_equal(strncmp(why, wrong[i], strlen(wrong[i])), 0);
	}
	refuse("2026-02-30", "", "2026-02-30: the clock never shows this time");
	refuse("2026-13-01", "", "never shows");
	/* The clock is put forward from 2:00 to 3:00. */
	refuse("2026-03-29T02:30", "", "never shows");
}

/* On a day on which the clock is put forward or back, a time of day is found all the same. */
static void test_summer_time(void **state)
{
	(void)state;
	begin(40.0 * 86400);
	about.start = local(2026, 3, 28, 12, 0, 0);
	expect("03:30", "", 14.5 * 3600, -1);
	expect("12:00", "12:00", -1, 23 * 3600);
	/* 2:30 is not on the 29th. */
	expect("02:30", "", 37.5 * 3600, -1);
	about.start = local(2026, 3, 29, 1, 0, 0);
	expect("02:30", "", 24.5 * 3600, -1);
}

static void expect_split(const char *operand, const char *file, const char *since,
			 const char *until)
{
	struct record_window window;

	*why = '\0';
	if (record_window_read(&window, operand, why, sizeof(why)))
		fail_msg("%s: %s", operand, why);
	assert_string_equal(window.file, file);
	assert_string_equal(window.since, since);
	assert_string_equal(window.until, until);
	record_window_fini(&window);
	record_window_fini(&window);
}

static void refuse_split(const char *operand)
{
	struct record_window window;

	*why = '\0';
	assert_int_equal(record_window_read(&window, operand, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "there is no such file; for a part of a recording, write "
				    "FILE@SINCE,UNTIL"));
}

static void make(const char *name)
{
	int fd = open(name, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void test_files(void **state)
{
	char folder[] = "/tmp/pymem-window.XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	expect_split("run.pymem", "run.pymem", "", "");
	expect_split("run.pymem@5m,10m", "run.pymem", "5m", "10m");
	expect_split("run.pymem@,10m", "run.pymem", "", "10m");
	expect_split("run.pymem@-5m,", "run.pymem", "-5m", "");
	expect_split("run.pymem@,", "run.pymem", "", "");
	expect_split("a@b.pymem@14:30,14:31", "a@b.pymem", "14:30", "14:31");
	refuse_split("a@b.pymem");
	refuse_split("run.pymem@5m");
	refuse_split("@5m,");
	refuse_split("run.pymem@1,2,3");
	/* A file of the whole name is meant, whatever that looks like. */
	make("a@b.pymem");
	make("run.pymem@5m,10m");
	expect_split("a@b.pymem", "a@b.pymem", "", "");
	expect_split("run.pymem@5m,10m", "run.pymem@5m,10m", "", "");
	expect_split("run.pymem@5m,10m@1,2", "run.pymem@5m,10m", "1", "2");
	expect_split("./a@b.pymem@1,2", "./a@b.pymem", "1", "2");
	unlink("a@b.pymem");
	unlink("run.pymem@5m,10m");
	assert_int_equal(chdir("/"), 0);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amounts),	      cmocka_unit_test(test_clock),
		cmocka_unit_test(test_empty_windows), cmocka_unit_test(test_wrong_times),
		cmocka_unit_test(test_summer_time),   cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

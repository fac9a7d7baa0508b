/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/terminal.c: what the environment says of the width, of colours and of escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "os/terminal.h"

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static void test_width(void **state)
{
	(void)state;
	set("COLUMNS", NULL);
	assert_int_equal(terminal_report_width(0, false), 0);
	assert_int_equal(terminal_report_width(77, false), 77);
	set("COLUMNS", "91");
	assert_int_equal(terminal_report_width(0, false), 91);
	assert_int_equal(terminal_report_width(0, true), 91);
	assert_int_equal(terminal_report_width(77, true), 77);
	set("COLUMNS", "-3");
	assert_int_equal(terminal_report_width(0, false), 0);
	set("COLUMNS", "x");
	assert_int_equal(terminal_report_width(0, false), 0);
}

static void test_colors(void **state)
{
	static const struct {
		const char *term, *no_color;
		bool escapes, colors;
	} cases[] = {
		{"xterm", NULL, true, true}, {"xterm", "", true, true},
		{"xterm", "1", true, false}, {"dumb", NULL, false, false},
		{"dumb", "", false, false},  {NULL, NULL, true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set("TERM", cases[i].term);
		set("NO_COLOR", cases[i].no_color);
		assert_int_equal(terminal_has_escapes(), cases[i].escapes);
		assert_int_equal(terminal_has_colors(), cases[i].colors);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_colors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parts of renderers: sizes, and places shortened to a number of columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/text.h"
#include "render/render_parts.h"

static void expect_size(int64_t bytes, bool sign, const char *wanted)
{
	char text[32];

	parts_size(text, sizeof(text), bytes, sign);
	assert_string_equal(text, wanted);
}

static void test_sizes(void **state)
{
	(void)state;
	expect_size(0, false, "0.0 MiB");
	expect_size(0, true, "0.0 MiB");
	expect_size(100, false, "100 B");
	expect_size(4096, true, "+4 KiB");
	expect_size(-4096, false, "-4 KiB");
	expect_size(104857, false, "102 KiB");
	expect_size(104858, false, "0.1 MiB");
	expect_size(-7759462, true, "-7.4 MiB");
	expect_size(100000ll << 20, true, "+100000.0 MiB");
	expect_size(INT64_MIN, false, "-8796093022208.0 MiB");
}

static void expect_place(const char *file, const char *function, unsigned columns,
			 const char *wanted)
{
	struct model_location location = {
		.file = file, .function = function, .line = 204, .first_line = 1};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	unsigned used = parts_place(out, &location, columns);

	fclose(out);
	assert_string_equal(text, wanted);
	assert_int_equal(used, text_columns(text));
	free(text);
}

static void test_places(void **state)
{
	static const char numpy[] = "/v/lib/python3.11/site-packages/numpy/core/numeric.py";

	(void)state;
	expect_place(numpy, "ones", 0,
		     "/v/lib/python3.11/site-packages/numpy/core/numeric.py:204 ones");
	expect_place(numpy, "ones", 40, "…/numpy/core/numeric.py:204 ones");
	expect_place(numpy, "ones", 30, "…/core/numeric.py:204 ones");
	expect_place(numpy, "ones", 20, "…numeric.py:204 ones");
	expect_place("/usr/lib/python3.11/json/decoder.py", "scan", 32,
		     "…/json/decoder.py:204 scan");
	expect_place("/a/b.py", "a_function_of_a_long_name", 24, "/a/b.py:204 a_function_…");
	expect_place("b.py", "f", 10, "b.py:204 f");
	expect_place("b.py", "f", 9, "b.py:204");
	expect_place("b.py", "f", 1, "…:204");
	expect_place("", "", 0, "(no file name):204 ?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

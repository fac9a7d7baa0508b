/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON in a page: nothing in it can end its element, wherever the pieces are cut; and a stream that
 * fails is not hidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "render/script_stream.h"

static void test_escapes(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size), *script = script_stream_open(out);

	(void)state;
	assert_non_null(script);
	fputs("\"</scr", script);
	fflush(script);
	fputs("ipt>&amp;<!--\"", script);
	assert_int_equal(fclose(script), 0);
	fputs("</script>", out);
	fclose(out);
	assert_string_equal(text, "\"\\u003c/script\\u003e\\u0026amp;\\u003c!--\"</script>");
	free(text);
}

/* More than its buffer holds. */
static void test_much(void **state)
{
	char *text = NULL;
	size_t size, i, found = 0;
	FILE *out = open_memstream(&text, &size), *script = script_stream_open(out);

	(void)state;
	for (i = 0; i < 200000; i++)
		fputs("1<", script);
	assert_int_equal(fclose(script), 0);
	fclose(out);
	assert_int_equal(size, 200000 * 7);
	assert_null(memchr(text, '<', size));
	for (i = 0; i + 6 < size; i += 7)
		found += !memcmp(text + i, "1\\u003c", 7);
	assert_int_equal(found, 200000);
	free(text);
}

static void test_full(void **state)
{
	FILE *out = fopen("/dev/full", "w"), *script = script_stream_open(out);
	size_t i;

	(void)state;
	for (i = 0; i < 100000; i++)
		fputs("1,", script);
	assert_int_equal(fclose(script), EOF);
	assert_true(ferror(out) || fflush(out));
	fclose(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_much),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

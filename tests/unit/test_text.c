/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* text.c: escapes, widths, cutting at both ends, wrapping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "render/render.h"

static void expect(const char *text, unsigned columns, bool keep_end, const char *output,
		   unsigned used)
{
	char *buffer = NULL;
	size_t size;
	FILE *out = open_memstream(&buffer, &size);
	unsigned got;

	assert_non_null(out);
	got = text_print(out, text, columns, keep_end);
	fclose(out);
	assert_string_equal(buffer, output);
	assert_int_equal(got, used);
	free(buffer);
}

static void expect_ended(const char *text, const char *end, unsigned columns, const char *output)
{
	char *buffer = NULL;
	size_t size;
	FILE *out = open_memstream(&buffer, &size);
	unsigned got;

	assert_non_null(out);
	got = text_print_ended(out, text, *end ? strstr(text, end) : end, columns);
	fclose(out);
	assert_string_equal(buffer, output);
	assert_int_equal(got, text_columns(output));
	assert_true(!columns || got <= columns);
	free(buffer);
}

/* What is too long is cut before its end. */
static void test_ended(void **state)
{
	static const char name[] = "docker:0123456789ab of user 1000", user[] = " of user 1000";

	(void)state;
	expect_ended(name, user, 0, name);
	expect_ended(name, user, 32, name);
	expect_ended(name, user, 31, "docker:0123456789… of user 1000");
	expect_ended(name, user, 20, "docker… of user 1000");
	expect_ended(name, user, 14, "… of user 1000");
	expect_ended(name, user, 13, "docker… of u…");
	expect_ended(name, user, 2, "……");
	expect_ended(name, user, 1, "…");
	expect_ended(name, "", 10, "docker:01…");
	/* A short beginning leaves the rest to the end. */
	expect_ended("ab in docker:0123", " in", 10, "ab in doc…");
	expect_ended("\xff\xff of user 7", " of", 12, "… of user 7");
	expect_ended("\xe6\xbc\xa2\xe5\xad\x97 of user 7", " of", 13, "\xe6\xbc\xa2… of user 7");
}

static void expect_name(const char *text, size_t size, const char *output)
{
	char name[64];

	assert_true(size <= sizeof(name));
	text_escape_name(name, size, text);
	assert_string_equal(name, output);
	/* What is escaped is not changed by escaping it again. */
	text_escape_name(name, sizeof(name), output);
	assert_string_equal(name, output);
	text_escape(name, sizeof(name), output);
	assert_string_equal(name, output);
}

static void test_names(void **state)
{
	(void)state;
	expect_name("", 64, "");
	expect_name("a b", 64, "a b");
	expect_name("a  b", 64, "a\\x20b");
	expect_name("a                                        b ", 64, "a\\x20b ");
	expect_name("a\xc2\xa0"
		    "b",
		    64, "a\\u00a0b");
	expect_name("a\xe3\x80\x80 \xe2\xa0\x80z", 64, "a\\u3000z");
	expect_name("\xff\xff\n", 64, "\\xff\\xff\\n");
	/* Cut between two characters. */
	expect_name("\xff\xff\xff", 12, "\\xff\\xff");
	expect_name("aaa\xc3\xa4", 5, "aaa");
	expect_name("aaa   b", 7, "aaa");
	expect_name("a", 1, "");
}

static void test_pid(void **state)
{
	char text[TEXT_PID];

	(void)state;
	text_pid(text, sizeof(text), 2946, 0, " ");
	assert_string_equal(text, "2946");
	text_pid(text, sizeof(text), 2946, 7, " ");
	assert_string_equal(text, "2946 (7 inside)");
	text_pid(text, sizeof(text), INT32_MAX, INT32_MAX, "\xc2\xa0");
	assert_string_equal(text, "2147483647\xc2\xa0(2147483647\xc2\xa0inside)");
}

static void test_plain(void **state)
{
	(void)state;
	expect("", 0, false, "", 0);
	expect("abc", 0, false, "abc", 3);
	expect("caf\xc3\xa9", 4, false, "caf\xc3\xa9", 4);
	/* Two columns each; a mark takes none. */
	expect("\xe6\xbc\xa2\xe5\xad\x97", 0, false, "\xe6\xbc\xa2\xe5\xad\x97", 4);
	expect("e\xcc\x81", 0, false, "e\xcc\x81", 1);
	expect("\xf0\x9f\x90\x8d", 0, false, "\xf0\x9f\x90\x8d", 2);
	assert_int_equal(text_columns("\xf0\x9f\x90\x8d-\033"), 7);
}

static void test_escapes(void **state)
{
	(void)state;
	expect("\033[31m", 0, false, "\\x1b[31m", 8);
	expect("a\nb\tc\rd", 0, false, "a\\nb\\tc\\rd", 10);
	expect("\x7f", 0, false, "\\x7f", 4);
	expect("\xc2\x9b", 0, false, "\\u009b", 6);	/* C1: CSI */
	expect("\xe2\x80\xae", 0, false, "\\u202e", 6); /* right to left */
	expect("a\xe2\x80\xae", 0, false, "a\\u202e", 7);
	expect("\xe2\x81\xa6", 0, false, "\\u2066", 6);		 /* isolate */
	expect("\xe2\x80\xa8", 0, false, "\\u2028", 6);		 /* line separator */
	expect("\xf3\xa0\x81\x81", 0, false, "\\U000e0041", 10); /* tag */
	expect("\xcc\x81x", 0, false, "\\u0301x", 7);		 /* a mark on what came before */
}

static void test_invalid(void **state)
{
	(void)state;
	expect("\xff", 0, false, "\\xff", 4);
	expect("\xc3(", 0, false, "\\xc3(", 5);
	expect("\xc0\x80", 0, false, "\\xc0\\x80", 8);			  /* overlong */
	expect("\xe0\x80\xaf", 0, false, "\\xe0\\x80\\xaf", 12);	  /* overlong */
	expect("\xed\xa0\x80", 0, false, "\\xed\\xa0\\x80", 12);	  /* surrogate */
	expect("\xf4\x90\x80\x80", 0, false, "\\xf4\\x90\\x80\\x80", 16); /* > U+10FFFF */
	expect("\xe2\x82", 0, false, "\\xe2\\x82", 8);			  /* cut off by the end */
	expect("\xf0\x9f\x90", 0, false, "\\xf0\\x9f\\x90", 12);
}

static void test_cuts(void **state)
{
	(void)state;
	expect("abcdef", 6, false, "abcdef", 6);
	expect("abcdef", 5, false, "abcd…", 5);
	expect("abcdef", 5, true, "…cdef", 5);
	expect("abcdef", 1, false, "…", 1);
	expect("abcdef", 1, true, "…", 1);
	/* Never half of a wide character, of an escape, or of a letter with marks. */
	expect("\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", 4, false, "\xe6\xbc\xa2…", 3);
	expect("\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", 4, true, "…\xe6\xbc\xa2", 3);
	expect("ab\033cd", 5, false, "ab…", 3);
	expect("ab\033cd", 6, true, "…cd", 3);
	expect("abe\xcc\x81zz", 3, true, "…zz", 3);
}

/* Marks take no column, but their number is limited. */
static void test_mark_stacks(void **state)
{
	char text[2 + 2 * 1000] = "a";
	char *buffer = NULL;
	size_t size, i;
	FILE *out;

	(void)state;
	for (i = 1; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xcc\x81", 2);
	out = open_memstream(&buffer, &size);
	assert_true(text_print(out, text, 20, false) <= 20);
	fclose(out);
	assert_true(size < 100);
	free(buffer);
	assert_true(text_columns(text) > 1000);
}

static void expect_wrap(const char *text, unsigned column, unsigned columns, unsigned indent,
			const char *output)
{
	char *buffer = NULL;
	size_t size;
	FILE *out = open_memstream(&buffer, &size);

	text_wrap(out, text, column, columns, indent);
	fclose(out);
	assert_string_equal(buffer, output);
	free(buffer);
}

static void test_wrap(void **state)
{
	char word[601], *buffer = NULL;
	size_t size;
	FILE *out;

	(void)state;
	expect_wrap("one two three", 0, 0, 0, "one two three");
	expect_wrap("one two three", 0, 8, 2, "one two\n  three");
	expect_wrap("one  two", 5, 9, 2, " one\n  two");
	expect_wrap("12.3\xc2\xa0MiB 4\xc2\xa0KiB", 0, 9, 0, "12.3 MiB\n4 KiB");
	expect_wrap("a\033b incomprehensibly", 0, 10, 2, "a\\x1bb\n  incompr…");
	memset(word, 'w', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	out = open_memstream(&buffer, &size);
	text_wrap(out, word, 0, 0, 0);
	fclose(out);
	assert_int_equal(size, 602); /* in three pieces */
	free(buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ended),	cmocka_unit_test(test_names),
		cmocka_unit_test(test_pid),	cmocka_unit_test(test_plain),
		cmocka_unit_test(test_escapes), cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_cuts),	cmocka_unit_test(test_mark_stacks),
		cmocka_unit_test(test_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

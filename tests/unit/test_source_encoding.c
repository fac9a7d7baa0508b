/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables of encodings against the C library's: each byte, each pair of bytes, and characters of
 * three and four. The two differ in few characters, whose numbers are below: Python's codecs follow
 * the registries, the C library in places the vendors. */
#include <iconv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/source_encoding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define FIRST 0x80u
#define LAST  0x30u
#define LINE  8

struct lines {
	char *text;
	size_t size;
};

static void add(struct lines *lines, const unsigned char *bytes, unsigned count)
{
	memcpy(lines->text + lines->size, bytes, count);
	lines->size += count;
	lines->text[lines->size++] = '\n';
}

/* A source with one line for each piece of bytes: single ones, pairs, then three and four of them.
 */
static struct lines source_of(const char *declared)
{
	struct lines lines = {.text = malloc(2000000)};
	unsigned char b[4];

	assert_non_null(lines.text);
	lines.size = (size_t)sprintf(lines.text, "# coding: %s\n", declared);
	for (unsigned first = FIRST; first < 256; first++) {
		b[0] = (unsigned char)first;
		add(&lines, b, 1);
		for (unsigned last = LAST; last < 256; last++) {
			b[1] = (unsigned char)last;
			add(&lines, b, 2);
		}
	}
	b[0] = 0x8f;
	for (unsigned second = 0xa1; second < 255; second++)
		for (unsigned last = 0xa1; last < 255; last++) {
			b[1] = (unsigned char)second;
			b[2] = (unsigned char)last;
			add(&lines, b, 3);
		}
	for (unsigned i = 0; i < 60000; i += 7) {
		b[0] = (unsigned char)(0x81 + i / 12600);
		b[1] = (unsigned char)('0' + i / 1260 % 10);
		b[2] = (unsigned char)(0x81 + i / 10 % 126);
		b[3] = (unsigned char)('0' + i % 10);
		add(&lines, b, 4);
		b[0] = (unsigned char)(b[0] + 0x0f);
		add(&lines, b, 4);
	}
	return lines;
}

static bool is_one_character(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n == 1;
}

/* One character in UTF-8, as the C library has it; false: the bytes are not one character. Control
 * characters are none, which the C library has in more encodings than Python. */
static bool reference(iconv_t converter, const char *bytes, size_t count, char *out)
{
	const char *character = out;
	size_t room = LINE - 1;

	iconv(converter, NULL, NULL, NULL, NULL);
	memset(out, 0, LINE);
	return iconv(converter, (char **)&bytes, &count, &out, &room) == 0 && !count &&
	       is_one_character(character) &&
	       !(character[0] == '\xc2' && (unsigned char)character[1] < 0xa0);
}

/* Lines of both texts, in step; how many differ that the C library can convert. */
static unsigned differences(const char *name, const struct lines *before, const struct lines *after,
			    unsigned *converted)
{
	const char *in = strchr(before->text, '\n') + 1, *out = strchr(after->text, '\n') + 1;
	iconv_t converter = iconv_open("UTF-8", name);
	unsigned differ = 0;
	char expected[LINE];
	size_t length;

	assert_true(converter != (iconv_t)-1);
	while (in < before->text + before->size) {
		const char *next = memchr(in, '\n', before->text + before->size - in);

		length = (const char *)memchr(out, '\n', after->text + after->size - out) - out;
		if (reference(converter, in, next - in, expected)) {
			++*converted;
			if (length != strlen(expected) || memcmp(out, expected, length))
				differ++;
		}
		in = next + 1;
		out += length + 1;
	}
	assert_ptr_equal(out, after->text + after->size);
	iconv_close(converter);
	return differ;
}

static void test_all(void **state)
{
	static const struct {
		const char *declared, *name;
		unsigned least, most_different;
	} cases[] = {
		{"latin-1", "ISO-8859-1", 96, 0},
		{"iso-latin-1", "ISO-8859-1", 96, 0},
		{"iso8859-15", "ISO-8859-15", 96, 0},
		{"cp1252", "CP1252", 123, 0},
		{"windows-1251", "CP1251", 127, 0},
		{"koi8-r", "KOI8-R", 128, 0},
		{"mac-roman", "MACINTOSH", 128, 2},
		{"shift_jis", "CP932", 9667, 0},
		{"euc_jp", "EUC-JP", 13009, 1},
		{"euc-kr", "EUC-KR", 8227, 1},
		{"cp949", "UHC", 17048, 0},
		{"gb2312", "GB2312", 7445, 2},
		{"gbk", "GBK", 21792, 1},
		/* Newer editions of it gave some characters other places. */
		{"gb18030", "GB18030", 38137, 25},
		/* The C library has private characters in it, or those of an extension. */
		{"big5", "BIG5", 13911, 408},
		/* The C library's is an edition newer. */
		{"big5hkscs", "BIG5-HKSCS", 18459, 68},
		{"johab", "JOHAB", 17049, 1},
	};
	struct lines before, after;
	unsigned converted, differ;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		before = source_of(cases[i].declared);
		after = (struct lines){malloc(before.size), before.size};
		memcpy(after.text, before.text, before.size);
		assert_int_equal(source_to_utf8(&after.text, &after.size), 0);
		converted = 0;
		differ = differences(cases[i].name, &before, &after, &converted);
		if (converted < cases[i].least || differ > cases[i].most_different)
			fail_msg("%s: %u characters, %u differ", cases[i].declared, converted,
				 differ);
		free(before.text);
		free(after.text);
	}
}

static void expect(const char *text, const char *second)
{
	size_t size = strlen(text);
	char *converted = strdup(text), *line;

	assert_non_null(converted);
	assert_int_equal(source_to_utf8(&converted, &size), 0);
	line = memchr(converted, '\n', size);
	assert_non_null(line);
	assert_int_equal(size - (size_t)(line + 1 - converted), strlen(second));
	assert_memory_equal(line + 1, second, strlen(second));
	free(converted);
}

/* What is not valid stays, and so does all text in an encoding that is not known. */
static void test_invalid(void **state)
{
	(void)state;
	expect("# coding: cp932\n\x83", "\x83");
	expect("# coding: cp932\n\x83\n\x83\x5c", "\x83\n\343\202\275");
	expect("# coding: gb18030\n\x81\x30\x81", "\x81"
						  "0\x81");
	expect("# coding: gb18030\n\x81\x30\x81\x30", "\302\200");
	expect("# coding: gb18030\n\x90\x30\x81\x30", "\360\220\200\200");
	expect("# coding: gb18030\n\xfe\x39\xfe\x39", "\xfe"
						      "9\xfe"
						      "9");
	expect("# coding: big5hkscs\n\x87\x45", "\360\247\211\247");
	expect("# coding: euc_jp\n\x8f\xb0\xa1", "\344\270\202");
	expect("# coding: euc_jp\n\x8f\xb0", "\x8f\xb0");
	expect("# coding: iso2022_jp\n\x1b$B", "\x1b$B");
	expect("# coding: utf-16\n\xe4", "\xe4");
	expect("# coding: -\n\xe4", "\xe4");
	expect("# coding: 1\n\xe4", "\xe4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_invalid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

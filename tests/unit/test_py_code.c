/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* py_code.c against the answers of the interpreters themselves.
 *
 * data/py_code_cases.txt has line tables of real code objects of CPython 3.6 to 3.15, with what
 * PyCode_Addr2Line() returned for them. gen_code_cases.py writes the file and describes its format.
 * PYMEM_TEST_DATA names its folder if that is not tests/unit/data. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "python/py_code.h"

#define MAX_ANSWERS 1024

struct golden {
	unsigned minor;
	struct py_code code;
	struct {
		int offset, line;
	} answers[MAX_ANSWERS];
	size_t count;
	int end; /* bytes of code */
};

static uint32_t flag_of(const char *kind)
{
	if (!strcmp(kind, "lnotab"))
		return PY_LINES_LNOTAB;
	if (!strcmp(kind, "linetable"))
		return PY_LINES_LINETABLE;
	assert_string_equal(kind, "locations");
	return PY_LINES_LOCATIONS;
}

static void parse_table(struct golden *golden, const char *hex)
{
	size_t len = strcmp(hex, ".") ? strlen(hex) / 2 : 0;
	unsigned byte;

	/* Exactly as large as the table, so that the sanitizer sees each read beyond its end. */
	golden->code.linetable = malloc(len ? len : 1);
	assert_non_null(golden->code.linetable);
	golden->code.linetable_len = len;
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		golden->code.linetable[i] = (unsigned char)byte;
	}
}

static void parse_case(struct golden *golden, char *line)
{
	char *save, *word = strtok_r(line, " \n", &save);

	memset(golden, 0, sizeof(*golden));
	assert_int_equal(sscanf(word, "3.%u", &golden->minor), 1);
	golden->code.line_flags = flag_of(strtok_r(NULL, " \n", &save));
	golden->code.first_line = atoi(strtok_r(NULL, " \n", &save));
	parse_table(golden, strtok_r(NULL, " \n", &save));
	while ((word = strtok_r(NULL, " \n", &save))) {
		const char *answer = strchr(word, ':') + 1;

		if (!strcmp(answer, "END")) {
			golden->end = atoi(word);
			break;
		}
		assert_true(golden->count < MAX_ANSWERS);
		golden->answers[golden->count].offset = atoi(word);
		golden->answers[golden->count++].line = *answer == '-' ? 0 : atoi(answer);
	}
	assert_true(golden->end > 0 && golden->count > 0);
}

static void each_golden(void (*fn)(struct golden *golden, void *arg), void *arg)
{
	const char *folder = getenv("PYMEM_TEST_DATA");
	struct golden *golden = malloc(sizeof(*golden));
	char path[PATH_MAX], *line = NULL;
	size_t size = 0;
	FILE *file;

	assert_non_null(golden);
	snprintf(path, sizeof(path), "%s/py_code_cases.txt", folder ? folder : "tests/unit/data");
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	while (getline(&line, &size, file) > 0) {
		parse_case(golden, line);
		fn(golden, arg);
		py_code_fini(&golden->code);
	}
	fclose(file);
	free(line);
	free(golden);
}

static int answer_at(const struct golden *golden, int offset)
{
	int line = -1;

	for (size_t i = 0; i < golden->count && golden->answers[i].offset <= offset; i++)
		line = golden->answers[i].line;
	return line;
}

static void check_lines(struct golden *golden, void *arg)
{
	unsigned *cases = arg;
	int past = py_code_line(&golden->code, golden->end);

	for (int offset = 0; offset < golden->end; offset++)
		assert_int_equal(py_code_line(&golden->code, offset), answer_at(golden, offset));
	assert_int_equal(py_code_line(&golden->code, -1), golden->code.first_line);
	assert_int_equal(py_code_line(&golden->code, -2), golden->code.first_line);
	/* co_lnotab does not tell where the code ends. */
	if (!(golden->code.line_flags & PY_LINES_LNOTAB))
		assert_int_equal(past, -ENODATA);
	cases[golden->minor]++;
}

static void test_interpreters_agree(void **state)
{
	unsigned cases[64] = {0};

	(void)state;
	each_golden(check_lines, cases);
	for (unsigned minor = 6; minor <= 15; minor++)
		assert_true(cases[minor] >= 50);
}

/* What must occur in the corpus; without it the test above would prove little. */
struct coverage {
	unsigned kinds[16], backward, no_line, line_zero, far;
};

static void count_features(struct golden *golden, void *arg)
{
	struct coverage *seen = arg;

	for (size_t i = 0; i < golden->count; i++) {
		int line = golden->answers[i].line;
		int before = i ? golden->answers[i - 1].line : line;

		seen->backward += line > 0 && line < before;
		seen->far += abs(line - before) > 300;
	}
	if (golden->code.line_flags & PY_LINES_LOCATIONS)
		for (size_t i = 0; i < golden->code.linetable_len; i++)
			if (golden->code.linetable[i] & 0x80)
				seen->kinds[golden->code.linetable[i] >> 3 & 15]++;
	if (golden->code.line_flags & PY_LINES_LINETABLE)
		for (size_t i = 1; i < golden->code.linetable_len; i += 2)
			seen->no_line += golden->code.linetable[i] == 0x80;
}

static void test_corpus_is_rich(void **state)
{
	struct coverage seen = {0};

	(void)state;
	each_golden(count_features, &seen);
	for (unsigned kind = 0; kind < 16; kind++)
		if (kind != 9) /* columns 72 to 79: rare, and without meaning for lines */
			assert_true(seen.kinds[kind] > 0);
	assert_true(seen.backward > 100);
	assert_true(seen.no_line > 0);
	assert_true(seen.far > 20);
}

/* A truncated table gives the same line as the whole one, or none. */
static void check_truncated(struct golden *golden, void *arg)
{
	struct py_code part = golden->code;
	size_t *counts = arg;

	part.truncated = 1;
	for (size_t len = 0; len < golden->code.linetable_len; len += 1 + len / 4) {
		part.linetable = malloc(len ? len : 1);
		assert_non_null(part.linetable);
		memcpy(part.linetable, golden->code.linetable, len);
		part.linetable_len = len;
		for (int offset = 0; offset < golden->end; offset += 2) {
			int line = py_code_line(&part, offset);

			if (line != -ENODATA)
				assert_int_equal(line, answer_at(golden, offset));
			counts[line == -ENODATA]++;
		}
		free(part.linetable);
	}
}

static void test_truncated(void **state)
{
	size_t counts[2] = {0};

	(void)state;
	each_golden(check_truncated, counts);
	assert_true(counts[0] > 1000 && counts[1] > 1000);
}

static int line_of(uint32_t flags, int first_line, const void *table, size_t len, int lasti)
{
	struct py_code code = {.first_line = first_line, .line_flags = flags, .linetable_len = len};
	int line;

	code.linetable = malloc(len ? len : 1);
	assert_non_null(code.linetable);
	memcpy(code.linetable, table, len);
	line = py_code_line(&code, lasti);
	free(code.linetable);
	return line;
}

static void test_malformed(void **state)
{
	const uint32_t locations = PY_LINES_LOCATIONS;

	(void)state;
	/* A byte that begins no entry. */
	assert_int_equal(line_of(locations, 1, "\x50", 1, 0), -ENODATA);
	/* A change of line that never ends, is cut off, or runs into the next entry. */
	assert_int_equal(line_of(locations, 1, "\xe8\x7f\x7f\x7f\x7f\x7f\x7f\x01", 8, 0), -ENODATA);
	assert_int_equal(line_of(locations, 1, "\xe8\x7f", 2, 0), -ENODATA);
	assert_int_equal(line_of(locations, 1, "\xe8", 1, 0), -ENODATA);
	assert_int_equal(line_of(locations, 1, "\xe8\x41\xf8\x00", 4, 0), -ENODATA);
	/* Lines that an int can't hold, positive and negative. */
	assert_int_equal(line_of(locations, INT_MAX, "\xe8\x02", 2, 0), -ENODATA);
	assert_int_equal(line_of(locations, INT_MIN, "\xe8\x03", 2, 0), -ENODATA);
	assert_int_equal(line_of(PY_LINES_LNOTAB, 1, "\x00\x80\x02\x00", 4, 0), -ENODATA);
	assert_int_equal(line_of(PY_LINES_LINETABLE, 1, "\x02\x81", 2, 0), -ENODATA);
	assert_int_equal(line_of(PY_LINES_LNOTAB, -5, "", 0, -1), -ENODATA);
	/* An odd length, an empty table, an unknown encoding. */
	assert_int_equal(line_of(PY_LINES_LINETABLE, 1, "\x02", 1, 0), -ENODATA);
	assert_int_equal(line_of(PY_LINES_LNOTAB, 7, "", 0, INT_MAX), 7);
	assert_int_equal(line_of(locations, 7, "", 0, 0), -ENODATA);
	assert_int_equal(line_of(0, 7, "\xf8", 1, 0), -ENODATA);
}

static void test_no_line(void **state)
{
	(void)state;
	assert_int_equal(line_of(PY_LINES_LOCATIONS, 3, "\xf8\xd9\x00\x00", 4, 1), 0);
	assert_int_equal(line_of(PY_LINES_LOCATIONS, 3, "\xf8\xd9\x00\x00", 4, 2), 4);
	assert_int_equal(line_of(PY_LINES_LINETABLE, 3, "\x02\x80\x02\x01", 4, 0), 0);
	assert_int_equal(line_of(PY_LINES_LINETABLE, 3, "\x02\x80\x02\x01", 4, 2), 4);
	/* Entries of length 0 only change the line. */
	assert_int_equal(line_of(PY_LINES_LINETABLE, 3, "\x00\x7f\x02\x01", 4, 0), 131);
}

/* A long table of `entries` in that encoding; some have no line. */
static size_t long_table(uint32_t flags, size_t entries, unsigned char **table)
{
	unsigned char *at = *table = malloc(entries * 3);

	assert_non_null(at);
	for (size_t i = 0; i < entries; i++) {
		if (flags & PY_LINES_LNOTAB) {
			*at++ = i % 5 ? 2 : 0;
			*at++ = i % 7 ? 1 : 0xff;
		} else if (flags & PY_LINES_LINETABLE) {
			*at++ = 2;
			*at++ = i % 11 ? 1 : 0x80;
		} else {
			*at++ = i % 11 ? 0xd8 : 0xf8; /* the next line (kind 11), or none */
			if (i % 11) {
				*at++ = 1;
				*at++ = 2;
			}
		}
	}
	return at - *table;
}

/* With marks, a long table gives the same lines as without, also if it is truncated. */
static void test_index(void **state)
{
	const uint32_t flags[] = {PY_LINES_LNOTAB, PY_LINES_LINETABLE, PY_LINES_LOCATIONS};

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct py_code plain = {.first_line = 3, .line_flags = flags[i]}, marked;

		plain.linetable_len = long_table(flags[i], 40000, &plain.linetable);
		marked = plain;
		for (int cut = 0; cut < 2; cut++) {
			assert_int_equal(py_code_index(&marked), 0);
			assert_true(marked.mark_count > 5);
			assert_true(marked.mark_count <= marked.linetable_len / PY_CODE_MARK_BYTES);
			for (int lasti = -3; lasti < 81000; lasti += 61)
				assert_int_equal(py_code_line(&marked, lasti),
						 py_code_line(&plain, lasti));
			marked.linetable_len = plain.linetable_len = plain.linetable_len / 2 + 1;
			marked.truncated = plain.truncated = 1;
		}
		free(marked.marks);
		free(plain.linetable);
	}
}

/* A malformed table has no marks behind its error, and a short one has none at all. */
static void test_index_malformed(void **state)
{
	struct py_code code = {.first_line = 3, .line_flags = PY_LINES_LOCATIONS};

	(void)state;
	code.linetable_len = long_table(PY_LINES_LOCATIONS, 40000, &code.linetable);
	memset(code.linetable + 10000, 0xe8, 5); /* changes of line that are no numbers */
	assert_int_equal(py_code_index(&code), 0);
	assert_int_equal(code.mark_count, 2);
	assert_int_equal(py_code_line(&code, 100), 3 + 50 - 4);
	assert_int_equal(py_code_line(&code, 79000), -ENODATA);
	code.linetable_len = PY_CODE_MARK_BYTES;
	assert_int_equal(py_code_index(&code), 0);
	assert_null(code.marks);
	py_code_fini(&code);
}

/* Instructions before the first one with a line are the prologue. Later ones without a line are
 * not, nor is line 0 of a module. */
static void test_prologue(void **state)
{
	/* Two units without a line, one on line 3, one without, one on line 4. */
	unsigned char table[] = {0xf9, 0xd0, 0, 0, 0xf8, 0xd8, 0, 0};
	struct py_code code = {.first_line = 3,
			       .line_flags = PY_LINES_LOCATIONS,
			       .linetable = table,
			       .linetable_len = sizeof(table)};
	const bool is[] = {true, true, true, true, false, false, false, false, false, false};

	(void)state;
	for (int lasti = 0; lasti < 10; lasti++)
		assert_int_equal(py_code_in_prologue(&code, lasti), is[lasti]);
	assert_false(py_code_in_prologue(&code, -1));
	assert_int_equal(py_code_line(&code, 6), 0);
	code.linetable_len = 0;
	assert_false(py_code_in_prologue(&code, 0));
}

static void assert_decodes(const void *data, size_t data_len, size_t length, unsigned kind,
			   const char *expected)
{
	char *copy = malloc(data_len + 1), *text;

	assert_non_null(copy);
	memcpy(copy + 1, data, data_len); /* misaligned on purpose */
	text = py_unicode_decode(copy + 1, data_len, length, kind);
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
	free(copy);
}

static void test_unicode(void **state)
{
	const uint16_t two[] = {0x7a, 0x76ee, 0xdc80, 0, 0xd83d, 0xde00};
	const uint32_t four[] = {0x1f40d, 0x10ffff, 0x110000, 0xffffffff, 0xd800, 0x20ac};

	(void)state;
	assert_decodes("spam", 4, 4, 1, "spam");
	assert_decodes("", 0, 0, 1, "");
	assert_decodes("a\0b\xf6\xff", 5, 5, 1, "a\ufffdb\u00f6\u00ff");
	/* A surrogate pair is two lone surrogates: a str never has pairs. */
	assert_decodes(two, sizeof(two), 6, 2, "z\u76ee\ufffd\ufffd\ufffd\ufffd");
	assert_decodes(four, sizeof(four), 6, 4, "\U0001f40d\U0010ffff\ufffd\ufffd\ufffd\u20ac");
	assert_decodes("spam", 4, 5, 1, "spam\u2026");
	assert_decodes(two, 3, SIZE_MAX, 2, "z\u2026");
	assert_decodes(four, 3, 1, 4, "\u2026");
	assert_decodes("spam", 4, 2, 1, "sp");
	for (unsigned kind = 0; kind < 9; kind++)
		if (kind != 1 && kind != 2 && kind != 4)
			assert_null(py_unicode_decode("spam", 4, 1, kind));
}

/* PEP 383: bytes of a file name that are not UTF-8 become these bytes again. */
static void test_path(void **state)
{
	const uint16_t name[] = {'/', 0xdcff, 0xe9, 0xdc80, 0xdc7f, 0xdd00, 'x'};
	char *text = py_unicode_decode_path(name, sizeof(name), 7, 2);

	(void)state;
	assert_string_equal(text, "/\xff\303\251\x80\ufffd\ufffdx");
	free(text);
	text = py_unicode_decode_path("", 0, 0, 1);
	assert_string_equal(text, "");
	free(text);
}

static void test_fini_clears(void **state)
{
	struct py_code code = {.file = strdup("f"), .function = strdup("g"), .first_line = 1};

	(void)state;
	py_code_fini(&code);
	assert_null(code.file);
	assert_null(code.function);
	assert_int_equal(code.first_line, 0);
	py_code_fini(&code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interpreters_agree),
		cmocka_unit_test(test_corpus_is_rich),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_no_line),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_index_malformed),
		cmocka_unit_test(test_prologue),
		cmocka_unit_test(test_unicode),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_fini_clears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

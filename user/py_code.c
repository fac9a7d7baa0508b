/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From bytes of a code object to text and line numbers.
 *
 * Three encodings of "which line is this instruction of" have been in use: co_lnotab
 * (before 3.10), co_linetable (3.10) and the location table (3.11 on). Each decoder
 * gives what CPython's PyCode_Addr2Line gives for the same bytes, except that where
 * CPython would read on in a corrupt table, these stop with -ENODATA. Columns are left
 * out.
 *
 * The tables come from another process: every read is bounded, and sums are kept in 64
 * bits, which `len` steps of at most 32 bits cannot overflow.
 */
#include "py_code.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xfffd
#define ELLIPSIS    0x2026
#define UTF8_MAX    4
/* surrogateescape, PEP 383 */
#define ESCAPED	      0xdc00
#define ESCAPED_FIRST 0xdc80
#define ESCAPED_LAST  0xdcff

static char *put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* As it is stored: surrogates, and what is no character, too. */
static uint32_t stored(const unsigned char *data, size_t index, unsigned kind)
{
	uint16_t two;
	uint32_t c;

	if (kind == 1)
		return data[index];
	if (kind == 2) {
		memcpy(&two, data + 2 * index, sizeof(two));
		c = two;
	} else {
		memcpy(&c, data + 4 * index, sizeof(c));
	}
	return c;
}

static uint32_t code_point(uint32_t c)
{
	return c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? REPLACEMENT : c;
}

static char *decode(const void *data, size_t data_len, size_t length, unsigned kind, bool path)
{
	bool cut = false;
	char *text, *out, *shrunk;

	if (kind != 1 && kind != 2 && kind != 4)
		return NULL;
	if (length > data_len / kind) {
		length = data_len / kind;
		cut = true;
	}
	if (length > SIZE_MAX / UTF8_MAX - 2)
		return NULL;
	text = malloc((length + 2) * UTF8_MAX);
	if (!text)
		return NULL;
	out = text;
	for (size_t i = 0; i < length; i++) {
		uint32_t c = stored(data, i, kind);

		if (path && c >= ESCAPED_FIRST && c <= ESCAPED_LAST)
			*out++ = (char)(c - ESCAPED);
		else
			out = put_utf8(out, code_point(c));
	}
	if (cut)
		out = put_utf8(out, ELLIPSIS);
	*out++ = '\0';
	/* Names are kept by the thousand. */
	shrunk = realloc(text, (size_t)(out - text));
	return shrunk ? shrunk : text;
}

char *py_unicode_decode(const void *data, size_t data_len, size_t length, unsigned kind)
{
	return decode(data, data_len, length, kind, false);
}

char *py_unicode_decode_path(const void *data, size_t data_len, size_t length, unsigned kind)
{
	return decode(data, data_len, length, kind, true);
}

/* Line 0 is a real answer: modules begin with an instruction of line 0 (3.11 on). */
static int as_line(int64_t line)
{
	return line < 0 || line > INT_MAX ? -ENODATA : (int)line;
}

/* Pairs (bytes of code, signed change of line); the change applies after the bytes. */
static int lnotab_line(const struct py_code *code, int lasti)
{
	int64_t line = code->first_line, address = 0;

	for (size_t at = 0; at + 1 < code->linetable_len; at += 2) {
		address += code->linetable[at];
		if (address > lasti)
			return as_line(line);
		line += (signed char)code->linetable[at + 1];
	}
	/* The last line goes on to the end of the code. */
	return code->truncated ? -ENODATA : as_line(line);
}

/* Pairs (bytes of code, signed change of line); the change applies to the bytes, and
 * -128 says that they have no line. */
static int linetable_line(const struct py_code *code, int lasti)
{
	int64_t line = code->first_line, end = 0;

	for (size_t at = 0; at + 1 < code->linetable_len; at += 2) {
		signed char change = (signed char)code->linetable[at + 1];

		end += code->linetable[at];
		if (change != -128)
			line += change;
		if (end > lasti)
			return change == -128 ? 0 : as_line(line);
	}
	return -ENODATA;
}

/* The kinds of entry of a location table (PyCodeLocationInfoKind of CPython). */
enum location_kind {
	LOCATION_ONE_LINE = 10, /* to 12: the change of line is the kind less this */
	LOCATION_ONE_LINE_LAST = 12,
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
};

/* Six bits a byte, the least significant first; bit 6 says that more follow. The sign
 * is the lowest bit of the whole. */
static int read_svarint(const unsigned char *table, size_t len, size_t at, int64_t *value)
{
	uint64_t bits = 0;

	for (unsigned shift = 0; shift <= 30; shift += 6) {
		if (at >= len || table[at] & 0x80)
			return -ENODATA;
		bits |= (uint64_t)(table[at] & 0x3f) << shift;
		if (!(table[at++] & 0x40)) {
			*value = bits & 1 ? -(int64_t)(bits >> 1) : (int64_t)(bits >> 1);
			return 0;
		}
	}
	return -ENODATA;
}

static int location_change(const struct py_code *code, size_t at, unsigned kind, int64_t *change)
{
	*change = 0;
	if (kind >= LOCATION_ONE_LINE && kind <= LOCATION_ONE_LINE_LAST)
		*change = kind - LOCATION_ONE_LINE;
	else if (kind == LOCATION_NO_COLUMNS || kind == LOCATION_LONG)
		return read_svarint(code->linetable, code->linetable_len, at + 1, change);
	return 0;
}

static int location_line(const struct py_code *code, int lasti)
{
	const unsigned char *table = code->linetable;
	int64_t line = code->first_line, end = 0, change;
	size_t at = 0;

	while (at < code->linetable_len) {
		unsigned kind = table[at] >> 3 & 0xf;

		if (!(table[at] & 0x80)) /* not the beginning of an entry */
			return -ENODATA;
		if (location_change(code, at, kind, &change))
			return -ENODATA;
		line += change;
		end += 2 * ((table[at] & 7) + 1);
		if (end > lasti)
			return kind == LOCATION_NONE ? 0 : as_line(line);
		do
			at++;
		while (at < code->linetable_len && !(table[at] & 0x80));
	}
	return -ENODATA;
}

int py_code_line(const struct py_code *code, int lasti)
{
	/* An index of -1; from 3.11 on a pointer to the unit of code before the first. */
	if (lasti < -2)
		return -ENODATA;
	if (lasti < 0)
		return as_line(code->first_line);
	if (code->line_flags & PY_LINES_LNOTAB)
		return lnotab_line(code, lasti);
	if (code->line_flags & PY_LINES_LINETABLE)
		return linetable_line(code, lasti);
	if (code->line_flags & PY_LINES_LOCATIONS)
		return location_line(code, lasti);
	return -ENODATA;
}

void py_code_fini(struct py_code *code)
{
	free(code->file);
	free(code->function);
	free(code->linetable);
	memset(code, 0, sizeof(*code));
}

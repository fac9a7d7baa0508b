/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the bytes of a code object to text and line numbers.
 *
 * CPython has used three tables that map instructions to lines: co_lnotab (before 3.10),
 * co_linetable (3.10), and the location table (3.11 and later). Each decoder here gives what
 * CPython's PyCode_Addr2Line() gives for the same bytes. There is one difference: where CPython
 * would read beyond a corrupt table, it stops with -ENODATA. Columns are left out.
 *
 * The tables come from another process. Each read is bounded. Sums have 64 bits, which `len` steps
 * of at most 32 bits can't overflow.
 *
 * A line is found by going through the table from its beginning. A module that is one large literal
 * has a table of megabytes, and thousands of its lines are asked for. So marks are kept for long
 * tables, one for each PY_CODE_MARK_BYTES; a search starts at a mark. */
#include "python/py_code.h"

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

/* The code point as it is stored, even if it is a surrogate or invalid. */
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
	/* Thousands of names are kept, so give back what this one does not need. */
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

/* Line 0 exists: from 3.11 on a module begins with an instruction of line 0. */
static int as_line(int64_t line)
{
	return line < 0 || line > INT_MAX ? -ENODATA : (int)line;
}

/* Pairs (bytes of code, signed change of line). The change applies after the bytes. */
static int lnotab_step(const struct py_code *code, struct py_code_mark *c, int *line)
{
	if (c->at + 1 >= code->linetable_len)
		return -ENODATA;
	c->end += code->linetable[c->at];
	*line = as_line(c->line);
	c->line += (signed char)code->linetable[c->at + 1];
	c->at += 2;
	return 0;
}

/* Pairs (bytes of code, signed change of line). The change applies to the bytes. A change of -128
 * means that they have no line. */
static int linetable_step(const struct py_code *code, struct py_code_mark *c, int *line)
{
	signed char change;

	if (c->at + 1 >= code->linetable_len)
		return -ENODATA;
	change = (signed char)code->linetable[c->at + 1];
	c->end += code->linetable[c->at];
	if (change != -128)
		c->line += change;
	*line = change == -128 ? 0 : as_line(c->line);
	c->at += 2;
	return 0;
}

/* Kinds of entries in a location table: enum _PyCodeLocationInfoKind of CPython. */
enum location_kind {
	LOCATION_ONE_LINE = 10, /* 10 to 12: the change of line is the kind minus 10 */
	LOCATION_ONE_LINE_LAST = 12,
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
};

/* A number in bytes of six bits each, lowest first. Bit 6 says that another byte follows. The
 * lowest bit of the whole is its sign. */
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

static int location_step(const struct py_code *code, struct py_code_mark *c, int *line)
{
	const unsigned char *table = code->linetable;
	unsigned kind;
	int64_t change;

	if (c->at >= code->linetable_len ||
	    !(table[c->at] & 0x80)) /* an entry does not begin like this */
		return -ENODATA;
	kind = table[c->at] >> 3 & 0xf;
	if (location_change(code, c->at, kind, &change))
		return -ENODATA;
	c->line += change;
	c->end += 2 * ((table[c->at] & 7) + 1);
	*line = kind == LOCATION_NONE ? 0 : as_line(c->line);
	do
		c->at++;
	while (c->at < code->linetable_len && !(table[c->at] & 0x80));
	return 0;
}

/* Reads one entry of the table and moves behind it. Its instructions end at c->end; `*line` becomes
 * theirs, as py_code_line() returns it. 0, or -ENODATA: the table ends or is malformed. */
static int table_step(const struct py_code *code, struct py_code_mark *c, int *line)
{
	if (code->line_flags & PY_LINES_LNOTAB)
		return lnotab_step(code, c, line);
	if (code->line_flags & PY_LINES_LINETABLE)
		return linetable_step(code, c, line);
	if (code->line_flags & PY_LINES_LOCATIONS)
		return location_step(code, c, line);
	return -ENODATA;
}

/* Where to start, so that the entry of `lasti` still lies ahead. */
static struct py_code_mark mark_before(const struct py_code *code, int lasti)
{
	size_t low = 0, high = code->mark_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (code->marks[middle].end <= lasti)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? code->marks[low - 1] : (struct py_code_mark){.line = code->first_line};
}

int py_code_line(const struct py_code *code, int lasti)
{
	struct py_code_mark c;
	int line;

	/* Before 3.11 this is an index of -1. Later it comes from a pointer to the code unit before
	 * the first. */
	if (lasti < -2)
		return -ENODATA;
	if (lasti < 0)
		return as_line(code->first_line);
	c = mark_before(code, lasti);
	while (!table_step(code, &c, &line))
		if (c.end > lasti)
			return line;
	/* The last line in co_lnotab extends to the end of the code. */
	if (code->line_flags & PY_LINES_LNOTAB && !code->truncated)
		return as_line(c.line);
	return -ENODATA;
}

bool py_code_in_prologue(const struct py_code *code, int lasti)
{
	struct py_code_mark c = {.line = code->first_line};
	int line;

	/* No function begins with so many instructions without a line. */
	while (lasti >= 0 && c.at < PY_CODE_MARK_BYTES && !table_step(code, &c, &line) && !line)
		if (c.end > lasti)
			return true;
	return false;
}

int py_code_index(struct py_code *code)
{
	struct py_code_mark c = {.line = code->first_line}, *marks = NULL;
	size_t count = 0, next = PY_CODE_MARK_BYTES;
	int line;

	free(code->marks);
	code->marks = NULL;
	code->mark_count = 0;
	if (code->linetable_len < 2 * PY_CODE_MARK_BYTES)
		return 0;
	marks = calloc(code->linetable_len / PY_CODE_MARK_BYTES + 1, sizeof(*marks));
	if (!marks)
		return -ENOMEM;
	while (!table_step(code, &c, &line)) {
		if (c.at < next)
			continue;
		marks[count++] = c;
		next = c.at + PY_CODE_MARK_BYTES;
	}
	code->marks = marks;
	code->mark_count = count;
	return 0;
}

void py_code_fini(struct py_code *code)
{
	free(code->file);
	free(code->function);
	free(code->linetable);
	free(code->marks);
	memset(code, 0, sizeof(*code));
}

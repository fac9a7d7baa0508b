/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a source may be in any encoding that Python knows. It declares that in a comment in its
 * first two lines: "coding", then ":" or "=", then a name. What is printed must be UTF-8.
 *
 * iconv() would need files of this host, and loads code from them. The tables here come from
 * Python's codecs when the program is built (tools/gen-encodings). Name and text are hostile input.
 * Left out: encodings with states, or in which the bytes of ASCII mean something else (ISO-2022,
 * UTF-16, EBCDIC), JIS X 0213, and those that are no character sets (rot13, idna). */
#include "os/source_encoding.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/unpack.h"

#define NAME_MAX_BYTES 40
#define BOM	       "\xef\xbb\xbf"

/* As CPython does it in Parser/tokenizer.c, get_coding_spec(): a comment that contains coding[:=][
 * \t]*([-\w.]+). False: the line declares none. */
static bool coding_of(const char *line, size_t len, char *name, size_t size)
{
	const char *end = line + len, *at = line;
	size_t n = 0;

	while (at < end && (*at == ' ' || *at == '\t' || *at == '\f'))
		at++;
	if (at == end || *at != '#')
		return false;
	while ((at = memmem(at, (size_t)(end - at), "coding", 6))) {
		at += 6;
		if (at < end && (*at == ':' || *at == '='))
			break;
	}
	if (!at)
		return false;
	for (at++; at < end && (*at == ' ' || *at == '\t'); at++)
		;
	for (; at < end && n + 1 < size; at++, n++) {
		if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_' && *at != '.')
			break;
		name[n] = (char)tolower((unsigned char)*at);
	}
	name[n] = '\0';
	return n > 0;
}

/* True if the line has nothing but a comment: then the second line may declare an encoding. */
static bool is_blank(const char *line, size_t len)
{
	size_t at = 0;

	while (at < len && (line[at] == ' ' || line[at] == '\t' || line[at] == '\f'))
		at++;
	return at == len || line[at] == '#';
}

static size_t line_length(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] != '\n' && text[n] != '\r')
		n++;
	return n;
}

static void normalise(char *name)
{
	for (char *c = name; *c; c++) {
		if (*c == '_')
			*c = '-';
	}
}

static bool is_utf8(const char *name)
{
	return !strncmp(name, "utf-8", 5) || !strcmp(name, "utf8");
}

void source_declared_encoding(const char *text, size_t len, char *name, size_t size)
{
	size_t first = line_length(text, len), next = first;

	*name = '\0';
	if (coding_of(text, first, name, size)) {
		normalise(name);
	} else if (is_blank(text, first) && first < len) {
		next += text[first] == '\r' && first + 1 < len && text[first + 1] == '\n' ? 2 : 1;
		if (coding_of(text + next, line_length(text + next, len - next), name, size))
			normalise(name);
	}
	if (is_utf8(name))
		*name = '\0';
}

/* --- tables --- */

#define LEADS	  128 /* where the cells for first bytes begin */
#define THIRDS	  256
#define ROWS	  384
#define ROW_CELLS 208u
#define ROW_FIRST 0x30
#define WIDE	  0xd800
#define WIDE_END  0xe000

struct encoding {
	const char *names; /* lower case, without punctuation; each between spaces */
	const unsigned char *packed;
	unsigned packed_size, cells;
	unsigned wide_at; /* the first wide cell */
	bool has_four;	  /* characters of four bytes: four_byte_ranges */
};

#include "os/encodings.h"

struct decoder {
	const struct encoding *encoding;
	unsigned char *planes; /* the high bytes of all cells, then the low ones */
};

static const struct encoding *find_encoding(const char *name)
{
	char word[NAME_MAX_BYTES + 2] = " ";
	size_t n = 1;

	for (; *name && n + 2 < sizeof(word); name++) {
		if (isalnum((unsigned char)*name))
			word[n++] = *name;
	}
	word[n++] = ' ';
	word[n] = '\0';
	for (size_t i = 0; n > 2 && i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		if (strstr(encodings[i].names, word))
			return &encodings[i];
	}
	return NULL;
}

/* 0 if there is no such cell. */
static unsigned cell(const struct decoder *decoder, unsigned at)
{
	if (at >= decoder->encoding->cells)
		return 0;
	return (unsigned)decoder->planes[at] << 8 | decoder->planes[decoder->encoding->cells + at];
}

static uint32_t code_of(const struct decoder *decoder, unsigned value)
{
	if (value < WIDE || value >= WIDE_END)
		return value;
	return 0x20000 + cell(decoder, decoder->encoding->wide_at + value - WIDE);
}

/* What `byte` is in row 1 and up; 0: nothing. */
static uint32_t code_in_row(const struct decoder *decoder, unsigned row, unsigned char byte)
{
	if (!row || byte < ROW_FIRST)
		return 0;
	return code_of(decoder, cell(decoder, ROWS + (row - 1) * ROW_CELLS + byte - ROW_FIRST));
}

/* A character of four bytes of GB 18030; 0: it is none. */
static uint32_t four_byte_code(const unsigned char *in)
{
	size_t low = 0, high = sizeof(four_byte_ranges) / sizeof(four_byte_ranges[0]), middle;
	uint32_t linear;

	if (in[0] < 0x81 || in[1] < '0' || in[1] > '9' || in[2] < 0x81 || in[3] < '0' ||
	    in[3] > '9')
		return 0;
	linear = ((in[0] - 0x81u) * 10 + in[1] - '0') * 1260 + (in[2] - 0x81u) * 10 + in[3] - '0';
	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (four_byte_ranges[middle][0] <= linear)
			low = middle;
		else
			high = middle;
	}
	if (!four_byte_ranges[low][1])
		return 0;
	return four_byte_ranges[low][1] + linear - four_byte_ranges[low][0];
}

/* The character that begins at `in`, which has `left` bytes, one at least; *used becomes its
 * length. 0: it is none, and *used is 1. */
static uint32_t decode(const struct decoder *decoder, const unsigned char *in, size_t left,
		       unsigned *used)
{
	uint32_t code = *in < 0x80 ? *in : code_of(decoder, cell(decoder, *in - 0x80u));

	*used = 1;
	if (code || *in < 0x80 || left < 2)
		return code;
	*used = 2;
	code = code_in_row(decoder, cell(decoder, LEADS + *in - 0x80u), in[1]);
	if (!code && left >= 3 && *in == 0x8f && in[1] >= 0x80) {
		*used = 3;
		code = code_in_row(decoder, cell(decoder, THIRDS + in[1] - 0x80u), in[2]);
	}
	if (!code && left >= 4 && decoder->encoding->has_four) {
		*used = 4;
		code = four_byte_code(in);
	}
	if (!code)
		*used = 1;
	return code;
}

/* At most three bytes for one or two bytes of input, and four for three or four. */
static char *put_utf8(char *out, uint32_t code)
{
	if (code < 0x80) {
		*out++ = (char)code;
		return out;
	}
	if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
	} else {
		if (code < 0x10000) {
			*out++ = (char)(0xe0 | code >> 12);
		} else {
			*out++ = (char)(0xf0 | code >> 18);
			*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (code & 0x3f));
	return out;
}

/* Converts; a byte that is not valid is copied as it is. Returns the bytes written. */
static size_t convert(const struct decoder *decoder, const char *text, size_t size, char *out)
{
	const unsigned char *in = (const unsigned char *)text, *end = in + size;
	char *start = out;
	uint32_t code;
	unsigned used;

	for (; in < end; in += used) {
		code = decode(decoder, in, (size_t)(end - in), &used);
		if (code)
			out = put_utf8(out, code);
		else
			*out++ = (char)*in;
	}
	return (size_t)(out - start);
}

int source_to_utf8(char **text, size_t *size)
{
	char name[NAME_MAX_BYTES], *converted, *shrunk;
	struct decoder decoder;
	int err;

	if (*size >= 3 && !memcmp(*text, BOM, 3)) {
		*size -= 3;
		memmove(*text, *text + 3, *size);
		return 0;
	}
	source_declared_encoding(*text, *size, name, sizeof(name));
	decoder.encoding = find_encoding(name);
	if (!decoder.encoding)
		return 0;
	decoder.planes = unpack(decoder.encoding->packed, decoder.encoding->packed_size,
				2 * (size_t)decoder.encoding->cells);
	converted = malloc(3 * *size + 1);
	if (!decoder.planes || !converted) {
		err = -errno;
		free(decoder.planes);
		free(converted);
		return err;
	}
	*size = convert(&decoder, *text, *size, converted);
	free(decoder.planes);
	free(*text);
	shrunk = realloc(converted, *size + 1);
	*text = shrunk ? shrunk : converted;
	return 0;
}

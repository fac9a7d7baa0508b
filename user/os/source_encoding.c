/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a source may be in any encoding that Python knows. It declares that in a comment in its
 * first two lines: "coding", then ":" or "=", then a name. What is printed must be UTF-8.
 *
 * The name is hostile input: only letters, digits, "-", "_" and "." are passed to iconv. iconv
 * knows most of Python's names if "_" is written as "-", or if both are left out; a table has the
 * others. Left out: encodings for which iconv has no tables on this machine, and those that are no
 * character sets (rot13, idna). */
#include "os/source_encoding.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 40
#define BOM	       "\xef\xbb\xbf"

static const char *const aliases[][2] = {
	{"latin-1", "ISO-8859-1"}, {"iso-latin-1", "ISO-8859-1"},
	{"latin1", "ISO-8859-1"},  {"mac-roman", "MACINTOSH"},
	{"euc-jp", "EUC-JP"},	   {"euc-kr", "EUC-KR"},
	{"shift-jis", "CP932"},	   {"sjis", "CP932"},
};

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
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (!strcmp(name, aliases[i][0]) && strlen(aliases[i][1]) < size)
			strcpy(name, aliases[i][1]);
	}
}

/* A converter from the encoding `name` to UTF-8, for iconv_close(). (iconv_t)-1: iconv does not
 * know it. */
static iconv_t open_encoding(const char *name)
{
	char plain[NAME_MAX_BYTES];
	iconv_t converter = iconv_open("UTF-8", name);
	size_t n = 0;

	if (converter != (iconv_t)-1)
		return converter;
	/* "iso8859-15", "cp-1252" */
	for (; *name && n + 1 < sizeof(plain); name++) {
		if (*name != '-')
			plain[n++] = *name;
	}
	plain[n] = '\0';
	return iconv_open("UTF-8", plain);
}

/* Converts; a byte that is not valid is copied as it is. Returns the bytes written. */
static size_t convert(iconv_t converter, char *in, size_t left, char *out, size_t room)
{
	char *start = out;

	while (left && room) {
		if (iconv(converter, &in, &left, &out, &room) != (size_t)-1 || !left || !room)
			break;
		if (errno == E2BIG)
			break;
		*out++ = *in++;
		left--;
		room--;
	}
	return (size_t)(out - start);
}

int source_to_utf8(char **text, size_t *size)
{
	char name[NAME_MAX_BYTES], *converted, *shrunk;
	iconv_t converter;

	if (*size >= 3 && !memcmp(*text, BOM, 3)) {
		*size -= 3;
		memmove(*text, *text + 3, *size);
		return 0;
	}
	source_declared_encoding(*text, *size, name, sizeof(name));
	if (!*name)
		return 0;
	converter = open_encoding(name);
	if (converter == (iconv_t)-1)
		return 0;
	converted = malloc(3 * *size + 1);
	if (!converted) {
		iconv_close(converter);
		return -ENOMEM;
	}
	*size = convert(converter, *text, *size, converted, 3 * *size);
	iconv_close(converter);
	free(*text);
	shrunk = realloc(converted, *size + 1);
	*text = shrunk ? shrunk : converted;
	return 0;
}

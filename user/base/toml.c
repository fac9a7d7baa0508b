/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lines of a TOML document: names, arrays, comments; toml_value.c has their values.
 *
 * First all bytes are checked: valid UTF-8, and no control characters but those that TOML has
 * between its words, which are also the only ones that strings and comments may have. So what comes
 * after that needs not look for them. */
#include "base/toml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/toml_private.h"

#define BLANKS " \t"
#define BARE   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
#define SHOWN  48 /* characters of a name in an error */

unsigned toml_column(const struct toml_parser *p, const char *at)
{
	unsigned column = 1;

	for (const char *c = p->line_start; c < at; c++)
		column += (*c & 0xc0) != 0x80;
	return column;
}

int toml_refuse(const struct toml_parser *p, const char *at, const char *format, ...)
{
	va_list args;

	p->why->line = p->line;
	p->why->column = toml_column(p, at);
	va_start(args, format);
	vsnprintf(p->why->what, sizeof(p->why->what), format, args);
	va_end(args);
	return -EINVAL;
}

bool toml_at_line_end(const struct toml_parser *p)
{
	return !*p->at || *p->at == '\n' || *p->at == '\r';
}

void toml_skip_blanks(struct toml_parser *p)
{
	p->at += strspn(p->at, BLANKS);
}

/* --- bytes --- */

/* Bytes of the character at `at`, of which `left` are there. 0: it is not valid UTF-8. */
static size_t character_length(const unsigned char *at, size_t left)
{
	size_t n = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;

	if (*at > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	/* Too long for its character, a surrogate, or beyond the last character. */
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
	    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
		return 0;
	return n;
}

static int check_control(const struct toml_parser *p, const char *at, size_t left)
{
	unsigned code = (unsigned char)*at;

	if (code >= ' ' && code != 0x7f)
		return 0;
	if (code == '\t' || code == '\n' || (code == '\r' && left > 1 && at[1] == '\n'))
		return 0;
	if (code == '\r')
		return toml_refuse(p, at,
				   "a carriage return without a line feed: end lines with one, or "
				   "with both; in a text write \\r");
	if (!code)
		return toml_refuse(p, at, "a NUL character, U+0000: leave it out");
	return toml_refuse(p, at,
			   "a control character, U+%04X: in a text write \\u%04X, elsewhere leave "
			   "it out",
			   code, code);
}

/* Checks all of the document. It is not yet known to end with a NUL. */
static int check_bytes(const struct toml_parser *parser, const char *bytes, size_t size)
{
	struct toml_parser p = *parser;
	size_t length;
	int err = 0;

	p.line_start = bytes;
	if (size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3))
		return toml_refuse(&p, bytes,
				   "a byte order mark is not taken: save the file without it");
	for (size_t i = 0; i < size && !err; i += length) {
		length = character_length((const unsigned char *)bytes + i, size - i);
		if (!length)
			return toml_refuse(&p, bytes + i,
					   "the byte 0x%02x is not valid UTF-8: save the file as "
					   "UTF-8",
					   (unsigned char)bytes[i]);
		err = check_control(&p, bytes + i, size - i);
		if (bytes[i] == '\n') {
			p.line++;
			p.line_start = bytes + i + 1;
		}
	}
	return err;
}

/* --- lines --- */

/* Passes over blanks and a comment. */
static void skip_comment(struct toml_parser *p)
{
	toml_skip_blanks(p);
	if (*p->at == '#')
		p->at += strcspn(p->at, "\r\n");
}

/* Passes over the end of a line, of which nothing but a comment is left. False: it has more. */
static bool skip_line_end(struct toml_parser *p)
{
	skip_comment(p);
	if (!toml_at_line_end(p))
		return false;
	p->at += *p->at == '\r';
	if (*p->at) {
		p->line_start = ++p->at;
		p->line++;
	}
	return true;
}

/* Passes over blanks, comments and ends of lines, which may be anywhere in an array. */
static void skip_in_array(struct toml_parser *p)
{
	do
		skip_comment(p);
	while (*p->at && skip_line_end(p));
}

static int read_array(struct toml_parser *p, struct toml_entry *entry)
{
	int err = 0;

	entry->is_array = true;
	p->at++;
	for (skip_in_array(p); !err && *p->at != ']'; skip_in_array(p)) {
		if (!*p->at)
			return toml_refuse(p, p->at, "an array without its end: write ] after it");
		if (*p->at == '[')
			return toml_refuse(p, p->at,
					   "an array within an array is not taken: write all its "
					   "values in one");
		err = toml_read_value(p, entry);
		if (err)
			return err;
		entry->count++;
		skip_in_array(p);
		if (*p->at == ',')
			p->at++;
		else if (*p->at && *p->at != ']')
			return toml_refuse(p, p->at,
					   "write a comma between values of an array, "
					   "or ] after the last one");
	}
	p->at++;
	return err;
}

/* What TOML has at the beginning of a line, and we have not. 0 or -EINVAL. */
static int refuse_others(const struct toml_parser *p)
{
	if (!strncmp(p->at, "[[", 2))
		return toml_refuse(p, p->at,
				   "an array of tables, [[ ]], is not taken: write lists as NAME "
				   "= [\"one\", \"two\"]");
	if (*p->at == '[')
		return toml_refuse(p, p->at,
				   "a table, [ ], is not taken: leave this line out, names stand "
				   "alone");
	if (*p->at == '"' || *p->at == '\'')
		return toml_refuse(p, p->at,
				   "a name in quotes is not taken: write it without quotes");
	if (*p->at == '=')
		return toml_refuse(p, p->at, "a name is missing: write it before the =");
	if (!strchr(BARE, *p->at))
		return toml_refuse(p, p->at,
				   "a name is of letters, digits, _ and -: write a name, = and a "
				   "value");
	return 0;
}

/* Reads up to the beginning of the value. */
static int read_name(struct toml_parser *p, struct toml_entry *entry)
{
	size_t length = strspn(p->at, BARE);
	int err = refuse_others(p);

	if (err)
		return err;
	entry->line = p->line;
	entry->column = toml_column(p, p->at); /* only blanks are before it */
	entry->name = memcpy(p->put, p->at, length);
	p->put += length;
	*p->put++ = '\0';
	p->at += length;
	toml_skip_blanks(p);
	if (*p->at == '.')
		return toml_refuse(p, p->at, "a dotted name is not taken: write it without a dot");
	if (toml_at_line_end(p) || *p->at == '#')
		return toml_refuse(p, p->at,
				   "a value is missing: write %.*s = true, or another value", SHOWN,
				   entry->name);
	if (*p->at != '=')
		return toml_refuse(p, p->at, "write = between the name and its value");
	p->at++;
	toml_skip_blanks(p);
	return 0;
}

/* The place of the name is the place of the error. */
static int check_entry(const struct toml_parser *p, const struct toml_entry *entry)
{
	const char *at = p->line_start + entry->column - 1;
	const struct toml *t = p->toml;

	for (size_t i = 0; i < t->count; i++)
		if (!strcmp(t->entries[i].name, entry->name))
			return toml_refuse(p, at,
					   "%.*s is there twice, first in line %u: write several "
					   "values as %.*s = [\"one\", \"two\"]",
					   SHOWN, entry->name, t->entries[i].line, SHOWN,
					   entry->name);
	if (t->count == TOML_ENTRIES)
		return toml_refuse(p, at, "more than %d names: leave some out", TOML_ENTRIES);
	return 0;
}

static int read_line(struct toml_parser *p)
{
	struct toml_entry entry = {.first = p->toml->value_count};
	int err;

	if (skip_line_end(p))
		return 0;
	err = read_name(p, &entry) ?: check_entry(p, &entry);
	if (err)
		return err;
	if (*p->at == '[') {
		err = read_array(p, &entry);
	} else {
		err = toml_read_value(p, &entry);
		entry.count = 1;
	}
	if (err)
		return err;
	p->toml->entries[p->toml->count++] = entry;
	if (!skip_line_end(p))
		return toml_refuse(p, p->at,
				   "there is more after the value: end the line here; a comment "
				   "begins with #");
	return 0;
}

void toml_fini(struct toml *toml)
{
	free(toml->memory);
	*toml = (struct toml){};
}

int toml_parse(struct toml *toml, const char *bytes, size_t size, struct toml_error *why)
{
	struct toml_parser p = {.toml = toml, .line = 1, .why = why};
	char *copy;
	int err;

	*toml = (struct toml){};
	*why = (struct toml_error){};
	err = check_bytes(&p, bytes, size);
	if (err)
		return err;
	/* The document, and what is read of it: a text takes no more bytes than it has there, and
	 * its NUL the place of what follows it. The last one may be followed by nothing. */
	copy = malloc(2 * (size + 1));
	if (!copy)
		return -ENOMEM;
	if (size) /* of no bytes there may be no address */
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	toml->memory = copy;
	p.at = p.line_start = copy;
	p.put = copy + size + 1;
	while (!err && *p.at)
		err = read_line(&p);
	if (err)
		toml_fini(toml);
	return err;
}

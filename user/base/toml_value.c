/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values of a TOML document: strings, numbers, booleans. What is none of them is most often a text
 * without quotes. */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/toml_private.h"

#define SHOWN 48 /* bytes of a text in an error */

/* --- strings --- */

static void put_character(struct toml_parser *p, uint32_t code)
{
	static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	unsigned length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (unsigned i = length; i-- > 1; code >>= 6)
		p->put[i] = (char)(0x80 | (code & 0x3f));
	p->put[0] = (char)(heads[length] | code);
	p->put += length;
}

/* \uXXXX or \UXXXXXXXX: the parser is at the backslash. */
static int read_code(struct toml_parser *p)
{
	unsigned digits = p->at[1] == 'u' ? 4 : 8;
	const char *at = p->at + 2;
	uint32_t code = 0;

	for (unsigned i = 0; i < digits; i++, at++) {
		if (!isxdigit((unsigned char)*at))
			return toml_refuse(p, p->at, "write %u hexadecimal digits after \\%c",
					   digits, p->at[1]);
		code = code << 4 |
		       (isdigit((unsigned char)*at) ? (uint32_t)(*at - '0')
						    : (uint32_t)((*at | 0x20) - 'a' + 10));
	}
	if (!code)
		return toml_refuse(p, p->at, "a NUL character is not taken: leave it out");
	if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return toml_refuse(p, p->at,
				   "there is no character U+%04X: write one up to U+10FFFF, and no "
				   "surrogate",
				   code);
	put_character(p, code);
	p->at = at;
	return 0;
}

/* The parser is at the backslash. */
static int read_escape(struct toml_parser *p)
{
	static const char names[] = "btnfr\"\\", characters[] = "\b\t\n\f\r\"\\";
	const char *name;

	if (p->at[1] == 'u' || p->at[1] == 'U')
		return read_code(p);
	name = p->at[1] ? strchr(names, p->at[1]) : NULL;
	if (!name)
		return toml_refuse(p, p->at,
				   "this is no escape: write \\\\ for a backslash, or put the text "
				   "in single quotes, in which there are no escapes");
	*p->put++ = characters[name - names];
	p->at += 2;
	return 0;
}

/* A basic or a literal string. The parser is at the quote. */
static int read_string(struct toml_parser *p, struct toml_value *value)
{
	const char *begin = p->at++;
	char quote = *begin;
	int err = 0;

	if (*p->at == quote && p->at[1] == quote)
		return toml_refuse(p, begin,
				   "a text of several lines, %.3s, is not taken: write it in one "
				   "line, as \"one\\ntwo\"",
				   begin);
	value->type = TOML_STRING;
	value->text = p->put;
	while (!err && *p->at != quote) {
		if (toml_at_line_end(p))
			return toml_refuse(p, begin,
					   "a text without its second quote: write %c after it, in "
					   "the same line",
					   quote);
		if (quote == '"' && *p->at == '\\')
			err = read_escape(p);
		else
			*p->put++ = *p->at++;
	}
	p->at++;
	*p->put++ = '\0';
	return err;
}

/* --- numbers and booleans --- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* What follows the digits at `at`, which may have single underscores between them. NULL: there are
 * none. */
static const char *skip_digits(const char *at)
{
	if (!is_digit(*at))
		return NULL;
	while (is_digit(*at) || (*at == '_' && is_digit(at[1])))
		at++;
	return at;
}

static const char *skip_sign(const char *at)
{
	return at + (*at == '+' || *at == '-');
}

/* What follows the number at `at`. NULL: there is none. */
static const char *skip_number(const char *at, enum toml_type *type)
{
	const char *first = skip_sign(at);

	*type = TOML_INTEGER;
	at = skip_digits(first);
	if (at && *first == '0' && at - first > 1)
		return NULL;
	if (at && *at == '.') {
		*type = TOML_FLOAT;
		at = skip_digits(at + 1);
	}
	if (at && (*at == 'e' || *at == 'E')) {
		*type = TOML_FLOAT;
		at = skip_digits(skip_sign(at + 1));
	}
	return at;
}

/* The number from `p->at` to `end`. */
static int put_number(struct toml_parser *p, const char *end, struct toml_value *value)
{
	const char *begin = p->at, *digits = skip_sign(begin);
	bool is_zero = value->type == TOML_INTEGER && *digits == '0';

	value->text = p->put;
	if (*begin == '-' && !is_zero)
		*p->put++ = '-';
	for (p->at = digits; p->at < end; p->at++)
		if (*p->at != '_')
			*p->put++ = *p->at;
	*p->put++ = '\0';
	errno = 0;
	if (value->type == TOML_INTEGER && (strtoll(value->text, NULL, 10), errno))
		return toml_refuse(p, begin,
				   "a whole number of more than 64 bits is not taken: write one up "
				   "to 9223372036854775807");
	return 0;
}

/* True if the word, of `length` bytes, is that. */
static bool is_word(const char *at, size_t length, const char *word)
{
	return strlen(word) == length && !memcmp(at, word, length);
}

static int put_boolean(struct toml_parser *p, size_t length, struct toml_value *value)
{
	value->type = TOML_BOOLEAN;
	value->text = memcpy(p->put, p->at, length);
	p->put += length;
	*p->put++ = '\0';
	p->at += length;
	return 0;
}

/* --- what is no value --- */

/* 1979-05-27, 07:32:00, and what begins so. */
static bool is_date(const char *at)
{
	size_t digits = strspn(at, "0123456789");

	return (digits == 4 && at[4] == '-' && is_digit(at[5])) ||
	       (digits == 2 && at[2] == ':' && is_digit(at[3]));
}

/* 0xff, 0o17, 0b1, and what begins so. */
static bool has_base(const char *at)
{
	at = skip_sign(at);
	return *at == '0' &&
	       ((at[1] == 'x' && isxdigit((unsigned char)at[2])) ||
		(at[1] == 'o' && is_digit(at[2])) || (at[1] == 'b' && is_digit(at[2])));
}

/* A text without quotes. An entry's value has all of the line, but for a comment; one of an array
 * ends before a comma. */
static int refuse_text(const struct toml_parser *p, const struct toml_entry *entry)
{
	size_t length = strcspn(p->at, entry->is_array ? ",]#\r\n" : "\r\n");
	char text[SHOWN + 1], shown[4 * SHOWN + 1], quote;
	const char *comment = memmem(p->at, length, " #", 2);

	length = comment ? (size_t)(comment - p->at) : length;
	while (length && (p->at[length - 1] == ' ' || p->at[length - 1] == '\t'))
		length--;
	if (length > SHOWN || (memchr(p->at, '\'', length) &&
			       (memchr(p->at, '"', length) || memchr(p->at, '\\', length))))
		return toml_refuse(p, p->at,
				   "a text needs quotes: write \" before and after it, and \\ "
				   "before each \" and \\ in it");
	memcpy(text, p->at, length);
	text[length] = '\0';
	quote = strpbrk(text, "\"\\") ? '\'' : '"';
	text_escape(shown, sizeof(shown), text);
	if (entry->is_array)
		return toml_refuse(p, p->at, "a text needs quotes: write %c%s%c", quote, shown,
				   quote);
	return toml_refuse(p, p->at, "a text needs quotes: write %.*s = %c%s%c", SHOWN, entry->name,
			   quote, shown, quote);
}

/* Says what the word at the parser is, which is no value. `length`: its bytes. */
static int refuse_word(const struct toml_parser *p, size_t length, const struct toml_entry *entry)
{
	const char *at = p->at, *digits = skip_sign(at);
	size_t rest = length - (size_t)(digits - at), numeral = strspn(digits, "0123456789_");

	if (!length)
		return toml_refuse(p, at,
				   "a value is missing: write a number, a text in quotes, "
				   "true or false");
	if (*at == '{')
		return toml_refuse(p, at,
				   "an inline table, { }, is not taken: write each name in a line "
				   "of its own");
	if (is_date(at))
		return toml_refuse(p, at, "a date or time is not taken: put it in quotes");
	if (has_base(at))
		return toml_refuse(p, at,
				   "a hexadecimal, octal or binary number is not taken: write it "
				   "in decimal");
	if (is_word(digits, rest, "inf") || is_word(digits, rest, "nan"))
		return toml_refuse(p, at, "%.3s is not taken: write a number", digits);
	if ((length == 4 && !strncasecmp(at, "true", 4)) ||
	    (length == 5 && !strncasecmp(at, "false", 5)))
		return toml_refuse(p, at, "write true or false in small letters");
	if (numeral && numeral == rest)
		return toml_refuse(p, at,
				   "a number has no 0 before it, and _ only between two digits");
	if (rest && strspn(digits, "0123456789_.") == rest)
		return toml_refuse(p, at,
				   "a number has one point with digits before and after it; other "
				   "texts need quotes");
	return refuse_text(p, entry);
}

int toml_read_value(struct toml_parser *p, const struct toml_entry *entry)
{
	struct toml_value value = {.line = p->line, .column = toml_column(p, p->at)};
	/* A text without quotes has blanks; no value has. */
	size_t length = strcspn(p->at, " \t\r\n,]#");
	const char *end;
	int err;

	if (p->toml->value_count == TOML_VALUES)
		return toml_refuse(p, p->at, "more than %d values: leave some out", TOML_VALUES);
	if (*p->at == '"' || *p->at == '\'')
		err = read_string(p, &value);
	else if (is_word(p->at, length, "true") || is_word(p->at, length, "false"))
		err = put_boolean(p, length, &value);
	else if ((end = skip_number(p->at, &value.type)) && end == p->at + length)
		err = put_number(p, end, &value);
	else
		err = refuse_word(p, length, entry);
	if (!err)
		p->toml->values[p->toml->value_count++] = value;
	return err;
}

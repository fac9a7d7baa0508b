/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: text that a target chose also reaches a terminal as JSON. It is written as ASCII only,
 * so that it can't contain a control sequence. jansson alone is not enough: C1 and bidirectional
 * control characters are valid UTF-8, and it would print them. */
#include "base/json_text.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of the UTF-8 character at `at`. 0: invalid. */
static size_t utf8_length(const unsigned char *at)
{
	size_t n = *at < 0x80 ? 1 : *at < 0xc2 ? 0 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4, i;

	if (*at > 0xf4)
		return 0;
	for (i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
	    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
		return 0;
	return n;
}

json_t *json_text(const char *text)
{
	const unsigned char *at = (const unsigned char *)(text ? text : "");
	size_t used = 0, length;
	char *valid = malloc(3 * strlen((const char *)at) + 1);
	json_t *value;

	if (!valid)
		return NULL;
	while (*at) {
		length = utf8_length(at);
		memcpy(valid + used, length ? (const char *)at : "\xef\xbf\xbd",
		       length ? length : 3);
		used += length ? length : 3;
		at += length ? length : 1;
	}
	value = json_stringn_nocheck(valid, used);
	free(valid);
	return value;
}

/* A json_dump_callback_t. jansson escapes all control bytes but DEL. */
static int write_ascii(const char *text, size_t size, void *arg)
{
	FILE *out = arg;
	size_t i;

	for (i = 0; i < size; i++) {
		if (text[i] == 0x7f)
			fputs("\\u007f", out);
		else
			fputc(text[i], out);
	}
	return ferror(out) ? -1 : 0;
}

json_t *json_unless_zero(json_int_t number)
{
	return number ? json_integer(number) : json_null();
}

int json_write(FILE *out, const json_t *value, size_t flags)
{
	return json_dump_callback(value, write_ascii, out, flags | JSON_ENSURE_ASCII);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the renderers for programs share: values, and members written one by one. The caller owns a
 * value that is returned. A value that is NULL (out of memory) may be handed on: json_put() then
 * returns -ENOMEM. */
#ifndef JSON_PARTS_H
#define JSON_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_member {
	const char *name;
	json_t *value;
};

json_t *json_text_or_null(const char *text);
json_t *json_count(uint64_t number);
/* The number; null if it is negative. */
json_t *json_known(int64_t number);
/* RFC 3339 in UTC with milliseconds; null if `seconds` is no valid time. */
json_t *json_time(double seconds);
/* An array of `count` texts, each as json_text() makes it. */
json_t *json_strings(char *const *strings, size_t count);

/* Writes the number. An array may have a million of them, and printf() is slow. */
void json_put_number(FILE *out, int64_t number);

/* Writes `value` and frees it. 0 or -ENOMEM. parts_flush() reports failures of the stream at the
 * end. */
int json_put(FILE *out, json_t *value);

/* Writes `"name":value` for each member, separated by commas; with `more`, a comma also before the
 * first. Frees the values. 0 or -ENOMEM. */
int json_put_members(FILE *out, const char *indent, const struct json_member *members, size_t count,
		     bool more);
#define JSON_PUT_MEMBERS(out, indent, members, more) \
	json_put_members(out, indent, members, sizeof(members) / sizeof((members)[0]), more)

#endif

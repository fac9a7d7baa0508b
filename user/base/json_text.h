/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON with text that a target chose. */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* A new JSON string of `text` (NULL: ""). Invalid bytes become U+FFFD. The caller owns it. NULL:
 * out of memory. */
json_t *json_text(const char *text);

/* A new JSON integer; 0: null. The caller owns it. NULL: out of memory. */
json_t *json_unless_zero(json_int_t number);

/* Writes `value` to `out` in ASCII. `flags` are those of json_dumpf(). 0, or -1: writing failed, or
 * memory ran out. */
int json_write(FILE *out, const json_t *value, size_t flags);

#endif

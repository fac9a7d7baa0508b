/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* JSON of text that targets control. */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* A string (NULL: "") whose invalid bytes are U+FFFD. NULL: out of memory. */
json_t *json_text(const char *text);

/* Writes `value` as ASCII, with jansson's `flags`. 0, or -1: `out` has failed, or out of memory. */
int json_write(FILE *out, const json_t *value, size_t flags);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text of others on a terminal: nothing in it acts, and its width is known. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Writes `text` with control bytes (C0, DEL, C1), invalid UTF-8 and bidirectional
 * overrides made visible (\x1b, \u202e …), at most `columns` columns wide (0: no limit,
 * else cut with "…"; `keep_end` cuts at the front instead, as for paths). Returns columns
 * written (wide characters count 2). */
unsigned text_print(FILE *out, const char *text, unsigned columns, bool keep_end);

/* The same, without a limit, into `out` of `size` bytes; cut between characters. */
void text_escape(char *out, size_t size, const char *text);

/* Columns that text_print() would write without a limit. */
unsigned text_columns(const char *text);

/* Writes `text` word by word, escaped as above, with lines of at most `columns` (0: one line);
 * it starts at `column`, later lines begin with `indent` spaces. A word wider than a line is cut;
 * no-break spaces (U+00A0) are printed as spaces. Returns the column reached. */
unsigned text_wrap(FILE *out, const char *text, unsigned column, unsigned columns, unsigned indent);

#endif

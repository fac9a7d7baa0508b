/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the TOML reader share. */
#ifndef TOML_PRIVATE_H
#define TOML_PRIVATE_H

#include "base/toml.h"

struct toml_parser {
	struct toml *toml;
	const char *at; /* ends with a NUL, and has no other one */
	const char *line_start;
	unsigned line;
	char *put; /* where the next text goes: there is room for each byte of the document twice */
	struct toml_error *why;
};

/* Fills in the error: `at` lies in the current line. Returns -EINVAL. */
int toml_refuse(const struct toml_parser *p, const char *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The column of `at`, which lies in the current line. */
unsigned toml_column(const struct toml_parser *p, const char *at);

/* True at the end of the line or of the document. */
bool toml_at_line_end(const struct toml_parser *p);
void toml_skip_blanks(struct toml_parser *p);

/* Reads one value that is no array, and stands where the parser is, into the next place of the
 * document. 0 or -EINVAL. */
int toml_read_value(struct toml_parser *p, const struct toml_entry *entry);

#endif

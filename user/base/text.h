/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Prints text that a target chose. Nothing in it can control the terminal, and its width is
 * known. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Writes `text`. Control bytes (C0, DEL, C1), invalid UTF-8 and bidirectional overrides appear as
 * escapes (\x1b, \u202e …). At most `columns` columns are used (0: no limit). Text that is too long
 * ends with "…"; with `keep_end` it begins with "…", which suits paths. Returns the number of
 * columns written. A wide character has 2. */
unsigned text_print(FILE *out, const char *text, unsigned columns, bool keep_end);

/* Escapes as text_print() does, into `out` of `size` bytes, which always ends with a NUL. Text that
 * is too long is cut between two characters. */
void text_escape(char *out, size_t size, const char *text);

/* The same for names of places: a run of blanks, and a blank that is no plain space, is one escape
 * (\x20, \u3000). So nobody can push what follows a name out of sight. */
void text_escape_name(char *out, size_t size, const char *text);

/* Writes `text` as text_print() does. What is too long is cut before `end`, a part of `text` that
 * begins with an ASCII character: "docker:0123… of user 1000". Only if not even the end has room is
 * it cut as well; then each of both gets half. */
unsigned text_print_ended(FILE *out, const char *text, const char *end, unsigned columns);

/* How many of `columns` the end gets there. `begin` and `end` are the columns of both parts. */
unsigned text_end_columns(unsigned begin, unsigned end, unsigned columns);

/* The columns that text_print() would write without a limit. */
unsigned text_columns(const char *text);

/* Writes `text` word by word, escaped as text_print() does. Lines have at most `columns` columns
 * (0: one line). The first one starts at `column`; each later one is indented by `indent` spaces. A
 * word wider than a line is broken. A no-break space (U+00A0) keeps a word together and is printed
 * as a space. Returns the column after the last character. */
unsigned text_wrap(FILE *out, const char *text, unsigned column, unsigned columns, unsigned indent);

/* Room for text_pid(). */
#define TEXT_PID 48
/* Writes a PID as people see it: "2946", or "2946 (7 inside)" if it is 7 in the process's own PID
 * namespace (`ns_pid`; 0: it is the same, or not known). `blank` stands between words. */
void text_pid(char *text, size_t size, int pid, int ns_pid, const char *blank);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Code objects: from bytes to file, function and line. Pure: does not access the target. */
#ifndef PY_CODE_H
#define PY_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "py_layout.h"

/* Bytes of a line table from one mark to the next, at least. */
#define PY_CODE_MARK_BYTES 4096

struct py_code_mark { /* a place between two entries of a line table */
	size_t at;    /* offset of the next entry in the table */
	int64_t line; /* line of the entry before */
	int64_t end;  /* byte offset at which the instructions so far end */
};

/* A decoded code object. Strings are in UTF-8, end with a NUL, are never NULL, and are not escaped
 * for output. */
struct py_code {
	char *file;
	char *function; /* co_qualname if the version has it, else co_name */
	int first_line;
	uint32_t line_flags; /* the PY_LINES_… bit that tells how linetable is encoded */
	unsigned char *linetable;
	size_t linetable_len;
	int truncated;		    /* linetable is incomplete: later lines are unknown */
	struct py_code_mark *marks; /* of a long table: py_code_index() */
	size_t mark_count;
};

/* Decodes the characters of a str: `length` code points of `kind` (1, 2 or 4) bytes each at `data`,
 * of which `data_len` bytes are available. Returns UTF-8 from malloc(), which the caller frees.
 * Lone surrogates and NULs become U+FFFD. If `data` is too short, the text ends with "…". NULL: out
 * of memory, or no such kind. */
char *py_unicode_decode(const void *data, size_t data_len, size_t length, unsigned kind);

/* The same for the name of a file. A byte that Python could not decode (U+DC80 to U+DCFF, PEP 383)
 * becomes that byte again, so that the file can be found. The result may not be valid UTF-8. */
char *py_unicode_decode_path(const void *data, size_t data_len, size_t length, unsigned kind);

/* The line of the instruction at byte offset `lasti` of the bytecode. -1 and -2 mean that the frame
 * has run nothing yet: the function's first line. Returns the line (> 0); 0 if the table gives the
 * instruction no line; -ENODATA if the table is malformed or ends before it, or if `lasti` is less
 * than -2. */
int py_code_line(const struct py_code *code, int lasti);

/* True if `lasti` is one of the instructions at the beginning of a function that have no line. From
 * 3.11 on these make the function's cells. They run before its first line event. */
bool py_code_in_prologue(const struct py_code *code, int lasti);

/* Prepares a long table: py_code_line() then reads only about PY_CODE_MARK_BYTES of it. Call it
 * again after the table has changed. 0, or -ENOMEM: py_code_line() still works, but slowly. */
int py_code_index(struct py_code *code);

/* Frees what `code` owns and sets it to zero. */
void py_code_fini(struct py_code *code);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Code objects: from captured bytes to file, function and line. Pure: no target access. */
#ifndef PY_CODE_H
#define PY_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "py_layout.h"

/* Bytes of a line table from one mark to the next, or a little more. */
#define PY_CODE_MARK_BYTES 4096

struct py_code_mark { /* between two entries of a line table */
	size_t at;    /* of the table: where the next entry begins */
	int64_t line; /* so far */
	int64_t end;  /* of the instructions so far, in bytes */
};

/* A decoded code object. Strings are UTF-8, NUL-terminated, never NULL, raw (not
 * yet escaped for output). */
struct py_code {
	char *file;
	char *function; /* co_qualname where the version has it, else co_name */
	int first_line;
	uint32_t line_flags; /* the PY_LINES_* bit that says how linetable is encoded */
	unsigned char *linetable;
	size_t linetable_len;
	int truncated;		    /* linetable is incomplete: lines past its end are unknown */
	struct py_code_mark *marks; /* of a long table, by py_code_index() */
	size_t mark_count;
};

/* Decode a PyUnicode's character data: `length` code points of `kind` (1, 2 or 4)
 * bytes each at `data`, `data_len` bytes being available. Returns a malloc'd UTF-8
 * string (the caller frees it); lone surrogates and NULs become U+FFFD. A short
 * buffer ends in "…". NULL: out of memory, or kind is none of 1, 2, 4. */
char *py_unicode_decode(const void *data, size_t data_len, size_t length, unsigned kind);

/* The same of a file's name: what stands for a byte that could not be decoded (U+DC80 to U+DCFF,
 * PEP 383) is that byte again, so that the file can be found; so the result need not be UTF-8. */
char *py_unicode_decode_path(const void *data, size_t data_len, size_t length, unsigned kind);

/* The line of the instruction at byte offset `lasti` of the bytecode; lasti -1 or -2
 * means that the frame has run nothing yet: first_line. Returns the line (> 0),
 * 0 where the table says the instruction has no line, -ENODATA where the table
 * is truncated before lasti or malformed, or where lasti is less. */
int py_code_line(const struct py_code *code, int lasti);

/* Is `lasti` among the instructions that a function begins with and that have no line (they make
 * its cells, 3.11 on)? They run before the function's first line event. */
bool py_code_in_prologue(const struct py_code *code, int lasti);

/* Prepares a long table so that py_code_line() needs no more than about PY_CODE_MARK_BYTES of it;
 * to be called again whenever the table changes. 0, or -ENOMEM: it works, but takes its time. */
int py_code_index(struct py_code *code);

/* Frees what `code` owns and clears it. */
void py_code_fini(struct py_code *code);

#endif

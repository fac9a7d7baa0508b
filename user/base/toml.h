/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads a part of TOML 1.0 (https://toml.io/en/v1.0.0): lines of NAME = VALUE, strictly.
 *
 *     # a comment
 *     size = 1_024
 *     quiet = true
 *     rotate = "1h"
 *     alarm = [
 *         'limit>90%',
 *     ]
 *
 * Each document that is accepted is valid TOML, and means the same there. Of TOML, this is taken:
 * comments, bare keys, basic and literal strings, decimal integers of 64 bits, floats but inf and
 * nan, booleans, arrays of these. All else that TOML has is refused by its name, with what to write
 * instead. */
#ifndef TOML_H
#define TOML_H

#include <stdbool.h>
#include <stddef.h>

#define TOML_ENTRIES 64	 /* of a document at most */
#define TOML_VALUES  256 /* of all its entries together, at most */

enum toml_type { TOML_STRING, TOML_INTEGER, TOML_FLOAT, TOML_BOOLEAN };

struct toml_value {
	enum toml_type type;
	/* Of a string: its characters, valid UTF-8 without a NUL. Of a number: what strtoll() or
	 * strtod() takes, without underscores and without a plus. Of a boolean: "true" or "false".
	 */
	const char *text;
	unsigned line, column; /* where it is; the first ones are 1; columns are characters */
};

struct toml_entry {
	const char *name;      /* letters, digits, _ and - of ASCII; not empty */
	unsigned line, column; /* of the name */
	bool is_array;	       /* it may have no value then; all others have one */
	size_t first, count;   /* its values are values[first] and those behind it */
};

struct toml {					 /* all zeros: an empty document */
	struct toml_entry entries[TOML_ENTRIES]; /* in their order; no two have the same name */
	size_t count;
	struct toml_value values[TOML_VALUES];
	size_t value_count;
	char *memory; /* what names and texts point to */
};

struct toml_error {
	unsigned line, column;
	char what[320]; /* what is wrong, and what to write; can be printed on a terminal */
};

/* Reads the document `bytes`, of `size` bytes, into `toml`, which must be all zeros or freed. 0, or
 * -EINVAL: `why` is filled in; -ENOMEM. After an error `toml` is empty. */
int toml_parse(struct toml *toml, const char *bytes, size_t size, struct toml_error *why);

/* Frees it, but for the struct. It is an empty document then. */
void toml_fini(struct toml *toml);

#endif

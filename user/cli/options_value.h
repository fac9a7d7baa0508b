/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stores the text of an argument in a field, by type. */
#ifndef OPTIONS_VALUE_H
#define OPTIONS_VALUE_H

#include "cli/options.h"

/* Stores `text` (NULL: the option takes no argument) in the field of `row`. A string field points
 * to `text` or to a constant. Not for operands that are commands. 0, or -EINVAL after saying what
 * was expected; then the field must not be used, but option_free() may. */
int option_store(const struct command *command, const struct option_row *row, void *options,
		 const char *text);

/* Sets the field to its value if the option is not given and has no default. The field must be
 * zero; only a descriptor changes, to -1. */
void option_clear(const struct option_row *row, void *options);
/* Frees what the field owns. */
void option_free(const struct option_row *row, void *options);

/* Writes the words of a row into `text`, cut at `size`: "a, b or c". */
void option_words(const struct option_row *row, char *text, size_t size);

#endif

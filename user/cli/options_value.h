/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the text of an argument to a field, by type. */
#ifndef OPTIONS_VALUE_H
#define OPTIONS_VALUE_H

#include "cli/options.h"

/* Stores `text` (NULL: the option takes no argument) in the field of `row`. 0, or -errno after
 * saying what was expected; the field is then not to be used. Not for operands of commands. */
int option_store(const struct command *command, const struct option_row *row, void *options,
		 const char *text);

/* What the field is where the option was not given and has no default. */
void option_clear(const struct option_row *row, void *options);
/* Frees what the field owns. */
void option_free(const struct option_row *row, void *options);

/* "a, b or c": the words of a row, cut to `size`. */
void option_words(const struct option_row *row, char *text, size_t size);

#endif

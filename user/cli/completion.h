/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shell completions, printed from the rows of all commands: one file a shell. */
#ifndef COMPLETION_H
#define COMPLETION_H

#include <stdio.h>

#include "cli/command.h"

/* Prints the whole script for that shell. Errors stay in the stream. */
void completion_bash(FILE *out);
void completion_zsh(FILE *out);
void completion_fish(FILE *out);

/* The words after the first that is a command's name are that command's. NULL name: the main job.
 */
static inline const char *completion_name(const struct command *command)
{
	return command->name ?: "main";
}

/* The row of the operand; NULL: the command takes none. */
const struct option_row *completion_operand(const struct command *command);

/* Prints `text` for use between single quotes; a backslash goes before what is in `special`, a
 * line feed becomes a space. */
void completion_quote(FILE *out, const char *text, const char *special);

/* Prints the words of a row, a space between two. */
void completion_words(FILE *out, const struct option_row *row);

#endif

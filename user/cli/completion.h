/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shell completions, printed from the option rows of all commands. There is one file for each
 * shell. */
#ifndef COMPLETION_H
#define COMPLETION_H

#include <stdio.h>

#include "cli/command.h"

/* Prints the whole script for that shell. The caller checks the stream for errors. */
void completion_bash(FILE *out);
void completion_zsh(FILE *out);
void completion_fish(FILE *out);

/* The name of a command in the scripts; "main" for the main job. */
static inline const char *completion_name(const struct command *command)
{
	return command->name ?: "main";
}

/* The row of a command's operand, which belongs to the command. NULL: it takes no operand. */
const struct option_row *completion_operand(const struct command *command);

/* Prints `text` for use between single quotes. Each character that is in `special` gets a backslash
 * before it. A line feed becomes a space. */
void completion_quote(FILE *out, const char *text, const char *special);

/* Prints the words of a row, separated by spaces. */
void completion_words(FILE *out, const struct option_row *row);

#endif

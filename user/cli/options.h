/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Options as rows: each command has one table, and all that concerns its command line follows from
 * it: parsing, defaults, help, shell completions. Tests compare the manual page with it.
 *
 * A row says what type of value its option takes and in which field of the command's own struct the
 * value is stored. The types are listed here once; options_value.c has a function for each. What a
 * row can't say, such as options that exclude one another, is in the command's check().
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct command;

/* The field that a type needs is named behind it. */
enum option_type {
	OPTION_END, /* no row: the end of the table */

	/* without an argument */
	OPTION_HELP,	/* none: prints the help; nothing else is done */
	OPTION_VERSION, /* none: prints the version; nothing else is done */
	OPTION_FLAG,	/* bool: true */
	OPTION_COUNT,	/* int: how often it was given */
	OPTION_VALUE,	/* int or enum: the row's `value` */

	/* with one */
	OPTION_TEXT,	  /* const char * */
	OPTION_FILE,	  /* const char *: a path */
	OPTION_NAME,	  /* const char *: one of the row's `names` */
	OPTION_CHOICE,	  /* int or enum: the value of one of the row's `choices` */
	OPTION_UNSIGNED,  /* unsigned */
	OPTION_FD,	  /* int: a descriptor; -1 if it was not given */
	OPTION_PID,	  /* pid_t: any process */
	OPTION_PIDS,	  /* pid_t *, and at `count_offset` a size_t: Pythons; each use adds some */
	OPTION_SECONDS,	  /* double: more than 0 */
	OPTION_MODE,	  /* mode_t: octal; the owner can read and write */
	OPTION_MIB,	  /* size_t: bytes, given in MiB */
	OPTION_KIB_POWER, /* size_t: bytes, given in KiB, a power of two */

	/* Operands: rows without a name, after the options. */
	OPTION_WORD,	     /* const char *: one of the row's `names` */
	OPTION_COMMAND,	     /* char **: a command with its arguments, after -- */
	OPTION_COMMAND_BARE, /* char **: the same; the -- may be left out */
	OPTION_TYPES
};

struct option_choice {
	const char *name; /* NULL: the end of them */
	int value;
};

/* The value of a choice that leaves the field as it is. */
#define OPTION_KEEP (-0x7fffffff - 1)

struct option_row {
	const char *name;     /* without its dashes; NULL: an operand */
	char letter;	      /* '\0': none */
	const char *argument; /* as the help shows it; NULL: none */
	enum option_type type;
	size_t offset, size; /* of the field; OPTION_AT() */
	double least, most;  /* of a number */
	const char *preset;  /* the default, as a user would write it; NULL: the field is zeroed */
	const char *preset_all; /* the default with -a, where it is another */
	/* One line or more, without a full stop. "{}" stands for the default, or, if there are
	 * choices or names, for them. */
	const char *help;

	const struct option_choice *choices;
	const char *(*names)(size_t i); /* the i-th; NULL: there are no more */
	const char *noun;		/* what a text is, "a file name": it must not be empty */
	int value;
	size_t count_offset;
};

/* Where the value goes: a field of the command's struct. */
#define OPTION_AT(struct_type, field) \
	.offset = offsetof(struct_type, field), .size = sizeof(((struct_type *)NULL)->field)

#define OPTION_HELP_ROW                                                                  \
	{                                                                                \
		.name = "help", .letter = 'h', .type = OPTION_HELP, .help = "print this" \
	}

/* What becomes of a command line. */
enum options_outcome {
	OPTIONS_RUN,	/* do it */
	OPTIONS_DONE,	/* the help or the version was asked for, and printed */
	OPTIONS_FAILED, /* it could not be printed */
	OPTIONS_WRONG,	/* said on stderr what is wrong, and the remedy */
};

/* Parses argv[1..] into `options`, the command's struct. An option's name may be cut where no other
 * begins so; of an option given twice the last counts. Options after the first operand are the
 * operand's. Whatever the outcome, options_fini() frees what the fields own; texts are argv's. */
enum options_outcome options_parse(const struct command *command, void *options, int argc,
				   char **argv);
void options_fini(const struct command *command, void *options);

/* Prints "pymem-bpf", the command's name, and the rest as printf() does, as one line on stderr.
 * -EINVAL, for check(). */
int options_complain(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The help of a command. 0, or -errno of the stream. */
int options_help(const struct command *command, FILE *out);

/* The help of one option, "{}" filled in; cut to `size`. */
void option_help(const struct option_row *row, char *text, size_t size);

/* Has the option an argument, and which one can it be: the i-th word, or NULL if there are no more
 * or if they can't be listed. */
bool option_takes_argument(const struct option_row *row);
const char *option_word(const struct option_row *row, size_t i);

#endif

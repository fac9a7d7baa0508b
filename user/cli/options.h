/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Options as rows. Each command has one table. Parsing, defaults, help and shell completions follow
 * from it; a test compares the manual page with it.
 *
 * A row gives the type of its option's value, and the field of the command's struct that stores it.
 * All types are listed here; options_value.c has a function for each. What a row can't say, such as
 * options that exclude each other, is in the command's check(). */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct command;

/* Types of options. After each comes the type of the field that it needs. */
enum option_type {
	OPTION_END, /* not an option: the end of the table */

	/* Options without an argument. */
	OPTION_HELP,	/* no field: prints the help and ends */
	OPTION_VERSION, /* no field: prints the version and ends */
	OPTION_FLAG,	/* bool: becomes true */
	OPTION_COUNT,	/* int: how often it was given */
	OPTION_VALUE,	/* int or enum: becomes `value` of the row */

	/* Options with an argument. */
	OPTION_TEXT,	 /* const char * */
	OPTION_FILE,	 /* const char *: a path */
	OPTION_TEXTS,	 /* const char **, and a size_t at `count_offset`: each use adds one */
	OPTION_NAME,	 /* const char *: one of `names` of the row */
	OPTION_CHOICE,	 /* int or enum: the value of one of `choices` of the row */
	OPTION_SET,	 /* unsigned: some of `choices` of the row, with commas between them; their
			    values, which are bits, are set; each use adds more */
	OPTION_UNSIGNED, /* unsigned */
	OPTION_FD,	 /* int: a descriptor; -1: not given */
	OPTION_PID,	 /* pid_t: any process */
	OPTION_PIDS, /* pid_t *, and a size_t at `count_offset`: Pythons; each use adds more. With
			`names_offset` also names of programs, in a char ** at that offset that ends
			with NULL (NULL: none) */
	OPTION_SECONDS,	  /* double: more than 0; in seconds, or with s, m or h after it */
	OPTION_MODE,	  /* mode_t: octal; the owner must be able to read and write */
	OPTION_MIB,	  /* size_t: bytes; the argument is in MiB */
	OPTION_KIB_POWER, /* size_t: bytes; the argument is in KiB and a power of two */

	/* Operands: rows without a name. They come after the options; those of OPTION_OPERAND may
	 * also come before and between them. */
	OPTION_OPERAND,	     /* const char *: any text; a file, if it is to be completed */
	OPTION_WORD,	     /* const char *: one of `names` of the row */
	OPTION_COMMAND,	     /* char **: a command with its arguments, after -- */
	OPTION_COMMAND_BARE, /* char **: the same; the -- may be left out */
	OPTION_TYPES
};

struct option_choice {
	const char *name; /* NULL: the end of the list */
	int value;
};

/* A choice with this value leaves the field as it is. */
#define OPTION_KEEP (-0x7fffffff - 1)

struct option_row {
	const char *name;     /* without the dashes; NULL: an operand */
	char letter;	      /* '\0': none */
	const char *argument; /* as the help shows it; NULL: it takes none */
	enum option_type type;
	size_t offset, size;	/* of the field; OPTION_AT() sets both */
	double least, most;	/* bounds of a number */
	const char *preset;	/* the default, as a user would write it; NULL: the field is zero */
	const char *preset_all; /* the default with -a; NULL: the same */
	/* One or more lines, without a full stop. "{}" stands for the words of the option, or if it
	 * has none, for its default. */
	const char *help;

	const struct option_choice *choices;
	const char *(*names)(size_t i); /* returns word `i`; NULL: there are no more */
	const char *noun; /* "a file name": the text must not be empty; NULL: it may be */
	int value;
	size_t count_offset;
	size_t names_offset; /* 0: names are refused */
	size_t given_offset; /* of a bool, which becomes true if the option is given; 0: none */
	/* The value if the option is given without its argument; NULL: it must have one. An
	 * argument of its own is joined by "=", or is the next word if that begins with a digit.
	 * Not together with a letter. */
	const char *alone;
};

/* The field of the command's struct that stores the value. */
#define OPTION_AT(struct_type, field) \
	.offset = offsetof(struct_type, field), .size = sizeof(((struct_type *)NULL)->field)

#define OPTION_HELP_ROW                                                                  \
	{                                                                                \
		.name = "help", .letter = 'h', .type = OPTION_HELP, .help = "print this" \
	}

/* The result of parsing a command line. */
enum options_outcome {
	OPTIONS_RUN,	/* run the command */
	OPTIONS_DONE,	/* the help or the version was printed */
	OPTIONS_FAILED, /* printing that failed */
	OPTIONS_WRONG,	/* an error and what helps were printed on stderr */
};

/* Parses argv[1..] into `options`, the struct of the command. The name of an option may be
 * shortened as long as it is unique. If an option is given twice, the last one counts. Options
 * after the first operand belong to the operand, unless that is an OPTION_OPERAND. In any case
 * options_fini() frees what the fields own, such as PIDs; most strings belong to argv or are
 * constants. */
enum options_outcome options_parse(const struct command *command, void *options, int argc,
				   char **argv);
/* Frees what the fields of `options` own. */
void options_fini(const struct command *command, void *options);

/* Prints one line on stderr: "pymem-bpf", the name of the command, and the rest, formatted as
 * printf() does. Returns -EINVAL, for check(). */
int options_complain(const struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Prints the help of a command, with all its options. 0, or -errno of the stream. */
int options_help(const struct command *command, FILE *out);

/* Prints what --help prints: the short help of a command if it has one. 0, or -errno of the
 * stream. */
int options_brief(const struct command *command, FILE *out);

/* Writes the help of one option into `text`, with "{}" filled in, cut at `size`. */
void option_help(const struct option_row *row, char *text, size_t size);

/* option_takes_argument(): true if the option takes an argument. option_word(): word `i` of those
 * that the argument can be; NULL: there are no more, or they can't be listed. */
bool option_takes_argument(const struct option_row *row);
const char *option_word(const struct option_row *row, size_t i);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A command: its name, its options, and what it does. commands.c lists all of them. A new command
 * is one cmd_*.c and one line there (docs/ADDING.md). */
#ifndef COMMAND_H
#define COMMAND_H

#include <stddef.h>

#include "base/exit_status.h"
#include "cli/options.h"

/* The exit statuses that a command's help explains, as bits. */
#define EXITS_PLAIN (1u << EXIT_DONE | 1u << EXIT_FAILED | 1u << EXIT_USAGE)
#define EXITS_BPF   (EXITS_PLAIN | 1u << EXIT_ENVIRONMENT)

/* An option of another command that this one can't have. */
struct option_lacking {
	const char *name; /* without the dashes; NULL: the end of the list */
	const char *why;  /* that, and what does it instead */
};

struct command {
	const char *name; /* NULL: the main job (the profile) */
	const char *
		synopsis; /* one use of it, after "pymem-bpf "; shown in the help of the main job */
	const char *summary; /* what this use does, shown beside the synopsis */
	const char *brief; /* whole lines with which --help begins, before the list of commands; it
			      then lists no options. NULL: --help lists all options */
	const char *brief_end; /* whole lines after that list; set if `brief` is */
	const char *usage;     /* all uses: each after "pymem-bpf ", separated by line feeds */
	const char *about;     /* whole lines before the options; NULL: none */
	const struct option_row *rows;
	const struct option_lacking *lacking; /* NULL: none that need be explained */
	const char *notes;		      /* whole lines after the options; NULL: none */
	unsigned exits;			      /* exit statuses, bit N for status N */
	const char *exits_more;		      /* printed after them; NULL: nothing */

	size_t options_size; /* size of the struct that the rows describe; 0: none */
	/* Checks what the rows can't say, before defaults are filled in: a field that is zero was
	 * not given. May set fields that follow from others. 0, or -EINVAL after
	 * options_complain(). NULL: there is nothing to check. */
	int (*check)(const struct command *command, void *options);
	/* Does the work and returns the exit status. `options` are valid until it returns. */
	int (*run)(void *options);
};

/* Parses the command line, runs the command, frees the options. argv[0] is the name of the command
 * or of the program. Returns the exit status. */
int command_run(const struct command *command, int argc, char **argv);

extern const struct command command_profile, command_record, command_report, command_diff,
	command_top, command_heap, command_memit, command_agent, command_oom, command_serve,
	command_ps, command_check, command_help, command_completion;

/* All commands. The main job comes first; NULL ends the list. */
extern const struct command *const commands[];

#endif

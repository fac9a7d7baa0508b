/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A command as a row: what it is called, what it takes, what it does. The registry of them is
 * commands.c; a new command is one cmd_*.c and one line there (docs/ADDING.md).
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stddef.h>

#include "base/exit_status.h"
#include "cli/options.h"

/* Statuses that the help of a command explains. */
#define EXITS_PLAIN (1u << EXIT_DONE | 1u << EXIT_FAILED | 1u << EXIT_USAGE)
#define EXITS_BPF   (EXITS_PLAIN | 1u << EXIT_ENVIRONMENT)

struct command {
	const char *name;     /* NULL: the main job */
	const char *synopsis; /* one use of it, after "pymem-bpf "; in the main job's help */
	const char *summary;  /* what that does, beside it */
	const char *usage;    /* all uses: lines after "pymem-bpf ", separated by line feeds */
	const char *about;    /* whole lines before the options; NULL: none */
	const struct option_row *rows;
	const char *notes;	/* whole lines after the options; NULL: none */
	unsigned exits;		/* statuses that it ends with: bits by number */
	const char *exits_more; /* what else there is to say of them; NULL: nothing */

	size_t options_size; /* of the struct that the rows are about; 0: none */
	/* What the rows can't say, seen before defaults are filled in: a field that is zero was not
	 * given. May derive fields from others. 0, or -EINVAL after options_complain(); NULL: all
	 * is good. */
	int (*check)(const struct command *command, void *options);
	/* The exit status. `options` live until it returns. */
	int (*run)(void *options);
};

/* Parses, runs, frees. The exit status. argv[0] is the command's name or the program's. */
int command_run(const struct command *command, int argc, char **argv);

extern const struct command command_profile, command_heap, command_memit, command_serve, command_ps,
	command_check, command_completion;

/* All of them, ended by NULL; the main job comes first. */
extern const struct command *const commands[];

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The options of `heap`. */
#ifndef HEAP_OPTIONS_H
#define HEAP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "cli/options.h"

struct command;

enum births_asked { BIRTHS_AUTO, BIRTHS_WATCH, BIRTHS_BURST, BIRTHS_OFF };
enum touched_asked { TOUCHED_ON, TOUCHED_OFF };

struct heap_command_options {
	pid_t *pids;
	size_t pid_count;
	char **names;	/* programs of -p, ends with NULL; NULL: none */
	double seconds; /* 0: one look */
	bool until_input, pause, types_only, quiet;
	int births, touched;
	unsigned top;
	const char *format, *output;
	mode_t mode;
	unsigned width; /* columns of the report; 0: those of the terminal */
	bool pager;
	int verbosity;
};

extern const struct option_row heap_rows[];

/* Looks once at the heap of a process, as `heap -p PID` does, and writes the report as text, of 100
 * columns, and as JSON, its verdict in one line, and the look in brief. There is none if that is
 * not the process that began at `start_ticks` (proc_start_ticks()). Messages go to stderr. To be
 * called in a process of its own, since it gives up rights. Returns an exit status. A
 * looker_heap_fn. */
int heap_look_both(pid_t pid, uint64_t start_ticks, FILE *text, FILE *json, FILE *verdict,
		   FILE *brief);

/* The command.check of `heap`. */
int heap_options_check(const struct command *command, void *options);

#endif

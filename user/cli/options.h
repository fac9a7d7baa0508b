/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of the main job, from one table: parsing and help agree. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "model/model.h"

struct options {
	pid_t *pids;
	size_t pid_count;
	bool all;
	char **command;	 /* after --; NULL if none */
	double duration; /* seconds; 0: until the end */
	const char *output;
	mode_t mode; /* of that file */
	unsigned top;
	const char *function;
	const char *format;
	bool lines;
	bool peak;
	enum model_sort sort;
	bool quiet, help, version;
	bool no_faults, no_syscalls, no_children;
	unsigned max_stacks, max_processes;
	size_t ring_bytes, ended_bytes;
	int verbosity;
};

/* Parses argv[1..]. 0, or -EINVAL after printing what is wrong to stderr. */
int options_parse(struct options *options, int argc, char **argv);
void options_fini(struct options *options);
void options_help(FILE *out);

#endif

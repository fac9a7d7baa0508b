/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The options of the main job. */
#ifndef PROFILE_OPTIONS_H
#define PROFILE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cli/options.h"
#include "model/model.h"
#include "render/render.h"

struct command;

enum profile_engine { PROFILE_WALK, PROFILE_LINES };

struct profile_options {
	pid_t *pids;
	size_t pid_count;
	char **names; /* programs of -p, ends with NULL; NULL: none */
	bool all;
	char **command;	 /* after --; NULL: none */
	double duration; /* seconds; 0: until the end */
	const char *output;
	mode_t mode;	/* permissions of that file */
	unsigned width; /* columns of the report; 0: those of the terminal */
	bool pager;
	unsigned top;
	const char *function;
	const char *format;
	enum render_metric metric;
	enum profile_engine engine;
	bool lines; /* engine == PROFILE_LINES */
	bool peak;
	enum model_sort sort;
	bool tree;
	bool touched; /* --touched, or --sort resident */
	bool quiet;
	bool no_faults, no_syscalls, no_children;
	unsigned max_stacks, max_processes;
	size_t ring_bytes, ended_bytes;
	int verbosity;
};

extern const struct option_row profile_rows[];

struct renderer;
/* Says that the renderer's format is not for a terminal. Returns -EINVAL. */
int profile_refuse_terminal(const struct command *command, const struct renderer *renderer);

/* The command.check of the main job. */
int profile_options_check(const struct command *command, void *options);

#endif

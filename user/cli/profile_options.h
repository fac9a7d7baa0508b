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

enum profile_engine { PROFILE_WALK, PROFILE_LINES, PROFILE_FUNCTIONS };

/* What --events names. The first three are counted anyway. */
enum profile_event {
	PROFILE_FAULTS = 1,
	PROFILE_COPIES = 2,
	PROFILE_SYSCALLS = 4,
	PROFILE_RECLAIM = 8,
	PROFILE_CACHE = 16,
	PROFILE_HUGE = 32,
	PROFILE_SWAP = 64,
	PROFILE_EXTERNAL = 128,
	PROFILE_KERNEL = 256,
};

/* Whose memory the report is about. */
enum profile_memory { PROFILE_RSS, PROFILE_CGROUP };

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
	bool lines;	/* engine != PROFILE_WALK: the exact engine */
	bool functions; /* engine == PROFILE_FUNCTIONS */
	bool peak;
	enum model_sort sort;
	enum model_by by;
	unsigned memory; /* enum profile_memory */
	bool tree;
	bool touched; /* --touched, or --sort resident */
	bool threads;
	bool quiet;
	bool redact;
	bool no_faults, no_syscalls, sys_exit, no_children;
	unsigned events; /* enum profile_event */
	unsigned max_stacks, max_processes;
	size_t ring_bytes, ended_bytes;
	unsigned ended_processes;
	int verbosity;
	/* of `record` and --record */
	const char *record; /* the new recording; NULL: none */
	size_t record_bytes;
	bool no_sources;
	bool pss;	   /* it is read while recording */
	double heap_every; /* seconds between looks at heaps; 0: none */
};

extern const struct option_row profile_rows[];
extern const struct option_choice profile_sorts[], profile_bys[], profile_metrics[],
	profile_events[];
/* The name of format number `i`, from 0 on. NULL: there are no more. */
const char *profile_format_name(size_t i);

struct renderer;
/* Says that the renderer's format is not for a terminal. Returns -EINVAL. */
int profile_refuse_terminal(const struct command *command, const struct renderer *renderer);

/* Runs the main job for `command`, which is it or `record`. Returns the exit status. */
int profile_run(const struct command *command, struct profile_options *options);

/* If the renderer's format is binary: whether it can be written to `output` (-o; NULL: stdout) or
 * shown in a pager; and whether it was built in. 0, or -EINVAL after saying what is wrong. */
int profile_check_page(const struct command *command, const struct renderer *renderer,
		       const char *output, bool pager);

/* Options that the format can't obey, or that exclude each other. 0 or -EINVAL. */
int profile_options_check_format(const struct command *command, const struct profile_options *o);
/* The options of renderers that follow from those of the command. Fields that depend on the output,
 * such as width and color, are zero. What pointers lead to belongs to `o` and to the caller. */
struct render_options profile_render_options(const struct profile_options *o,
					     struct source_cache *sources);

/* Redacts the report, if that was asked for, and what renderers get of it. 0 or -ENOMEM. */
int profile_redact(const struct profile_options *o, struct model *model,
		   struct render_options *options);

/* What both need: exactly one of -p, -a and a command, and options that go together. 0 or
 * -EINVAL. */
int profile_options_check_jobs(const struct command *command, struct profile_options *o);

/* The command.check of the main job. */
int profile_options_check(const struct command *command, void *options);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The recording that a profile keeps: `record`, and --record of the main job. */
#ifndef PROFILE_RECORD_H
#define PROFILE_RECORD_H

#include "cli/profile_looks.h"
#include "cli/profile_options.h"
#include "cli/profile_pss.h"
#include "os/loop.h"
#include "record/recorder.h"
#include "report/profiler.h"

typedef void profile_record_fn(void *arg, int err);

struct profile_record { /* all zeros: there is none, and all functions do nothing */
	struct recorder *recorder;
	struct profiler *profiler;
	const struct command *command;
	const char *path;
	struct loop *loop;
	struct loop_timer tick;
	struct profile_looks looks;
	struct profile_pss pss;
	profile_record_fn *failed;
	void *arg;
	double start;
	bool watched;  /* something may be in it */
	bool finished; /* it has its end */
	int error;
};

/* Forks what it needs. To be called before anything else. 0, or an exit status after saying what is
 * wrong. */
int profile_record_fork(struct profile_record *record, const struct profile_options *options);

/* A profiler_options.between. `arg` is the struct profile_record. */
struct counts profile_record_between(void *arg, struct counts counts);

/* Creates the file. 0, or an exit status after saying what is wrong. */
int profile_record_open(struct profile_record *record, const struct command *command,
			const struct profile_options *options, struct profiler *profiler);
/* The flags that confine() must leave to it. */
unsigned profile_record_needs(const struct profile_record *record);
/* The profiler is open: the recording's time begins. */
void profile_record_begin(struct profile_record *record, struct profiler *profiler);
/* Records once a second from now on. Calls failed(arg, err) when that is not possible any more. 0
 * or -errno. */
int profile_record_watch(struct profile_record *record, struct loop *loop,
			 profile_record_fn *failed, void *arg);
/* Before and after the last snapshot; `model` is its result. */
void profile_record_ends(struct profile_record *record);
void profile_record_finish(struct profile_record *record, const struct model *model);
/* Says what was recorded, unless `quiet`, or why not all of it. 0 or an exit status. */
int profile_record_say(struct profile_record *record, bool quiet);
/* Closes the file; removes it if nothing was recorded. */
void profile_record_close(struct profile_record *record);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The live screen: a face of the profiler (report/profiler.h) on a terminal. */
#ifndef SCREEN_H
#define SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "os/loop.h"
#include "report/profiler.h"

struct screen_options {
	const char *what;   /* what is watched: "all Pythons", "pid 1234" */
	const char *report; /* the file that `w` writes; NULL: it asks for a name */
	bool one_process;   /* one process is watched: begin with its lines */
	bool mouse;
};

/* Shows the screen until its user quits, or a signal ends it. Before that the caller opens the
 * profiler and adds processes, checks the terminal (screen_terminal.h), and starts the stewards
 * (screen_steward.h). The terminal is restored in any case. 0 or -errno. */
int screen_run(struct profiler *profiler, struct loop *loop, const struct screen_options *options);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Holds a command with ptrace(2) until its interpreter is known. For launch.c. */
#ifndef LAUNCH_TRACE_H
#define LAUNCH_TRACE_H

#include "track/launch.h"

/* To be called when the command has stopped with `status` (of waitpid()). Continues it, and holds
 * it where its program may become known. If that is known, or after too long a time, it is
 * released. */
void launch_trace_stopped(struct launch *launch, int status);

/* From now on a handler of SIGCHLD releases the command at its next stop, whatever this process
 * does meanwhile: a program that runs can't be released (PTRACE_DETACH) before it stops. Unblocks
 * SIGCHLD. 0 or -errno. */
int launch_trace_end(struct launch *launch);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Holds a command, by ptrace(2), until its interpreter is known. For launch.c. */
#ifndef LAUNCH_TRACE_H
#define LAUNCH_TRACE_H

#include "track/launch.h"

/* The command has stopped, as waitpid() has it: lets it go on, held where it may be known what it
 * is. Once that is known, or too much time has passed, it is traced no more. */
void launch_trace_stopped(struct launch *launch, int status);

/* From now on it is let go at its next stop by a handler of SIGCHLD, whatever this process does
 * meanwhile; a program that runs can't be let go (PTRACE_DETACH) before it stops. Unblocks SIGCHLD.
 * 0 or -errno. */
int launch_trace_end(struct launch *launch);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Holds a command, by ptrace(2), until its interpreter is known. For launch.c. */
#ifndef LAUNCH_TRACE_H
#define LAUNCH_TRACE_H

#include "track/launch.h"

/* The command has stopped, as waitpid() has it: lets it go on, held where it may be known what it
 * is. Once that is known, or too much time has passed, it is traced no more. */
void launch_trace_stopped(struct launch *launch, int status);

#endif

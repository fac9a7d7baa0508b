/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes by the name of their program: -p api.py in place of -p 412,413. */
#ifndef FIND_PROGRAM_H
#define FIND_PROGRAM_H

#include <stddef.h>
#include <sys/types.h>

#include "cli/command.h"

/* Adds to `*pids`, which has `*count` PIDs, all Python processes of each program in `names` (ends
 * with NULL; NULL: none). A PID that is there is not added again. `*pids` comes from malloc()
 * (NULL: none yet) and may be moved; the caller frees it, also after a failure. Needs the examiner.
 * 0, or an exit status after saying on stderr that there is no such program, which different
 * programs have that name, or what went wrong. */
int find_programs(const struct command *command, char *const *names, pid_t **pids, size_t *count);

#endif

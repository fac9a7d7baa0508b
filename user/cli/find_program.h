/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes by the name of their program: -p api.py in place of -p 412,413. */
#ifndef FIND_PROGRAM_H
#define FIND_PROGRAM_H

#include <stddef.h>
#include <sys/types.h>

#include "cli/command.h"

/* Adds the Pythons that each of `names` (ends with NULL; NULL: none) means to `*pids`, which has
 * `*count` of them; one that is there already is not added again. A name means a program: all its
 * processes are added. Needs the examiner. 0, or an exit status after saying on stderr that there
 * is no such program, or which different programs have that name. */
int find_programs(const struct command *command, char *const *names, pid_t **pids, size_t *count);

#endif

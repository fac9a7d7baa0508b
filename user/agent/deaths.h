/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files of last words in the agent's folder, one for each process that a signal has ended:
 * oom-TIME-PID.json, kill-TIME-PID.json, crash-TIME-PID.json. They are few and small: the oldest
 * are removed when there are more, and those of the OOM killer last. */
#ifndef DEATHS_H
#define DEATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/death.h"

#define DEATHS_MOST 200 /* files */
#define DEATHS_NAME sizeof("crash-20261130T073310Z-2147483647.json")

/* True if the name is one of these. */
bool deaths_is_name(const char *name);

/* What is behind the cause in such a name: those of later ends are greater, by strcmp(). */
const char *deaths_stamp(const char *name);

/* Writes the name of a file into `name`, of a process that ended at `time` (seconds since the
 * epoch). 0 or -ERANGE. */
int deaths_name(enum death_cause cause, double time, int pid, char name[DEATHS_NAME]);

/* Makes a new file of `size` bytes in the folder, with permissions 0600. 0 or -errno: then there is
 * no such file, or -EEXIST, another one. */
int deaths_write(int folder, const char *name, const void *data, size_t size);

/* Removes the oldest ones, those of the OOM killer last, until there are at most `files` of at most
 * `most` bytes together, whose sum `*bytes` becomes. 0 or -errno. */
int deaths_trim(int folder, size_t files, uint64_t most, uint64_t *bytes);

#endif

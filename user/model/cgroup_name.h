/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the path of a control group to where people say that a process runs: a container, a service.
 * Pure: nothing is read but the path. */
#ifndef CGROUP_NAME_H
#define CGROUP_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the name into `name`, cut at `size`: "docker:0123456789ab" (the runtime and the beginning
 * of the container's id), "lxc:web", "api.service", "batch.slice", "session-3.scope"; "" for the
 * root group. True: it is a container. */
bool cgroup_name(const char *path, char *name, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the path of a control group to where people say that a process runs: a container, a service.
 * Pure: nothing is read but the path. */
#ifndef CGROUP_NAME_H
#define CGROUP_NAME_H

#include <stdbool.h>
#include <stddef.h>

struct cgroup_parsed;

/* Writes the name into `name`, cut at `size`: "docker:0123456789ab" (the runtime and the beginning
 * of the container's id), "lxc:web", "api.service", "batch.slice", "session-3.scope"; "" for the
 * root group. Of systemd's units and of what is below them it is the innermost unit. True: it is a
 * container. */
bool cgroup_name(const char *path, char *name, size_t size);

/* Writes the name of the container alone; "" if it is none. True: it is one. `size` is at least
 * 1. */
bool cgroup_container_name(const struct cgroup_parsed *parsed, char *name, size_t size);

#endif

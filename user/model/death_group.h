/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control group of a process that a signal ended, as JSON: in recordings, reports and files of
 * last words. */
#ifndef DEATH_GROUP_H
#define DEATH_GROUP_H

#include <jansson.h>
#include <stdbool.h>

#include "os/cgroup_last.h"

/* An object, null unless the group was read. The caller owns it. NULL: out of memory. */
json_t *death_group_value(const struct cgroup_last *group);
/* Why it is null; null if it is not, or if nobody had tried. As above. */
json_t *death_group_missing(const struct cgroup_last *group);

/* Takes both. NULL: there are none, as in what earlier programs wrote. False: they are not as these
 * functions make them; nobody is trusted. What a later kernel or program may add is left out. */
bool death_group_take(const json_t *value, const json_t *missing, struct cgroup_last *group);

#endif

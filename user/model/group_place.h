/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which group a process belongs to: its program and place, its container, its unit, its user. Names
 * are what targets choose: they are escaped and cut. */
#ifndef GROUP_PLACE_H
#define GROUP_PLACE_H

#include "model/model.h"
#include "os/cgroup_parse.h"

#define GROUP_PLACE_NAME 256	   /* bytes; what is longer is cut */
#define GROUP_PLACE_REST "(other)" /* no group has this name; one that has is renamed */

struct group_place { /* a key: what follows the names is 0 */
	char name[GROUP_PLACE_NAME], where[GROUP_PLACE_NAME];
	/* Of a container; names show the beginning only. "": it has none, or it is in a place where
	 * whoever runs there may have chosen it (cgroup_is_inner()). */
	char id[CGROUP_ID_DIGITS + 1];
	uint32_t process; /* with MODEL_BY_PROCESS */
};

/* Fills `place`, which can then be compared by memcmp(). struct group_sum says what names are. */
void group_place_of(struct group_place *place, enum model_by by,
		    const struct model_process *process);

/* The same with MODEL_BY_PROGRAM, of what a process is known by: its arguments, which end with NULL
 * (NULL: unknown), its name, the path of its control group ("": unknown). */
void group_place_of_program(struct group_place *place, char *const *argv, const char *comm,
			    const char *cgroup);

#endif

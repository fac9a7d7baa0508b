/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/group_place.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/cgroup_name.h"
#include "model/program.h"
#include "model/program_label.h"
#include "os/cgroup_parse.h"
#include "os/rights.h"

/* With the part in the program, which its title says, if `by` is MODEL_BY_PROCESS. */
static void program_place(struct group_place *place, enum model_by by, char *const *argv,
			  const char *comm, const char *cgroup)
{
	char name[GROUP_PLACE_NAME], role[64];
	struct program program;
	size_t used;

	program_parse(&program, argv, comm);
	program_label(&program, name, sizeof(name));
	used = strlen(name);
	if (by == MODEL_BY_PROCESS) {
		program_role(&program, role, sizeof(role));
		snprintf(name + used, sizeof(name) - used, "%s%s", *role ? " " : "", role);
	}
	text_escape(place->name, sizeof(place->name), name);
	cgroup_place_name(cgroup, place->where, sizeof(place->where));
}

static void put_id(struct group_place *place, const struct cgroup_parsed *parsed)
{
	if (!cgroup_is_inner(parsed))
		memcpy(place->id, parsed->id, sizeof(place->id));
}

static void container_place(struct group_place *place, const char *cgroup)
{
	struct cgroup_parsed parsed;

	cgroup_parse(cgroup, &parsed);
	if (!cgroup_container_name(cgroup, &parsed, place->name, sizeof(place->name)))
		return;
	cgroup_qualify(cgroup, &parsed, parsed.pod, place->where, sizeof(place->where));
	put_id(place, &parsed);
}

static void unit_place(struct group_place *place, const char *cgroup)
{
	struct cgroup_parsed parsed;

	cgroup_parse(cgroup, &parsed);
	cgroup_unit_name(cgroup, &parsed, place->name, sizeof(place->name));
	if (!*parsed.unit ||
	    !cgroup_container_name(cgroup, &parsed, place->where, sizeof(place->where)))
		return;
	put_id(place, &parsed);
}

/* The number: names of users are those of the host, and the process may be in a container. */
static void user_place(struct group_place *place, const struct model_process *process)
{
	const struct rights *rights = source_root_rights(&process->root);

	if (rights)
		snprintf(place->name, sizeof(place->name), "%" PRIu32, rights->uid);
}

/* Names are compared as they are shown: those that only look alike would be one series twice. */
static void place_of(struct group_place *place, enum model_by by,
		     const struct model_process *process)
{
	switch (by) {
	case MODEL_BY_PROCESS:
		place->process = process->id;
		program_place(place, by, process->cmdline, process->comm, process->cgroup);
		break;
	case MODEL_BY_LINE:
	case MODEL_BY_PROGRAM:
		program_place(place, by, process->cmdline, process->comm, process->cgroup);
		break;
	case MODEL_BY_CONTAINER:
		container_place(place, process->cgroup);
		break;
	case MODEL_BY_UNIT:
		unit_place(place, process->cgroup);
		break;
	case MODEL_BY_USER:
		user_place(place, process);
		break;
	}
}

static void spare_rest(struct group_place *place)
{
	if (!strcmp(place->name, GROUP_PLACE_REST))
		strcpy(place->name, GROUP_PLACE_REST "_");
}

void group_place_of(struct group_place *place, enum model_by by,
		    const struct model_process *process)
{
	memset(place, 0, sizeof(*place));
	place_of(place, by, process);
	spare_rest(place);
}

void group_place_of_program(struct group_place *place, char *const *argv, const char *comm,
			    const char *cgroup)
{
	memset(place, 0, sizeof(*place));
	program_place(place, MODEL_BY_PROGRAM, argv, comm, cgroup);
	spare_rest(place);
}

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

/* Sessions, and units that are made for one run, have new names each time. */
static bool is_service(const char *name)
{
	static const char suffix[] = ".service";
	size_t length = strlen(name), end = sizeof(suffix) - 1;

	return length > end && !strcmp(name + length - end, suffix) && strncmp(name, "run-", 4);
}

/* Of a process with its part in the program, which its title says. */
static void program_place(struct group_place *place, enum model_by by,
			  const struct model_process *process)
{
	char name[GROUP_PLACE_NAME], role[64];
	struct program program;
	size_t used;

	program_parse(&program, process->cmdline, process->comm);
	program_label(&program, name, sizeof(name));
	used = strlen(name);
	if (by == MODEL_BY_PROCESS) {
		program_role(&program, role, sizeof(role));
		snprintf(name + used, sizeof(name) - used, "%s%s", *role ? " " : "", role);
	}
	text_escape(place->name, sizeof(place->name), name);
	if (cgroup_name(process->cgroup, name, sizeof(name)) || is_service(name))
		text_escape(place->where, sizeof(place->where), name);
}

static void container_place(struct group_place *place, const struct model_process *process)
{
	struct cgroup_parsed parsed;
	char name[GROUP_PLACE_NAME];

	cgroup_parse(process->cgroup, &parsed);
	if (!cgroup_container_name(&parsed, name, sizeof(name)))
		return;
	text_escape(place->name, sizeof(place->name), name);
	text_escape(place->where, sizeof(place->where), parsed.pod);
	memcpy(place->id, parsed.id, sizeof(place->id));
}

static void unit_place(struct group_place *place, const struct model_process *process)
{
	struct cgroup_parsed parsed;
	char name[GROUP_PLACE_NAME];

	cgroup_parse(process->cgroup, &parsed);
	text_escape(place->name, sizeof(place->name), parsed.unit_name);
	if (!*parsed.unit || !cgroup_container_name(&parsed, name, sizeof(name)))
		return;
	text_escape(place->where, sizeof(place->where), name);
	memcpy(place->id, parsed.id, sizeof(place->id));
}

/* The number: names of users are those of the host, and the process may be in a container. */
static void user_place(struct group_place *place, const struct model_process *process)
{
	const struct rights *rights = source_root_rights(&process->root);

	if (rights)
		snprintf(place->name, sizeof(place->name), "%" PRIu32, rights->uid);
}

/* Names are compared as they are shown: those that only look alike would be one series twice. */
void group_place_of(struct group_place *place, enum model_by by,
		    const struct model_process *process)
{
	memset(place, 0, sizeof(*place));
	switch (by) {
	case MODEL_BY_PROCESS:
		place->process = process->id;
		program_place(place, by, process);
		break;
	case MODEL_BY_LINE:
	case MODEL_BY_PROGRAM:
		program_place(place, by, process);
		break;
	case MODEL_BY_CONTAINER:
		container_place(place, process);
		break;
	case MODEL_BY_UNIT:
		unit_place(place, process);
		break;
	case MODEL_BY_USER:
		user_place(place, process);
		break;
	}
	if (!strcmp(place->name, GROUP_PLACE_REST))
		strcpy(place->name, GROUP_PLACE_REST "_");
}

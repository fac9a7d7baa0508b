/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/cgroup_name.h"

#include <stdio.h>
#include <string.h>

#include "os/cgroup_parse.h"

bool cgroup_container_name(const struct cgroup_parsed *parsed, char *name, size_t size)
{
	const char *runtime = *parsed->runtime ? parsed->runtime : "container";

	if (!parsed->container)
		*name = '\0';
	else if (*parsed->id)
		snprintf(name, size, "%s:%.*s", runtime, CGROUP_ID_SHOWN, parsed->id);
	else
		snprintf(name, size, "%s:%s", runtime, parsed->name);
	return parsed->container;
}

bool cgroup_name(const char *path, char *name, size_t size)
{
	struct cgroup_parsed parsed;
	const char *last = path, *at;

	cgroup_parse(path, &parsed);
	if (cgroup_container_name(&parsed, name, size))
		return true;
	/* What is below a unit is the unit's own. */
	for (at = path; *at; at++)
		if (*at == '/' && at[1] && at[1] != '/')
			last = at + 1;
	if (*parsed.unit)
		snprintf(name, size, "%s", parsed.unit_name);
	else
		snprintf(name, size, "%.*s", (int)strcspn(last, "/"), last);
	return false;
}

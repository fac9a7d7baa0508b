/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/cgroup_name.h"

#include <stdio.h>
#include <string.h>

#include "os/cgroup_parse.h"

#define OUTER_MOST 120 /* bytes of the name of what a group is in */
#define END_MOST   (OUTER_MOST + 8)
#define PATH_MOST  4096 /* the kernel writes no longer ones */

static bool put_container(const struct cgroup_parsed *parsed, char *name, size_t size)
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

/* Writes the name of the first unit or container of the path, at most OUTER_MOST bytes. */
static void put_outer(const char *path, const struct cgroup_parsed *parsed, char *name)
{
	char outer[PATH_MOST], whole[CGROUP_NAME_MAX + sizeof(parsed->runtime) + 1];
	struct cgroup_parsed alone;

	snprintf(outer, sizeof(outer), "%.*s", (int)parsed->outer_length, path);
	cgroup_parse(outer, &alone);
	if (!put_container(&alone, whole, sizeof(whole)))
		snprintf(whole, sizeof(whole), "%s", alone.unit_name);
	snprintf(name, OUTER_MOST, "%.*s", OUTER_MOST - 1, whole);
}

/* Puts behind the text whose it is. What would have no room is cut before that. */
static void put_end(const char *path, const struct cgroup_parsed *parsed, char *name, size_t size)
{
	char outer[OUTER_MOST], end[END_MOST];
	size_t used = strlen(name), length;

	if (*parsed->owner)
		snprintf(end, sizeof(end), " of user %s", parsed->owner);
	else
		put_outer(path, parsed, outer);
	if (!*parsed->owner)
		snprintf(end, sizeof(end), " in %s", outer);
	length = strlen(end);
	if (size <= length)
		return;
	if (used + length >= size)
		used = size - length - 1;
	memcpy(name + used, end, length + 1);
}

bool cgroup_is_inner(const struct cgroup_parsed *parsed)
{
	return parsed->container && parsed->outer_length < parsed->length;
}

void cgroup_qualify(const char *path, const struct cgroup_parsed *parsed, const char *text,
		    char *name, size_t size)
{
	snprintf(name, size, "%s", text);
	if (*text && cgroup_is_inner(parsed))
		put_end(path, parsed, name, size);
}

bool cgroup_container_name(const char *path, const struct cgroup_parsed *parsed, char *name,
			   size_t size)
{
	if (!put_container(parsed, name, size))
		return false;
	if (cgroup_is_inner(parsed))
		put_end(path, parsed, name, size);
	return true;
}

void cgroup_unit_name(const char *path, const struct cgroup_parsed *parsed, char *name, size_t size)
{
	snprintf(name, size, "%s", parsed->unit_name);
	if (*name && !parsed->container && parsed->outer_length < parsed->unit_length)
		put_end(path, parsed, name, size);
}

bool cgroup_name(const char *path, char *name, size_t size)
{
	struct cgroup_parsed parsed;
	const char *last = path, *at;

	cgroup_parse(path, &parsed);
	if (cgroup_container_name(path, &parsed, name, size))
		return true;
	/* What is below a unit is the unit's own. */
	for (at = path; *at; at++)
		if (*at == '/' && at[1] && at[1] != '/')
			last = at + 1;
	if (*parsed.unit)
		cgroup_unit_name(path, &parsed, name, size);
	else
		snprintf(name, size, "%.*s", (int)strcspn(last, "/"), last);
	return false;
}

static bool is_service(const char *name)
{
	static const char suffix[] = ".service";
	size_t length = strlen(name), end = sizeof(suffix) - 1;

	return length > end && !strcmp(name + length - end, suffix) && strncmp(name, "run-", 4);
}

void cgroup_place_name(const char *path, char *name, size_t size)
{
	struct cgroup_parsed parsed;
	char outer[OUTER_MOST];

	cgroup_parse(path, &parsed);
	if (cgroup_container_name(path, &parsed, name, size))
		return;
	*name = '\0';
	if (is_service(parsed.unit_name)) {
		cgroup_unit_name(path, &parsed, name, size);
		return;
	}
	if (*parsed.owner) {
		snprintf(name, size, "user %s", parsed.owner);
		return;
	}
	/* A service may call what is below it a scope. */
	if (parsed.outer_length < parsed.unit_length)
		put_outer(path, &parsed, outer);
	else
		*outer = '\0';
	if (is_service(outer))
		snprintf(name, size, "%s", outer);
}

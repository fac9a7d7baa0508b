/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/cgroup_name.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "os/cgroup_parse.h"

#define OUTER_MOST 120 /* bytes of the name of what a group is in */
#define END_MOST   (OUTER_MOST + 8)
#define OF	   " of user "
#define IN	   " in "
#define RAW_MOST   (CGROUP_NAME_MAX + 32)
#define PATH_MOST  4096 /* the kernel writes no longer ones */

/* Writes the container's own name, not escaped, in RAW_MOST bytes. */
static bool put_container(const struct cgroup_parsed *parsed, char *name)
{
	const size_t size = RAW_MOST;
	const char *runtime = *parsed->runtime ? parsed->runtime : "container";

	if (!parsed->container)
		*name = '\0';
	else if (*parsed->id)
		snprintf(name, size, "%s:%.*s", runtime, CGROUP_ID_SHOWN, parsed->id);
	else
		snprintf(name, size, "%s:%s", runtime, parsed->name);
	return parsed->container;
}

/* Writes the name of the first unit or container of the path, escaped, in OUTER_MOST bytes. */
static void put_outer(const char *path, const struct cgroup_parsed *parsed, char *name)
{
	char outer[PATH_MOST], whole[RAW_MOST];
	struct cgroup_parsed alone;

	snprintf(outer, sizeof(outer), "%.*s", (int)parsed->outer_length, path);
	cgroup_parse(outer, &alone);
	if (!put_container(&alone, whole))
		snprintf(whole, sizeof(whole), "%s", alone.unit_name);
	text_escape_name(name, OUTER_MOST, whole);
}

/* Writes the text, escaped, and behind it, if `is_inner`, whose it is. The end is added after
 * escaping, which makes bytes four times as long. */
static void put_whole(const char *path, const struct cgroup_parsed *parsed, bool is_inner,
		      const char *text, char *name, size_t size)
{
	char outer[OUTER_MOST], end[END_MOST] = "";
	size_t length;

	if (is_inner && *parsed->owner) {
		snprintf(end, sizeof(end), OF "%s", parsed->owner);
	} else if (is_inner) {
		put_outer(path, parsed, outer);
		snprintf(end, sizeof(end), IN "%s", outer);
	}
	length = strlen(end);
	if (length < size) {
		text_escape_name(name, size - length, text);
		strcat(name, end);
	} else {
		text_escape_name(name, size, end);
	}
}

/* Nothing in a name that has an end is behind the last of these, but where root has named a
 * container so. */
const char *cgroup_name_end(const char *name)
{
	static const char *const begins[] = {OF, IN};
	const char *end = name + strlen(name), *last = end, *at;

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		for (at = strstr(name, begins[i]); at; at = strstr(at + 1, begins[i]))
			last = last == end || at > last ? at : last;
	return last;
}

bool cgroup_is_inner(const struct cgroup_parsed *parsed)
{
	return parsed->container && parsed->outer_length < parsed->length;
}

void cgroup_qualify(const char *path, const struct cgroup_parsed *parsed, const char *text,
		    char *name, size_t size)
{
	put_whole(path, parsed, *text && cgroup_is_inner(parsed), text, name, size);
}

bool cgroup_container_name(const char *path, const struct cgroup_parsed *parsed, char *name,
			   size_t size)
{
	char raw[RAW_MOST];
	bool known = put_container(parsed, raw);

	put_whole(path, parsed, known && cgroup_is_inner(parsed), raw, name, size);
	return known;
}

void cgroup_unit_name(const char *path, const struct cgroup_parsed *parsed, char *name, size_t size)
{
	bool is_inner = *parsed->unit_name && !parsed->container &&
			parsed->outer_length < parsed->unit_length;

	put_whole(path, parsed, is_inner, parsed->unit_name, name, size);
}

bool cgroup_name(const char *path, char *name, size_t size)
{
	struct cgroup_parsed parsed;
	const char *last = path, *at;
	char raw[RAW_MOST];

	cgroup_parse(path, &parsed);
	if (cgroup_container_name(path, &parsed, name, size))
		return true;
	/* What is below a unit is the unit's own. */
	for (at = path; *at; at++)
		if (*at == '/' && at[1] && at[1] != '/')
			last = at + 1;
	if (*parsed.unit) {
		cgroup_unit_name(path, &parsed, name, size);
		return false;
	}
	snprintf(raw, sizeof(raw), "%.*s", (int)strcspn(last, "/"), last);
	text_escape_name(name, size, raw);
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

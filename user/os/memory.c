/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Control groups: Documentation/admin-guide/cgroup-v2.rst (memory.max, memory.current, memory.stat)
 * and cgroup-v1/memory.rst. A limit of any group above counts, too.
 */
#include "os/memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/cgroup_memory.h"

static const struct version {
	const char *mount, *limit, *usage, *files;
} versions[] = {
	{"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"},
	{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
	 "total_inactive_file"},
};

/* The number behind `name` in a file of lines "name number", or the file's only one (`name` NULL).
 * False: there is none, or "max". */
static bool read_number(const char *path, const char *name, uint64_t *number)
{
	FILE *file = fopen(path, "re");
	char line[256];
	size_t length = name ? strlen(name) : 0;
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		if (name && (strncmp(line, name, length) || !strchr(": \t", line[length])))
			continue;
		found = sscanf(line + length + (name && line[length] == ':'), "%lu", number) == 1;
	}
	if (file)
		fclose(file);
	return found;
}

/* What the group at `folder` may still take. */
static uint64_t left_of(const struct version *v, const char *folder)
{
	char path[PATH_MAX + 64];
	uint64_t limit, usage, files = 0;

	snprintf(path, sizeof(path), "%s/%s", folder, v->limit);
	if (!read_number(path, NULL, &limit))
		return MEMORY_UNKNOWN;
	snprintf(path, sizeof(path), "%s/%s", folder, v->usage);
	if (!read_number(path, NULL, &usage))
		return MEMORY_UNKNOWN;
	snprintf(path, sizeof(path), "%s/memory.stat", folder);
	if (read_number(path, v->files, &files))
		usage -= files < usage ? files : usage;
	return limit > usage ? limit - usage : 0;
}

/* The least that the group `name` ("/a/b") or a group above it may still take. Cuts `name`. */
static uint64_t least_of(const struct version *v, const char *root, char *name)
{
	uint64_t least = MEMORY_UNKNOWN;
	char folder[PATH_MAX];

	for (;;) {
		char *slash = strrchr(name, '/');
		uint64_t left;

		snprintf(folder, sizeof(folder), "%s%s%s", root, v->mount, name);
		left = left_of(v, folder);
		if (left < least)
			least = left;
		if (!slash)
			return least;
		*slash = '\0';
	}
}

/* Reads the lines of /proc/self/cgroup: "number:controllers:/group"; a line of version 2 names no
 * controllers. */
static uint64_t left_of_groups(const char *root)
{
	char path[PATH_MAX], line[PATH_MAX];
	uint64_t least = MEMORY_UNKNOWN;
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		char *controllers = strchr(line, ':'), *group;
		uint64_t left;

		group = controllers ? strchr(++controllers, ':') : NULL;
		if (!group)
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		if (*controllers && !cgroup_lists_memory(controllers))
			continue;
		left = least_of(&versions[*controllers != '\0'], root, group);
		if (left < least)
			least = left;
	}
	if (file)
		fclose(file);
	return least;
}

uint64_t memory_available_at(const char *root)
{
	uint64_t least = left_of_groups(root), kib;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	if (read_number(path, "MemAvailable", &kib) && kib * 1024 < least)
		least = kib * 1024;
	return least;
}

uint64_t memory_available(void)
{
	return memory_available_at("");
}

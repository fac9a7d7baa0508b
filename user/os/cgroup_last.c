/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Documentation/admin-guide/cgroup-v2.rst: memory.events, whose figures have those of the groups
 * below, too; cgroup-v1/memory.rst: memory.failcnt, memory.oom_control, which have not. */
#include "os/cgroup_last.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/cgroup_memory.h"

#define LINES_MOST 64 /* of memory.events, which has 6 */
#define V1_MOUNT   "/sys/fs/cgroup/memory"
#define V2_MOUNT   "/sys/fs/cgroup"

const char *cgroup_part_name(enum cgroup_part part)
{
	static const char *const names[] = {
#define PART_NAME(id, key, text) key,
		CGROUP_PARTS(PART_NAME)
#undef PART_NAME
	};

	return part == CGROUP_TOTAL ? "current" : names[part];
}

const char *cgroup_event_name(enum cgroup_event event)
{
	static const char *const names[] = {
#define EVENT_NAME(id, key) key,
		CGROUP_EVENTS(EVENT_NAME)
#undef EVENT_NAME
	};

	return names[event];
}

const char *cgroup_last_state_name(enum cgroup_last_state state)
{
	static const char *const names[] = {
#define STATE_NAME(id, name) name,
		CGROUP_LAST_STATES(STATE_NAME)
#undef STATE_NAME
	};

	return names[state];
}

static FILE *open_in(const char *root, const char *mount, const char *path, const char *name)
{
	char file_name[4096 + 128];

	if (snprintf(file_name, sizeof(file_name), "%s%s%s/%s", root, mount, path, name) >=
	    (int)sizeof(file_name))
		return NULL;
	return fopen(file_name, "re");
}

/* The count that a text begins with; -1: it is none. */
static int64_t count_of(const char *text)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	return end == text || errno || (*end && *end != '\n') || number < 0 ? -1 : number;
}

/* The first line of each key counts. */
static void read_events(FILE *file, struct cgroup_last *last)
{
	char line[128], *value;

	for (int lines = 0; file && lines < LINES_MOST && fgets(line, sizeof(line), file);
	     lines++) {
		value = strchr(line, ' ');
		if (!value)
			continue;
		*value++ = '\0';
		for (int i = 0; i < CGROUP_EVENT_COUNT; i++)
			if (!strcmp(cgroup_event_name(i), line) && last->events[i] < 0)
				last->events[i] = count_of(value);
	}
	if (file)
		fclose(file);
}

static void read_failures(FILE *file, struct cgroup_last *last)
{
	char line[128];

	if (!file)
		return;
	if (fgets(line, sizeof(line), file))
		last->events[CGROUP_EVENT_MAX] = count_of(line);
	fclose(file);
}

static void name_group(struct cgroup_last *last, const char *path)
{
	size_t length = strlen(path), most = sizeof(last->path) - 1;

	if (length <= most)
		memcpy(last->path, path, length + 1);
	else
		snprintf(last->path, sizeof(last->path), "...%s", path + length - (most - 3));
}

static bool is_anything_known(const struct cgroup_last *last)
{
	for (int i = 0; i < CGROUP_PART_COUNT; i++)
		if (last->bytes[i] >= 0)
			return true;
	for (int i = 0; i < CGROUP_EVENT_COUNT; i++)
		if (last->events[i] >= 0)
			return true;
	return false;
}

static void read_group(const char *root, const char *path, struct cgroup_last *last)
{
	const char *inside = last->v1 ? path + strlen(CGROUP_MEMORY_V1) : path;
	struct cgroup_stat sums;

	cgroup_stat_read_at(root, path, &sums);
	memcpy(last->bytes, sums.bytes, sizeof(last->bytes));
	last->idle_bytes = cgroup_idle_cache_at(root, path, strlen(path));
	if (last->v1) {
		read_failures(open_in(root, V1_MOUNT, inside, "memory.failcnt"), last);
		read_events(open_in(root, V1_MOUNT, inside, "memory.oom_control"), last);
	} else {
		read_events(open_in(root, V2_MOUNT, inside, "memory.events"), last);
	}
}

void cgroup_last_read_at(const char *root, const char *path, size_t length,
			 struct cgroup_last *last)
{
	char *group = strndup(path, length);
	const char *inside;

	last->state = CGROUP_LAST_UNNAMED;
	last->path[0] = '\0';
	last->idle_bytes = -1;
	memset(last->bytes, 0xff, sizeof(last->bytes));
	memset(last->events, 0xff, sizeof(last->events));
	if (!group || !*group) {
		free(group);
		return;
	}
	last->v1 = !strncmp(group, CGROUP_MEMORY_V1, strlen(CGROUP_MEMORY_V1));
	inside = last->v1 ? group + strlen(CGROUP_MEMORY_V1) : group;
	if (!strcmp(inside, "/")) {
		last->state = CGROUP_LAST_ROOT;
	} else if (*inside != '/' || strstr(inside, "/..")) {
		last->state = CGROUP_LAST_GONE;
	} else {
		read_group(root, group, last);
		last->state = is_anything_known(last) ? CGROUP_LAST_READ : CGROUP_LAST_GONE;
	}
	if (last->state == CGROUP_LAST_READ)
		name_group(last, group);
	free(group);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Documentation/admin-guide/cgroup-v2.rst: memory.max, memory.high, memory.current, memory.events;
 * cgroup-v1/memory.rst: memory.limit_in_bytes, memory.usage_in_bytes, memory.failcnt,
 * memory.oom_control; memory.stat in both. */
#include "os/cgroup_memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_LIMIT (1ll << 62) /* v1 has no word for it, but numbers that are larger than this */

struct version {
	const char *mount, *limit, *high, *current;
	const char *kills, *reclaims, *reclaim_key; /* files; the key in the second one */
	const char *idle;			    /* a key of memory.stat */
};

static const struct version v2 = {
	"/sys/fs/cgroup", "memory.max",	   "memory.high", "memory.current",
	"memory.events",  "memory.events", "max",	  "inactive_file"};
static const struct version v1 = {
	"/sys/fs/cgroup/memory", "memory.limit_in_bytes", NULL, "memory.usage_in_bytes",
	"memory.oom_control",	 "memory.failcnt",	  NULL, "total_inactive_file"};

struct group {
	const struct version *version;
	const char *root, *path;
	size_t length; /* of the path */
};

/* Reads as much of a small file of the kernel's as there is room for, as text. False: none. */
static bool read_text(const char *file_name, char *text, size_t size)
{
	int fd = open(file_name, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got;

	if (fd < 0)
		return false;
	while (used < size - 1 && (got = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	close(fd);
	text[used] = '\0';
	return used > 0;
}

/* The number in a file, behind `key` if that is not NULL. -1: none ("max"), or it can't be read. An
 * agent asks this a few times a second: no stream is made for it. */
static int64_t number_in(const char *file_name, const char *key)
{
	char text[16384], *line = text, *end;
	size_t length = key ? strlen(key) : 0;
	long long number;

	if (!read_text(file_name, text, sizeof(text)))
		return -1;
	for (; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (key && (strncmp(line, key, length) || line[length] != ' '))
			continue;
		number = strtoll(line + length, &end, 10);
		if (end > line + length)
			return number < 0 ? -1 : number;
	}
	return -1;
}

static int64_t read_number(const struct group *group, const char *name, const char *key)
{
	char file_name[4096];

	if (!name || snprintf(file_name, sizeof(file_name), "%s%s%.*s/%s", group->root,
			      group->version->mount, (int)group->length, group->path,
			      name) >= (int)sizeof(file_name))
		return -1;
	return number_in(file_name, key);
}

static int64_t limit_in(const struct group *group, const char *name)
{
	int64_t limit = read_number(group, name, NULL);

	return limit < NO_LIMIT ? limit : -1;
}

/* True if there is such a limit, and it is below the lowest one, which it becomes. */
static bool is_lower(int64_t limit, int64_t *lowest)
{
	if (limit < 0 || (*lowest >= 0 && limit >= *lowest))
		return false;
	*lowest = limit;
	return true;
}

static void read_reclaims(const struct group *group, struct cgroup_reclaims *reclaims)
{
	reclaims->limit = read_number(group, group->version->reclaims, group->version->reclaim_key);
	if (group->version->high)
		reclaims->high = read_number(group, group->version->reclaims, "high");
}

void cgroup_memory_read_at(const char *root, const char *path, struct cgroup_memory *memory)
{
	bool is_v1 = !strncmp(path, CGROUP_MEMORY_V1, strlen(CGROUP_MEMORY_V1));
	size_t named = is_v1 ? strlen(CGROUP_MEMORY_V1) : 0;
	struct group group = {is_v1 ? &v1 : &v2, root, path + named, strlen(path + named)};
	int64_t lowest = -1;

	*memory = (struct cgroup_memory){-1, -1, -1, 0, {-1, -1, 0}};
	/* A path that leads out of our cgroup namespace can't be read. */
	if (strstr(path, "/.."))
		return;
	while (group.length > 1) {
		int64_t limit = limit_in(&group, group.version->limit);

		if (is_lower(limit, &memory->limit_bytes))
			memory->length = named + group.length;
		if (is_lower(limit, &lowest) ||
		    is_lower(limit_in(&group, group.version->high), &lowest))
			memory->reclaims.length = named + group.length;
		while (group.length > 1 && group.path[--group.length] != '/')
			;
	}
	if (memory->reclaims.length) {
		group.length = memory->reclaims.length - named;
		read_reclaims(&group, &memory->reclaims);
	}
	if (!memory->length)
		return;
	group.length = memory->length - named;
	memory->current_bytes = read_number(&group, group.version->current, NULL);
	memory->oom_kills = read_number(&group, group.version->kills, "oom_kill");
}

void cgroup_memory_read(const char *path, struct cgroup_memory *memory)
{
	cgroup_memory_read_at("", path, memory);
}

/* Documentation/accounting/psi.rst: "some avg10=1.23 avg60=… avg300=… total=…". -1: not known. */
static double read_pressure(const struct group *group)
{
	char file_name[4096], line[128];
	double pressure = -1;
	FILE *file = NULL;

	if (group->version == &v2 &&
	    snprintf(file_name, sizeof(file_name), "%s%s%.*s/memory.pressure", group->root,
		     group->version->mount, (int)group->length,
		     group->path) < (int)sizeof(file_name))
		file = fopen(file_name, "re");
	if (!file)
		return -1;
	if (!fgets(line, sizeof(line), file) || sscanf(line, "some avg10=%lf", &pressure) != 1 ||
	    !(pressure >= 0 && pressure <= 100))
		pressure = -1;
	fclose(file);
	return pressure;
}

void cgroup_usage_read_at(const char *root, const char *path, struct cgroup_usage *usage)
{
	bool is_v1 = !strncmp(path, CGROUP_MEMORY_V1, strlen(CGROUP_MEMORY_V1));
	struct group group = {is_v1 ? &v1 : &v2, root,
			      path + (is_v1 ? strlen(CGROUP_MEMORY_V1) : 0), 0};
	struct cgroup_memory memory;

	*usage = (struct cgroup_usage){-1, -1, -1, -1, -1};
	group.length = strlen(group.path);
	if (strstr(path, "/..") || group.length <= 1)
		return;
	usage->current_bytes = read_number(&group, group.version->current, NULL);
	usage->oom_kills = read_number(&group, group.version->kills, "oom_kill");
	usage->pressure = read_pressure(&group);
	cgroup_memory_read_at(root, path, &memory);
	usage->limit_bytes = memory.limit_bytes;
	usage->limited_bytes = memory.current_bytes;
}

void cgroup_usage_read(const char *path, struct cgroup_usage *usage)
{
	cgroup_usage_read_at("", path, usage);
}

int64_t cgroup_idle_cache_at(const char *root, const char *path, size_t length)
{
	bool is_v1 = !strncmp(path, CGROUP_MEMORY_V1, strlen(CGROUP_MEMORY_V1));
	size_t named = is_v1 ? strlen(CGROUP_MEMORY_V1) : 0;
	struct group group = {is_v1 ? &v1 : &v2, root, path + named, 0};

	if (length <= named || length > strlen(path) || strstr(path, "/.."))
		return -1;
	group.length = length - named;
	return read_number(&group, "memory.stat", group.version->idle);
}

int64_t cgroup_idle_cache(const char *path, size_t length)
{
	return cgroup_idle_cache_at("", path, length);
}

/* --- names of v1 --- */

bool cgroup_lists_memory(const char *controllers)
{
	const char *at = strstr(controllers, "memory");

	return at && (at == controllers || at[-1] == ',') && (at[6] == ',' || !at[6]);
}

static bool is_v2(const char *controllers)
{
	return !*controllers;
}

/* Lines are "number:controllers:path". The path of the first one whose controllers are wanted, with
 * `lead` in front of it. */
static bool read_name(const char *root, pid_t pid, bool (*wanted)(const char *controllers),
		      const char *lead, char *name, size_t size)
{
	char file_name[4096], line[4096];
	bool found = false;
	FILE *file;

	snprintf(file_name, sizeof(file_name), "%s/proc/%d/cgroup", root, pid);
	file = fopen(file_name, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		char *controllers = strchr(line, ':'), *path;

		path = controllers ? strchr(++controllers, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		found = wanted(controllers);
		if (found)
			snprintf(name, size, "%s%s", lead, path);
	}
	if (file)
		fclose(file);
	return found;
}

static bool has_v1(const char *root)
{
	char file_name[4096];

	snprintf(file_name, sizeof(file_name), "%s%s/memory.usage_in_bytes", root, v1.mount);
	return !access(file_name, F_OK);
}

void cgroup_memory_name_at(const char *root, pid_t pid, const char *path, char *name, size_t size)
{
	if (!has_v1(root))
		snprintf(name, size, "%s", path ?: "");
	else if (!read_name(root, pid, cgroup_lists_memory, CGROUP_MEMORY_V1, name, size))
		*name = '\0';
}

void cgroup_memory_now_at(const char *root, pid_t pid, char *name, size_t size)
{
	bool v1_there = has_v1(root);

	if (!read_name(root, pid, v1_there ? cgroup_lists_memory : is_v2,
		       v1_there ? CGROUP_MEMORY_V1 : "", name, size))
		*name = '\0';
}

void cgroup_memory_name(pid_t pid, const char *path, char *name, size_t size)
{
	cgroup_memory_name_at("", pid, path, name, size);
}

/* --- the host --- */

int64_t host_reclaims_at(const char *root)
{
	char line[128];
	int64_t sum = -1;
	long long number;
	FILE *file;

	snprintf(line, sizeof(line), "%s/proc/vmstat", root);
	file = fopen(line, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "allocstall%*s %lld", &number) == 1 ||
		    sscanf(line, "allocstall %lld", &number) == 1)
			sum = (sum < 0 ? 0 : sum) + number;
	if (file)
		fclose(file);
	return sum;
}

int64_t host_reclaims(void)
{
	return host_reclaims_at("");
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Documentation/admin-guide/cgroup-v2.rst: memory.current, memory.stat. Which keys there are
 * depends on the kernel: `pagetables` is there since 5.11, `vmalloc` and `kernel` since 5.17 and
 * 5.18, `sec_pagetables` since 6.1. What is there is looked for, and no version is asked.
 * cgroup-v1/memory.rst: memory.usage_in_bytes has what is in memory.kmem.usage_in_bytes, but not
 * what is in memory.kmem.tcp.usage_in_bytes. Its memory.stat has the groups below in keys of their
 * own, and nothing of the kernel's memory. */
#include "os/cgroup_stat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/cgroup_memory.h"

#define BATCH_PAGES 64		/* MEMCG_CHARGE_BATCH, include/linux/memcontrol.h */
#define LINES_MOST  1024	/* of memory.stat, which has about 80 */
#define BYTES_MOST  (1ll << 60) /* more than that is no size: sums of these don't overflow */

#define V1_MOUNT "/sys/fs/cgroup/memory"
#define V2_MOUNT "/sys/fs/cgroup"

struct folder {
	const char *root, *mount, *path;
};

static void empty(struct cgroup_stat *sums)
{
	*sums = (struct cgroup_stat){.processes = -1, .owner = (uid_t)-1};
	memset(sums->bytes, 0xff, sizeof(sums->bytes));
}

static FILE *open_in(const struct folder *folder, const char *name)
{
	char file_name[4096];

	if (snprintf(file_name, sizeof(file_name), "%s%s%s/%s", folder->root, folder->mount,
		     folder->path, name) >= (int)sizeof(file_name))
		return NULL;
	return fopen(file_name, "re");
}

/* The size that a text begins with; -1: it is none, or not a possible one. */
static int64_t size_of(const char *text)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || errno || (*end && *end != '\n') || number < 0 || number > BYTES_MOST)
		return -1;
	return number;
}

static int64_t number_in(const struct folder *folder, const char *name)
{
	FILE *file = open_in(folder, name);
	char line[128];
	int64_t number = -1;

	if (!file)
		return -1;
	if (fgets(line, sizeof(line), file))
		number = size_of(line);
	fclose(file);
	return number;
}

/* The first line of each key counts. Keys of v1 are given by `keys`, NULL: it has none. */
static void read_stat(const struct folder *folder, const char *const *keys,
		      struct cgroup_stat *sums)
{
	FILE *file = open_in(folder, "memory.stat");
	char line[128], *value;

	for (int lines = 0; file && lines < LINES_MOST && fgets(line, sizeof(line), file);
	     lines++) {
		value = strchr(line, ' ');
		if (!value)
			continue;
		*value++ = '\0';
		for (int i = 0; i < CGROUP_PART_COUNT; i++)
			if (keys[i] && !strcmp(keys[i], line) && sums->bytes[i] < 0)
				sums->bytes[i] = size_of(value);
	}
	if (file)
		fclose(file);
}

static void read_v1(const struct folder *folder, struct cgroup_stat *sums)
{
	static const char *const keys[CGROUP_PART_COUNT] = {
		[CGROUP_ANON] = "total_rss",
		[CGROUP_FILE] = "total_cache",
		[CGROUP_SHMEM] = "total_shmem",
	};

	read_stat(folder, keys, sums);
	sums->alone = number_in(folder, "memory.use_hierarchy") == 0;
	sums->bytes[CGROUP_KERNEL] = number_in(folder, "memory.kmem.usage_in_bytes");
	sums->bytes[CGROUP_SOCK] = number_in(folder, "memory.kmem.tcp.usage_in_bytes");
	sums->bytes[CGROUP_TOTAL] = number_in(folder, "memory.usage_in_bytes");
}

static void read_v2(const struct folder *folder, struct cgroup_stat *sums)
{
	static const char *const keys[CGROUP_PART_COUNT] = {
#define PART_KEY(id, key, text) key,
		CGROUP_PARTS(PART_KEY)
#undef PART_KEY
	};
	int64_t *b = sums->bytes;

	read_stat(folder, keys, sums);
	b[CGROUP_TOTAL] = number_in(folder, "memory.current");
	if (b[CGROUP_KERNEL] >= 0 || b[CGROUP_TOTAL] < 0 || b[CGROUP_ANON] < 0 ||
	    b[CGROUP_FILE] < 0)
		return;
	b[CGROUP_KERNEL] = b[CGROUP_TOTAL] - b[CGROUP_ANON] - b[CGROUP_FILE] -
			   (b[CGROUP_SOCK] > 0 ? b[CGROUP_SOCK] : 0);
	/* The sums are not of the same instant. */
	if (b[CGROUP_KERNEL] < 0)
		b[CGROUP_KERNEL] = 0;
	sums->derived = true;
}

static void read_folder(const struct folder *folder, struct cgroup_stat *sums)
{
	char name[4096];
	struct stat about;

	if (snprintf(name, sizeof(name), "%s%s%s", folder->root, folder->mount, folder->path) >=
		    (int)sizeof(name) ||
	    stat(name, &about))
		return;
	sums->inode = about.st_ino;
	sums->owner = about.st_uid;
	/* A folder of the kernel's has one link for each folder in it, and two more. */
	sums->has_children = about.st_nlink > 2;
}

static void read_members(const struct folder *folder, struct cgroup_stat *sums)
{
	char line[32];
	int64_t count = 0;
	FILE *file = open_in(folder, "cgroup.procs");

	if (!file)
		return;
	while (count < CGROUP_PROCESSES && fgets(line, sizeof(line), file))
		count++;
	sums->processes = ferror(file) ? -1 : count;
	fclose(file);
}

static struct folder folder_of(const char *root, const char *path)
{
	size_t named = strlen(CGROUP_MEMORY_V1);

	if (!strncmp(path, CGROUP_MEMORY_V1, named))
		return (struct folder){root, V1_MOUNT, path + named};
	return (struct folder){root, V2_MOUNT, path};
}

/* The root has no figures, and a path that leads out of our cgroup namespace can't be read. */
static bool is_readable(const struct folder *folder)
{
	return *folder->path == '/' && folder->path[1] && !strstr(folder->path, "/..");
}

void cgroup_stat_find_at(const char *root, const char *path, struct cgroup_stat *sums)
{
	struct folder folder = folder_of(root, path);

	empty(sums);
	sums->v1 = folder.path != path;
	sums->root = !strcmp(folder.path, "/");
	if (is_readable(&folder))
		read_folder(&folder, sums);
}

void cgroup_stat_read_at(const char *root, const char *path, struct cgroup_stat *sums)
{
	struct folder folder = folder_of(root, path);

	cgroup_stat_find_at(root, path, sums);
	if (!is_readable(&folder))
		return;
	if (sums->v1)
		read_v1(&folder, sums);
	else
		read_v2(&folder, sums);
}

void cgroup_stat_count_at(const char *root, const char *path, struct cgroup_stat *sums)
{
	struct folder folder = folder_of(root, path);

	cgroup_stat_read_at(root, path, sums);
	if (is_readable(&folder))
		read_members(&folder, sums);
}

/* True if the memory of the group that the first `length` bytes of the path name is accounted for
 * itself. */
static bool is_accounted(const char *root, const char *path, size_t length)
{
	size_t named = strlen(CGROUP_MEMORY_V1);
	bool v1 = !strncmp(path, CGROUP_MEMORY_V1, named);
	char file_name[4096];

	path += v1 ? named : 0;
	length -= v1 ? named : 0;
	return snprintf(file_name, sizeof(file_name), "%s%s%.*s/%s", root, v1 ? V1_MOUNT : V2_MOUNT,
			(int)length, path,
			v1 ? "memory.usage_in_bytes" : "memory.current") < (int)sizeof(file_name) &&
	       !access(file_name, F_OK);
}

/* A group has the controller only if the one above it has, so that is looked for in halves: anyone
 * may make groups a thousand levels deep, and each look at a file passes through all of them. */
void cgroup_stat_owner_at(const char *root, char *path)
{
	char *first = strchr(path, '/');
	size_t above, below = strlen(path), middle, length;

	if (!first || !first[1] || strstr(path, "/..") || is_accounted(root, path, below))
		return;
	/* `above` bytes name a group that is accounted, or none; `below` bytes one that is not. */
	above = (size_t)(first - path);
	while (true) {
		/* The end of the last name that ends in the lower half, else of the next one. */
		middle = above + (below - above) / 2;
		for (length = middle; length > above && path[length] != '/'; length--)
			;
		if (length == above)
			for (length = middle + 1; length < below && path[length] != '/'; length++)
				;
		if (length >= below)
			break;
		if (is_accounted(root, path, length))
			above = length;
		else
			below = length;
	}
	path[above == (size_t)(first - path) ? above + 1 : above] = '\0';
}

void cgroup_stat_probe_at(const char *root, struct cgroup_stat *sums)
{
	struct folder v1 = {root, V1_MOUNT, ""}, v2 = {root, V2_MOUNT, ""};

	empty(sums);
	read_v1(&v1, sums);
	sums->v1 = sums->bytes[CGROUP_TOTAL] >= 0;
	if (sums->v1)
		return;
	empty(sums);
	read_v2(&v2, sums);
	/* The root alone has no memory.current. */
	if (sums->bytes[CGROUP_ANON] >= 0 && sums->bytes[CGROUP_FILE] >= 0) {
		sums->bytes[CGROUP_TOTAL] = 0;
		sums->derived = sums->bytes[CGROUP_KERNEL] < 0;
	}
}

void cgroup_stat_probe(struct cgroup_stat *sums)
{
	cgroup_stat_probe_at("", sums);
}

int64_t cgroup_stat_batch(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF), page = sysconf(_SC_PAGESIZE);

	return cpus > 0 && page > 0 ? (int64_t)cpus * page * BATCH_PAGES : 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/deaths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "os/write_all.h"

#define STAMP	   16 /* characters of a time */
#define FILES_MOST 100000

struct entry {
	char name[DEATHS_NAME];
	uint64_t bytes;
};

struct entries {
	struct entry *at;
	size_t count, room;
};

const char *deaths_stamp(const char *name)
{
	const char *at = strchr(name, '-');

	return at ? at + 1 : name;
}

bool deaths_is_name(const char *name)
{
	const char *at = deaths_stamp(name), *end;
	struct tm tm = {.tm_isdst = 0};
	bool is_cause = false;
	size_t digits;

	for (int i = 0; i < DEATH_CAUSES; i++) {
		const char *cause = death_cause_name((enum death_cause)i);
		size_t length = strlen(cause);

		is_cause |= !strncmp(name, cause, length) && at == name + length + 1;
	}
	if (!is_cause)
		return false;
	end = strptime(at, "%Y%m%dT%H%M%SZ", &tm);
	if (!end || end - at != STAMP || *end != '-')
		return false;
	digits = strspn(end + 1, "0123456789");
	return digits && digits <= 10 && !strcmp(end + 1 + digits, ".json");
}

int deaths_name(enum death_cause cause, double time, int pid, char name[DEATHS_NAME])
{
	time_t seconds = (time_t)time;
	char stamp[STAMP + 8];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) ||
	    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm) != STAMP)
		return -ERANGE;
	return snprintf(name, DEATHS_NAME, "%s-%s-%d.json", death_cause_name(cause), stamp, pid) <
			       (int)DEATHS_NAME
		       ? 0
		       : -ERANGE;
}

int deaths_write(int folder, const char *name, const void *data, size_t size)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, data, size);
	if (close(fd) && !err)
		err = -errno;
	if (err)
		unlinkat(folder, name, 0);
	return err;
}

/* Whoever kills many processes does not make those go that the OOM killer left. */
static int by_worth(const void *a, const void *b)
{
	const char *one = ((const struct entry *)a)->name, *other = ((const struct entry *)b)->name;
	int of_oom = !strncmp(one, "oom-", 4) - !strncmp(other, "oom-", 4);

	return of_oom ?: strcmp(deaths_stamp(one), deaths_stamp(other));
}

/* All of them, in the order in which they are removed. The caller frees entries->at. 0 or -errno.
 */
static int list(int folder, struct entries *entries)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *file;
	struct stat st;

	err = dir ? 0 : -errno;
	*entries = (struct entries){};
	while (dir && !err && (file = readdir(dir))) {
		if (!deaths_is_name(file->d_name) || entries->count == FILES_MOST ||
		    fstatat(folder, file->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (!ARRAY_HAS_ROOM(entries->at, entries->count, entries->room)) {
			err = -ENOMEM;
			break;
		}
		entries->at[entries->count].bytes = (uint64_t)st.st_blocks * 512;
		/* Names that are right are no longer than this. */
		memcpy(entries->at[entries->count++].name, file->d_name, strlen(file->d_name) + 1);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	if (entries->count)
		qsort(entries->at, entries->count, sizeof(*entries->at), by_worth);
	return err;
}

int deaths_trim(int folder, size_t files, uint64_t most, uint64_t *bytes)
{
	struct entries entries;
	int err = list(folder, &entries), failed = 0;
	size_t left = entries.count;

	*bytes = 0;
	for (size_t i = 0; i < entries.count; i++)
		*bytes += entries.at[i].bytes;
	for (size_t i = 0; i < entries.count && (left > files || *bytes > most); i++) {
		if (unlinkat(folder, entries.at[i].name, 0) && errno != ENOENT) {
			failed = -errno;
			continue;
		}
		left--;
		*bytes -= entries.at[i].bytes;
	}
	free(entries.at);
	return err ?: failed;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: an agent records for months, is killed, and starts again; the disk may be full, its
 * clock wrong, and what it finds damaged. None of that may lose a recording that can still be read,
 * and all recordings together must stay below a size.
 *
 * A recording is NAME.pymem, and while it is written, or after its agent was killed, NAME.pymem-wal
 * and NAME.pymem-shm. One that can't be read is NAME.pymem.corrupt from then on: it counts, and is
 * removed in its turn. alarm-TIME-PID.json is the report of an alarm, and
 * alarm-TIME-PID.heap.txt and .heap.json are a look at a heap that belongs to it. Last words lie
 * beside them (deaths.c). Files with other names belong to somebody else: they are never touched.
 */
#include "agent/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "record/recording.h"

#define STAMP	   16 /* characters of a time */
#define FILES_MOST 100000
#define CORRUPT	   ".corrupt"
#define ALARM	   "alarm-"
#define REPORT	   ".json"
#define ALARM_NAME sizeof(ALARM "20261130T073310Z-2147483647" STORE_HEAP_JSON)

static const char *const ends[] = {"", "-wal", "-shm"};

#define ENDS (sizeof(ends) / sizeof(ends[0]))

struct entry { /* a recording, or one that was set aside; or an alarm's report */
	char name[ALARM_NAME];
	int64_t time;
	bool corrupt, alarm;
	bool heap; /* with `alarm`: a look that belongs to one */
};
_Static_assert(ALARM_NAME >= STORE_NAME + sizeof(CORRUPT) - 1, "any name fits");

struct entries {
	struct entry *at;
	size_t count, room;
};

/* --- names --- */

/* True if `text` is what stands behind the time in the name of an alarm's report, or of a look that
 * belongs to it (`*heap`). */
static bool ends_as_alarm(const char *text, bool *heap)
{
	size_t digits = *text == '-' ? strspn(text + 1, "0123456789") : 0;
	const char *end = text + 1 + digits;

	if (!digits || digits > 10)
		return false;
	*heap = !strcmp(end, STORE_HEAP_TEXT) || !strcmp(end, STORE_HEAP_JSON);
	return *heap || !strcmp(end, REPORT);
}

/* Fills the entry. False: the file is none of ours. */
static bool read_name(const char *name, struct entry *entry)
{
	struct tm tm = {.tm_isdst = 0};
	bool alarm = !strncmp(name, ALARM, strlen(ALARM));
	const char *stamp = name + (alarm ? strlen(ALARM) : 0);
	const char *end = strptime(stamp, "%Y%m%dT%H%M%SZ", &tm);

	*entry = (struct entry){.alarm = alarm};
	if (!end || end - stamp != STAMP || strlen(name) >= sizeof(entry->name))
		return false;
	if (alarm && !ends_as_alarm(end, &entry->heap))
		return false;
	if (!alarm && strncmp(end, ".pymem", 6) != 0)
		return false;
	entry->corrupt = !alarm && !strcmp(end + 6, CORRUPT);
	if (!alarm && end[6] && !entry->corrupt)
		return false;
	entry->time = (int64_t)timegm(&tm);
	memcpy(entry->name, name, strlen(name));
	return entry->time;
}

static int by_time(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* All files of ours, the oldest first. The caller frees entries->at. 0 or -errno. */
static int list(const struct store *store, struct entries *entries)
{
	int fd = openat(store->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *file;
	int err = folder ? 0 : -errno;

	*entries = (struct entries){};
	while (folder && !err && (file = readdir(folder))) {
		struct entry entry;

		if (entries->count == FILES_MOST || !read_name(file->d_name, &entry))
			continue;
		if (!ARRAY_HAS_ROOM(entries->at, entries->count, entries->room)) {
			err = -ENOMEM;
			break;
		}
		entries->at[entries->count++] = entry;
	}
	if (folder)
		closedir(folder);
	else if (fd >= 0)
		close(fd);
	if (entries->count)
		qsort(entries->at, entries->count, sizeof(*entries->at), by_time);
	return err;
}

/* 0 or -ERANGE. */
static int stamp_of(int64_t at, char stamp[STAMP + 8])
{
	time_t seconds = (time_t)at;
	struct tm tm;

	return gmtime_r(&seconds, &tm) && strftime(stamp, STAMP + 8, "%Y%m%dT%H%M%SZ", &tm)
		       ? 0
		       : -ERANGE;
}

int store_new_path(struct store *store, double now, char *path, size_t size)
{
	int64_t at = (int64_t)now;
	char stamp[STAMP + 8];

	/* The clock may have been set back, or two begin within a second. */
	if (at <= store->last)
		at = store->last + 1;
	if (stamp_of(at, stamp))
		return -ERANGE;
	if (snprintf(path, size, "%s/%s.pymem", store->path, stamp) >= (int)size)
		return -ENAMETOOLONG;
	store->last = at;
	return 0;
}

/* A new file in the folder, for its owner alone. A descriptor or -errno. */
static int new_file(const struct store *store, const char *name, char *path, size_t size)
{
	int fd;

	if (snprintf(path, size, "%s/%s", store->path, name) >= (int)size)
		return -ENAMETOOLONG;
	fd = openat(store->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	return fd < 0 ? -errno : fd;
}

int store_new_alarm(const struct store *store, double now, int pid, char *path, size_t size)
{
	char stamp[STAMP + 8], name[ALARM_NAME + 8];

	if (stamp_of((int64_t)now, stamp))
		return -ERANGE;
	snprintf(name, sizeof(name), ALARM "%s-%d" REPORT, stamp, pid);
	return new_file(store, name, path, size);
}

int store_new_heap(const struct store *store, const char *report, const char *end, char *path,
		   size_t size)
{
	const char *base = strrchr(report, '/') + 1;
	char name[ALARM_NAME + 8];

	/* A look may come long after its report, which may have been removed. */
	if (faccessat(store->folder, base, F_OK, AT_SYMLINK_NOFOLLOW))
		return -errno;
	snprintf(name, sizeof(name), "%.*s%s", (int)(strlen(base) - strlen(REPORT)), base, end);
	return new_file(store, name, path, size);
}

int store_drop_alarm(const struct store *store, const char *path)
{
	return unlinkat(store->folder, strrchr(path, '/') + 1, 0) ? -errno : 0;
}

/* --- the folder --- */

static int refuse(int err, char *why, size_t size, const char *what)
{
	snprintf(why, size, "%s", what);
	return err;
}

static int check_folder(struct store *store, char *why, size_t size)
{
	struct stat st;

	if (fstat(store->folder, &st))
		return refuse(-errno, why, size, strerror(errno));
	if (st.st_uid != geteuid())
		return refuse(-EPERM, why, size, "the folder belongs to another user");
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return refuse(-EPERM, why, size,
			      "others may write to the folder: chmod go-w, or choose another one");
	if (flock(store->folder, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK
			       ? refuse(-EBUSY, why, size, "another agent records to this folder")
			       : refuse(-errno, why, size, strerror(errno));
	store->locked = true;
	return 0;
}

int store_open(struct store *store, const char *path, char *why, size_t size)
{
	*store = (struct store){.folder = -1};
	if (strlen(path) + STORE_NAME + 8 > sizeof(store->path))
		return refuse(-ENAMETOOLONG, why, size, strerror(ENAMETOOLONG));
	snprintf(store->path, sizeof(store->path), "%s", path);
	if (mkdir(path, 0700) && errno != EEXIST)
		return refuse(-errno, why, size, strerror(errno));
	store->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->folder < 0)
		return refuse(-errno, why, size, strerror(errno));
	return check_folder(store, why, size);
}

void store_close(struct store *store)
{
	if (store->folder >= 0)
		close(store->folder);
	store->folder = -1;
}

/* --- what was left --- */

/* Gives the recording and its log other names. 0 or -errno. */
static int set_aside(struct store *store, const struct entry *entry)
{
	char from[sizeof(entry->name) + 8], to[sizeof(entry->name) + sizeof(CORRUPT) + 8];
	int err = 0;

	for (size_t i = 0; i < ENDS; i++) {
		snprintf(from, sizeof(from), "%s%s", entry->name, ends[i]);
		snprintf(to, sizeof(to), "%s" CORRUPT "%s", entry->name, ends[i]);
		if (renameat(store->folder, from, store->folder, to) && errno != ENOENT)
			err = -errno;
	}
	return err;
}

static void examine(struct store *store, const struct entry *entry, store_corrupt_fn *fn, void *arg)
{
	char path[sizeof(store->path) + sizeof(entry->name) + 1], why[320], said[512];
	struct recording *recording;
	int err;

	errno = 0;
	snprintf(path, sizeof(path), "%s/%s", store->path, entry->name);
	recording = recording_open(path, why, sizeof(why));
	/* Neither a lack of memory or rights nor another version's format is damage. */
	if (recording || errno != EINVAL) {
		recording_close(recording);
		return;
	}
	err = set_aside(store, entry);
	if (err)
		snprintf(said, sizeof(said), "%s; it can't be set aside: %s", why, strerror(-err));
	else
		snprintf(said, sizeof(said), "%s; it is set aside as %s.corrupt", why, entry->name);
	fn(arg, entry->name, said);
}

int store_examine(struct store *store, store_corrupt_fn *fn, void *arg)
{
	struct entries entries;
	int err = list(store, &entries);

	for (size_t i = 0; i < entries.count && !err; i++) {
		const struct entry *entry = &entries.at[i];

		if (entry->alarm)
			continue;
		if (entry->time > store->last)
			store->last = entry->time;
		if (!entry->corrupt)
			examine(store, entry, fn, arg);
	}
	free(entries.at);
	return err;
}

/* --- its size --- */

/* What the recording and its log need on the disk. */
static uint64_t bytes_of(const struct store *store, const struct entry *entry)
{
	char name[sizeof(entry->name) + 8];
	uint64_t bytes = 0;
	struct stat st;

	for (size_t i = 0; i < (entry->alarm ? 1 : ENDS); i++) {
		snprintf(name, sizeof(name), "%s%s", entry->name, ends[i]);
		if (!fstatat(store->folder, name, &st, AT_SYMLINK_NOFOLLOW))
			bytes += (uint64_t)st.st_blocks * 512;
	}
	return bytes;
}

/* 0 or -errno. The log goes first: without it the recording is only older. */
static int remove_entry(const struct store *store, const struct entry *entry)
{
	char name[sizeof(entry->name) + 8];
	int err = 0;

	for (size_t i = entry->alarm ? 1 : ENDS; i-- > 0;) {
		snprintf(name, sizeof(name), "%s%s", entry->name, ends[i]);
		if (unlinkat(store->folder, name, 0) && errno != ENOENT)
			err = -errno;
	}
	return err;
}

static bool is_at(const struct entry *entry, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash && !strcmp(slash + 1, entry->name);
}

/* Removes it, and takes it off `sizes`, of which it needs `bytes`. 0 or -errno. */
static int trim_entry(const struct store *store, struct entry *entry, struct store_sizes *sizes)
{
	uint64_t bytes = bytes_of(store, entry);
	int err = remove_entry(store, entry);

	if (err)
		return err;
	sizes->bytes -= bytes;
	sizes->files -= !entry->corrupt && !entry->alarm;
	sizes->alarms -= entry->alarm && !entry->heap;
	*entry->name = '\0';
	return 0;
}

/* Whether one is a look that belongs to the other, or to the same report. */
static bool belong_together(const struct entry *one, const struct entry *other)
{
	size_t length = strcspn(one->name, ".");

	return one->alarm && other->alarm && length == strcspn(other->name, ".") &&
	       !memcmp(one->name, other->name, length);
}

/* Removes the entry, and of an alarm all that belongs together, which comes one after the other. 0
 * or -errno. */
static int trim_from(const struct store *store, struct entries *entries, size_t first,
		     struct store_sizes *sizes)
{
	const struct entry of = entries->at[first];
	int err = 0, failed;

	for (size_t i = first; i < entries->count; i++) {
		if (i > first && !belong_together(&of, &entries->at[i]))
			break;
		failed = trim_entry(store, &entries->at[i], sizes);
		err = err ?: failed;
	}
	return err;
}

/* Only alarms. 0 or -errno. */
static int trim_alarms(const struct store *store, struct entries *entries, uint64_t bytes,
		       uint64_t most, struct store_sizes *sizes)
{
	int err = 0, failed;

	for (size_t i = 0; i < entries->count; i++) {
		uint64_t before = sizes->bytes;

		if (sizes->alarms <= STORE_ALARMS_MOST && bytes <= most)
			break;
		if (!entries->at[i].alarm || !*entries->at[i].name)
			continue;
		failed = trim_from(store, entries, i, sizes);
		err = err ?: failed;
		bytes -= before - sizes->bytes;
	}
	return err;
}

int store_trim(struct store *store, const char *keep, uint64_t most, struct store_sizes *sizes)
{
	uint64_t alarm_bytes = 0;
	struct entries entries;
	int err = list(store, &entries), failed;
	bool listed = !err;
	size_t i;

	*sizes = (struct store_sizes){};
	for (i = 0; i < entries.count; i++) {
		const struct entry *entry = &entries.at[i];
		uint64_t bytes = bytes_of(store, entry);

		sizes->bytes += bytes;
		sizes->files += !entry->corrupt && !entry->alarm;
		sizes->alarms += entry->alarm && !entry->heap;
		alarm_bytes += entry->alarm ? bytes : 0;
	}
	if (listed)
		err = trim_alarms(store, &entries, alarm_bytes, most / STORE_ALARMS_PART, sizes);
	for (i = 0; i < entries.count && listed && sizes->bytes > most; i++) {
		struct entry *entry = &entries.at[i];

		if (!*entry->name || is_at(entry, keep))
			continue;
		failed = trim_from(store, &entries, i, sizes);
		err = err ?: failed;
	}
	free(entries.at);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "record/record_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/output.h"

static const char *const ends[] = {"-wal", "-shm"};

static struct record_files *now; /* SQLite's calls are about these */

/* The index in `ends` of what SQLite's path names; -1: the database; -2: a file of another
 * database. */
static int which(const char *path)
{
	size_t length = strlen(RECORD_FILES_PATH);

	if (strncmp(path, RECORD_FILES_PATH, length) != 0)
		return -2;
	if (!path[length])
		return -1;
	for (int i = 0; i < 2; i++)
		if (!strcmp(path + length, ends[i]))
			return i;
	return -2;
}

static int name_of(const struct record_files *files, int index, char *name, size_t size)
{
	return snprintf(name, size, "%s%s", files->base, index < 0 ? "" : ends[index]) < (int)size
		       ? 0
		       : -ENAMETOOLONG;
}

/* Makes the log or its index. Returns a descriptor for SQLite, and keeps another one. */
static int make(struct record_files *files, int index, mode_t mode)
{
	char name[NAME_MAX + 1];
	int fd;

	if (name_of(files, index, name, sizeof(name))) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = openat(files->folder, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, mode);
	files->in_the_way |= fd < 0 && errno == EEXIST;
	if (fd < 0)
		return -1;
	if (files->made[index] >= 0)
		close(files->made[index]);
	files->made[index] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return fd;
}

/* --- in place of SQLite's system calls --- */

static int open_here(const char *path, int flags, int mode)
{
	int index = which(path);

	if (index == -2)
		return open(path, flags, mode); /* another database of this process */
	if (index == -1)
		return fcntl(now->main, F_DUPFD_CLOEXEC, 3);
	if (flags & O_CREAT)
		return make(now, index, (mode_t)mode);
	errno = ENOENT;
	return -1;
}

static int stat_here(const char *path, struct stat *st)
{
	int index = which(path), fd;

	if (index == -2)
		return stat(path, st);
	fd = index == -1 ? now->main : now->made[index];
	/* One that was removed is still open here. */
	if (fd >= 0 && !fstat(fd, st) && (index < 0 || st->st_nlink))
		return 0;
	errno = ENOENT;
	return -1;
}

static int access_here(const char *path, int mode)
{
	struct stat st;

	return which(path) == -2 ? access(path, mode) : stat_here(path, &st);
}

/* True if the name is still that of the descriptor's file. */
static bool is_still(int folder, const char *name, int fd)
{
	struct stat there, made;

	return !fstatat(folder, name, &there, AT_SYMLINK_NOFOLLOW) && !fstat(fd, &made) &&
	       there.st_dev == made.st_dev && there.st_ino == made.st_ino;
}

static int remove_file(struct record_files *files, int index)
{
	int fd = index < 0 ? files->main : files->made[index];
	char name[NAME_MAX + 1];

	if (fd < 0 || name_of(files, index, name, sizeof(name)) ||
	    !is_still(files->folder, name, fd)) {
		errno = ENOENT;
		return -1;
	}
	return unlinkat(files->folder, name, 0);
}

static int unlink_here(const char *path)
{
	int index = which(path);

	if (index == -2)
		return unlink(path);
	if (index >= 0)
		return remove_file(now, index);
	errno = ENOENT;
	return -1;
}

static const struct {
	const char *name;
	sqlite3_syscall_ptr function;
} calls[] = {
	{"open", (sqlite3_syscall_ptr)open_here},
	{"stat", (sqlite3_syscall_ptr)stat_here},
	{"access", (sqlite3_syscall_ptr)access_here},
	{"unlink", (sqlite3_syscall_ptr)unlink_here},
};

/* Without `here`, the calls are SQLite's own again. 0 or -ENOSYS: this SQLite has no such calls. */
static int lead_calls(bool here)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!vfs || vfs->iVersion < 3 ||
		    vfs->xSetSystemCall(vfs, calls[i].name, here ? calls[i].function : NULL) !=
			    SQLITE_OK)
			return -ENOSYS;
	return 0;
}

/* --- for the recorder --- */

int record_files_make(struct record_files *files, const char *path, mode_t mode)
{
	const char *base;
	int err;

	*files = (struct record_files){.folder = -1, .main = -1, .made = {-1, -1}};
	if (!*path || path[strlen(path) - 1] == '/')
		return *path ? -EISDIR : -ENOENT;
	files->folder = output_open_folder(path, &base);
	if (files->folder < 0)
		return files->folder;
	if (strlen(base) + sizeof("-wal") > NAME_MAX)
		return -ENAMETOOLONG;
	files->base = strdup(base);
	if (!files->base)
		return -ENOMEM;
	files->main = openat(files->folder, base,
			     O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, mode);
	if (files->main < 0)
		return -errno;
	/* Whatever the umask. */
	err = fchmod(files->main, mode) ? -errno : lead_calls(true);
	if (!err)
		now = files;
	return err;
}

int record_files_remove(struct record_files *files)
{
	int err = 0;

	for (int i = 1; i >= -1; i--)
		if (remove_file(files, i) && errno != ENOENT)
			err = -errno;
	return err;
}

void record_files_close(struct record_files *files)
{
	if (now == files) {
		now = NULL;
		lead_calls(false);
	}
	for (int i = 0; i < 2; i++)
		if (files->made[i] >= 0)
			close(files->made[i]);
	if (files->main >= 0)
		close(files->main);
	if (files->folder >= 0)
		close(files->folder);
	free(files->base);
	*files = (struct record_files){.folder = -1, .main = -1, .made = {-1, -1}};
}

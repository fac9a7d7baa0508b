/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent writes with the rights of its user, without capabilities, and may open only files that
 * it makes (os/confine_filter.c). Whoever else may write to the folder can do no more than they
 * could without this: names are looked up in the folder that was opened at the start, and no link
 * is followed. */
#include "agent/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/write_all.h"

#define ENDING ".prom"
#define FRESH  ".tmp" /* is no name that the collector reads */

static bool has_ending(const char *name)
{
	size_t length = strlen(name);

	return length > strlen(ENDING) && !strcmp(name + length - strlen(ENDING), ENDING);
}

static int open_folder(struct textfile *file, const char *path, const char *slash)
{
	char *folder = slash == path ? strdup("/")
		       : slash	     ? strndup(path, (size_t)(slash - path))
				     : strdup(".");
	int err = 0;

	if (!folder)
		return -ENOMEM;
	file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->folder < 0)
		err = -errno;
	free(folder);
	return err;
}

int textfile_open(struct textfile *file, const char *path, char *why, size_t size)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int err;

	*file = (struct textfile){.folder = -1, .path = path};
	if (!has_ending(name) || strlen(name) + strlen(FRESH) > NAME_MAX) {
		snprintf(why, size,
			 "--textfile %s: node_exporter reads files whose names end with %s", path,
			 ENDING);
		return -EINVAL;
	}
	file->name = strdup(name);
	if (!file->name || asprintf(&file->fresh, "%s" FRESH, name) < 0) {
		file->fresh = NULL;
		snprintf(why, size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	err = open_folder(file, path, slash);
	if (err)
		snprintf(why, size, "--textfile %s: its folder can't be opened: %s", path,
			 strerror(-err));
	return err;
}

/* Of an agent that was killed, there may be a part of one. */
static int make(const struct textfile *file)
{
	int fd;

	if (unlinkat(file->folder, file->fresh, 0) && errno != ENOENT)
		return -errno;
	fd = openat(file->folder, file->fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0644);
	return fd < 0 ? -errno : fd;
}

int textfile_write(struct textfile *file, const char *text, size_t size)
{
	int fd = make(file), err;
	struct stat st;

	if (fd < 0)
		return fd;
	err = write_all(fd, text, size);
	/* Whatever the umask is: the collector is no root. */
	if (!err && (fchmod(fd, 0644) || fstat(fd, &st)))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(file->folder, file->fresh, file->folder, file->name))
		err = -errno;
	if (err) {
		unlinkat(file->folder, file->fresh, 0);
		return err;
	}
	file->device = st.st_dev;
	file->inode = st.st_ino;
	return 0;
}

static bool is_ours(const struct textfile *file)
{
	struct stat st;

	return file->inode && !fstatat(file->folder, file->name, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_dev == file->device && st.st_ino == file->inode;
}

void textfile_close(struct textfile *file)
{
	if (file->folder >= 0) {
		if (is_ours(file))
			unlinkat(file->folder, file->name, 0);
		close(file->folder);
	}
	free(file->name);
	free(file->fresh);
	*file = (struct textfile){.folder = -1};
}

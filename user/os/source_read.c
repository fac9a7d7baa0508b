/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: show the source text of a target, as root. The target chooses the names of the files and
 * what is behind them.
 *
 * Each name is resolved with the target's own rights (rights.h), so what it can't read is not
 * shown. It is resolved by openat2() inside the target's own root, so neither "..", symlinks nor
 * /proc's magic links lead out of it. The result is first an O_PATH descriptor. It is opened for
 * reading only if it is a regular file, and not one of a kernel file system: reading trace_pipe or
 * kmsg takes data away from other readers.
 *
 * Left out: sources in zip files. A file system that never answers holds this up, so only the
 * examiner does it (examiner.h). */
#include "os/source_read.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os/source_encoding.h"

static int open_inside(int dir, const char *name, uint64_t resolve)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = resolve | RESOLVE_NO_MAGICLINKS};
	long fd;

	/* EAGAIN: a ".." coincided with a rename somewhere. Do not try for ever. */
	for (int tries = 0; tries < 8; tries++) {
		fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

static ssize_t read_link_of(int fd, char *buf, size_t size)
{
	char path[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, buf, size - 1);
	if (len < 0 || (size_t)len == size - 1)
		return -ENAMETOOLONG;
	buf[len] = '\0';
	return len;
}

/* Writes the name of the working folder inside the root into `buf`, after checking that it is that
 * folder. 0 or -errno. */
static int cwd_inside(int root_fd, int cwd_fd, char *buf, size_t size)
{
	char top[PATH_MAX], cwd[PATH_MAX];
	struct stat want, have;
	size_t skip;
	int fd, err;

	if (read_link_of(root_fd, top, sizeof(top)) < 0 ||
	    read_link_of(cwd_fd, cwd, sizeof(cwd)) < 0)
		return -ENOENT;
	skip = strcmp(top, "/") == 0 ? 0 : strlen(top);
	if (strncmp(cwd, top, skip) != 0 || (cwd[skip] != '/' && cwd[skip] != '\0'))
		return -EXDEV;
	snprintf(buf, size, "%s/", cwd + skip);
	fd = open_inside(root_fd, buf, RESOLVE_IN_ROOT);
	if (fd < 0)
		return fd;
	err = fstat(fd, &have) != 0 || fstat(cwd_fd, &want) != 0 ? -errno : 0;
	close(fd);
	if (!err && (have.st_dev != want.st_dev || have.st_ino != want.st_ino))
		err = -EXDEV;
	return err;
}

/* An O_PATH descriptor of what `name` means to the target, or -errno. */
static int find_file(int root_fd, int cwd_fd, const char *name)
{
	char path[2 * PATH_MAX], cwd[PATH_MAX + 1];

	if (name[0] == '/')
		return open_inside(root_fd, name, RESOLVE_IN_ROOT);
	if (cwd_fd < 0)
		return -EACCES;
	if (cwd_inside(root_fd, cwd_fd, cwd, sizeof(cwd)) != 0)
		return open_inside(cwd_fd, name, RESOLVE_BENEATH);
	if ((size_t)snprintf(path, sizeof(path), "%s%s", cwd, name) >= sizeof(path))
		return -ENAMETOOLONG;
	return open_inside(root_fd, path, RESOLVE_IN_ROOT);
}

static int is_kernel_fs(int fd)
{
	static const uint32_t magics[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,	      DEBUGFS_MAGIC,	   TRACEFS_MAGIC,
		BPF_FS_MAGIC,	  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, SECURITYFS_MAGIC,
		EFIVARFS_MAGIC,	  PSTOREFS_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return 1;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if ((uint32_t)fs.f_type == magics[i])
			return 1;
	}
	return 0;
}

/* Opens what the O_PATH descriptor refers to for reading, if that can have no effect. A descriptor
 * or -errno. */
static int open_for_reading(int found, struct stat *st)
{
	char path[64];
	int fd;

	if (fstat(found, st) != 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || is_kernel_fs(found))
		return -EACCES;
	if (st->st_size > SOURCE_FILE_MAX)
		return -EFBIG;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", found);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Reads up to `size` bytes, which was the file's size before; it may have shrunk. */
static ssize_t read_text(int fd, char *text, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, text + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static double seconds(struct timespec t)
{
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Fills `text` from an open descriptor. 0 or -errno. */
static int take_text(int fd, const struct stat *st, struct source_text *text)
{
	ssize_t len;
	int err;

	text->data = malloc((size_t)st->st_size + 1);
	if (!text->data)
		return -ENOMEM;
	len = read_text(fd, text->data, (size_t)st->st_size);
	if (len < 0)
		return (int)len;
	text->size = (size_t)len;
	err = source_to_utf8(&text->data, &text->size);
	if (err)
		return err;
	/* mtime can be set to an earlier time, as some deployments do. Only the kernel sets
	 * ctime. */
	text->changed = seconds(st->st_mtim) > seconds(st->st_ctim) ? seconds(st->st_mtim)
								    : seconds(st->st_ctim);
	return 0;
}

/* O_PATH needs no permission to read. So the file is opened again, with the rights taken on. */
static enum source_state read_inside(int root_fd, int cwd_fd, const char *name,
				     struct source_text *text)
{
	int found = find_file(root_fd, cwd_fd, name), fd, err;
	struct stat st;

	if (found == -ENOENT || found == -ENOTDIR || found == -ENAMETOOLONG)
		return SOURCE_MISSING;
	if (found < 0)
		return SOURCE_UNREADABLE;
	fd = open_for_reading(found, &st);
	close(found);
	if (fd < 0)
		return SOURCE_UNREADABLE;
	err = take_text(fd, &st, text);
	close(fd);
	return err ? SOURCE_UNREADABLE : SOURCE_OK;
}

void source_read_file(int root_fd, int cwd_fd, const struct rights *rights, const char *name,
		      struct source_text *text)
{
	memset(text, 0, sizeof(*text));
	text->state = SOURCE_UNREADABLE;
	if (root_fd < 0 || rights_take(rights))
		return;
	text->state = read_inside(root_fd, cwd_fd, name, text);
	rights_give_back();
	if (text->state == SOURCE_OK)
		return;
	free(text->data);
	text->data = NULL;
	text->size = 0;
}

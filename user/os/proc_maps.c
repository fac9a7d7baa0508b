/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the mappings of a process that may end or be replaced meanwhile, and the files behind
 * them, whose paths it has chosen.
 *
 * Invariants: a mapping's file is opened with O_PATH first, and opened for reading only if it is a
 * regular file, since opening a device can have effects. A file that is found by its path counts
 * only if it is the one that is mapped. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/budget.h"
#include "os/proc.h"
#include "os/proc_private.h"

static int parse_mapping(char *line, struct proc_mapping *mapping)
{
	int path_at = -1;
	char *newline;

	memset(mapping, 0, sizeof(*mapping));
	if (sscanf(line,
		   "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %" SCNx32 ":%" SCNx32 " %" SCNu64 "%n",
		   &mapping->start, &mapping->end, mapping->perms, &mapping->offset,
		   &mapping->dev_major, &mapping->dev_minor, &mapping->inode, &path_at) != 7 ||
	    path_at < 0 || strlen(mapping->perms) != 4 || mapping->start >= mapping->end)
		return -EBADMSG;
	newline = strchr(line + path_at, '\n');
	if (newline)
		*newline = '\0';
	mapping->path = line + path_at + strspn(line + path_at, " ");
	return 0;
}

int proc_maps_parse(FILE *maps, int (*fn)(const struct proc_mapping *mapping, void *arg), void *arg)
{
	/* A newline in a path is written as \012. A longer path is cut: it is only shown to people,
	 * the inode identifies the file. */
	char line[4 * PATH_MAX + 256];
	struct proc_mapping mapping;
	int err = 0;

	while (!err && fgets(line, sizeof(line), maps)) {
		int c = 0;

		if (!strchr(line, '\n')) {
			while (c != '\n' && c != EOF)
				c = getc(maps);
		}
		err = budget_spend(0);
		if (!err)
			err = parse_mapping(line, &mapping);
		if (!err)
			err = fn(&mapping, arg);
	}
	if (!err && ferror(maps))
		return proc_gone_or(errno);
	return err;
}

int proc_maps_each(pid_t pid, int (*fn)(const struct proc_mapping *mapping, void *arg), void *arg)
{
	char path[PROC_PATH_MAX];
	FILE *maps;
	int err;

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		return proc_gone_or(errno);
	err = proc_maps_parse(maps, fn, arg);
	fclose(maps);
	return err;
}

static bool is_mapped_file(const struct stat *st, const struct proc_mapping *mapping)
{
	return st->st_ino == mapping->inode && major(st->st_dev) == mapping->dev_major &&
	       minor(st->st_dev) == mapping->dev_minor;
}

/* Without the right to use map_files: finds the same file by name. An O_PATH descriptor or
 * -errno. */
static int find_mapping_unprivileged(pid_t pid, const struct proc_mapping *mapping, struct stat *st)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	char path[PROC_PATH_MAX];
	int fd, root, err;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, st) == 0 && is_mapped_file(st, mapping))
		return fd;
	if (fd >= 0)
		close(fd);
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return proc_gone_or(errno);
	fd = (int)syscall(SYS_openat2, root, mapping->path, &how, sizeof(how));
	err = fd < 0 ? -errno : 0;
	close(root);
	if (fd >= 0 && (fstat(fd, st) != 0 || !is_mapped_file(st, mapping))) {
		close(fd);
		err = -ENOENT;
	}
	/* The name leads elsewhere by now. What we lack is the privilege to use map_files. */
	return err ? -EPERM : fd;
}

/* An O_PATH descriptor of the mapped file, which is a regular one, or -errno. `st` describes it. */
static int find_mapping(pid_t pid, const struct proc_mapping *mapping, struct stat *st)
{
	char path[PROC_PATH_MAX];
	int fd;

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid,
		 mapping->start, mapping->end);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 && (errno == EPERM || errno == EACCES)) {
		fd = find_mapping_unprivileged(pid, mapping, st);
	} else if (fd < 0) {
		fd = -errno;
	} else if (fstat(fd, st) != 0) {
		close(fd);
		fd = -EIO;
	}
	if (fd >= 0 && !S_ISREG(st->st_mode)) {
		close(fd);
		fd = -ENODEV;
	}
	return fd;
}

int proc_open_mapping(pid_t pid, const struct proc_mapping *mapping)
{
	char path[PROC_PATH_MAX];
	struct stat st;
	int fd, link = find_mapping(pid, mapping, &st);

	if (link < 0)
		return link;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", link);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		fd = -errno;
	close(link);
	return fd;
}

int proc_stat_mapping(pid_t pid, const struct proc_mapping *mapping, struct stat *st)
{
	int link = find_mapping(pid, mapping, st);

	if (link < 0)
		return link;
	close(link);
	return 0;
}

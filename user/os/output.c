/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A report is written to a file without a name (O_TMPFILE), which gets its name when it is
 * complete. So neither a full disk nor a kill leaves half a report. A name can't be given over an
 * existing file: then the file first gets a name beside it and is renamed. Only a kill between the
 * two leaves that name. On a file system without unnamed files, a temporary file has a name from
 * the start.
 *
 * We are root, and the folder may belong to another user. That user can create anything in it at
 * any moment, including links to devices and to our files. So nothing in it that we did not create
 * is opened for writing. Giving a name, and renaming, do not follow links. The folder is opened
 * once, and all names are looked up in it. One case is different: what can't be replaced by a
 * rename (-o /dev/stdout, a FIFO). It is opened without creating or truncating it, and checked by
 * its descriptor. It is written to only if it is ours and lies in a folder where nobody else can
 * create names. A terminal, pipe or socket that is one of our own descriptors is always ours. */
#include "os/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMES_MAX 100 /* names tried, if others exist already */
#define STEPS_MAX 256 /* parts of a path, including those of links on the way */

/* The temporary file that has a name, and its folder: for output_abandon(). */
static char *volatile named;
static volatile int named_folder = -1;

/* Opens a file without a name in the folder. 0, -errno, or -EOPNOTSUPP: the file system has
 * none. */
static int open_unnamed(struct output *output, mode_t mode)
{
	int fd = openat(output->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600), err;

	/* A kernel that does not know the flag sees an attempt to write to the folder. */
	if (fd < 0)
		return errno == EISDIR ? -EOPNOTSUPP : -errno;
	output->file = fchmod(fd, mode) ? NULL : fdopen(fd, "w");
	err = output->file ? 0 : -errno;
	if (err)
		close(fd);
	return err;
}

/* Finds a name beside the destination that does not exist: `use` takes it, or returns -EEXIST. It
 * becomes output->temporary. 0 or -errno. */
static int take_name(struct output *output, int (*use)(struct output *output, const char *name))
{
	unsigned number, tries;
	char *name;
	int err = -EEXIST;

	for (tries = 0; err == -EEXIST && tries < NAMES_MAX; tries++) {
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -EIO;
		if (asprintf(&name, "%s.%06x", output->base, number & 0xffffff) < 0)
			return -ENOMEM;
		err = use(output, name);
		if (err) {
			free(name);
			continue;
		}
		output->temporary = name;
		named_folder = output->folder;
		named = name;
	}
	return err;
}

static int create(struct output *output, const char *name)
{
	int fd = openat(output->folder, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC,
			0600);

	if (fd < 0)
		return -errno;
	output->file = fdopen(fd, "w");
	if (output->file)
		return 0;
	close(fd);
	unlinkat(output->folder, name, 0);
	return -ENOMEM;
}

static int open_temporary(struct output *output, mode_t mode)
{
	int err = take_name(output, create);

	if (!err && fchmod(fileno(output->file), mode))
		err = -errno;
	return err;
}

static bool is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* True if only we can create names in it. */
static bool is_our_folder(const struct stat *st)
{
	return is_ours(st) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* True for one of our own descriptors (/dev/stdout, /proc/self/fd/1): the process that started us
 * gave it to us. */
bool output_is_descriptor(const char *path)
{
	return !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/stderr") ||
	       !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/self/fd/", 14);
}

/* Opens what the O_PATH descriptor refers to, without creating or truncating it. */
static int open_found(struct output *output, int found)
{
	char self[40];
	int fd;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", found);
	fd = open(self, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	output->file = fdopen(fd, "a");
	if (output->file)
		return 0;
	close(fd);
	return -ENOMEM;
}

/* Opens what exists and is not a regular file. 0, -errno, or 1: it is a link to a regular file or
 * to nothing, and will be replaced. */
static int open_special(struct output *output, bool link)
{
	bool own = output_is_descriptor(output->path);
	struct stat folder, st;
	int fd, err = 0;

	if (!own && (fstat(output->folder, &folder) || !is_our_folder(&folder)))
		return -EXDEV;
	/* Opening a device may have effects, so it is looked at through O_PATH first. */
	fd = own ? open(output->path, O_PATH | O_CLOEXEC)
		 : openat(output->folder, output->base, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT && !own ? 1 : -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (!own && S_ISREG(st.st_mode))
		err = 1;
	else if (!own && link && !is_ours(&st))
		err = -EXDEV;
	if (!err)
		err = open_found(output, fd);
	close(fd);
	return err;
}

/* The next part of `*path`; `*path` moves behind it. NULL: the end. */
static char *next_part(char **path)
{
	char *part = *path + strspn(*path, "/");

	*path = part + strcspn(part, "/");
	if (**path)
		*(*path)++ = '\0';
	return *part ? part : NULL;
}

/* Makes one step from the folder `dir`, and closes `dir` unless it is returned. If `part` is a
 * folder, returns its descriptor. If it is a link of ours, puts the link's text before `*rest` and
 * returns the folder in which that text begins. -errno otherwise. */
static int step(int dir, const char *part, char **rest, char *buf)
{
	char link[PATH_MAX], *text = NULL;
	struct stat st;
	ssize_t n;
	int fd = openat(dir, part, O_PATH | O_NOFOLLOW | O_CLOEXEC), err = 0;

	if (fd < 0 || fstat(fd, &st))
		err = -errno;
	else if (!S_ISLNK(st.st_mode))
		err = S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	else if (!is_ours(&st))
		err = -EXDEV;
	else if ((n = readlinkat(fd, "", link, sizeof(link) - 1)) < 0)
		err = -errno;
	else if (link[n] = '\0',
		 asprintf(&text, "%s/%s", link, *rest) < 0 || strlen(text) >= PATH_MAX)
		err = -ENAMETOOLONG;
	if (err || !text) {
		close(dir);
		if (err && fd >= 0)
			close(fd);
		return err ? err : fd;
	}
	close(fd);
	*rest = strcpy(buf, text);
	free(text);
	if (*link != '/')
		return dir;
	close(dir);
	fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Opens a folder part by part. A link on the way is followed only if it is ours (root's or the
 * user's). */
static int open_dir(const char *path)
{
	char buf[PATH_MAX], *rest = buf, *part;
	int dir, steps = 0;

	if (strlen(path) >= sizeof(buf))
		return -ENAMETOOLONG;
	strcpy(buf, path);
	dir = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	while (dir >= 0 && (part = next_part(&rest))) {
		char name[NAME_MAX + 1];

		/* step() may overwrite the text that `part` points into. */
		if (++steps > STEPS_MAX || strlen(part) > NAME_MAX) {
			close(dir);
			return strlen(part) > NAME_MAX ? -ENAMETOOLONG : -ELOOP;
		}
		strcpy(name, part);
		dir = step(dir, name, &rest, buf);
	}
	return dir;
}

int output_open_folder(const char *path, const char **base)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd;

	if (!folder)
		return -ENOMEM;
	*base = slash ? slash + 1 : path;
	fd = open_dir(folder);
	free(folder);
	return fd;
}

/* Opens what output->path names. 0 or -errno. */
static int open_path(struct output *output, mode_t mode)
{
	struct stat st;
	int err;

	output->folder = output_open_folder(output->path, &output->base);
	if (output->folder < 0)
		return output->folder;
	if (strlen(output->base) + sizeof(".000000") > NAME_MAX)
		return -ENAMETOOLONG;
	if (fstatat(output->folder, output->base, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno != ENOENT)
			return -errno;
	} else if (output->new_only) {
		return -EEXIST;
	} else if (S_ISDIR(st.st_mode)) {
		return -EISDIR;
	} else if (!S_ISREG(st.st_mode)) {
		err = open_special(output, S_ISLNK(st.st_mode));
		if (err <= 0)
			return err;
	}
	output->regular = true;
	err = open_unnamed(output, mode);
	return err == -EOPNOTSUPP ? open_temporary(output, mode) : err;
}

/* A name that could not be given at the end is refused now. */
static int check_path(const char *path)
{
	if (!*path)
		return -ENOENT;
	return path[strlen(path) - 1] == '/' ? -EISDIR : 0;
}

int output_open(struct output *output, const char *path, mode_t mode)
{
	*output = (struct output){.path = path, .folder = -1};
	if (!path || !strcmp(path, "-")) {
		output->path = NULL;
		output->file = stdout;
		return 0;
	}
	return check_path(path) ?: open_path(output, mode);
}

int output_open_new(struct output *output, const char *path, mode_t mode)
{
	*output = (struct output){.path = path, .folder = -1, .new_only = true};
	return check_path(path) ?: open_path(output, mode);
}

const char *output_explain(int err)
{
	switch (err) {
	case -EXDEV:
		return "a link, device, FIFO or socket that another user may have put there; give "
		       "a "
		       "name that is not taken, in a folder that only you can write to";
	default:
		return strerror(-err);
	}
}

static int link_to(struct output *output, const char *name)
{
	char self[40];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fileno(output->file));
	return linkat(AT_FDCWD, self, output->folder, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

/* Gives the file its first name: the destination, or if that exists, one beside it, which becomes
 * output->temporary. 0 or -errno. */
static int give_name(struct output *output)
{
	int err = link_to(output, output->base);

	return err == -EEXIST && !output->new_only ? take_name(output, link_to) : err;
}

static int rename_temporary(const struct output *output)
{
	if (output->new_only) {
		/* Not every C library has renameat2(), nor every file system its flags. */
		if (!syscall(SYS_renameat2, output->folder, output->temporary, output->folder,
			     output->base, RENAME_NOREPLACE))
			return 0;
		if (errno != EINVAL && errno != ENOSYS)
			return -errno;
		if (linkat(output->folder, output->temporary, output->folder, output->base, 0))
			return -errno;
		unlinkat(output->folder, output->temporary, 0);
		return 0;
	}
	return renameat(output->folder, output->temporary, output->folder, output->base) ? -errno
											 : 0;
}

static void forget_temporary(struct output *output)
{
	named = NULL;
	free(output->temporary);
	output->temporary = NULL;
	if (output->folder >= 0)
		close(output->folder);
	output->folder = -1;
}

int output_commit(struct output *output)
{
	int err = 0;

	if (fflush(output->file) || ferror(output->file))
		err = errno ? -errno : -EIO;
	if (!output->path)
		return err;
	if (!err && output->regular && fsync(fileno(output->file)))
		err = -errno;
	if (!err && output->regular && !output->temporary)
		err = give_name(output);
	if (fclose(output->file) && !err)
		err = -errno;
	output->file = NULL;
	/* If the destination is a link, the link is replaced, and the file behind it stays as it
	 * is. */
	if (!err && output->temporary)
		err = rename_temporary(output);
	if (err && output->temporary)
		unlinkat(output->folder, output->temporary, 0);
	forget_temporary(output);
	return err;
}

void output_abandon(void)
{
	if (named)
		unlinkat(named_folder, named, 0);
}

void output_discard(struct output *output)
{
	if (output->path && output->file)
		fclose(output->file);
	if (output->temporary)
		unlinkat(output->folder, output->temporary, 0);
	forget_temporary(output);
	*output = (struct output){.folder = -1};
}

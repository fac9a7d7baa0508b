/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A report is written to a file without a name, which gets one when it is complete: neither a full
 * disk nor a kill leaves a part of one. A name can't be given over an existing file, so there
 * the report first gets one beside it and is then renamed; only a kill between the two leaves
 * that. Where the file system has no files without names, a temporary one has a name from the
 * start. Devices and pipes (-o /dev/stdout) can't be renamed over and are written directly.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 100 /* tried, where others have taken them */

/* The temporary file that has a name: for output_abandon(). */
static char *volatile named;

/* A file without a name in the destination's folder. -EOPNOTSUPP: there are none there. */
static int open_unnamed(struct output *output)
{
	char *copy = strdup(output->path);
	int fd, err;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
	/* A kernel that knows no such flag takes it for an attempt to write to the folder. */
	err = fd < 0 && errno == EISDIR ? -EOPNOTSUPP : fd < 0 ? -errno : 0;
	free(copy);
	if (err)
		return err;
	output->file = fdopen(fd, "w");
	err = output->file ? 0 : -errno;
	if (err)
		close(fd);
	return err;
}

static int open_temporary(struct output *output)
{
	mode_t mask = umask(0);
	int fd, err;

	umask(mask);
	if (asprintf(&output->temporary, "%s.XXXXXX", output->path) < 0) {
		output->temporary = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(output->temporary, O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		free(output->temporary);
		output->temporary = NULL;
		return err;
	}
	named = output->temporary;
	if (fchmod(fd, 0666 & ~mask)) {
		err = -errno;
		close(fd);
		return err;
	}
	output->file = fdopen(fd, "w");
	return output->file ? 0 : -errno;
}

int output_open(struct output *output, const char *path)
{
	struct stat st;
	const char *base;
	int err;

	*output = (struct output){.path = path};
	if (!path) {
		output->file = stdout;
		return 0;
	}
	/* A name that can't be given at the end is refused now. */
	base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	if (!*base)
		return *path ? -EISDIR : -ENOENT;
	if (strlen(base) + sizeof(".000000") > NAME_MAX)
		return -ENAMETOOLONG;
	if (stat(path, &st)) {
		if (errno != ENOENT)
			return -errno;
	} else if (!S_ISREG(st.st_mode)) {
		output->file = fopen(path, "we");
		return output->file ? 0 : -errno;
	}
	output->regular = true;
	err = open_unnamed(output);
	return err == -EOPNOTSUPP ? open_temporary(output) : err;
}

/* Gives the file its first name: its destination, or where that exists one beside it, which is
 * then output->temporary. */
static int give_name(struct output *output)
{
	char self[40];
	unsigned number, tries;
	int err;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fileno(output->file));
	if (!linkat(AT_FDCWD, self, AT_FDCWD, output->path, AT_SYMLINK_FOLLOW))
		return 0;
	err = -errno;
	for (tries = 0; err == -EEXIST && tries < NAMES_MAX; tries++) {
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -EIO;
		if (asprintf(&output->temporary, "%s.%06x", output->path, number & 0xffffff) < 0) {
			output->temporary = NULL;
			return -ENOMEM;
		}
		if (!linkat(AT_FDCWD, self, AT_FDCWD, output->temporary, AT_SYMLINK_FOLLOW)) {
			named = output->temporary;
			return 0;
		}
		err = -errno;
		free(output->temporary);
		output->temporary = NULL;
	}
	return err;
}

static void forget_temporary(struct output *output)
{
	named = NULL;
	free(output->temporary);
	output->temporary = NULL;
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
	if (!err && output->temporary && rename(output->temporary, output->path))
		err = -errno;
	if (err && output->temporary)
		unlink(output->temporary);
	forget_temporary(output);
	return err;
}

void output_abandon(void)
{
	if (named)
		unlink(named);
}

void output_discard(struct output *output)
{
	if (output->path && output->file)
		fclose(output->file);
	if (output->temporary)
		unlink(output->temporary);
	forget_temporary(output);
	*output = (struct output){};
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A report is written beside its destination and renamed into place, so that a full disk
 * leaves no part of one posing as the whole. Devices and pipes (-o /dev/stdout) can't be
 * renamed over and are written directly.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

	*output = (struct output){.path = path};
	if (!path) {
		output->file = stdout;
		return 0;
	}
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		output->file = fopen(path, "we");
		return output->file ? 0 : -errno;
	}
	return open_temporary(output);
}

int output_commit(struct output *output)
{
	int err = 0;

	if (fflush(output->file) || ferror(output->file))
		err = errno ? -errno : -EIO;
	if (!output->path)
		return err;
	if (!err && output->temporary && fsync(fileno(output->file)))
		err = -errno;
	if (fclose(output->file) && !err)
		err = -errno;
	output->file = NULL;
	if (!err && output->temporary && rename(output->temporary, output->path))
		err = -errno;
	if (err && output->temporary)
		unlink(output->temporary);
	free(output->temporary);
	output->temporary = NULL;
	return err;
}

void output_discard(struct output *output)
{
	if (output->path && output->file)
		fclose(output->file);
	if (output->temporary)
		unlink(output->temporary);
	free(output->temporary);
	*output = (struct output){};
}

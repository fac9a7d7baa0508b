/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/given_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0, or -errno with a sentence in `why`. */
static int examine(const struct given_file *f, int fd, char *why, size_t size)
{
	struct stat st;
	int err;

	if (fstat(fd, &st)) {
		err = -errno;
		snprintf(why, size, "%s %s: %s", f->option, f->path, strerror(-err));
		return err;
	}
	if (!S_ISREG(st.st_mode))
		snprintf(why, size, "%s %s: it is no file", f->option, f->path);
	else if (f->secret && st.st_mode & 077)
		snprintf(why, size, "%s %s: others may read it: chmod 600 %s", f->option, f->path,
			 f->path);
	else if (f->secret && st.st_uid != geteuid() && st.st_uid)
		snprintf(why, size, "%s %s: it belongs to another user", f->option, f->path);
	else
		return 0;
	return -EINVAL;
}

/* Fills `bytes`, which has room for `most` and a NUL and is all zeros. 0 or -errno, likewise. */
static int read_all(const struct given_file *f, int fd, char *bytes, char *why, size_t size)
{
	size_t used = 0;
	ssize_t got = 1;
	int err;

	while (got > 0 && used < f->most) {
		got = read(fd, bytes + used, f->most - used);
		if (got < 0) {
			err = -errno;
			snprintf(why, size, "%s %s: %s", f->option, f->path, strerror(-err));
			return err;
		}
		used += (size_t)got;
	}
	if (used < f->most && strlen(bytes) == used)
		return 0;
	snprintf(why, size, "%s %s: it is too long, or no text", f->option, f->path);
	return -EINVAL;
}

int given_file_read(const struct given_file *f, char **text, char *why, size_t size)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *bytes = fd < 0 ? NULL : calloc(1, f->most + 1);
	int err = fd < 0 ? -errno : bytes ? 0 : -ENOMEM;

	if (err)
		snprintf(why, size, "%s %s: %s", f->option, f->path, strerror(-err));
	err = err ?: examine(f, fd, why, size) ?: read_all(f, fd, bytes, why, size);
	if (fd >= 0)
		close(fd);
	if (err)
		given_file_wipe(bytes);
	else
		*text = bytes;
	return err;
}

int given_file_secret(const struct given_file *f, const char *has, size_t least, size_t most,
		      char **text, char *why, size_t size)
{
	char *line;
	int err = given_file_read(f, &line, why, size);
	size_t length;

	if (err)
		return err;
	length = strcspn(line, "\r\n");
	if (line[length + strspn(line + length, "\r\n")]) {
		snprintf(why, size, "%s %s: it has more than one line", f->option, f->path);
		given_file_wipe(line);
		return -EINVAL;
	}
	memset(line + length, 0, strlen(line + length));
	for (size_t i = 0; i < length && !err; i++)
		if (line[i] <= ' ' || line[i] > '~')
			err = -EINVAL;
	if (err) {
		snprintf(why, size, "%s %s: %s letters, digits and signs, no blanks", f->option,
			 f->path, has);
	} else if (length < least || length > most) {
		err = -EINVAL;
		snprintf(why, size, "%s %s: %s %zu to %zu characters", f->option, f->path, has,
			 least, most);
	}
	if (err)
		given_file_wipe(line);
	else
		*text = line;
	return err;
}

void given_file_wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

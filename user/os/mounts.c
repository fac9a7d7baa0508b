/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "os/mounts.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct mount {
	unsigned major, minor;
	char *root, *point; /* what of the filesystem is mounted, and where */
	size_t root_length; /* without a slash at its end */
	size_t number;	    /* its line */
};

struct mounts {
	struct mount *all; /* by device; of one device those that show the smallest part first */
	size_t count, room;
};

/* Undoes the kernel's "\040" for a blank, in place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' &&
		    text[2] <= '7' && text[3] >= '0' && text[3] <= '7') {
			*to++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* 0; -EBADMSG: the line is not as the kernel writes it; -ENOMEM. */
static int add_mount(struct mounts *mounts, char *line)
{
	struct mount mount = {};
	char *root, *point, *rest = line;
	int at = 0;

	if (sscanf(line, "%*d %*d %u:%u %n", &mount.major, &mount.minor, &at) != 2 || !at)
		return -EBADMSG;
	rest = line + at;
	root = strsep(&rest, " ");
	point = strsep(&rest, " ");
	if (!root || *root != '/' || !point || *point != '/')
		return -EBADMSG;
	unescape(root);
	unescape(point);
	mount.root_length = strlen(root);
	if (mount.root_length == 1)
		mount.root_length = 0;
	mount.number = mounts->count;
	mount.root = strdup(root);
	mount.point = strdup(strcmp(point, "/") ? point : "");
	if (!mount.root || !mount.point ||
	    !ARRAY_HAS_ROOM(mounts->all, mounts->count, mounts->room)) {
		free(mount.root);
		free(mount.point);
		return -ENOMEM;
	}
	mounts->all[mounts->count++] = mount;
	return 0;
}

static int compare_devices(const struct mount *a, unsigned major, unsigned minor)
{
	if (a->major != major)
		return a->major < major ? -1 : 1;
	return (a->minor > minor) - (a->minor < minor);
}

static int compare_mounts(const void *left, const void *right)
{
	const struct mount *a = left, *b = right;
	int order = compare_devices(a, b->major, b->minor);

	if (order)
		return order;
	if (a->root_length != b->root_length)
		return a->root_length > b->root_length ? -1 : 1;
	return (a->number > b->number) - (a->number < b->number);
}

static struct mounts *read_all(FILE *mountinfo)
{
	struct mounts *mounts = calloc(1, sizeof(*mounts));
	char line[2 * 4 * PATH_MAX];
	int err = 0;

	if (!mounts)
		return NULL;
	while (err != -ENOMEM && mounts->count < MOUNTS_MOST &&
	       fgets(line, sizeof(line), mountinfo))
		err = add_mount(mounts, line);
	if (err != -ENOMEM && !ferror(mountinfo)) {
		if (mounts->count)
			qsort(mounts->all, mounts->count, sizeof(*mounts->all), compare_mounts);
		return mounts;
	}
	mounts_free(mounts);
	errno = err == -ENOMEM ? ENOMEM : EIO;
	return NULL;
}

struct mounts *mounts_read(FILE *mountinfo)
{
	struct mounts *mounts;

	if (mountinfo)
		return read_all(mountinfo);
	mountinfo = fopen("/proc/self/mountinfo", "re");
	if (!mountinfo)
		return NULL;
	mounts = read_all(mountinfo);
	fclose(mountinfo);
	return mounts;
}

void mounts_free(struct mounts *mounts)
{
	if (!mounts)
		return;
	for (size_t i = 0; i < mounts->count; i++) {
		free(mounts->all[i].root);
		free(mounts->all[i].point);
	}
	free(mounts->all);
	free(mounts);
}

/* True if the path is in what is mounted. */
static bool shows(const struct mount *mount, const char *path)
{
	return !strncmp(path, mount->root, mount->root_length) &&
	       (!path[mount->root_length] || path[mount->root_length] == '/');
}

/* Index of the device's first mount, or of what comes behind where it would be. */
static size_t first_of(const struct mounts *mounts, unsigned major, unsigned minor)
{
	size_t low = 0, high = mounts->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (compare_devices(&mounts->all[middle], major, minor) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void mounts_path(const struct mounts *mounts, unsigned major, unsigned minor, const char *path,
		 char *to, size_t size)
{
	const struct mount *best = NULL;

	for (size_t i = mounts ? first_of(mounts, major, minor) : 0;
	     mounts && !best && i < mounts->count &&
	     !compare_devices(&mounts->all[i], major, minor);
	     i++)
		if (shows(&mounts->all[i], path))
			best = &mounts->all[i];
	snprintf(to, size, "%s%s", best ? best->point : "", path + (best ? best->root_length : 0));
}

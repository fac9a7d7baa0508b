/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where filesystems are mounted, as this process sees it: from a file's path in its filesystem to
 * one that can be typed. */
#ifndef MOUNTS_H
#define MOUNTS_H

#include <stddef.h>
#include <stdio.h>

struct mounts;

/* Reads `mountinfo` (proc_pid_mountinfo(5)); with NULL that of this process. Lines that are not as
 * the kernel writes them are left out; at most MOUNTS_MOST are kept. NULL with errno set: it can't
 * be read, or memory ran out. The caller frees it with mounts_free(); NULL is allowed. */
#define MOUNTS_MOST 8192
struct mounts *mounts_read(FILE *mountinfo);
void mounts_free(struct mounts *mounts);

/* Writes where the file with the path `path`, from the root of the filesystem on the device, is
 * found, cut to `size` bytes with the NUL: below the mount that shows most of the way to it. If it
 * is mounted nowhere, or `mounts` is NULL, writes `path`. */
void mounts_path(const struct mounts *mounts, unsigned major, unsigned minor, const char *path,
		 char *to, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source lines of a target's files, read inside the target's own root. */
#ifndef SOURCE_H
#define SOURCE_H

#include <stddef.h>
#include <stdbool.h>

/* Descriptors that tie a process to its file system view. Kept open, so that
 * sources remain readable after the process has died. */
struct source_root {
	int root_fd;	   /* O_PATH of /proc/PID/root, or -1 */
	int cwd_fd;	   /* O_PATH of /proc/PID/cwd, or -1 */
	double start_wall; /* process start, seconds since the epoch; 0 unknown */
};

void source_root_open(struct source_root *root, int pid);
/* Makes `root` stand for the same as `from`, until each is closed. */
void source_root_copy(struct source_root *root, const struct source_root *from);
void source_root_close(struct source_root *root);

enum source_state {
	SOURCE_OK,
	SOURCE_CHANGED, /* the file was modified after the process started */
	SOURCE_MISSING,
	SOURCE_UNREADABLE, /* not a regular file, too large, no permission */
	SOURCE_NONE,	   /* no file at all: "<stdin>", "<string>", "<frozen …>" */
};

struct source_cache; /* files by (root, name); opaque */
struct source_cache *source_cache_new(void);
void source_cache_free(struct source_cache *cache);

/* What a cache keeps at most; files beyond that are SOURCE_UNREADABLE. */
#define SOURCE_FILE_MAX	 (16 * 1024 * 1024)
#define SOURCE_LINES_MAX (2 * 1000 * 1000)
#define SOURCE_CACHE_MAX (128 * 1024 * 1024)

/* Line `line` (1-based) of `file`, without its newline; raw bytes, valid as long as
 * the cache; NULL if there is none. `state` (may be NULL) gets why. Never follows a
 * path out of the root (openat2 RESOLVE_IN_ROOT), never blocks on FIFOs or devices,
 * reads no file of more than 16 MiB. A file is read once per cache. Text of a SOURCE_CHANGED
 * file is returned: it may not be what runs. A line that contains NULs ends, as a C
 * string, at the first. Relative names are looked up in the process's working folder of when
 * `root` was opened, which need not be that of when Python compiled them; where that
 * folder has no name inside the root, names that lead out of it ("../x.py", absolute symlinks)
 * are SOURCE_UNREADABLE. */
const char *source_line(struct source_cache *cache, const struct source_root *root,
			const char *file, int line, enum source_state *state);

/* Number of lines of `file`, 0 if unreadable. */
int source_line_count(struct source_cache *cache, const struct source_root *root, const char *file);

#endif

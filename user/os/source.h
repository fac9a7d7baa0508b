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
	/* With which files are opened; NULL: unknown, and no file is readable. */
	const struct source_rights *rights;
};

struct rights;

/* In this process, which `pid` can hold up; the examiner's way is source_root_find() and then, in
 * the process that keeps it, source_root_adopt(). */
void source_root_open(struct source_root *root, int pid);

/* The descriptors of process `pid`, -1 where there is none. The caller closes them. */
void source_root_find(int pid, int *root_fd, int *cwd_fd);

/* Fills `root`, which owns the descriptors from now on. `rights` is copied; NULL: unknown. */
void source_root_adopt(struct source_root *root, int root_fd, int cwd_fd,
		       const struct rights *rights, double start_wall);

/* With what rights files are opened from now on: fewer, as far as the process gave some up. */
void source_root_set_rights(struct source_root *root, const struct rights *rights);

/* NULL: unknown. */
const struct rights *source_root_rights(const struct source_root *root);

/* Makes `root` stand for the same as `from`, until each is closed. */
void source_root_copy(struct source_root *root, const struct source_root *from);
void source_root_close(struct source_root *root);

enum source_state {
	SOURCE_OK,
	SOURCE_CHANGED, /* the file was modified, or replaced, after the process started */
	SOURCE_MISSING,
	SOURCE_UNREADABLE, /* not a regular file, too large, no permission for the process */
	SOURCE_NONE,	   /* no file at all: "<stdin>", "<string>", "<frozen …>" */
};

struct source_text {
	enum source_state state; /* SOURCE_OK, _MISSING or _UNREADABLE */
	double changed;		 /* mtime or ctime, whichever is later; seconds since the epoch */
	char *data;		 /* UTF-8, malloc'd, with room for a NUL; NULL unless SOURCE_OK */
	size_t size;
};

/* Reads a file with the root's rights. 0 and `text`, whose data the caller frees, or -errno. */
typedef int source_read_fn(const struct source_root *root, const char *name,
			   struct source_text *text);

/* In this process. */
source_read_fn source_read_here;

struct source_cache; /* files by (root, rights, name); opaque */
/* `read` is examiner_read_source() or, in tests, source_read_here(). */
struct source_cache *source_cache_new(source_read_fn *read);
void source_cache_free(struct source_cache *cache);

/* What a cache keeps at most; files beyond that are SOURCE_UNREADABLE. */
#define SOURCE_FILE_MAX	 (16 * 1024 * 1024)
#define SOURCE_LINES_MAX (2 * 1000 * 1000)
#define SOURCE_CACHE_MAX (128 * 1024 * 1024)

/* Line `line` (1-based) of `file`, without its newline; UTF-8 where the file is what it declares,
 * else raw bytes; valid as long as the cache; NULL if there is none. `state` (may be NULL) gets
 * why. Never follows a path out of the root (openat2 RESOLVE_IN_ROOT), never blocks on FIFOs or
 * devices, reads no file of more than 16 MiB. A file is read once per cache. Text of a
 * SOURCE_CHANGED file is returned: it may not be what runs. A line that contains NULs ends, as a C
 * string, at the first. Relative names are looked up in the process's working folder of when
 * `root` was opened, which need not be that of when Python compiled them; where that
 * folder has no name inside the root, names that lead out of it ("../x.py", absolute symlinks)
 * are SOURCE_UNREADABLE. */
const char *source_line(struct source_cache *cache, const struct source_root *root,
			const char *file, int line, enum source_state *state);

/* Number of lines of `file`, 0 if unreadable. */
int source_line_count(struct source_cache *cache, const struct source_root *root, const char *file);

#endif

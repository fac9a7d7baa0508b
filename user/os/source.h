/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source lines of a target's files, read inside the target's own root. */
#ifndef SOURCE_H
#define SOURCE_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

/* A process's view of the file system. The descriptors stay open, so that sources can be read after
 * the process has ended. */
struct source_root {
	int root_fd;	   /* O_PATH of /proc/PID/root, or -1 */
	int cwd_fd;	   /* O_PATH of /proc/PID/cwd, or -1 */
	double start_wall; /* start of the process, seconds since the epoch; 0: unknown */
	/* the rights with which files are opened; NULL: unknown, so no file is readable */
	const struct source_rights *rights;
	/* Of a recorded process: number of its view (record/recording_sources.c), and the rest is
	 * not used but start_wall. 0: none. */
	uint32_t recorded, recorded_cwd;
};

struct rights;

/* Opens the view of process `pid`. The process can hold this call up; the examiner calls
 * source_root_find() instead, and the process that keeps the view calls source_root_adopt(). */
void source_root_open(struct source_root *root, int pid);

/* Opens the descriptors of process `pid`; -1 if that failed. The caller closes them. */
void source_root_find(int pid, int *root_fd, int *cwd_fd);

/* Fills `root`, which owns the descriptors from now on. `rights` is copied; NULL: unknown. */
void source_root_adopt(struct source_root *root, int root_fd, int cwd_fd,
		       const struct rights *rights, double start_wall);

/* Changes the rights with which files are opened from now on: the process has given some up. */
void source_root_set_rights(struct source_root *root, const struct rights *rights);

/* The rights of the view; they belong to it. NULL: unknown. */
const struct rights *source_root_rights(const struct source_root *root);

/* True if both views show the same files to the same rights, relative names too. */
bool source_root_same(const struct source_root *one, const struct source_root *other);

/* What tells views apart, to be hashed as a whole. With `absolute`, only what absolute names depend
 * on. It is valid while a copy of the view is open. */
struct source_view_key {
	uint64_t mount, inode, cwd_mount, cwd_inode, rights;
};
void source_root_key(const struct source_root *root, bool absolute, struct source_view_key *key);

/* Makes `root` another copy of the view `from`. Each is closed with source_root_close(). */
void source_root_copy(struct source_root *root, const struct source_root *from);
/* Closes the descriptors and gives up the rights, unless another copy uses them. */
void source_root_close(struct source_root *root);

enum source_state {
	SOURCE_OK,
	SOURCE_CHANGED, /* modified or replaced after the process had started */
	SOURCE_MISSING,
	SOURCE_UNREADABLE, /* not a regular file, too large, or the process may not read it */
	SOURCE_NONE,	   /* there is no file: "<stdin>", "<string>", "<frozen …>" */
};

struct source_text {
	enum source_state state; /* SOURCE_OK, _MISSING or _UNREADABLE */
	double changed;		 /* the later one of mtime and ctime, seconds since the epoch */
	char *data; /* UTF-8, from malloc(), with room for a NUL; NULL unless SOURCE_OK */
	size_t size;
};

/* Reads the file `name` with the rights of the view. 0 and `text`, whose data the caller frees, or
 * -errno. */
typedef int source_read_fn(const struct source_root *root, const char *name,
			   struct source_text *text);

/* Reads in this process. */
source_read_fn source_read_here;

struct source_cache; /* files by view, rights and name */
/* A new cache, freed by source_cache_free(). `read` is examiner_read_source(), in tests
 * source_read_here(). NULL: out of memory. */
struct source_cache *source_cache_new(source_read_fn *read);
void source_cache_free(struct source_cache *cache);

/* The limits of a file, and of a cache. What exceeds them is SOURCE_UNREADABLE. */
#define SOURCE_FILE_MAX	 (16 * 1024 * 1024)
#define SOURCE_LINES_MAX (2 * 1000 * 1000)
#define SOURCE_CACHE_MAX (128 * 1024 * 1024)

/* Line `line` (from 1) of `file`, without its line end. It belongs to the cache and lives as long.
 * It is UTF-8 if the file is what it declares, else raw bytes; a line that contains a NUL ends
 * there. NULL: there is no such line; `*state` says why (`state` may be NULL).
 *
 * A file is read once per cache, and only if it is a regular file of at most SOURCE_FILE_MAX bytes;
 * it never blocks on FIFOs and devices. No path leads out of the root (openat2 RESOLVE_IN_ROOT).
 * The text of a SOURCE_CHANGED file is returned, though it may not be what runs.
 *
 * A relative name is looked up in the working folder that the process had when `root` was opened.
 * Python may have compiled the file in another one. If that folder has no name inside the root,
 * names that lead out of it ("../x.py", absolute symlinks) are SOURCE_UNREADABLE. */
const char *source_line(struct source_cache *cache, const struct source_root *root,
			const char *file, int line, enum source_state *state);

/* The number of lines of `file`; 0 if it can't be read. */
int source_line_count(struct source_cache *cache, const struct source_root *root, const char *file);

/* All lines of `file`, with LF behind each: `*size` bytes, which the caller frees. None if the file
 * can't be read. NULL: out of memory. Asking line by line would look for the file at each. */
char *source_text_of(struct source_cache *cache, const struct source_root *root, const char *file,
		     size_t *size);

/* True if there was no room in the cache for the text of `file`. */
bool source_was_refused(struct source_cache *cache, const struct source_root *root,
			const char *file);

/* When the file was changed last, as source_text.changed; 0: it can't be read. */
double source_changed(struct source_cache *cache, const struct source_root *root, const char *file);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The folder in which the agent keeps its recordings. Their names are times, so they sort as they
 * came; the oldest ones are removed when all of them need too much room. Reports of alarms are
 * there, too; they have a part of the room.
 *
 * Nobody but its owner may write to the folder: what is in it was made by an agent, and a name in
 * it means the same file from one call to the next. */
#ifndef STORE_H
#define STORE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_NAME	  sizeof("20261130T073310Z.pymem")
#define STORE_ALARMS_MOST 64	      /* reports of alarms that are kept */
#define STORE_HEAP_TEXT	  ".heap.txt" /* ends of a look's files, in place of .json */
#define STORE_HEAP_JSON	  ".heap.json"
#define STORE_ALARMS_PART 8 /* of all: they have an eighth of it at most */

struct store {
	int folder; /* its descriptor; -1: it is not open */
	char path[PATH_MAX];
	int64_t last; /* the latest time in a name, in seconds since the epoch; 0: none */
	bool locked;
};

struct store_sizes {
	uint64_t bytes;	 /* of all files, with their logs, and of those that were set aside */
	unsigned files;	 /* recordings */
	unsigned alarms; /* reports of alarms, without the looks at heaps beside them */
};

/* Told of each file that is no recording any more, after it was set aside under another name. */
typedef void store_corrupt_fn(void *arg, const char *name, const char *why);

/* Opens the folder, which is made (0700) if only its last part is missing, and locks it. 0, or
 * -errno with `why` (`size` bytes): -EBUSY: another agent has it; -EPERM: others may write to it,
 * or it is somebody else's. store_close() is to be called either way. */
int store_open(struct store *store, const char *path, char *why, size_t size);
void store_close(struct store *store);

/* Looks at all recordings that were left. One that can't be read is renamed to NAME.corrupt, and
 * told. 0, or -errno: the folder can't be read. */
int store_examine(struct store *store, store_corrupt_fn *fn, void *arg);

/* The path of a new recording that begins at `now` (seconds since the epoch): later than that of
 * each other one, whatever the clock does. 0 or -ENAMETOOLONG. */
int store_new_path(struct store *store, double now, char *path, size_t size);

/* Makes the file of an alarm of process `pid` at `now` (seconds since the epoch): 0600, and new.
 * Its path is written to `path`. A descriptor for writing, which the caller closes; -errno: -EEXIST
 * if there is one of this process and second. */
int store_new_alarm(const struct store *store, double now, int pid, char *path, size_t size);
/* Makes a file of a look at a heap beside the report at `report`, which store_new_alarm() has
 * written: of the same name, but for its end, STORE_HEAP_TEXT or STORE_HEAP_JSON. Results as there;
 * -ENOENT: the report has been removed. */
int store_new_heap(const struct store *store, const char *report, const char *end, char *path,
		   size_t size);
/* Removes such a file: it could not be written. 0 or -errno. */
int store_drop_alarm(const struct store *store, const char *path);

/* Removes the oldest reports of alarms, each with its looks, until they are as few, and as small,
 * as they may be. Then removes the oldest files, but for the recording at `keep` (a path; NULL:
 * none), until all of them need at most `most` bytes. `*sizes` becomes what is left. 0, or -errno:
 * the folder can't be read, or a file can't be removed. */
int store_trim(struct store *store, const char *keep, uint64_t most, struct store_sizes *sizes);

#endif

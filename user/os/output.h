/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a report goes: stdout, or a file that appears as a whole or not at all. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* Permissions of a report unless --mode says otherwise: it contains other users' sources. */
#define OUTPUT_MODE 0600

struct output {
	FILE *file;
	const char *path; /* NULL: stdout */
	bool regular;	  /* a file that will be created; not a device, pipe or stdout */
	bool new_only;	  /* it must not replace anything */
	int folder;	  /* where it will be; -1: none */
	const char *base; /* its name there */
	char *temporary;  /* its name until then; NULL: it has none */
};

/* Opens the output. Call it early, so that a bad path is found before any work. A new file gets
 * `mode` whatever the umask; an existing device or FIFO keeps its own. `path` belongs to the caller
 * and must outlive the output; NULL and "-" are stdout. 0 or -errno, for which output_explain() has
 * a text. */
int output_open(struct output *output, const char *path, mode_t mode);

/* True if `path` names a descriptor of the process that opens it, such as /dev/stderr or
 * /dev/fd/3: another process finds another file there. */
bool output_is_descriptor(const char *path);

/* The same for a file that must be new: -EEXIST if there is anything of that name, or if it is
 * there when output_commit() gives the name. `path` is a file's. */
int output_open_new(struct output *output, const char *path, mode_t mode);

/* Opens the folder of `path` (O_PATH), following on the way only links that are root's or the
 * user's. `*base` becomes the name in it, which may be anything. -errno. */
int output_open_folder(const char *path, const char **base);

/* What an error of output_open() means and what to do. A constant text; strerror() if there is
 * nothing to add. */
const char *output_explain(int err);

/* Completes it: writes it to disk and gives it its name. 0, or -errno: nothing is left behind. */
int output_commit(struct output *output);
/* Drops what was written, if it is a file. */
void output_discard(struct output *output);
/* For a signal handler that ends the process: removes a temporary file that has a name. */
void output_abandon(void);

#endif

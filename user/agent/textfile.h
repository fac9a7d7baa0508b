/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A file that is replaced as a whole, for node_exporter's textfile collector. */
#ifndef TEXTFILE_H
#define TEXTFILE_H

#include <stddef.h>
#include <sys/types.h>

struct textfile { /* {.folder = -1} is a closed one */
	int folder;
	char *name, *fresh; /* in the folder; the second one while it is written */
	const char *path;   /* for messages */
	/* The file that was written last; 0: none was. */
	dev_t device;
	ino_t inode;
};

/* Opens the folder of `path`, which must stay. Makes nothing yet. 0, or -errno with a sentence for
 * the user in `why` (`size` bytes): -EINVAL: it is no name that the collector reads.
 * textfile_close() is to be called either way. */
int textfile_open(struct textfile *file, const char *path, char *why, size_t size);
/* Puts the text there, readable for all (0644). Readers have it or the one before, as a whole. 0 or
 * -errno: the one before stays. */
int textfile_write(struct textfile *file, const char *text, size_t size);
/* Removes the file, so that nobody takes old figures for new ones, and closes the folder. What
 * textfile_write() has not put there, such as the file of another agent, stays. */
void textfile_close(struct textfile *file);

#endif

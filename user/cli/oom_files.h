/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files of last words, as the agent writes them. */
#ifndef OOM_FILES_H
#define OOM_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "model/model.h"

#define OOM_FILES_MOST 1000	   /* read of a folder: the newest ones */
#define OOM_FILE_BYTES (1u << 20)  /* more has no file that the agent wrote */
#define OOM_BYTES_MOST (16u << 20) /* of all together, but for the last one */

struct oom_file {
	char *name; /* of the file, without its folder */
	char *text; /* its bytes; `size` of them, and a NUL; NULL once they are parsed */
	size_t size;
	json_t *document;	       /* NULL until oom_files_parse(), and if `why` says so */
	struct model_process *process; /* what it says; belongs to the model */
	const char *why;	       /* why it can't be read; NULL: it can */
};

struct oom_files {
	struct oom_file *at; /* the newest first */
	size_t count, room;
	size_t bytes; /* of texts that were read */
	size_t more;  /* older ones that were not read */
	bool single;  /* a file was named, and no folder */
	struct model *model;
};

/* Reads a file, or those of a folder, into memory. 0, or -errno with `why` (`size` bytes), a
 * sentence for the user. oom_files_free() is to be called either way. */
int oom_files_read(struct oom_files *files, const char *path, char *why, size_t size);

/* Finds out what they say. They may come from anybody: call it after rights were given up. 0 or
 * -ENOMEM. */
int oom_files_parse(struct oom_files *files);
void oom_files_free(struct oom_files *files);

#endif

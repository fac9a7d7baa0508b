/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the report goes: stdout or a file that appears whole or not at all. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* Who may read a report, unless --mode says otherwise: it shows other users' sources. */
#define OUTPUT_MODE 0600

struct output {
	FILE *file;
	const char *path; /* NULL: stdout */
	bool regular;	  /* a file that is to be, not a device, pipe or stdout */
	int folder;	  /* where it is to be; -1: none */
	const char *base; /* its name there */
	char *temporary;  /* and until then; NULL: none */
};

/* Opens for writing; early, so that a bad path is found before any work. A report gets `mode`,
 * whatever the umask; what exists and is not a regular file keeps its own. 0 or -errno;
 * output_explain() has a text for some of them. */
int output_open(struct output *output, const char *path, mode_t mode);

/* What `err` of output_open() means, and what to do; strerror() where there is nothing to add. */
const char *output_explain(int err);

/* Completes: flushed to disk and moved into place. 0 or -errno (nothing is left behind). */
int output_commit(struct output *output);
/* Drops what was written, if it is a file. */
void output_discard(struct output *output);
/* In a signal handler that ends the process: removes what has a temporary name. */
void output_abandon(void);

#endif

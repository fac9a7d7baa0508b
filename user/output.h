/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the report goes: stdout or a file that appears whole or not at all. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

struct output {
	FILE *file;
	const char *path; /* NULL: stdout */
	bool regular;	  /* a file that is to be, not a device, pipe or stdout */
	char *temporary;  /* its name until then; NULL: none */
};

/* Opens for writing; early, so that a bad path is found before any work. 0 or -errno. */
int output_open(struct output *output, const char *path);
/* Completes: flushed to disk and moved into place. 0 or -errno (nothing is left behind). */
int output_commit(struct output *output);
/* Drops what was written, if it is a file. */
void output_discard(struct output *output);
/* In a signal handler that ends the process: removes what has a temporary name. */
void output_abandon(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a command's report goes: stdout, the file of -o, or a pager; and what the user is told of
 * it. The same for all commands that write reports. */
#ifndef REPORT_OUTPUT_H
#define REPORT_OUTPUT_H

#include <stdbool.h>

#include "cli/command.h"
#include "os/output.h"
#include "os/pager.h"

struct report_output {
	const struct command *command;
	struct output output;
	struct pager pager;
	unsigned width; /* --width; 0: not given */
	bool quiet;
};

/* Opens the file `path` (-o; NULL or "-": stdout) with `mode`. Call it early. 0, or an exit status
 * after saying what is wrong. */
int report_output_open(struct report_output *out, const struct command *command, const char *path,
		       mode_t mode);

/* With --pager: prepares it. Call it after other helpers were forked, before rights are given up.
 * 0, or an exit status. */
int report_output_page(struct report_output *out);

/* What CONFINE_* the output needs. */
unsigned report_output_needs(const struct report_output *out);

/* Begins to write. The stream; *width and *color are what a renderer must know of it. */
FILE *report_output_begin(struct report_output *out, unsigned *width, bool *color);

/* Ends it: the file gets its name, or with `err` (-errno of writing) is dropped; the user ends the
 * pager. On a terminal, says which file was written. Returns EXIT_DONE, or EXIT_FAILED after saying
 * what went wrong; but nothing is said of -ENOENT, which a renderer returns if there is nothing to
 * show. */
int report_output_end(struct report_output *out, int err);

/* Drops what was not ended. */
void report_output_fini(struct report_output *out);

#endif

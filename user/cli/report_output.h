/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a command's report goes: to stdout, the file of -o, or a pager. Shared by all commands that
 * write reports. */
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

/* Opens the file `path` (-o; NULL or "-": stdout) with the permissions `mode`. Call it before any
 * work, so that a wrong path is refused at once. 0, or an exit status after saying what is
 * wrong. */
int report_output_open(struct report_output *out, const struct command *command, const char *path,
		       mode_t mode);

/* Forks the helper of --pager. Call it after other helpers were forked, before rights are given up.
 * 0, or an exit status after saying what is wrong. */
int report_output_page(struct report_output *out);

/* The rights that the output needs, bits CONFINE_*. */
unsigned report_output_needs(const struct report_output *out);

/* Begins to write. Returns the stream, which belongs to `out`. Sets for the renderer *width, in
 * columns (0: no limit), and *color, true if escape sequences for colors may be written. */
FILE *report_output_begin(struct report_output *out, unsigned *width, bool *color);

/* Ends the report. The file gets its name; with an `err` (-errno of writing) it is dropped. If
 * there is a pager, waits until the user ends it. Says on a terminal which file was written.
 * Returns EXIT_DONE, or EXIT_FAILED after saying what went wrong; but nothing is said of -ENOENT,
 * which a renderer returns if there is nothing to show. */
int report_output_end(struct report_output *out, int err);

/* Drops a report that was not ended. */
void report_output_fini(struct report_output *out);

#endif

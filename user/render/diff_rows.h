/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rows of a program in a diff for people. Only diff_table.c includes this. */
#ifndef DIFF_ROWS_H
#define DIFF_ROWS_H

#include "render/diff_parts.h"

/* Prints the rows. 0 or -ENOMEM. */
int diff_rows_print(FILE *out, const struct diff_report *report,
		    const struct model_diff_program *program, const struct render_options *options);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables of `ps`. */
#ifndef PS_TABLE_H
#define PS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/proc.h"
#include "python/py_process.h"

struct ps_row {
	struct py_process python;
	struct proc_info info;
	int64_t rss_bytes; /* or -errno */
	bool supported;
	char reason[192]; /* why it can't be profiled */
};

struct ps_listing {
	struct ps_row *rows;
	size_t count, capacity;
	size_t forbidden; /* number of processes that we may not examine */
	size_t failed;	  /* number of those that could not be examined for another reason */
	pid_t failed_pid; /* the first of these */
	int failed_err;
};

/* Both print to stdout, in at most `width` columns (0: no limit). At the end they say why some
 * processes can't be profiled. 0 or -ENOMEM. */

/* Prints one line for the processes of one program with the same parent, the largest sum first, and
 * then the sum of all. */
int ps_print_programs(const struct ps_listing *listing, unsigned width);
/* Prints one line for each process, in the order of `rows`. */
int ps_print_each(const struct ps_listing *listing, unsigned width);

#endif

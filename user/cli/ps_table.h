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

/* Both print to stdout, at most `width` columns (0: no limit), rows in the order in which they are.
 * 0 or -ENOMEM. */

/* One line for each program of each parent, and the sums. */
int ps_print_programs(const struct ps_listing *listing, unsigned width);
/* One line for each process. */
int ps_print_each(const struct ps_listing *listing, unsigned width);

#endif

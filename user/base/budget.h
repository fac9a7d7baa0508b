/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A limit for one look at a process. The process chooses how large its files and maps are, and how
 * many it has; without a limit it could keep the reader busy for ever. Each thread has one budget.
 * Before budget_begin() and after budget_end() nothing is limited. */
#ifndef BUDGET_H
#define BUDGET_H

#include <stddef.h>

/* For one process: CPU time of this program in milliseconds, and bytes read. For one file mapped in
 * it: the same. A file that exceeds its limit is never looked at again. */
#define BUDGET_PROCESS_MS    1000
#define BUDGET_PROCESS_BYTES (512ull << 20)
#define BUDGET_FILE_MS	     500
#define BUDGET_FILE_BYTES    (256ull << 20)

/* Begins and ends the budget of this thread. The limits of a file count from budget_begin_file(),
 * or from here. */
void budget_begin(void);
void budget_end(void);

/* A new file begins: its limits are counted from here. */
void budget_begin_file(void);

/* Counts one step, in which `bytes` were read. 0, -EDQUOT: the limit of the process is exceeded, or
 * -EFBIG: only that of the file. */
int budget_spend(size_t bytes);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What one look at a process may cost: sizes and numbers of what is read are the process's to
 * choose. One budget counts at a time; where none was begun there is no limit. */
#ifndef BUDGET_H
#define BUDGET_H

#include <stddef.h>

/* Of a process; of each file mapped in it, which is refused for good beyond that. */
#define BUDGET_PROCESS_MS    1000
#define BUDGET_PROCESS_BYTES (512ull << 20)
#define BUDGET_FILE_MS	     500
#define BUDGET_FILE_BYTES    (256ull << 20)

void budget_begin(void);
void budget_end(void);

/* Another file from here on. */
void budget_begin_file(void);

/* Counts a step that read so many bytes. 0; -EDQUOT: the process has had its share; -EFBIG: the
 * file has, and the process not. */
int budget_spend(size_t bytes);

#endif

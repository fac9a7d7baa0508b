/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the live screen reads beside a model: Pss, and the memory limits of cgroups. */
#ifndef SCREEN_PROC_H
#define SCREEN_PROC_H

#include "screen/screen_data.h"

struct screen_proc; /* owns the limits that processes refer to */

/* NULL: out of memory. The caller frees it with screen_proc_free(), after the data that refer to
 * it. */
struct screen_proc *screen_proc_new(void);
void screen_proc_free(struct screen_proc *proc);

/* Reads Pss of the processes whose turn it is, for at most about `budget_ns` nanoseconds, and
 * limits that are older than some seconds. What can't be read is unknown. 0 or -ENOMEM. */
int screen_proc_read(struct screen_proc *proc, struct screen_data *data, uint64_t budget_ns);

#endif

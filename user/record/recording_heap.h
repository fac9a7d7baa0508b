/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The looks at heaps of a recording, as they are shown one after the other. */
#ifndef RECORDING_HEAP_H
#define RECORDING_HEAP_H

#include "model/heap_times.h"
#include "record/recording.h"

/* Reads the looks at the processes of the last recording_model() into `times`, which is empty; of
 * too many, some that are spread evenly. A look that can't be read is counted. The caller calls
 * heap_times_fini() in any case. Its processes are valid until the next recording_model(). 0, or
 * -errno: `why` has a sentence for the user. */
int recording_heap_times(struct recording *recording, struct heap_times *times, char *why,
			 size_t size);

/* The same with the last look at each process only. */
int recording_heap_last(struct recording *recording, struct heap_times *times, char *why,
			size_t size);

/* Adds a look at `process`, of `size` bytes of JSON as `pymem-bpf heap` prints it. What is no such
 * thing is counted as unreadable. 0 or -ENOMEM. */
int recording_heap_read(struct heap_times *times, const struct model_process *process, double time,
			const char *json, size_t size);

/* Adds to `report` (empty) a look at each process of `model`, the last recording_model(): the last
 * one, with what has grown since the first one in the window. The report borrows strings of the
 * model. The caller calls heap_report_fini() in any case. 0, or -errno: `why` has a sentence for
 * the user. */
int recording_heap_report(struct recording *recording, const struct model *model,
			  struct heap_report *report, char *why, size_t size);

#endif

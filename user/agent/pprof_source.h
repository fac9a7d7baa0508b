/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Models for profiles of the agent: what all processes of the host grew by in some seconds, and
 * what of them is resident. */
#ifndef PPROF_SOURCE_H
#define PPROF_SOURCE_H

#include "model/counts.h"
#include "model/model.h"

/* At a time. From PPROF_PUSHED on they are of profiles that nobody asks for. */
#define PPROF_PUSHED  4
#define PPROF_WINDOWS 6

struct pprof_source;

/* NULL: out of memory. pprof_source_free() frees it; what is behind it must still be there. */
struct pprof_source *pprof_source_new(void);
void pprof_source_free(struct pprof_source *source);

/* The counts of the profiler, as whatever comes before gets them: what has ended is handed to those
 * and to the windows that are open. `counts` must outlive the source. */
struct counts pprof_source_counts(struct pprof_source *source, struct counts counts);

/* Opens a window (0 to PPROF_WINDOWS - 1) that is closed: notes all figures. It takes some
 * 150 bytes for each stack. 0 or -errno. */
int pprof_source_open(struct pprof_source *source, unsigned window);
/* What came since then, of processes that have ended too, with trees. It belongs to the window
 * until that is closed. NULL with errno set. */
struct model *pprof_source_model(struct pprof_source *source, unsigned window);
/* Does nothing if it is not open. */
void pprof_source_close(struct pprof_source *source, unsigned window);

/* What windows needed so far to take what has ended: nanoseconds of CPU time; and nanoseconds that
 * went by, of those while a window of a request was open. */
uint64_t pprof_source_cpu_ns(const struct pprof_source *source);
uint64_t pprof_source_asked_ns(const struct pprof_source *source);

/* A model with trees that has of all processes that run what is resident, by what touched it first
 * (model_process.resident_known), and no other figures. After KEPT_NS it ends with the process that
 * it looks at; of others that is not known. `*report` owns it: report_free(). NULL with errno set:
 * -ENOTSUP: it is not noted. */
struct report;
struct model *pprof_source_kept(struct pprof_source *source, struct report **report);

#endif

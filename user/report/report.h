/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the kernel side's maps to a model that renderers can print. */
#ifndef REPORT_H
#define REPORT_H

#include "model/model.h"
#include "track/tracker.h"

struct report;

/* A report on what `tracker` follows, which began at `start`, in seconds since the epoch. NULL:
 * out of memory. report_free() frees it, and its model. Of processes that have ended, lines are
 * kept in about `ended_bytes`. `fold_imports`: see model.imports_folded. */
struct report *report_new(struct tracker *tracker, double start, size_t ended_bytes,
			  bool fold_imports);
void report_free(struct report *report);

/* Builds the model of all that is known now. With `final`, the sources are detached and
 * the figures settled; else threads may be collecting meanwhile, and what is in flight is
 * told as unsettled. The report's own, until the next call. NULL with errno set. */
struct model *report_build(struct report *report, bool final);

/* Adds a note to that model for each process whose children tracker_find_unwatched() has found. */
void report_note_unwatched(struct report *report);

/* Takes over what images did that have ended (a moment ago; with `all`, at any time), and
 * frees what else was kept of them, in the kernel too. Not between report_build() and the use of
 * its model. Cheap if there is nothing to do. 0 or -errno. */
int report_fold(struct report *report, bool all);

#endif

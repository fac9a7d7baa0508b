/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From counts to a model that renderers can print. */
#ifndef REPORT_H
#define REPORT_H

#include "model/counts.h"
#include "model/model.h"
#include "report/stack_sink.h"

struct report;

/* A report on what `counts` has, which began at `start`, in seconds since the epoch. The source of
 * the counts must outlive it. NULL: out of memory. report_free() frees it, and its model. Of
 * processes that have ended, lines are kept in about `ended_bytes`. `gather_imports`: see
 * model.imports_gathered. `sink` gets the stacks, and must outlive the report; NULL: nobody does.
 */
struct report *report_new(struct counts counts, double start, size_t ended_bytes,
			  bool gather_imports, const struct stack_sink *sink);
void report_free(struct report *report);

/* Builds the model of all that is known now. `final`: the source has settled its figures, and
 * nothing comes after them; else threads may be collecting meanwhile, and what is in flight is told
 * as unsettled. The report's own, until the next call. NULL with errno set. */
struct model *report_build(struct report *report, bool final);

/* Adds a note to that model for each process that has Python children which nobody watches. */
void report_note_unwatched(struct report *report);

/* Takes over what images did that have ended (a moment ago; with `all`, at any time); the source
 * frees what else it kept of them. Not between report_build() and the use of its model. Cheap if
 * there is nothing to do. 0 or -errno. */
int report_finish_ended(struct report *report, bool all);

#endif

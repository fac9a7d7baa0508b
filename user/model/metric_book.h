/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Figures of groups that are asked for again and again, for months: what only grows, such as page
 * faults, never falls, whichever processes end and whichever of them a model no longer has.
 *
 * A book has the groups of one kind, by program or by container, a bounded number of them. All
 * others are one row, so that sums over the rows are those of all processes. */
#ifndef METRIC_BOOK_H
#define METRIC_BOOK_H

#include "model/group_sums.h"

struct metric_book;

/* A book of `groups` groups at most, at least 1. `by` is MODEL_BY_PROGRAM or MODEL_BY_CONTAINER.
 * The caller frees it with metric_book_free(). NULL: out of memory. */
struct metric_book *metric_book_new(enum model_by by, size_t groups);
void metric_book_free(struct metric_book *book);

/* The process has ended and leaves the model for good (model_gather_ended()): its figures stay with
 * its group. 0 or -ENOMEM: they are in the row of all others. */
int metric_book_gone(struct metric_book *book, const struct model_process *process);

/* A signal has ended the process, for that reason: its group has one more of those (killed in
 * struct group_sum). To be called once for each, before metric_book_gone(). If there is no room
 * for its group, the row of all others has it. */
void metric_book_killed(struct metric_book *book, const struct model_process *process,
			enum death_cause cause);

/* The garbage collectors of image `image` have run so often since they were read before, by
 * generation. The image may be one that the book has not met so far. Its group has them from the
 * next metric_book_sums() or metric_book_gone() on. 0 or -ENOMEM: they are nowhere. */
int metric_book_collected(struct metric_book *book, uint32_t image,
			  const uint64_t collections[GROUP_GENERATIONS]);

/* Fills `sums`, as group_sums_make() does, for the model as it is now, with `lines` lines of each
 * group at most. Other than there:
 *
 *   - What the book was told to be gone is in it; model->gathered is not.
 *   - grown_bytes, freed_bytes, the faults, copied_pages, killed and collections never fall from
 * one call to the next, as long as the group keeps its row. One that falls out of the rows leaves
 * all it had to the rest, and begins at 0 should it come back. Those of the rest never fall.
 *   - Groups without processes stay while there is room; those that ended first go first.
 *   - There always is a rest; it is last.
 *
 * group_sums_free() frees `sums`; it is valid until the model changes. 0 or -ENOMEM; then there is
 * nothing to free, and the next call is as good as if this one had not been. */
int metric_book_sums(struct metric_book *book, const struct model *model, size_t lines,
		     struct group_sums *sums);

#endif

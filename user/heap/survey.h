/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A look at a heap in little memory and little time: how many objects of which types there are, and
 * the balance. Holders are not found, as for these all of a heap would have to be copied at once.
 * So all buffers count as owned.
 *
 * Pools are looked at in windows. What is kept beside is some thousandths of the target's memory,
 * malloc's heaps, and the written data of files.
 */
#ifndef SURVEY_H
#define SURVEY_H

#include "heap/balance.h"
#include "heap/pool_use.h"

struct survey_row {
	int32_t type; /* index in `types` */
	uint64_t objects;
	uint64_t bytes; /* of their own blocks, without buffers */
};

struct heap_survey {
	struct snapshot *snapshot; /* states of all pages; most of them were not copied */
	struct heap_types *types;
	struct survey_row *rows; /* of types that have objects, largest first */
	size_t row_count;
	uint64_t objects, buffers, buffer_bytes; /* buffers: blocks in use that hold no object */
	struct heap_allocators allocators;
	struct heap_balance balance;
	struct pool_use pools;
};

/* Takes a survey. `options`: -EINVAL with `pause`; copy_limit_bytes is ignored. 0, or an error of
 * snapshot_take(). The caller owns *survey. */
int heap_survey_take(pid_t pid, const struct snapshot_options *options,
		     const struct py_heap_layout *heap_layout, const struct py_layout *layout,
		     struct heap_survey **survey);
void heap_survey_free(struct heap_survey *survey);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A look at a heap in little memory and little time: how many objects of which types there are, and
 * the balance. Nobody's holders are found, for which all of a heap would have to be there at once;
 * so all buffers count as owned.
 *
 * Pools are looked at a window at a time. What else is kept is some thousandths of the target's
 * memory, the heaps of malloc, and what is written of files' data. */
#ifndef SURVEY_H
#define SURVEY_H

#include "heap/balance.h"
#include "heap/pool_use.h"

struct survey_row {
	int32_t type; /* index in `types` */
	uint64_t objects;
	uint64_t bytes; /* of their own blocks */
};

struct heap_survey {
	struct snapshot *snapshot; /* its pages' states; most of it was not copied */
	struct heap_types *types;
	struct survey_row *rows; /* of types that have objects, largest first */
	size_t row_count;
	uint64_t objects, buffers, buffer_bytes; /* buffers: blocks in use that hold no object */
	struct heap_allocators allocators;
	struct heap_balance balance;
	struct pool_use pools;
};

/* `options`: pause is not possible (-EINVAL), copy_limit_bytes is not asked. Errors: those of
 * snapshot_take(). The caller owns *survey. */
int heap_survey_take(pid_t pid, const struct snapshot_options *options,
		     const struct py_heap_layout *heap_layout, const struct py_layout *layout,
		     struct heap_survey **survey);
void heap_survey_free(struct heap_survey *survey);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How full the pools of Python's allocator are, and which types live in those that are less than
 * half full: they keep these pools from becoming free. */
#ifndef HEAP_POOL_USE_H
#define HEAP_POOL_USE_H

#include "heap/blocks.h"
#include "model/heap_look.h"

/* What pools less than half full hold of one type. last_pool: address of the last one that was
 * added. */
struct pool_pin {
	uint64_t bytes, pools, last_pool;
};

/* To be all zero at first. */
struct pool_use {
	uint64_t pools, by_fullness[10];
	struct pool_pin *pins; /* by index of type, plus 1; number 0 is buffers */
	size_t room;
};

struct pool_blocks {
	uint64_t addr, bytes; /* of the pool */
	uint32_t count, size; /* its blocks, and the bytes of each */
	const int32_t *types; /* of each (enum block_type) */
};

/* Adds a pool; one without a used block counts for nothing. 0 or -ENOMEM. */
int pool_use_add(struct pool_use *use, const struct pool_blocks *pool);
/* Fills in the look's pools, pools_by_fullness and pins. Pins are by type, those with most bytes
 * first. All buffers are one row, whichever object owns them. 0 or -ENOMEM. */
int pool_use_tell(const struct pool_use *use, const struct heap_types *types,
		  struct heap_look *look);
void pool_use_fini(struct pool_use *use);

#endif

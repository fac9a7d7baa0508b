/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How full the pools of Python's allocator are, and what keeps those from becoming free that are
 * not: what lives in those that are less than half full. */
#ifndef HEAP_POOL_USE_H
#define HEAP_POOL_USE_H

#include "heap/blocks.h"
#include "model/heap_look.h"

/* What a pool holds of one type. */
struct pool_pin {
	uint64_t bytes, pools, last_pool;
};

/* Pools are added one by one. All zero at first. */
struct pool_use {
	uint64_t pools, by_fullness[10];
	struct pool_pin *pins; /* by type + 1; number 0: buffers */
	size_t room;
};

struct pool_blocks {
	uint64_t addr, bytes; /* of the pool */
	uint32_t count, size; /* its blocks, and the bytes of each */
	const int32_t *types; /* of each (enum block_type) */
};

/* 0 or -ENOMEM. */
int pool_use_add(struct pool_use *use, const struct pool_blocks *pool);
/* Fills in the look's pools, pools_by_fullness and pins: these by type, largest first; buffers,
 * whoever owns them, are one row. 0 or -ENOMEM. */
int pool_use_tell(const struct pool_use *use, const struct heap_types *types,
		  struct heap_look *look);
void pool_use_fini(struct pool_use *use);

#endif

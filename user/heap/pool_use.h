/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How full the pools of Python's allocator are, and what keeps those from becoming free that are
 * not: what lives in those that are less than half full. */
#ifndef HEAP_POOL_USE_H
#define HEAP_POOL_USE_H

#include "heap/blocks.h"
#include "model/heap_look.h"

/* Fills in the look's pools, pools_by_fullness and pins: these by type, largest first; buffers,
 * whoever owns them, are one row. 0 or -ENOMEM. */
int heap_pool_use(const struct heap_types *types, const struct heap_blocks *blocks,
		  const struct py_heap_layout *layout, struct heap_look *look);

#endif

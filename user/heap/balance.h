/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each resident byte of a process under one heading. */
#ifndef BALANCE_H
#define BALANCE_H

#include "heap/blocks.h"
#include "model/heap_look.h"

/* Does an object own this buffer? */
typedef bool heap_owned_fn(void *arg, uint32_t block);

/* Fills `balance`, whose fields add up to snapshot_rss_bytes(). A buffer is among "their buffers"
 * if owned() says so, else it is malloc's, held by C; chunks that are mappings of their own
 * likewise: mapped_buffers if they hold an object or are owned by one. `owned` NULL: all buffers
 * are (no graph could be made). 0 or -errno. */
int heap_balance_make(const struct snapshot *snapshot, const struct heap_blocks *blocks,
		      heap_owned_fn *owned, void *arg, struct heap_balance *balance);

#endif

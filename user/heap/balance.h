/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each resident byte of a process under one heading. */
#ifndef BALANCE_H
#define BALANCE_H

#include "heap/blocks.h"
#include "model/heap_look.h"

/* Does an object own this buffer? */
typedef bool heap_owned_fn(void *arg, uint32_t block);

/* Fills `balance` (bytes), whose fields add up to snapshot_rss_bytes(). A buffer counts under
 * "their buffers" if owned() says that an object owns it, else as malloc's, held by C. A chunk that
 * is a mapping of its own counts under mapped_buffers if it holds an object, or if an object owns
 * it. `owned` may be NULL, if no graph could be made: then all buffers count as owned. Returns 0.
 */
int heap_balance_make(const struct snapshot *snapshot, const struct heap_blocks *blocks,
		      heap_owned_fn *owned, void *arg, struct heap_balance *balance);

#endif

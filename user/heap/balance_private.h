/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A balance while it is made: pages are counted first, then runs, in any order. */
#ifndef BALANCE_PRIVATE_H
#define BALANCE_PRIVATE_H

#include "heap/balance.h"
#include "heap/blocks_private.h"

struct balance_count {
	const struct snapshot *snapshot;
	const struct heap_blocks *blocks;
	heap_owned_fn *owned; /* NULL: all buffers are owned */
	void *arg;
	struct heap_balance *balance;
	uint64_t claimed; /* bytes of pages of pools and malloc */
	uint64_t counted; /* of `claimed`: bytes that are under a heading by now */
};

/* Clears the balance and counts pages. */
void balance_begin(struct balance_count *count);
/* Counts the blocks of a run. `types` has one type for each of them. */
void balance_add_run(struct balance_count *count, const struct heap_run *run, const int32_t *types);
/* Counts the rest. Afterwards all fields add up to RSS. */
void balance_end(struct balance_count *count);

#endif

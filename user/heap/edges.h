/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All references between the blocks of a heap, 4 bytes each: those of a block lie next to each
 * other, in order of block. */
#ifndef HEAP_EDGES_H
#define HEAP_EDGES_H

#include "heap/bodies.h"

struct heap_edges {
	uint32_t blocks;
	/* Of block b: targets[first[b]] up to, not including, targets[first[b + 1]]. */
	uint32_t *first;
	uint32_t *targets;
	size_t target_bytes; /* of the array */
};

/* Reads them, by two threads if there are two processors. With `release` the copies of blocks are
 * given back when they have been read (snapshot_release()). 0, -ENOMEM, -E2BIG more than 2^32 - 1.
 */
int heap_edges_collect(const struct heap_view *view, const struct bodies *bodies, bool release,
		       struct heap_edges *edges);
void heap_edges_fini(struct heap_edges *edges);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Joins the census with the pages that lines touched first: rows of a look. */
#ifndef HEAP_TOUCHED_ROWS_H
#define HEAP_TOUCHED_ROWS_H

#include "heap/graph.h"
#include "heap/holders.h"
#include "heap/touches.h"
#include "model/heap_look.h"

/* Fills look->touched: for each line, what lives now in its pages that are in the snapshot. Fills
 * look->touched_before_bytes and touched_unknown_bytes. All of these add up to the snapshot's RSS,
 * and the parts of a row to the row. `graph` may be NULL: then no object has a holder. 0 or
 * -ENOMEM. */
int heap_touched_rows(const struct heap_touched *touched, const struct snapshot *snapshot,
		      const struct heap_blocks *blocks, const struct heap_graph *graph,
		      const struct holder *holders, size_t holder_count, struct heap_look *look);

#endif

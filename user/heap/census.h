/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All that is found out about a heap at one moment. */
#ifndef HEAP_CENSUS_H
#define HEAP_CENSUS_H

#include "heap/balance.h"
#include "heap/gc.h"
#include "heap/graph.h"
#include "heap/look.h"
#include "heap/touches.h"
#include "heap/type_rows.h"

/* All that is found out in one census. Each member is made of those before it. */
struct census {
	double at; /* CLOCK_MONOTONIC, seconds: when the copy was complete */
	struct snapshot *snapshot;
	struct heap_types *types;
	struct heap_blocks *blocks;
	struct heap_gc gc;
	bool gc_known;
	struct heap_graph *graph; /* NULL: not enough memory */
	struct heap_balance balance;
	struct heap_type_row *rows; /* in order of name */
	size_t row_count;
	uint64_t lost_bytes;	     /* live, reached by nobody, and no garbage */
	int births_error;	     /* of heap_births_finish() */
	struct heap_touched touched; /* read when the copy was complete */
	int touched_error;	     /* of heap_touches_read() */
};

/* Fills *census, which is zeroed. 0, or -errno and in `why` (at most `size` bytes) the reason,
 * without the PID. census_fini() frees what is in it in either case. */
int census_take(struct census *census, const struct heap_target *target,
		const struct heap_options *options, char *why, size_t size);
void census_fini(struct census *census);

/* Did the process change so much while it was copied that more was missed than may be? */
bool census_is_torn(const struct census *census);

#endif

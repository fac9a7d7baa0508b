/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is found out about a heap at one moment. */
#ifndef HEAP_CENSUS_H
#define HEAP_CENSUS_H

#include "heap/balance.h"
#include "heap/gc.h"
#include "heap/graph.h"
#include "heap/look.h"
#include "heap/survey.h"
#include "heap/touches.h"
#include "heap/type_rows.h"

/* A census. Each member is made of those before it. */
struct census {
	double at; /* CLOCK_MONOTONIC, seconds: when the copy was complete */
	struct snapshot *snapshot;
	struct heap_types *types;
	struct heap_blocks *blocks; /* NULL: a survey was taken (survey.h) */
	struct heap_survey *survey; /* what is left of it; NULL: none was */
	struct heap_gc gc;
	bool gc_known;
	struct heap_graph *graph; /* NULL: a survey was taken, or there was no memory for it */
	const char *lacks;	  /* why holders can't be found; NULL: they can */
	struct heap_balance balance;
	struct heap_type_row *rows; /* in order of name */
	size_t row_count;
	uint64_t lost_bytes;	     /* of objects that nothing reaches, and that are no garbage */
	int births_error;	     /* of heap_births_finish() */
	struct heap_touched touched; /* read when the copy was complete */
	int touched_error;	     /* of heap_touches_read() */
};

struct census_before { /* the first look, for the second */
	uint64_t live_bytes, lost_bytes;
};

/* Fills *census, which must be zeroed. `before`: NULL at the first look. 0, or -errno with the
 * reason in `why` (at most `size` bytes, without the PID). census_fini() frees what is in it in
 * either case. */
int census_take(struct census *census, const struct heap_target *target,
		const struct heap_options *options, const struct census_before *before, char *why,
		size_t size);
void census_fini(struct census *census);

const struct heap_allocators *census_allocators(const struct census *census);
/* Fills in the look's pools. 0 or -ENOMEM. */
int census_pool_use(const struct census *census, struct heap_look *look);

/* What would be known without a graph: rows in order of name, which heap_type_rows_free() frees,
 * and the balance. 0 or -ENOMEM. */
int census_without_graph(const struct census *census, struct heap_type_row **rows, size_t *count,
			 struct heap_balance *balance);

/* Did the process change during the copy so much that more than a tolerable part was missed, of all
 * or of what has grown since `before` (NULL: there was no look before)? Not if it was stopped. */
bool census_is_torn(const struct census *census, const struct census_before *before);

#endif

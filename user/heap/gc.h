/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What CPython's garbage collector knows of itself: thresholds, counts and statistics of its
 * generations, as gc.get_threshold(), gc.get_count() and gc.get_stats() would say, read from
 * outside. */
#ifndef HEAP_GC_H
#define HEAP_GC_H

#include "heap/snapshot.h"
#include "model/heap_look.h"
#include "python/py_process.h"
#include "py_heap_layout.h"

#define HEAP_GC_GENERATIONS 3

/* From 3.15 on: what the collections of one generation cost. */
struct heap_gc_times {
	uint64_t candidates;	/* objects looked at, by all collections */
	double seconds;		/* of all collections */
	double last_seconds;	/* of the last one */
	double longest_seconds; /* of the last ones that CPython remembers: `remembered` */
	unsigned remembered;	/* 11 at most of the youngest generation, 3 of others */
};

struct heap_gc {
	bool enabled;	 /* gc.isenabled() */
	bool collecting; /* at that moment */
	struct heap_generation generations[HEAP_GC_GENERATIONS];
	bool has_times;
	struct heap_gc_times times[HEAP_GC_GENERATIONS];
	uint64_t garbage;  /* objects in gc.garbage: not collectable, and kept */
	bool frozen_known; /* false: the list changed as it was copied, or part of it is not
			      resident */
	uint64_t frozen;   /* gc.get_freeze_count() */
};

/* Reads the figures of the main interpreter of `process`, whose copy `snapshot` is and whose heap's
 * layout is `heap_layout` (py_heap_layout_find() gave 0). 0; -EFAULT: they can't be read; -EINVAL:
 * what is there are no generations.
 *
 * Source: Modules/gcmodule.c, gc_get_stats() and its like, of 3.8 to 3.15. 3.14.0 to .4:
 * gc_get_count() takes the old spaces in turn, gc_get_threshold() gives 0 for the last. */
int heap_gc_read(struct snapshot *snapshot, const struct py_process *process,
		 const struct py_heap_layout *heap_layout, struct heap_gc *gc);

#endif

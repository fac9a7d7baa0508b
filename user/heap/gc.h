/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The figures of CPython's garbage collector, read from outside: thresholds, counts and statistics
 * of its generations, as gc.get_threshold(), gc.get_count() and gc.get_stats() give them. */
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
	double longest_seconds; /* of the last ones, which CPython remembers */
	unsigned remembered; /* how many it remembers: 11 at most of the youngest generation, 3 of
				others */
};

struct heap_gc {
	bool enabled;	 /* gc.isenabled() */
	bool collecting; /* a collection was going on */
	struct heap_generation generations[HEAP_GC_GENERATIONS];
	bool has_times;
	struct heap_gc_times times[HEAP_GC_GENERATIONS];
	uint64_t garbage;  /* objects in gc.garbage: not collectable, and kept */
	bool frozen_known; /* false: the list changed as it was copied, or part of it is not
			      resident */
	uint64_t frozen;   /* gc.get_freeze_count() */
};

/* Reads the figures of the main interpreter of `process`. `snapshot` is the copy of the process.
 * `heap_layout` is that of its heap (py_heap_layout_find() returned 0). 0; -EFAULT: they can't be
 * read; -EINVAL: there are no generations in that place.
 *
 * Source: Modules/gcmodule.c, gc_get_stats() and its like, of 3.8 to 3.15. In 3.14.0 to 3.14.4,
 * gc_get_count() takes the two old spaces in turn, and gc_get_threshold() gives 0 for the last
 * generation.
 */
int heap_gc_read(struct snapshot *snapshot, const struct py_process *process,
		 const struct py_heap_layout *heap_layout, struct heap_gc *gc);

#endif

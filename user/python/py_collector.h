/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a process counts the runs of its garbage collector: gc.get_stats(), read from outside. */
#ifndef PY_COLLECTOR_H
#define PY_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "py_heap_layout.h"
#include "python/py_process.h"

#define PY_GENERATIONS	   3 /* the last one: full collections */
#define PY_COLLECTOR_BYTES 2048

/* One piece of memory that has all counts, so that a single read gets them. */
struct py_collector {
	uint64_t addr;
	uint32_t bytes; /* to read there, at most PY_COLLECTOR_BYTES */
	struct py_collector_generation {
		uint16_t at;	/* of the count (a word); in a ring, of its first item */
		uint16_t items; /* of the ring; 1: there is no ring */
		uint16_t item_bytes, index_at; /* only in a ring: index_at is of an int8 */
	} generations[PY_GENERATIONS];
};

/* Reads memory of the process. False: not all of it can be read. */
typedef bool py_collector_read_fn(void *arg, uint64_t addr, void *to, size_t size);

/* The address of struct _gc_runtime_state of the main interpreter; 0: it can't be read. */
uint64_t py_collector_state(const struct py_process *process, const struct py_heap_layout *layout,
			    py_collector_read_fn *read, void *arg);

/* Finds the counts of the main interpreter. 0; -ENOTSUP: it is not known where this build has them
 * (3.6, 3.7, free-threaded builds); -EFAULT: it can't be read. */
int py_collector_find(const struct py_process *process, py_collector_read_fn *read, void *arg,
		      struct py_collector *collector);

/* Takes the counts of collections, by generation, out of the bytes at collector->addr. False: the
 * index of a ring is none. */
bool py_collector_counts(const struct py_collector *collector, const unsigned char *bytes,
			 uint64_t counts[PY_GENERATIONS]);

/* Writes why py_collector_find() returned -ENOTSUP: a clause of at most 128 bytes. */
void py_collector_explain(const struct py_process *process, char *text, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the garbage collector says of itself, read from the interpreter's state. */
#ifndef HEAP_COLLECTOR_H
#define HEAP_COLLECTOR_H

#include "heap/snapshot.h"
#include "model/heap_look.h"
#include "py_heap_layout.h"

/* Fills in the look's gc_known and what follows it. What can't be read, or can't be true, leaves
 * gc_known false. Only the main interpreter's. */
void heap_collector_read(const struct snapshot *snapshot, const struct py_heap_layout *layout,
			 uint64_t runtime_addr, struct heap_look *look);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The right struct py_heap_layout for a build of CPython. */
#ifndef PY_HEAP_LAYOUTS_H
#define PY_HEAP_LAYOUTS_H

#include <stddef.h>

#include "py_heap_layout.h"
#include "python/py_process.h"

/* Fills `layout` for the heap of `process`, which py_process_identify() has filled in. It comes
 * from the generated table (3.8 to 3.15, debug builds too). 0. -ENOTSUP: 3.6, 3.7, a free-threaded
 * build, a build that traces references, or an unknown version. Then only `layout->version` and
 * PY_HEAP_FREE_THREADED in `layout->flags` are set. */
int py_heap_layout_find(const struct py_process *process, struct py_heap_layout *layout);

/* Writes into `text` (`size` bytes) why py_heap_layout_find() returned -ENOTSUP: a sentence of at
 * most 192 bytes, without the PID. */
void py_heap_layout_explain(const struct py_process *process, char *text, size_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The struct py_layout for a build of CPython. */
#ifndef PY_LAYOUTS_H
#define PY_LAYOUTS_H

#include <stddef.h>
#include <stdint.h>

#include "py_layout.h"

/* The first bytes of _PyRuntime that contain _Py_DebugOffsets, in all known versions. */
#define PY_DEBUG_OFFSETS_MAX 2048

/* Fills in the layout of CPython `major`.`minor` from the generated table (3.6 to 3.12). 0, or
 * -ENOENT: the table does not have that version. */
int py_layout_from_table(unsigned major, unsigned minor, struct py_layout *layout);

/* Fills in the layout of CPython 3.13 or newer from the first `len` bytes of the target's
 * _PyRuntime, which are hostile input. Known are 3.13, 3.14 and 3.15, default and free-threaded
 * builds. 0; -EINVAL: no "xdebugpy" cookie, or impossible offsets; -ENOENT: an unknown version. */
int py_layout_from_debug_offsets(const void *runtime, size_t len, struct py_layout *layout);

#endif

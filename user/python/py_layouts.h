/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The right struct py_layout for a build of CPython. */
#ifndef PY_LAYOUTS_H
#define PY_LAYOUTS_H

#include <stddef.h>
#include <stdint.h>

#include "py_layout.h"

/* Bytes of _PyRuntime that hold _Py_DebugOffsets in any version known. */
#define PY_DEBUG_OFFSETS_MAX 2048

/* Layout of CPython `major`.`minor` from the generated table (3.6 to 3.12).
 * 0, or -ENOENT if the table has no such version. */
int py_layout_from_table(unsigned major, unsigned minor, struct py_layout *layout);

/* Layout of CPython 3.13 or newer from the first `len` bytes of the target's
 * _PyRuntime (hostile input). Versions known: 3.13, 3.14, 3.15, default and
 * free-threaded builds. 0; -EINVAL: no "xdebugpy" cookie or offsets out of any
 * plausible range; -ENOENT: a version this program does not know. */
int py_layout_from_debug_offsets(const void *runtime, size_t len, struct py_layout *layout);

#endif

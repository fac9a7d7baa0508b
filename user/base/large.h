/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arrays of tens of megabytes: zeroed, given back to the kernel at once when they are freed, and
 * never taken where they are never written.
 *
 * The kernel is not asked for huge pages (MADV_HUGEPAGE). They make random access faster, but each
 * has to be found, and cleared, as a whole, while small ones are what has just been given back. In
 * a virtual machine whose host provides memory only when it is touched, a look at 1 GiB takes 1.4
 * times the CPU time with them (docs/BENCHMARKS.md). */
#ifndef LARGE_H
#define LARGE_H

#include <stddef.h>

/* `bytes` of zeroes. NULL: out of memory. The caller frees it with large_free(). */
void *large_new(size_t bytes);
/* Frees the array of `bytes`, as large_new() or large_resize() got them. `array` may be NULL. */
void large_free(void *array, size_t bytes);

/* Changes the size of `array` from `old_bytes` to `bytes`; added bytes are zero. Returns the array,
 * which may have moved; a large one is moved without copying. NULL: out of memory, and `array` is
 * unchanged. */
void *large_resize(void *array, size_t old_bytes, size_t bytes);

#endif

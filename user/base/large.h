/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arrays of tens of megabytes that are read at random. They are zeroed, and lie in huge pages where
 * the kernel has them: in 4 KiB pages, each random access costs a walk of the page table. Freed
 * memory goes back to the kernel at once. Memory that is never written is never taken. */
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

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arrays of tens of megabytes that are read at random: zeroed, in huge pages where the kernel has
 * them (random access to 4 KiB pages costs a walk of the page table each time), and given back to
 * the kernel at once when they are freed. Memory that is never written is never taken. */
#ifndef LARGE_H
#define LARGE_H

#include <stddef.h>

/* `bytes` of zeroes. NULL: out of memory. The caller frees it with large_free(). */
void *large_new(size_t bytes);
/* `array` may be NULL. */
void large_free(void *array, size_t bytes);

/* `array` of `old_bytes`, now with `bytes`; what is new is zeroes. It may be elsewhere afterwards,
 * and is not copied. NULL: out of memory, and `array` is as it was. */
void *large_resize(void *array, size_t old_bytes, size_t bytes);

#endif

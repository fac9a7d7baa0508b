/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/large.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FROM_KERNEL (4u << 20)

static void *map(size_t bytes)
{
	void *array = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return array == MAP_FAILED ? NULL : array;
}

void *large_new(size_t bytes)
{
	return bytes < FROM_KERNEL ? calloc(1, bytes ? bytes : 1) : map(bytes);
}

void large_free(void *array, size_t bytes)
{
	if (!array)
		return;
	if (bytes < FROM_KERNEL)
		free(array);
	else
		munmap(array, bytes);
}

/* Copies the array into a new one. At least one of the two is malloc's, so mremap(2) can't do
 * it. */
static void *move(void *array, size_t old_bytes, size_t bytes)
{
	void *moved = large_new(bytes);

	if (!moved)
		return NULL;
	memcpy(moved, array, old_bytes < bytes ? old_bytes : bytes);
	large_free(array, old_bytes);
	return moved;
}

void *large_resize(void *array, size_t old_bytes, size_t bytes)
{
	void *resized;

	if (old_bytes < FROM_KERNEL || bytes < FROM_KERNEL)
		return move(array, old_bytes, bytes);
	resized = mremap(array, old_bytes, bytes, MREMAP_MAYMOVE);
	return resized == MAP_FAILED ? NULL : resized;
}

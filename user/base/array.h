/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An array that grows. Its owner keeps a pointer, the number of its elements, and the number for
 * which there is memory (`room`). */
#ifndef ARRAY_H
#define ARRAY_H

#include <stddef.h>

/* Returns `array` with room for at least one element more than `count`. An element has `size`
 * bytes. `*room` becomes the new number of elements that fit. The array may have moved: the caller
 * frees the returned pointer with free(). NULL: out of memory; `array` is unchanged and still
 * valid. */
void *array_with_room(void *array, size_t count, size_t *room, size_t size);

/* The same as a condition. True: `array` (which may have moved) has room for one more element.
 * False: out of memory, nothing has changed. */
#define ARRAY_HAS_ROOM(array, count, room)                                               \
	({                                                                               \
		void *grown_ = array_with_room(array, count, &(room), sizeof(*(array))); \
		if (grown_)                                                              \
			(array) = grown_;                                                \
		grown_ != NULL;                                                          \
	})

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An array that grows: a pointer, how many elements are in it, and how many have room. */
#ifndef ARRAY_H
#define ARRAY_H

#include <stddef.h>

/* `array` with room for at least one more than its `count` elements of `size` bytes each; `*room`
 * says for how many. It may be elsewhere afterwards. NULL: out of memory, and `array` is as it
 * was. */
void *array_with_room(void *array, size_t count, size_t *room, size_t size);

/* The same as a statement's condition: true if `array` has the room, wherever it is now. */
#define ARRAY_HAS_ROOM(array, count, room)                                               \
	({                                                                               \
		void *grown_ = array_with_room(array, count, &(room), sizeof(*(array))); \
		if (grown_)                                                              \
			(array) = grown_;                                                \
		grown_ != NULL;                                                          \
	})

#endif

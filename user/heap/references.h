/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The blocks that one block refers to.
 *
 * What CPython's own structures mean is known, so their words are read by it: a list's items up to
 * its length, of a dict the keys and values, not the hashes. The bodies of other objects and of
 * unknown buffers are read word by word: a word that is the address of an object is taken for a
 * reference. Stale words are what makes that wrong, so they are left out where it is known that
 * they are: the free list's link at the start of a recycled block, values that a frame's stack no
 * longer holds.
 *
 * Not references: an object's type (an instance would hold its module), weak references, the links
 * of lists that own nothing, and a table's to weak references that die with what they refer to
 * (weakrefs.h), with the other half of their entry.
 */
#ifndef HEAP_REFERENCES_H
#define HEAP_REFERENCES_H

#include "heap/bodies.h"
#include "heap/marks.h"
#include "heap/weakrefs.h"

/* Where references are put. The caller gives `targets` room for all that a block may have
 * (references_room()). */
struct references {
	const struct heap_view *view;
	const struct bodies *bodies;
	uint32_t *targets; /* blocks */
	size_t count;
	uint64_t absent_pages; /* pages passed over that are not in the copy: there is a limit */
	const struct weakrefs *weakrefs;
	uint64_t passed_over; /* references to these */
	/* Values of dicts whose keys are among these: block and value. The caller's to free. */
	struct weak_value {
		uint32_t weakref, value;
	} * values;
	size_t value_count, value_room;
	bool no_memory; /* for them */
};

/* The most references that a block of `bytes` bytes can have. */
static inline uint64_t references_room(uint64_t bytes)
{
	return bytes / sizeof(uint64_t) + 8;
}

/* Appends the blocks that `block`, marked with `mark`, refers to; one that it refers to twice,
 * twice. A weak reference that dies with what it refers to has itself as its last: the place for a
 * value that dies with it. */
void references_of(struct references *references, uint32_t block, uint32_t mark);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Weak references that die with what they refer to.
 *
 * A weak reference in a WeakSet, a WeakValueDictionary, a WeakKeyDictionary or logging's list of
 * handlers is held by that table alone, and its callback takes it out when what it refers to dies:
 * with a table's entry, so with a key or a value as well. So letting go of that object frees them,
 * and it retains them. A weak reference without such a callback, or that somebody else holds too,
 * outlives it: that is told by the callback's name and by the reference count.
 */
#ifndef HEAP_WEAKREFS_H
#define HEAP_WEAKREFS_H

#include "heap/view.h"

/* A weak reference that one holder has, and what it refers to: blocks. */
struct weakref {
	uint64_t callback; /* address */
	uint32_t referent, block;
};

struct weakrefs {
	struct weakref *list; /* once chosen in order of referent */
	size_t count, room;
	uint64_t *owned; /* by block: a bit for each of the list. NULL: the list is empty */
	size_t owned_bytes;
};

/* Appends the weak reference `block`, if it may be one of these. 0, -ENOMEM. */
int weakrefs_note(struct weakrefs *weakrefs, const struct heap_view *view, uint32_t block);

/* Appends those of `other`. 0, -ENOMEM. */
int weakrefs_join(struct weakrefs *weakrefs, const struct weakrefs *other);

/* Keeps those whose callbacks are known to take them out of their tables. 0, -ENOMEM. */
int weakrefs_choose(struct weakrefs *weakrefs, const struct heap_view *view);
void weakrefs_fini(struct weakrefs *weakrefs);

static inline bool weakrefs_has(const struct weakrefs *weakrefs, uint32_t block)
{
	return weakrefs->owned && weakrefs->owned[block >> 6] >> (block & 63) & 1;
}

/* Index of the first whose referent is not before `block`. */
size_t weakrefs_from(const struct weakrefs *weakrefs, uint32_t block);

#endif

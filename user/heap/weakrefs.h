/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Weak references that die with what they refer to.
 *
 * A weak reference in a WeakSet, a WeakValueDictionary, a WeakKeyDictionary or logging's list of
 * handlers is held by that table alone. When its referent dies, its callback takes its entry out of
 * the table, with the key or value of that entry. So freeing the referent frees these, too: the
 * referent retains them.
 *
 * A weak reference without such a callback, or with another owner, outlives its referent. The
 * callback's name and the reference count tell which is which.
 */
#ifndef HEAP_WEAKREFS_H
#define HEAP_WEAKREFS_H

#include "heap/view.h"

/* A weak reference with one owner, and its referent. Both are blocks. */
struct weakref {
	uint64_t callback; /* address */
	uint32_t referent, block;
};

struct weakrefs {
	struct weakref *list; /* in order of referent after weakrefs_choose() */
	size_t count, room;
	uint64_t *owned; /* a bit for each block: set for those of the list. NULL: the list is empty
			  */
	size_t owned_bytes;
};

/* Appends the weak reference in `block`, if it may die with its referent. 0, -ENOMEM. */
int weakrefs_note(struct weakrefs *weakrefs, const struct heap_view *view, uint32_t block);

/* Appends those of `other`. 0, -ENOMEM. */
int weakrefs_join(struct weakrefs *weakrefs, const struct weakrefs *other);

/* Keeps those whose callbacks take them out of their tables. 0, -ENOMEM. */
int weakrefs_choose(struct weakrefs *weakrefs, const struct heap_view *view);
void weakrefs_fini(struct weakrefs *weakrefs);

static inline bool weakrefs_has(const struct weakrefs *weakrefs, uint32_t block)
{
	return weakrefs->owned && weakrefs->owned[block >> 6] >> (block & 63) & 1;
}

/* Index in the list of the first whose referent is not before `block`. */
size_t weakrefs_from(const struct weakrefs *weakrefs, uint32_t block);

#endif

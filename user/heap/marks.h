/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A buffer does not say how it is to be read: the container that owns it does. So before any
 * reference is followed, each container marks its buffers (heap_blocks_mark()), and objects with a
 * frame in them are noted. After that the references of a block follow from its own bytes and its
 * mark, and blocks can be read in any order. */
#ifndef HEAP_MARKS_H
#define HEAP_MARKS_H

#include "heap/bodies.h"
#include "heap/weakrefs.h"

enum mark_form {
	MARK_NONE,  /* no container is known: any word may be a reference */
	MARK_EMPTY, /* no references: numbers of an array, blocks kept for later use, characters */
	MARK_LIST,  /* `count` items */
	MARK_KEYS,  /* PyDictKeysObject: its header says the rest */
	MARK_SET,   /* `count` entries of a set */
	MARK_DEQUE, /* a block of a deque: see below */
	MARK_FRAME, /* of an object that has a frame in it: `count` slots of it are in use */
};

/* A mark is form << 28 | count. A count of MARK_MOST means that many, or more. */
#define MARK_SHIFT 28
#define MARK_MOST  ((1u << MARK_SHIFT) - 1)

static inline uint32_t mark_of(enum mark_form form, uint64_t count)
{
	return (uint32_t)form << MARK_SHIFT | (uint32_t)(count < MARK_MOST ? count : MARK_MOST);
}

static inline enum mark_form mark_form(uint32_t mark)
{
	return (enum mark_form)(mark >> MARK_SHIFT);
}

static inline uint32_t mark_count(uint32_t mark)
{
	return mark & MARK_MOST;
}

/* The mark of a deque's block: index of its first item, number of items, and whether it is the last
 * block. */
#define MARK_DEQUE_BLOCK(first, items, last) \
	mark_of(MARK_DEQUE, (uint64_t)(first) | (uint64_t)(items) << 8 | (uint64_t)(last) << 16)

struct marker {
	const struct heap_view *view;
	const struct bodies *bodies;
	struct frame_mark {
		uint32_t block, mark;
	} * frames; /* in order of block; the owner of the marker frees it */
	size_t frame_count, frame_room;
	uint32_t interned; /* the keys of the dict of interned strings, as far as this marker
			      looked; BLOCK_NONE: not found */
	uint64_t interned_entries;
	struct weakrefs weakrefs; /* those that were met. The caller frees them */
};

/* Marks what the objects in blocks `from` to, not including, `to` own. Several markers may work at
 * the same time. 0 or -ENOMEM. */
int marks_make(struct marker *marker, uint32_t from, uint32_t to);

/* Address of the keys of the dict of interned strings, in versions that keep it in the interpreter
 * (3.12 on); 0: it is elsewhere, or there is none. */
uint64_t marks_interned_keys(const struct heap_view *view);

#endif

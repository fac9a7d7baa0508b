/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Buffers say nothing of how they are to be read: the containers that they belong to do. Before any
 * reference is followed, each container marks its buffers (heap_blocks_mark()), and objects that
 * have a frame in them are noted. Then the references of a block are read from its own bytes and
 * its mark alone, in any order. */
#ifndef HEAP_MARKS_H
#define HEAP_MARKS_H

#include "heap/bodies.h"
#include "heap/weakrefs.h"

enum mark_form {
	MARK_NONE,  /* no container is known: any word may be a reference */
	MARK_EMPTY, /* no references: numbers of an array, what is kept for later use, strings
		       interned */
	MARK_LIST,  /* `count` items */
	MARK_KEYS,  /* PyDictKeysObject: its header says the rest */
	MARK_SET,   /* `count` entries of a set */
	MARK_DEQUE, /* a block of a deque: see below */
	MARK_FRAME, /* of an object that has a frame in it: `count` slots of it are in use */
};

/* A mark is form << 28 | count; MARK_MOST: that many, or more. */
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

/* Of a deque's block: the first of its items, how many, and is there a block to the right? */
#define MARK_DEQUE_BLOCK(first, items, last) \
	mark_of(MARK_DEQUE, (uint64_t)(first) | (uint64_t)(items) << 8 | (uint64_t)(last) << 16)

struct marker {
	const struct heap_view *view;
	const struct bodies *bodies;
	struct frame_mark {
		uint32_t block, mark;
	} * frames; /* in order of block; the owner of the marker frees it */
	size_t frame_count, frame_room;
	uint32_t interned; /* the buffer of the strings interned, as far as this one looked;
			      BLOCK_NONE */
	uint64_t interned_entries;
	struct weakrefs weakrefs; /* that were met. The caller's to free */
};

/* Marks what the objects in blocks `from` to, not including, `to` own; several markers may do so
 * at a time. 0 or -ENOMEM. */
int marks_make(struct marker *marker, uint32_t from, uint32_t to);

/* The keys of the dict of interned strings of a version that keeps it in the interpreter (3.12 on);
 * 0: it keeps it elsewhere, or there is none. */
uint64_t marks_interned_keys(const struct heap_view *view);

#endif

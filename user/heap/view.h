/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is needed to read a heap: its memory, the layouts of CPython, its types and its blocks. */
#ifndef HEAP_VIEW_H
#define HEAP_VIEW_H

#include "heap/blocks.h"
#include "heap/snapshot.h"
#include "heap/types.h"
#include "py_heap_layout.h"
#include "py_layout.h"

/* All members are the caller's, and outlive the view. */
struct heap_view {
	struct snapshot *snapshot;
	const struct py_heap_layout *heap;
	const struct py_layout *py;
	uint64_t runtime_addr; /* of _PyRuntime */
	struct heap_types *types;
	struct heap_blocks *blocks;
};

/* A pointer up to so many bytes into a pooled buffer counts as a reference: values of an instance
 * lie behind a prefix of up to 32 bytes (3.11, 3.12). */
#define VIEW_INTERIOR 40

/* The block that a reference `word` leads to: the start of an object or of a buffer, in a pool also
 * up to VIEW_INTERIOR bytes into a buffer. BLOCK_NONE: none. No pointer into the middle of a chunk
 * of malloc's counts, as recycled chunks begin with pointers into heads of other chunks. */
static inline uint32_t view_target(const struct heap_view *view, uint64_t word)
{
	uint32_t block = heap_blocks_find_addr(view->blocks, word);
	int32_t type;
	uint64_t start;

	if (block == BLOCK_NONE)
		return BLOCK_NONE;
	type = heap_blocks_type(view->blocks, block);
	if (type >= 0)
		return heap_blocks_object(view->blocks, block) == word ? block : BLOCK_NONE;
	if (type != BLOCK_BUFFER)
		return BLOCK_NONE;
	start = heap_blocks_addr(view->blocks, block);
	if (start == word)
		return block;
	return word - start <= VIEW_INTERIOR && heap_blocks_pooled(view->blocks, block)
		       ? block
		       : BLOCK_NONE;
}

/* The type of the object in `block`; NULL: it holds none. */
static inline const struct heap_type *view_type(const struct heap_view *view, uint32_t block)
{
	int32_t type = heap_blocks_type(view->blocks, block);

	return type >= 0 ? heap_types_get(view->types, type) : NULL;
}

static inline bool view_is(const struct heap_view *view, uint32_t block, enum type_kind kind)
{
	const struct heap_type *type = block == BLOCK_NONE ? NULL : view_type(view, block);

	return type && type->kind == kind;
}

#endif

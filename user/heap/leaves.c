/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the copy of a large heap and what is made of it are together larger than the heap. But
 * numbers, bytes, plain text and free blocks lead nowhere: they are not needed once their types are
 * known.
 *
 * So pages of pools that hold nothing else are given back while the pools are sorted out.
 * Neighbouring pages go in one call, up to some MiB. Two things stay: interned strings, as names
 * are made of them, and as they show which dict is the one that has them; cached objects, which may
 * turn out to be values of instances (values.c).
 */
#include "heap/blocks_private.h"
#include "heap/types_private.h"

#define DROP_BYTES (4u << 20)

/* Is it ASCII text in the object itself, and not interned? */
static bool is_plain_text(const struct heap_blocks *b, uint64_t object)
{
	const struct py_layout *py = b->types->layout;
	uint32_t state, interned = (1u << py->unicode_kind_shift) - 1;

	return snapshot_read(b->snapshot, object + py->unicode_state, &state, sizeof(state)) &&
	       state >> py->unicode_compact_shift & 1 && state >> py->unicode_ascii_shift & 1 &&
	       !(state & interned);
}

static bool leads_nowhere(const struct heap_blocks *b, uint64_t addr, int32_t type)
{
	const struct heap_type *t;

	if (type < 0)
		return type == BLOCK_FREE;
	t = heap_types_get(b->types, type);
	if (!t->exact)
		return false;
	switch (t->kind) {
	case TYPE_LEAF:
	case TYPE_INT:
	case TYPE_BYTES:
		return true;
	case TYPE_STR:
		return !b->has_debug_hooks && is_plain_text(b, addr + t->before);
	default:
		return false;
	}
}

void leaves_drop_rest(struct heap_blocks *b)
{
	if (b->dropped_from < b->dropped_to)
		snapshot_release(b->snapshot, b->dropped_from, b->dropped_to);
	b->dropped_from = b->dropped_to = 0;
}

static void note(struct heap_blocks *b, uint64_t from, uint64_t to)
{
	if (from == b->dropped_to && to - b->dropped_from <= DROP_BYTES) {
		b->dropped_to = to;
		return;
	}
	leaves_drop_rest(b);
	b->dropped_from = from;
	b->dropped_to = to;
}

void leaves_drop(struct heap_blocks *b, const struct heap_run *pool, const int32_t *types)
{
	uint64_t from = pool->start, addr = pool->start + b->pool_first;

	if (!b->drop)
		return;
	for (uint32_t i = 0; i < pool->count; i++, addr += pool->stride) {
		if (leads_nowhere(b, addr, types[i]))
			continue;
		if (addr > from)
			note(b, from, addr);
		from = addr + pool->stride;
	}
	if (pool->end > from)
		note(b, from, pool->end);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: an instance's values (3.11, 3.12) lie in a block behind some bytes of which only the
 * last are used. The other bytes may still look like an object that was there before: with a type,
 * and a count of 0.
 *
 * So each object with values says where they are, and their block becomes a buffer.
 */
#include "heap/blocks_private.h"

static bool may_have_values(const struct heap_blocks *b, const struct heap_type *type)
{
	return type->kind == TYPE_DICT || type->flags & b->layout->pre_flags;
}

/* Address of the object's values; 0: it has none. */
static uint64_t values_of(const struct heap_blocks *b, const struct heap_type *type,
			  uint64_t object)
{
	const struct py_heap_layout *l = b->layout;
	uint64_t word;

	if (type->kind == TYPE_DICT)
		return snapshot_word(b->snapshot, object + l->dict_values);
	if (!(l->flags & PY_HEAP_VALUES_TAGGED))
		return snapshot_word(b->snapshot, object - l->pre_values_back);
	word = snapshot_word(b->snapshot, object - l->pre_dict_back);
	return word & 1 ? word + 1 : 0;
}

static void is_buffer(struct heap_blocks *b, uint64_t addr)
{
	uint32_t block = heap_blocks_find_addr(b, addr);
	uint64_t start, end;

	if (block == BLOCK_NONE || b->block_types[block] != BLOCK_CACHED)
		return;
	blocks_bounds(b, block, &start, &end);
	b->allocators.cached_bytes -= snapshot_resident(b->snapshot, start, end);
	b->block_types[block] = BLOCK_BUFFER;
}

void values_find(struct heap_blocks *b)
{
	const struct heap_type *type;
	uint64_t values;

	if (b->layout->pre_values_back == PY_NONE && !(b->layout->flags & PY_HEAP_VALUES_TAGGED))
		return;
	for (uint32_t i = 0; i < b->block_count; i++) {
		if (b->block_types[i] < 0)
			continue;
		type = heap_types_get(b->types, b->block_types[i]);
		if (!may_have_values(b, type))
			continue;
		values = values_of(b, type, heap_blocks_object(b, i));
		if (values)
			is_buffer(b, values);
	}
}

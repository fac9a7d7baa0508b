/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/dict_keys.h"

#define SIZE_MAX_LOG2 48

/* Bytes of the indices up to 3.10: one for each slot, each as wide as the number of slots needs. */
static uint64_t old_index_bytes(uint64_t slots)
{
	unsigned width = slots <= 0xff ? 1 : slots <= 0xffff ? 2 : slots <= 0xffffffff ? 4 : 8;

	return slots >> SIZE_MAX_LOG2 ? 1ull << SIZE_MAX_LOG2 : slots * width;
}

static void read_field(const struct heap_view *view, uint64_t addr, void *field, size_t bytes,
		       bool live)
{
	if (live)
		snapshot_read_any(view->snapshot, addr, field, bytes);
	else
		snapshot_read(view->snapshot, addr, field, bytes);
}

struct dict_keys dict_keys_read(const struct heap_view *view, uint64_t keys, bool live)
{
	const struct py_heap_layout *heap = view->heap;
	struct dict_keys shape = {
		.size = heap->entry_size,
		.key = heap->entry_key,
		.value = heap->entry_value,
	};
	uint8_t index_bits = 0, kind = 0;
	uint64_t slots = 0;

	read_field(view, keys + heap->keys_nentries, &shape.count, sizeof(shape.count), live);
	if (heap->flags & PY_HEAP_OLD_KEYS) {
		read_field(view, keys + heap->keys_size, &slots, sizeof(slots), live);
		shape.entries = keys + heap->keys_indices + old_index_bytes(slots);
		return shape;
	}
	read_field(view, keys + heap->keys_log2_index_bytes, &index_bits, 1, live);
	read_field(view, keys + heap->keys_kind, &kind, 1, live);
	if (index_bits > SIZE_MAX_LOG2)
		index_bits = SIZE_MAX_LOG2;
	shape.entries = keys + heap->keys_indices + (1ull << index_bits);
	if (kind != heap->keys_kind_general) {
		shape.size = heap->unicode_entry_size;
		shape.key = heap->unicode_entry_key;
		shape.value = heap->unicode_entry_value;
	}
	return shape;
}

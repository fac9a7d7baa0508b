/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/object_read.h"

#include <stdlib.h>

#include "heap/dict_keys.h"
#include "python/py_code.h"

#define WORD	 sizeof(uint64_t)
#define TEXT_MAX 512
/* Bytes that are read of keys that lie in no block: these are static, and empty. */
#define STATIC_KEYS_MAX 4096
#define DIGIT_BITS	30

uint64_t object_word(const struct heap_view *view, uint64_t addr)
{
	uint64_t word = 0;

	return snapshot_read_any(view->snapshot, addr, &word, sizeof(word)) ? word : 0;
}

int32_t object_int(const struct heap_view *view, uint64_t addr)
{
	int32_t number = 0;

	return snapshot_read_any(view->snapshot, addr, &number, sizeof(number)) ? number : 0;
}

uint64_t object_size(const struct heap_view *view, uint64_t addr)
{
	return object_word(view, addr + view->heap->object_size);
}

bool object_type(const struct heap_view *view, uint64_t addr, struct heap_type *type)
{
	int32_t index;

	if (!addr || addr % WORD)
		return false;
	index = heap_types_find(view->types, object_word(view, addr + view->heap->object_type));
	if (index == TYPE_NONE)
		return false;
	*type = *heap_types_get(view->types, index);
	return true;
}

bool object_is(const struct heap_view *view, uint64_t addr, enum type_kind kind)
{
	struct heap_type type;

	return object_type(view, addr, &type) && type.kind == kind;
}

/* --- text --- */

static uint64_t characters_of(const struct heap_view *view, uint64_t addr, uint32_t state)
{
	const struct py_layout *py = view->py;

	if (!(state >> py->unicode_compact_shift & 1))
		return object_word(view, addr + view->heap->unicode_data);
	return addr + (state >> py->unicode_ascii_shift & 1 ? py->unicode_ascii_size
							    : py->unicode_compact_size);
}

/* Cuts between two characters. */
static void cut(const char *whole, char *text, size_t size)
{
	size_t length = strlen(whole), end = length;

	if (length + 1 > size) {
		end = size > 4 ? size - 4 : 0;
		while (end && ((unsigned char)whole[end] & 0xc0) == 0x80)
			end--;
	}
	memcpy(text, whole, end);
	strcpy(text + end, end < length && size > 4 ? "…" : "");
}

bool object_text(const struct heap_view *view, uint64_t addr, char *text, size_t size)
{
	char characters[TEXT_MAX];
	uint64_t length;
	uint32_t state, kind;
	size_t bytes;
	char *whole;

	*text = '\0';
	if (!object_is(view, addr, TYPE_STR))
		return false;
	length = object_word(view, addr + view->py->unicode_length);
	state = (uint32_t)object_int(view, addr + view->py->unicode_state);
	kind = state >> view->py->unicode_kind_shift & 7;
	if (kind != 1 && kind != 2 && kind != 4)
		return false;
	bytes = length < sizeof(characters) / kind ? length * kind : sizeof(characters);
	if (!snapshot_read_any(view->snapshot, characters_of(view, addr, state), characters, bytes))
		return false;
	whole = py_unicode_decode(characters, bytes, length, kind);
	if (!whole)
		return false;
	cut(whole, text, size);
	free(whole);
	return true;
}

/* --- numbers --- */

bool object_integer(const struct heap_view *view, uint64_t addr, int64_t *value)
{
	const struct py_heap_layout *heap = view->heap;
	bool negative;
	uint64_t digits;
	int64_t size;

	if (!object_is(view, addr, TYPE_INT))
		return false;
	size = (int64_t)object_word(view, addr + heap->long_tag);
	if (heap->flags & PY_HEAP_LONG_TAG) {
		negative = (size & 3) == 2;
		digits = (uint64_t)size >> 3;
	} else {
		negative = size < 0;
		digits = negative ? -(uint64_t)size : (uint64_t)size;
	}
	if (digits > 2)
		return false;
	*value = 0;
	for (uint64_t i = 0; i < digits; i++)
		*value |= (int64_t)(uint32_t)object_int(view, addr + heap->long_digits + i * 4)
			  << (i * DIGIT_BITS);
	if (negative)
		*value = -*value;
	return true;
}

uint64_t object_item(const struct heap_view *view, uint64_t addr, uint64_t index)
{
	struct heap_type type;
	uint64_t items;

	if (!object_type(view, addr, &type) ||
	    index >= object_word(view, addr + view->heap->object_size))
		return 0;
	if (type.kind == TYPE_TUPLE)
		items = addr + view->heap->tuple_items;
	else if (type.kind == TYPE_LIST)
		items = object_word(view, addr + view->heap->list_items);
	else
		return 0;
	return object_word(view, items + index * WORD);
}

/* --- dicts --- */

/* The end of the block that holds `addr`. */
static uint64_t end_of_block(const struct heap_view *view, uint64_t addr)
{
	uint32_t block = heap_blocks_find_addr(view->blocks, addr);

	if (block == BLOCK_NONE)
		return addr + STATIC_KEYS_MAX;
	return heap_blocks_addr(view->blocks, block) + heap_blocks_size(view->blocks, block);
}

void object_keys_begin(struct object_items *items, const struct heap_view *view, uint64_t keys)
{
	struct dict_keys shape = dict_keys_read(view, keys, true);

	*items = (struct object_items){
		.view = view,
		.entry = shape.entries,
		.left = dict_keys_within(&shape, end_of_block(view, keys)),
		.size = shape.size,
		.key_at = shape.key,
		.value_at = shape.value,
	};
}

bool object_items_begin(struct object_items *items, const struct heap_view *view, uint64_t dict)
{
	uint64_t keys, values;

	if (!object_is(view, dict, TYPE_DICT))
		return false;
	keys = object_word(view, dict + view->heap->dict_keys);
	values = object_word(view, dict + view->heap->dict_values);
	if (!keys)
		return false;
	object_keys_begin(items, view, keys);
	if (values)
		items->values = values + view->heap->values_first;
	return true;
}

bool object_items_next(struct object_items *items)
{
	const struct heap_view *view = items->view;

	if (!items->left)
		return false;
	items->left--;
	items->key = object_word(view, items->entry + items->key_at);
	if (items->values) {
		items->value = object_word(view, items->values);
		items->values += WORD;
	} else {
		items->value = object_word(view, items->entry + items->value_at);
	}
	items->entry += items->size;
	return true;
}

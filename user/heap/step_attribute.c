/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of attributes: slots and members of C types (in tp_members), values of instances (in the
 * keys of the type). */
#include <stdio.h>
#include <stdlib.h>

#include "heap/object_read.h"
#include "heap/step.h"

#define WORD	    sizeof(uint64_t)
#define BASES_MAX   64
#define MEMBERS_MAX 1024
#define NAME_BYTES  96

static bool read_c_string(const struct heap_view *view, uint64_t addr, char *text, size_t size)
{
	size_t length = 0;

	while (length < size - 1) {
		if (!snapshot_read_any(view->snapshot, addr + length, text + length, 1))
			return false;
		if (!text[length])
			return length > 0;
		length++;
	}
	text[length] = '\0';
	return true;
}

/* Writes the name of the member of `type` that lies at `offset` in its objects. False: there is
 * none. */
static bool member_of(const struct heap_view *view, uint64_t type, uint64_t offset, char *name,
		      size_t size)
{
	const struct py_heap_layout *heap = view->heap;
	uint64_t member = object_word(view, type + heap->type_members);

	for (int i = 0; member && i < MEMBERS_MAX; i++, member += heap->member_size) {
		uint64_t text = object_word(view, member + heap->member_name);

		if (!text)
			return false;
		if (object_word(view, member + heap->member_offset) == offset)
			return read_c_string(view, text, name, size);
	}
	return false;
}

static bool member_of_any_base(const struct heap_view *view, const struct heap_type *type,
			       uint64_t offset, char *name, size_t size)
{
	uint64_t base = type->addr;

	for (int i = 0; base && i < BASES_MAX; i++) {
		if (member_of(view, base, offset, name, size))
			return true;
		base = object_word(view, base + view->heap->type_base);
	}
	return false;
}

static bool find_member(const struct heap_view *view, const struct heap_type *type, uint64_t object,
			uint64_t child, char *name, size_t size)
{
	for (uint64_t at = view->heap->object_head; at + WORD <= type->basicsize; at += WORD) {
		if (object_word(view, object + at) == child &&
		    member_of_any_base(view, type, at, name, size))
			return true;
	}
	return false;
}

/* Address of an instance's first value; 0: it has no values of its own. */
static uint64_t values_of(const struct heap_view *view, const struct body *body, uint64_t object)
{
	const struct py_heap_layout *heap = view->heap;
	uint64_t word;
	uint8_t valid = 0;

	if (body->inline_values) {
		snapshot_read_any(view->snapshot, object + body->to + heap->inline_valid, &valid,
				  1);
		return valid ? object + body->to + heap->values_first : 0;
	}
	if (body->before_values)
		return object_word(view, object - body->before_values);
	if (heap->flags & PY_HEAP_VALUES_TAGGED && body->before_dict) {
		word = object_word(view, object - body->before_dict);
		return word & 1 ? word + 1 : 0;
	}
	return 0;
}

static bool find_value(const struct heap_view *view, const struct heap_type *type,
		       const struct body *body, uint64_t object, uint64_t child, char *name,
		       size_t size)
{
	uint64_t values = values_of(view, body, object);
	uint64_t keys = object_word(view, type->addr + view->heap->heap_type_cached_keys);
	struct object_items items;
	char other[NAME_BYTES];

	if (!values || !keys)
		return false;
	object_keys_begin(&items, view, keys);
	items.values = values;
	*name = '\0';
	while ((!*name || step_is_private(name)) && object_items_next(&items)) {
		if (items.value == child && object_text(view, items.key, other, sizeof(other)) &&
		    (!*name || !step_is_private(other)))
			snprintf(name, size, "%s", other);
	}
	return *name;
}

bool step_find_attribute(const struct heap_graph *graph, uint32_t parent, uint64_t child,
			 char *text, size_t size)
{
	const struct heap_view *view = &graph->view;
	uint64_t object = heap_blocks_object(view->blocks, parent);
	int32_t index = heap_blocks_type(view->blocks, parent);
	const struct body *body = &graph->bodies.list[index];
	struct heap_type type = *heap_types_get(view->types, index);
	char name[NAME_BYTES];

	if (!find_value(view, &type, body, object, child, name, sizeof(name)) &&
	    !find_member(view, &type, object, child, name, sizeof(name)))
		return false;
	snprintf(text, size, ".%s", name);
	return true;
}

bool step_is_dict_of(const struct heap_graph *graph, uint32_t parent, uint64_t dict)
{
	const struct heap_view *view = &graph->view;
	uint64_t object = heap_blocks_object(view->blocks, parent);
	int32_t index = heap_blocks_type(view->blocks, parent);
	const struct body *body = &graph->bodies.list[index];
	int32_t offset = heap_types_get(view->types, index)->dictoffset;
	uint64_t at_end = body_dict_at_end(view, body, object, object_size(view, object));

	if (body->kind == TYPE_TYPE)
		return object_word(view, object + view->heap->type_dict) == dict;
	if (body->kind == TYPE_MODULE)
		return object_word(view, object + view->heap->module_dict) == dict;
	if (body->before_dict && object_word(view, object - body->before_dict) == dict)
		return true;
	if (at_end)
		return object_word(view, at_end) == dict;
	return offset > 0 && object_word(view, object + (uint64_t)offset) == dict;
}

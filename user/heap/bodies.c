/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/bodies.h"

#include <errno.h>
#include <stdlib.h>

#define BASES_MAX 64
#define ITEMS_MAX (1ull << 40)
/* Include/cpython/object.h, Include/object.h: tp_flags that say what lies around an object. */
#define INLINE_VALUES (1u << 2)
#define HEAP_TYPE     (1u << 9)

/* basicsize of the built-in type that `type` is, or is a subclass of. What lies behind it is slots.
 */
static uint32_t built_in_size(const struct heap_view *view, const struct heap_type *type)
{
	struct heap_type above = *type; /* a copy, as finding a type may move all others */

	for (int i = 0; i < BASES_MAX && !above.exact; i++) {
		int32_t base = heap_types_find(view->types, above.base);

		if (base == TYPE_NONE || heap_types_get(view->types, base)->kind != above.kind)
			break;
		above = *heap_types_get(view->types, base);
	}
	return above.basicsize;
}

static void set_before(struct body *body, const struct heap_view *view,
		       const struct heap_type *type)
{
	const struct py_heap_layout *heap = view->heap;

	if (!(type->flags & heap->pre_flags))
		return;
	if (heap->pre_dict_back != PY_NONE && heap->pre_dict_back <= type->before)
		body->before_dict = heap->pre_dict_back;
	if (heap->pre_values_back != PY_NONE && heap->pre_values_back <= type->before &&
	    heap->pre_values_back != heap->pre_dict_back)
		body->before_values = heap->pre_values_back;
}

/* Is it a type of the C implementation of lru_cache? Its objects begin with PyObject_HEAD, prev,
 * next (Modules/_functoolsmodule.c, struct lru_list_elem). The links own nothing: the cache's dict
 * owns the elements. */
static bool in_lru_list(const struct heap_type *type)
{
	return !strcmp(type->name, "functools._lru_cache_wrapper") ||
	       !strcmp(type->name, "functools._lru_list_elem");
}

/* Sets how bodies that are not just words are read, and which of their words are left to be read.
 */
static void set_form(struct body *body, const struct heap_view *view, const struct heap_type *type)
{
	const struct py_heap_layout *heap = view->heap;

	switch (type->kind) {
	case TYPE_LEAF:
	case TYPE_WEAKREF:
		body->from = built_in_size(view, type);
		break;
	case TYPE_INT:
	case TYPE_BYTES:
		body->from = body->to; /* a subclass has no slots, as their size varies */
		break;
	case TYPE_STR:
		body->form = BODY_STR;
		body->from = built_in_size(view, type);
		break;
	case TYPE_BYTEARRAY:
		body->form = BODY_BYTEARRAY;
		break;
	case TYPE_TUPLE:
		body->form = BODY_TUPLE;
		body->from = body->to;
		break;
	case TYPE_SET:
		body->form = BODY_SET;
		body->from = built_in_size(view, type);
		break;
	case TYPE_FRAME:
		body->form = BODY_FRAME;
		body->to = body->from;
		break;
	case TYPE_GENERATOR:
		if (heap->flags & PY_HEAP_FRAME_OBJECTS)
			break;
		body->form = BODY_GENERATOR;
		body->to = heap->generator_frame;
		break;
	default:
		if (in_lru_list(type))
			body->from += 2 * sizeof(uint64_t);
	}
}

static void set_body(struct body *body, const struct heap_view *view, const struct heap_type *type)
{
	body->kind = type->kind;
	body->exact = type->exact;
	body->form = BODY_WORDS;
	body->from = view->heap->object_head;
	body->to = type->basicsize;
	body->itemsize = type->itemsize;
	body->weakrefs = type->weaklistoffset > 0 ? (uint32_t)type->weaklistoffset : 0;
	/* From 3.12 on -1 says that the pointer lies before the object. */
	if (type->dictoffset < -1)
		body->dict = type->dictoffset;
	body->heap_type = type->kind == TYPE_TYPE;
	body->deque = type->kind == TYPE_DEQUE;
	body->ndarray = type->kind == TYPE_NDARRAY;
	body->inline_values = view->heap->flags & PY_HEAP_VALUES_INLINE &&
			      type->flags & INLINE_VALUES && type->flags & HEAP_TYPE;
	set_before(body, view, type);
	set_form(body, view, type);
}

int bodies_init(struct bodies *bodies, const struct heap_view *view)
{
	uint32_t count = heap_types_count(view->types);

	bodies->count = 0;
	bodies->list = calloc((size_t)count + 1, sizeof(*bodies->list));
	if (!bodies->list)
		return -ENOMEM;
	/* Looking for a base may add a type. No block is an object of that, so it needs no body. */
	for (uint32_t i = 0; i < count; i++) {
		struct heap_type type = *heap_types_get(view->types, (int32_t)i);

		set_body(&bodies->list[i], view, &type);
	}
	bodies->count = count;
	return 0;
}

void bodies_fini(struct bodies *bodies)
{
	free(bodies->list);
	bodies->list = NULL;
}

/* Objects/object.c, _PyObject_ComputedDictPointer(). */
uint64_t body_dict_at_end(const struct heap_view *view, const struct body *body, uint64_t object,
			  uint64_t size)
{
	uint64_t items = size, bytes;

	if (!body->dict)
		return 0;
	if (view->heap->flags & PY_HEAP_LONG_TAG && body->kind == TYPE_INT)
		items = size >> 3; /* lv_tag: its lower 3 bits are the sign */
	if (items >> 63)	   /* ob_size of a negative int */
		items = -items;
	if (items > ITEMS_MAX)
		return 0;
	bytes = body->to + items * body->itemsize;
	bytes = (bytes + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1);
	return object + bytes + (uint64_t)(int64_t)body->dict;
}

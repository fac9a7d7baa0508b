/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/step.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/object_read.h"

#define WORD	   sizeof(uint64_t)
#define NAME_BYTES 96
#define KEY_BYTES  64
#define SLOTS_MAX  65536

/* What a step is found from. */
struct look {
	const struct heap_graph *graph;
	const struct heap_view *view;
	uint32_t block; /* the parent's */
	uint64_t object, child;
	struct heap_type type; /* the parent's */
	const struct step *before;
	struct step_budget *budget;
};

static bool pay(struct step_budget *budget, uint64_t words)
{
	if (budget->words < words)
		return false;
	budget->words -= words;
	return true;
}

/* --- keys and indices --- */

void step_of_key(const struct heap_view *view, uint64_t key, bool as_name, char *text, size_t size)
{
	char name[KEY_BYTES];
	struct heap_type type;
	int64_t number;

	if (object_text(view, key, name, sizeof(name)))
		snprintf(text, size, as_name ? ".%s" : "['%s']", name);
	else if (object_integer(view, key, &number))
		snprintf(text, size, "[%" PRId64 "]", number);
	else if (object_type(view, key, &type))
		snprintf(text, size, "[<%.60s>]", type.name);
	else
		snprintf(text, size, "[?]");
}

/* Puts the key into the step, unless the step has a name that people prefer. True: no other name
 * would be preferred to this one. */
static bool take_key(struct look *l, uint64_t key, bool as_name, struct step *step)
{
	char text[STEP_BYTES];

	step_of_key(l->view, key, as_name, text, sizeof(text));
	if (!*step->text || !as_name || !step_is_private(text + 1))
		memcpy(step->text, text, sizeof(text));
	return !as_name || !step_is_private(step->text + 1);
}

static bool in_dict(struct look *l, struct step *step)
{
	bool as_name = l->before && l->before->is_namespace;
	struct object_items items;

	if (!object_items_begin(&items, l->view, l->object) || !pay(l->budget, items.left))
		return false;
	while (object_items_next(&items)) {
		if (items.value == l->child && items.key) {
			if (take_key(l, items.key, as_name, step))
				return true;
		} else if (items.key == l->child && !*step->text) {
			snprintf(step->text, sizeof(step->text), ".<key>");
			return true;
		}
	}
	return *step->text;
}

/* Index of `child` among `count` words; -1: it is not there. */
static int64_t index_among(struct look *l, uint64_t addr, uint64_t count)
{
	for (uint64_t i = 0; i < count && pay(l->budget, 1); i++) {
		if (object_word(l->view, addr + i * WORD) == l->child)
			return (int64_t)i;
	}
	return -1;
}

static bool put_index(struct step *step, int64_t index)
{
	if (index < 0)
		return false;
	snprintf(step->text, sizeof(step->text), "[%" PRId64 "]", index);
	return true;
}

static bool in_list(struct look *l, struct step *step)
{
	uint64_t items = object_word(l->view, l->object + l->view->heap->list_items);

	return put_index(step, index_among(l, items, object_size(l->view, l->object)));
}

static bool in_deque(struct look *l, struct step *step)
{
	const struct py_heap_layout *heap = l->view->heap;
	uint64_t left =
		object_word(l->view, l->object + heap->deque_left_index) % heap->deque_block_length;
	uint64_t block = object_word(l->view, l->object + heap->deque_left_block);
	uint64_t size = object_size(l->view, l->object);

	for (uint64_t at = 0; at < size && block && pay(l->budget, 1);) {
		uint64_t here = heap->deque_block_length - left;
		int64_t index = index_among(l, block + heap->deque_block_items + left * WORD, here);

		if (index >= 0)
			return put_index(step, (int64_t)at + index);
		at += here;
		left = 0;
		block = object_word(l->view, block + heap->deque_block_right);
	}
	return false;
}

/* --- functions, frames --- */

void step_code_name(const struct heap_view *view, uint64_t code, char *text, size_t size)
{
	const struct py_layout *py = view->py;
	uint64_t name = object_word(
		view, code + (py->code_qualname != PY_NONE ? py->code_qualname : py->code_name));

	if (!object_text(view, name, text, size))
		snprintf(text, size, "?");
}

bool step_local_name(const struct heap_view *view, uint64_t code, uint32_t index, char *text,
		     size_t size)
{
	const struct py_heap_layout *heap = view->heap;
	uint64_t names[3] = {0}, at = index;
	int count = 1;

	if (heap->flags & PY_HEAP_FRAME_OBJECTS) {
		names[0] = object_word(view, code + heap->code_varnames);
		names[1] = object_word(view, code + heap->code_cellvars);
		names[2] = object_word(view, code + heap->code_freevars);
		count = 3;
	} else {
		names[0] = object_word(view, code + heap->code_localsplusnames);
	}
	for (int i = 0; i < count; i++) {
		uint64_t name = object_item(view, names[i], at);

		if (name)
			return object_text(view, name, text, size);
		at -= object_word(view, names[i] + heap->object_size);
	}
	return false;
}

/* Cells of a closure are in the order of the free variables, which come last. */
static bool in_closure(struct look *l, struct step *step)
{
	const struct py_heap_layout *heap = l->view->heap;
	uint64_t code = object_word(l->view, l->before->closure_of + heap->function_code);
	uint64_t count = object_size(l->view, l->object);
	int64_t index = index_among(l, l->object + heap->tuple_items, count);
	char name[NAME_BYTES];

	if (index < 0)
		return false;
	if (heap->flags & PY_HEAP_FRAME_OBJECTS) {
		uint64_t names = object_word(l->view, code + heap->code_freevars);

		if (!object_text(l->view, object_item(l->view, names, (uint64_t)index), name,
				 sizeof(name)))
			return false;
	} else {
		int32_t all = object_int(l->view, code + heap->code_nlocalsplus);

		if (!step_local_name(l->view, code, (uint32_t)(all - (int32_t)count + index), name,
				     sizeof(name)))
			return false;
	}
	snprintf(step->text, sizeof(step->text), ".%s", name);
	return true;
}

static bool in_tuple(struct look *l, struct step *step)
{
	if (l->before && l->before->closure_of)
		return in_closure(l, step);
	return put_index(step, index_among(l, l->object + l->view->heap->tuple_items,
					   object_size(l->view, l->object)));
}

static bool in_function(struct look *l, struct step *step)
{
	const struct py_heap_layout *heap = l->view->heap;
	const struct {
		uint16_t at;
		const char *text;
		bool is_namespace;
	} fields[] = {
		{heap->function_closure, ".<closure>", false},
		{heap->function_dict, "", true},
		{heap->function_defaults, ".__defaults__", false},
		{heap->function_kwdefaults, ".__kwdefaults__", false},
		{heap->function_globals, ".__globals__", true},
		{heap->function_code, ".__code__", false},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (object_word(l->view, l->object + fields[i].at) != l->child)
			continue;
		snprintf(step->text, sizeof(step->text), "%s", fields[i].text);
		step->is_namespace = fields[i].is_namespace;
		if (!i)
			step->closure_of = l->object;
		return true;
	}
	return false;
}

static bool in_method(struct look *l, struct step *step)
{
	const struct py_heap_layout *heap = l->view->heap;

	if (object_word(l->view, l->object + heap->method_self) == l->child)
		snprintf(step->text, sizeof(step->text), ".__self__");
	else
		snprintf(step->text, sizeof(step->text), ".__func__");
	return true;
}

/* The object that a C function is a method of, as a list is that of its list.append.
 * PyCFunctionObject is the same in 3.8 to 3.15: m_ml, m_self, m_module follow the head. The other
 * two are found as members are. */
static bool in_builtin(struct look *l, struct step *step)
{
	uint64_t self = l->object + l->view->heap->object_head + WORD;

	if ((strcmp(l->type.name, "builtin_function_or_method") &&
	     strcmp(l->type.name, "builtin_method")) ||
	    object_word(l->view, self) != l->child)
		return false;
	snprintf(step->text, sizeof(step->text), ".__self__");
	return true;
}

/* The local variable that `child` is in the frame at `frame`. `name`: address of the str that names
 * the function; 0: its code object does. */
static bool in_frame(struct look *l, uint64_t frame, uint64_t name, struct step *step)
{
	const struct heap_view *view = l->view;
	const struct py_heap_layout *heap = view->heap;
	uint64_t code = object_word(view, frame + view->py->frame_code) & ~(uint64_t)3;
	uint64_t slots = frame + heap->frame_localsplus;
	uint64_t tags = heap->flags & PY_HEAP_LOCALS_TAGGED ? 3 : 0;
	uint32_t block_end = heap_blocks_find_addr(view->blocks, frame);
	char function[NAME_BYTES], local[NAME_BYTES];
	uint64_t end;

	if (block_end == BLOCK_NONE)
		return false;
	end = heap_blocks_addr(view->blocks, block_end) + heap_blocks_size(view->blocks, block_end);
	if (!object_text(view, name, function, sizeof(function)))
		step_code_name(view, code, function, sizeof(function));
	for (uint32_t i = 0; slots + WORD <= end && i < SLOTS_MAX; i++, slots += WORD) {
		if ((object_word(view, slots) & ~tags) != l->child)
			continue;
		if (!step_local_name(view, code, i, local, sizeof(local)))
			snprintf(local, sizeof(local), "<temporary>");
		step->begins = l->before && l->before->is_generator;
		snprintf(step->text, sizeof(step->text), "%s%.70s():%.70s", step->begins ? "" : " ",
			 function, local);
		return true;
	}
	return false;
}

/* A generator has its frame in itself; up to 3.10 the frame is an object between it and its locals.
 */
static bool in_generator(struct look *l, struct step *step)
{
	const struct py_heap_layout *heap = l->view->heap;

	struct step itself = {.is_generator = true};

	if (heap->flags & PY_HEAP_FRAME_OBJECTS) {
		step->is_generator =
			object_word(l->view, l->object + heap->generator_frame) == l->child;
		return step->is_generator;
	}
	l->before = &itself;
	return in_frame(l, l->object + heap->generator_frame,
			object_word(l->view, l->object + heap->generator_qualname), step);
}

/* A frame that is no generator's is a traceback's: the path keeps what holds the traceback. */
static bool in_frame_object(struct look *l, struct step *step)
{
	const struct py_heap_layout *heap = l->view->heap;
	uint64_t frame = l->object;

	if (!(heap->flags & PY_HEAP_FRAME_OBJECTS))
		frame = object_word(l->view, l->object + heap->frame_object_frame);
	return in_frame(l, frame, 0, step);
}

/* --- asyncio --- */

/* Names an asyncio task: by a str or (3.12 on) by a number, of which "Task-<number>" is made later.
 */
static void put_task(struct look *l, struct step *step)
{
	uint64_t at = l->object + l->view->heap->object_head;
	uint64_t end = l->object + l->type.basicsize;
	char name[KEY_BYTES];
	int64_t number;

	step->is_task = step->begins = true;
	snprintf(step->text, sizeof(step->text), "asyncio task ");
	for (; at + WORD <= end; at += WORD) {
		uint64_t word = object_word(l->view, at);

		if (object_text(l->view, word, name, sizeof(name))) {
			snprintf(step->text, sizeof(step->text), "asyncio task %s ", name);
			return;
		}
		if (object_integer(l->view, word, &number)) {
			snprintf(step->text, sizeof(step->text), "asyncio task Task-%" PRId64 " ",
				 number);
			return;
		}
	}
}

static bool is_task(const struct look *l)
{
	return !strcmp(l->type.name, "_asyncio.Task");
}

/* --- all of them --- */

static bool find_by_kind(struct look *l, struct step *step)
{
	switch (l->type.kind) {
	case TYPE_DICT:
		return in_dict(l, step);
	case TYPE_LIST:
		return in_list(l, step);
	case TYPE_TUPLE:
		return in_tuple(l, step);
	case TYPE_DEQUE:
		return in_deque(l, step);
	case TYPE_FUNCTION:
		return in_function(l, step);
	case TYPE_METHOD:
		return in_method(l, step);
	case TYPE_GENERATOR:
		return in_generator(l, step);
	case TYPE_FRAME:
		return in_frame_object(l, step);
	case TYPE_CELL:
		return true;
	case TYPE_SET:
		snprintf(step->text, sizeof(step->text), "{…}");
		return true;
	default:
		return in_builtin(l, step);
	}
}

/* A reference without a name is called by the child's type. From a traceback to the next one or to
 * its frame no name is needed. */
static void put_unnamed(struct look *l, uint32_t child, struct step *step)
{
	const struct heap_type *type = view_type(l->view, child);

	if (type && type->kind == TYPE_DICT && strstr(l->type.name, "_lru_cache_wrapper"))
		snprintf(step->text, sizeof(step->text), ".cache");
	else if (type && !strcmp(type->name, "traceback"))
		snprintf(step->text, sizeof(step->text), "%s",
			 strcmp(l->type.name, "traceback") ? ".__traceback__" : "");
	else
		snprintf(step->text, sizeof(step->text), ".<%.100s>", type ? type->name : "memory");
}

void step_find(const struct heap_graph *graph, uint32_t parent, uint32_t child,
	       const struct step *before, struct step_budget *budget, struct step *step)
{
	const struct heap_view *view = &graph->view;
	int32_t index = heap_blocks_type(view->blocks, parent);
	struct look look = {
		.graph = graph,
		.view = view,
		.block = parent,
		.object = heap_blocks_object(view->blocks, parent),
		.child = heap_blocks_object(view->blocks, child),
		.before = before,
		.budget = budget,
	};

	*step = (struct step){0};
	if (index < 0) {
		put_unnamed(&look, child, step);
		return;
	}
	look.type = *heap_types_get(view->types, index);
	if (step_is_dict_of(graph, parent, look.child)) {
		step->is_namespace = true;
		return;
	}
	if (!strcmp(look.type.name, "traceback") && view_is(view, child, TYPE_FRAME))
		return;
	if (is_task(&look) && view_is(view, child, TYPE_GENERATOR)) {
		put_task(&look, step);
		return;
	}
	if (find_by_kind(&look, step) ||
	    step_find_attribute(graph, parent, look.child, step->text, sizeof(step->text)))
		return;
	if (object_word(view, look.object + view->heap->object_type) == look.child)
		snprintf(step->text, sizeof(step->text), ".__class__");
	else
		put_unnamed(&look, child, step);
}

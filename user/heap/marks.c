/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/marks.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "heap/dict_keys.h"

/* PyArrayObject and PyArray_Descr of numpy 1.7 to 2.x: both are part of its ABI. */
#define NDARRAY_DATA	 16
#define NDARRAY_DESCR	 56
#define DESCR_KIND	 24
#define KINDS_OF_NUMBERS "biufcSUmM"

#define DEQUE_FREE_BLOCKS 32
/* The dict of interned strings is looked for among dicts with so many entries. Its first entries
 * are looked at. */
#define INTERNED_LEAST	200
#define INTERNED_LOOKED 64

static uint64_t word(const struct heap_view *view, uint64_t addr)
{
	return snapshot_word(view->snapshot, addr);
}

/* The buffer that begins at `addr`; BLOCK_NONE: none does. */
static uint32_t buffer_at(const struct heap_view *view, uint64_t addr)
{
	uint32_t block = heap_blocks_find_addr(view->blocks, addr);

	return block != BLOCK_NONE && heap_blocks_type(view->blocks, block) == BLOCK_BUFFER &&
			       heap_blocks_addr(view->blocks, block) == addr
		       ? block
		       : BLOCK_NONE;
}

static void mark_block(struct marker *marker, uint32_t block, uint32_t mark)
{
	if (block != BLOCK_NONE)
		heap_blocks_mark(marker->view->blocks, block, mark);
}

static void mark_list(struct marker *marker, uint64_t object)
{
	const struct heap_view *view = marker->view;
	uint64_t items = word(view, object + view->heap->list_items);

	mark_block(marker, buffer_at(view, items), mark_of(MARK_LIST, body_size(view, object)));
}

/* Is it the dict of interned strings? Its keys are their own values, and all are interned. (Up to
 * 3.11 it is a static variable: Objects/unicodeobject.c.) A program's own dict of strings has
 * others, too. */
static bool holds_interned(const struct heap_view *view, uint64_t keys)
{
	struct dict_keys shape = dict_keys_read(view, keys, false);
	unsigned found = 0;

	for (unsigned i = 0; i < INTERNED_LOOKED; i++) {
		uint64_t entry = shape.entries + i * shape.size;
		uint64_t key = word(view, entry + shape.key);
		uint32_t state = 0;

		if (!key)
			continue;
		if (key != word(view, entry + shape.value) ||
		    !snapshot_read(view->snapshot, key + view->py->unicode_state, &state,
				   sizeof(state)) ||
		    !(state & ((1u << view->py->unicode_kind_shift) - 1)))
			return false;
		found++;
	}
	return found > INTERNED_LOOKED / 2;
}

static void mark_dict(struct marker *marker, uint64_t object)
{
	const struct heap_view *view = marker->view;
	uint64_t keys = word(view, object + view->heap->dict_keys);
	uint64_t used = word(view, object + view->heap->dict_used);
	uint32_t block = buffer_at(view, keys);

	mark_block(marker, block, mark_of(MARK_KEYS, 0));
	/* If the interpreter has a pointer to the dict, it need not be looked for. */
	if (view->heap->interp_interned == PY_NONE && block != BLOCK_NONE &&
	    used >= INTERNED_LEAST && used > marker->interned_entries &&
	    holds_interned(view, keys)) {
		marker->interned = block;
		marker->interned_entries = used;
	}
}

static void mark_set(struct marker *marker, uint64_t object)
{
	const struct heap_view *view = marker->view;
	uint64_t table = word(view, object + view->heap->set_table);

	mark_block(marker, buffer_at(view, table),
		   mark_of(MARK_SET, word(view, object + view->heap->set_mask) + 1));
}

/* Marks the blocks from the leftmost to the rightmost. A circle ends at a block that is marked. */
static void mark_deque_chain(struct marker *marker, uint64_t object)
{
	const struct heap_view *view = marker->view;
	const struct py_heap_layout *heap = view->heap;
	uint64_t length = heap->deque_block_length, items = body_size(view, object);
	uint64_t left = word(view, object + heap->deque_left_index) % length;
	uint64_t at = word(view, object + heap->deque_left_block);
	uint64_t last = word(view, object + heap->deque_right_block);
	uint64_t right = word(view, object + heap->deque_right_index) % length;

	for (;;) {
		uint32_t block = buffer_at(view, at);
		uint64_t end = at == last ? right + 1 : length;

		if (block == BLOCK_NONE ||
		    mark_form(heap_blocks_marked(view->blocks, block)) == MARK_DEQUE)
			return;
		if (!items || end < left)
			end = left;
		mark_block(marker, block, MARK_DEQUE_BLOCK(left, end - left, at == last));
		if (at == last)
			return;
		at = word(view, at + heap->deque_block_right);
		left = 0;
	}
}

/* Blocks that a deque keeps for later use (3.12 on) follow its indices. They hold nothing. */
static void mark_deque(struct marker *marker, uint32_t block, uint64_t object)
{
	const struct heap_view *view = marker->view;
	const struct py_heap_layout *heap = view->heap;
	uint64_t size = heap_blocks_size(view->blocks, block);
	uint64_t block_size = heap->deque_block_right + sizeof(uint64_t);
	uint64_t at = object + heap->deque_right_index + sizeof(uint64_t);
	uint64_t end = heap_blocks_addr(view->blocks, block) + size;

	mark_deque_chain(marker, object);
	for (int i = 0; i < DEQUE_FREE_BLOCKS && at + sizeof(uint64_t) <= end;
	     i++, at += sizeof(uint64_t)) {
		uint32_t kept = buffer_at(view, word(view, at));

		if (kept != BLOCK_NONE &&
		    mark_form(heap_blocks_marked(view->blocks, kept)) == MARK_NONE &&
		    heap_blocks_size(view->blocks, kept) >= block_size)
			mark_block(marker, kept, mark_of(MARK_EMPTY, 0));
	}
}

/* Numbers are no references, and there may be gigabytes of them: they are not read. */
static void mark_ndarray(struct marker *marker, uint64_t object)
{
	const struct heap_view *view = marker->view;
	char kind = 0;

	snapshot_read(view->snapshot, word(view, object + NDARRAY_DESCR) + DESCR_KIND, &kind, 1);
	if (kind && strchr(KINDS_OF_NUMBERS, kind))
		mark_block(marker, buffer_at(view, word(view, object + NDARRAY_DATA)),
			   mark_of(MARK_EMPTY, 0));
}

static void mark_type(struct marker *marker, uint64_t object)
{
	const struct heap_view *view = marker->view;
	uint64_t keys = word(view, object + view->heap->heap_type_cached_keys);

	mark_block(marker, buffer_at(view, keys), mark_of(MARK_KEYS, 0));
}

static void mark_bytearray(struct marker *marker, uint64_t object)
{
	const struct heap_view *view = marker->view;
	uint64_t bytes = word(view, object + view->heap->bytearray_bytes);

	mark_block(marker, buffer_at(view, bytes), mark_of(MARK_EMPTY, 0));
}

/* A str's characters are not read: behind the last one there may be what was in that memory before.
 */
static void mark_str(struct marker *marker, uint64_t object)
{
	const struct heap_view *view = marker->view;
	const struct py_layout *py = view->py;
	uint32_t state = 0;

	snapshot_read(view->snapshot, object + py->unicode_state, &state, sizeof(state));
	if (state >> py->unicode_compact_shift & 1) {
		if (state >> py->unicode_ascii_shift & 1)
			return;
	} else {
		mark_block(marker, buffer_at(view, word(view, object + view->heap->unicode_data)),
			   mark_of(MARK_EMPTY, 0));
	}
	mark_block(marker, buffer_at(view, word(view, object + view->heap->unicode_utf8)),
		   mark_of(MARK_EMPTY, 0));
}

/* Slots of an interpreter's frame that are in use: locals, and the value stack if its top is known
 * (-1 or NULL: the frame runs, and the top is in a register). */
static uint64_t slots_in_use(const struct heap_view *view, uint64_t frame)
{
	const struct py_heap_layout *heap = view->heap;
	uint64_t code = word(view, frame + view->py->frame_code) & ~(uint64_t)3;
	uint64_t slots = frame + heap->frame_localsplus, top;
	int32_t locals = 0, index = -1;

	snapshot_read(view->snapshot, code + heap->code_nlocalsplus, &locals, sizeof(locals));
	if (locals < 0)
		locals = 0;
	if (heap->flags & PY_HEAP_STACK_TOP_INT) {
		snapshot_read(view->snapshot, frame + heap->frame_stack_top, &index, sizeof(index));
		return (uint64_t)(index > locals ? index : locals);
	}
	top = word(view, frame + heap->frame_stack_top);
	if (top >= slots && (top - slots) / sizeof(uint64_t) > (uint64_t)locals)
		return (top - slots) / sizeof(uint64_t);
	return (uint64_t)locals;
}

/* Notes an object that has a frame in it (from 3.11 on): a generator, or a frame object once its
 * function has returned. */
static int mark_frame(struct marker *marker, uint32_t block, const struct body *body,
		      uint64_t object)
{
	const struct heap_view *view = marker->view;
	uint64_t frame = body->kind == TYPE_GENERATOR
				 ? object + view->heap->generator_frame
				 : word(view, object + view->heap->frame_object_frame);

	if (view->heap->flags & PY_HEAP_FRAME_OBJECTS)
		return 0;
	if (!ARRAY_HAS_ROOM(marker->frames, marker->frame_count, marker->frame_room))
		return -ENOMEM;
	marker->frames[marker->frame_count++] =
		(struct frame_mark){block, mark_of(MARK_FRAME, slots_in_use(view, frame))};
	return 0;
}

static int mark_owned(struct marker *marker, uint32_t block, const struct body *body)
{
	uint64_t object = heap_blocks_object(marker->view->blocks, block);

	switch (body->kind) {
	case TYPE_LIST:
		mark_list(marker, object);
		break;
	case TYPE_STR:
		mark_str(marker, object);
		break;
	case TYPE_DICT:
		mark_dict(marker, object);
		break;
	case TYPE_SET:
		mark_set(marker, object);
		break;
	case TYPE_DEQUE:
		mark_deque(marker, block, object);
		break;
	case TYPE_NDARRAY:
		mark_ndarray(marker, object);
		break;
	case TYPE_TYPE:
		mark_type(marker, object);
		break;
	case TYPE_BYTEARRAY:
		mark_bytearray(marker, object);
		break;
	case TYPE_GENERATOR:
	case TYPE_FRAME:
		return mark_frame(marker, block, body, object);
	default:
		break;
	}
	return 0;
}

int marks_make(struct marker *marker, uint32_t from, uint32_t to)
{
	int err = 0;

	marker->interned = BLOCK_NONE;
	for (uint32_t block = from; block < to && !err; block++) {
		int32_t type = heap_blocks_type(marker->view->blocks, block);

		if (type < 0)
			continue;
		if (marker->bodies->list[type].kind == TYPE_WEAKREF)
			err = weakrefs_note(&marker->weakrefs, marker->view, block);
		else
			err = mark_owned(marker, block, &marker->bodies->list[type]);
	}
	return err;
}

uint64_t marks_interned_keys(const struct heap_view *view)
{
	const struct py_heap_layout *heap = view->heap;
	uint64_t interp, dict;

	if (heap->interp_interned == PY_NONE)
		return 0;
	interp = word(view, view->runtime_addr + heap->runtime_interp_head);
	dict = word(view, interp + heap->interp_interned);
	return dict ? word(view, dict + heap->dict_keys) : 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/references.h"

#include "base/array.h"
#include "heap/dict_keys.h"

#define WORD		 sizeof(uint64_t)
#define LOWEST_ADDRESS	 65536
#define ABSENT_PAGES_MAX (1u << 26)

static uint64_t word_at(const struct references *r, uint64_t addr)
{
	return snapshot_word(r->view->snapshot, addr);
}

/* True if `block` is a weak reference that dies with another object. The type is checked first: it
 * is next to what view_target() has read. */
static inline bool dies_with_another(const struct references *r, uint32_t block)
{
	int32_t type = heap_blocks_type(r->view->blocks, block);

	return type >= 0 && r->bodies->list[type].kind == TYPE_WEAKREF &&
	       weakrefs_has(r->weakrefs, block);
}

static inline void refer(struct references *r, uint64_t word)
{
	uint32_t target;

	if (word < LOWEST_ADDRESS)
		return;
	target = view_target(r->view, word);
	if (target == BLOCK_NONE)
		return;
	if (dies_with_another(r, target))
		r->passed_over++;
	else
		r->targets[r->count++] = target;
}

/* --- runs of words --- */

static void refer_copied(struct references *r, const uint64_t *words, uint64_t count,
			 unsigned stride)
{
	for (uint64_t i = 0; i < count; i++)
		refer(r, words[i * stride]);
}

/* The same where not all pages were copied: page by page. */
static void refer_in_pages(struct references *r, uint64_t addr, uint64_t count, unsigned stride)
{
	uint64_t page_bytes = snapshot_page_size(r->view->snapshot);
	uint64_t step = stride * WORD;

	while (count && r->absent_pages < ABSENT_PAGES_MAX) {
		uint64_t left = page_bytes - addr % page_bytes, here = (left + step - 1) / step;
		const uint64_t *words;

		if (here > count)
			here = count;
		words = snapshot_at(r->view->snapshot, addr, WORD);
		if (words)
			refer_copied(r, words, here, stride);
		else
			r->absent_pages++;
		addr += here * step;
		count -= here;
	}
}

/* Adds what `count` words from `addr` on refer to, which are `stride` words apart. Nothing if
 * `addr` is not a multiple of 8. */
static void refer_words(struct references *r, uint64_t addr, uint64_t count, unsigned stride)
{
	const uint64_t *words;

	if (!count || addr % WORD)
		return;
	words = snapshot_at(r->view->snapshot, addr, ((count - 1) * stride + 1) * WORD);
	if (words)
		refer_copied(r, words, count, stride);
	else
		refer_in_pages(r, addr, count, stride);
}

/* Adds what all words of [from, to) refer to. */
static void refer_range(struct references *r, uint64_t from, uint64_t to)
{
	if (from < to)
		refer_words(r, from, (to - from) / WORD, 1);
}

/* --- objects --- */

struct object {
	uint64_t addr, end; /* end of its block */
	uint32_t mark;
	const struct body *body;
};

static void refer_before(struct references *r, const struct object *o)
{
	const struct py_heap_layout *heap = r->view->heap;

	if (o->body->before_dict) {
		uint64_t word = word_at(r, o->addr - o->body->before_dict);

		if (heap->flags & PY_HEAP_VALUES_TAGGED && word & 1)
			word++;
		refer(r, word);
	}
	if (o->body->before_values)
		refer(r, word_at(r, o->addr - o->body->before_values));
}

/* Values inside the object, unless they have moved to a dict by now. */
static void refer_inline_values(struct references *r, const struct object *o)
{
	const struct py_heap_layout *heap = r->view->heap;
	uint64_t values = o->addr + o->body->to;
	uint8_t valid = 0;

	snapshot_read(r->view->snapshot, values + heap->inline_valid, &valid, sizeof(valid));
	if (valid)
		refer_range(r, values + heap->values_first, o->end);
}

static void refer_fields(struct references *r, const struct object *o, uint32_t from, uint32_t to)
{
	uint64_t end = o->addr + to < o->end ? o->addr + to : o->end;
	uint32_t weakrefs = o->body->weakrefs;

	if (weakrefs >= from && weakrefs < to) {
		refer_range(r, o->addr + from, o->addr + weakrefs < end ? o->addr + weakrefs : end);
		from = weakrefs + WORD;
	}
	refer_range(r, o->addr + from, end);
}

static void refer_str(struct references *r, const struct object *o)
{
	const struct py_layout *py = r->view->py;
	const struct py_heap_layout *heap = r->view->heap;
	uint32_t state = 0;

	snapshot_read(r->view->snapshot, o->addr + py->unicode_state, &state, sizeof(state));
	if (state >> py->unicode_compact_shift & 1) {
		if (state >> py->unicode_ascii_shift & 1)
			return;
	} else {
		refer(r, word_at(r, o->addr + heap->unicode_data));
	}
	refer(r, word_at(r, o->addr + heap->unicode_utf8));
}

/* The pointer may lead into the middle of the buffer; in 3.15 the buffer is a bytes object. */
static void refer_bytearray(struct references *r, const struct object *o)
{
	uint64_t bytes = word_at(r, o->addr + r->view->heap->bytearray_bytes);
	uint32_t block = heap_blocks_find_addr(r->view->blocks, bytes);
	int32_t type = block == BLOCK_NONE ? BLOCK_FREE : heap_blocks_type(r->view->blocks, block);

	if (type >= 0 ? r->bodies->list[type].kind == TYPE_BYTES : type == BLOCK_BUFFER)
		r->targets[r->count++] = block;
}

static void refer_tuple(struct references *r, const struct object *o)
{
	uint64_t items = o->addr + r->view->heap->tuple_items;
	uint64_t size = body_size(r->view, o->addr);

	if (items < o->end && size > (o->end - items) / WORD)
		size = (o->end - items) / WORD;
	if (items < o->end)
		refer_words(r, items, size, 1);
}

/* A small table is inside the object. After it has moved to a buffer, old entries are still there
 * and do not count. */
static void refer_set(struct references *r, const struct object *o)
{
	const struct py_heap_layout *heap = r->view->heap;
	uint64_t table = word_at(r, o->addr + heap->set_table);
	uint64_t small = o->addr + heap->set_small_table;
	uint64_t entries = word_at(r, o->addr + heap->set_mask) + 1;
	uint64_t most = (o->end - o->addr) / heap->set_entry_size;

	if (table == small)
		refer_words(r, small + heap->set_entry_key, entries < most ? entries : most,
			    heap->set_entry_size / WORD);
	else
		refer(r, table);
}

/* --- frames --- */

/* Limits a number of words that the target states to what is left up to `end`. */
static uint64_t words_within(uint64_t from, uint64_t end, uint64_t count)
{
	uint64_t most = from < end ? (end - from) / WORD : 0;

	return count < most ? count : most;
}

/* From 3.14 on a reference has a tag in its two lowest bits. If both are set, it is a number. */
static void refer_tagged(struct references *r, uint64_t from, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t word = word_at(r, from + i * WORD);

		if ((word & 3) != 3)
			refer(r, word & ~(uint64_t)3);
	}
}

static void refer_new_frame(struct references *r, uint64_t frame, const struct object *o)
{
	const struct py_heap_layout *heap = r->view->heap;
	uint64_t slots = frame + heap->frame_localsplus;
	uint64_t count = words_within(slots, o->end, mark_count(o->mark));

	refer(r, word_at(r, frame + r->view->py->frame_code) & ~(uint64_t)3);
	refer(r, word_at(r, frame + heap->frame_globals));
	refer(r, word_at(r, frame + heap->frame_locals));
	if (heap->flags & PY_HEAP_LOCALS_TAGGED)
		refer_tagged(r, slots, count);
	else
		refer_words(r, slots, count, 1);
}

/* Frames of 3.8 to 3.10. The value stack follows the locals: from f_valuestack up to f_stacktop, or
 * (3.10) f_stackdepth words. */
static void refer_old_frame(struct references *r, const struct object *o)
{
	const struct py_heap_layout *heap = r->view->heap;
	uint64_t stack = word_at(r, o->addr + heap->frame_value_stack);
	uint64_t top = 0;
	int32_t depth = 0;

	if (stack < o->addr || stack > o->end)
		stack = o->addr + heap->frame_localsplus;
	if (heap->flags & PY_HEAP_STACK_TOP_INT) {
		snapshot_read(r->view->snapshot, o->addr + heap->frame_stack_top, &depth,
			      sizeof(depth));
		top = depth > 0 ? stack + (uint64_t)depth * WORD : 0;
	} else {
		top = word_at(r, o->addr + heap->frame_stack_top);
	}
	if (top < stack || top > o->end)
		top = stack;
	refer_range(r, o->addr + heap->object_head, top);
}

/* From 3.11 on a frame object contains the interpreter's frame once the function has returned.
 */
static void refer_frame(struct references *r, const struct object *o)
{
	const struct py_heap_layout *heap = r->view->heap;
	uint64_t frame;

	if (heap->flags & PY_HEAP_FRAME_OBJECTS) {
		refer_old_frame(r, o);
		return;
	}
	frame = word_at(r, o->addr + heap->frame_object_frame);
	refer_range(r, o->addr + heap->object_head, o->addr + heap->frame_object_frame);
	if (frame > o->addr && frame < o->end && frame % WORD == 0)
		refer_new_frame(r, frame, o);
}

static void refer_generator(struct references *r, const struct object *o)
{
	const struct py_heap_layout *heap = r->view->heap;
	int8_t state = 0;

	snapshot_read(r->view->snapshot, o->addr + heap->generator_frame_state, &state,
		      sizeof(state));
	if (state < (int)heap->generator_finished)
		refer_new_frame(r, o->addr + heap->generator_frame, o);
}

static void refer_object(struct references *r, const struct object *o)
{
	uint64_t dict = 0;

	switch (o->body->form) {
	case BODY_STR:
		refer_str(r, o);
		break;
	case BODY_BYTEARRAY:
		refer_bytearray(r, o);
		break;
	case BODY_TUPLE:
		refer_tuple(r, o);
		break;
	case BODY_SET:
		refer_set(r, o);
		break;
	case BODY_FRAME:
		refer_frame(r, o);
		break;
	case BODY_GENERATOR:
		refer_generator(r, o);
		break;
	case BODY_WORDS:
		break;
	}
	if (o->body->kind == TYPE_WEAKREF)
		refer(r, word_at(r, o->addr + r->view->heap->weakref_callback));
	refer_before(r, o);
	refer_fields(r, o, o->body->from, o->body->to);
	if (o->body->dict)
		dict = body_dict_at_end(r->view, o->body, o->addr, body_size(r->view, o->addr));
	if (dict && dict + WORD <= o->end)
		refer(r, word_at(r, dict));
	if (o->body->inline_values)
		refer_inline_values(r, o);
}

/* --- buffers --- */

static void keep_value(struct references *r, uint32_t weakref, uint32_t value)
{
	if (!ARRAY_HAS_ROOM(r->values, r->value_count, r->value_room)) {
		r->no_memory = true;
		return;
	}
	r->values[r->value_count++] = (struct weak_value){weakref, value};
}

/* A dict's entry goes with a weak reference in it that dies with another object. If that is the
 * key, the entry's value goes with it, too. If that is the value, nothing is added: the weak
 * reference itself refers to the key. */
static void refer_entry(struct references *r, uint64_t key_word, uint64_t value_word)
{
	uint32_t key = view_target(r->view, key_word), value = view_target(r->view, value_word);

	if (key != BLOCK_NONE && dies_with_another(r, key)) {
		if (value != BLOCK_NONE && !dies_with_another(r, value))
			keep_value(r, key, value);
	} else if (value == BLOCK_NONE || !dies_with_another(r, value)) {
		refer(r, key_word);
		refer(r, value_word);
	}
}

static void refer_keys(struct references *r, uint64_t addr, uint64_t end)
{
	struct dict_keys keys = dict_keys_read(r->view, addr, false);
	uint64_t count = dict_keys_within(&keys, end), passed_over = r->passed_over;
	size_t before = r->count;

	refer_words(r, keys.entries + keys.key, count, keys.size / WORD);
	refer_words(r, keys.entries + keys.value, count, keys.size / WORD);
	if (r->passed_over == passed_over)
		return;
	/* Few dicts have such entries. They are read again, entry by entry. */
	r->count = before;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t entry = keys.entries + i * keys.size;

		refer_entry(r, word_at(r, entry + keys.key), word_at(r, entry + keys.value));
	}
}

static void refer_deque_block(struct references *r, uint64_t addr, uint64_t end, uint32_t mark)
{
	const struct py_heap_layout *heap = r->view->heap;
	uint64_t items = addr + heap->deque_block_items + (mark & 0xff) * WORD;

	refer_words(r, items, words_within(items, end, mark >> 8 & 0xff), 1);
	if (!(mark >> 16 & 1))
		refer(r, word_at(r, addr + heap->deque_block_right));
}

/* A buffer whose owner is not known. A block that was freed and is in use again may still begin
 * with the free list's link: the address of a block of the same pool. That is no reference. */
static void refer_unknown(struct references *r, uint32_t block, uint64_t addr, uint64_t end)
{
	const struct heap_view *view = r->view;
	uint64_t pool = view->heap->pool_size, first;

	if (heap_blocks_pooled(view->blocks, block)) {
		first = word_at(r, addr);
		if (first / pool == addr / pool &&
		    (first - addr) % heap_blocks_size(view->blocks, block) == 0)
			addr += WORD;
	}
	refer_range(r, addr, end);
}

static void refer_buffer(struct references *r, uint32_t block, uint32_t mark)
{
	const struct py_heap_layout *heap = r->view->heap;
	uint64_t addr = heap_blocks_addr(r->view->blocks, block);
	uint64_t end = addr + heap_blocks_size(r->view->blocks, block);
	uint64_t count = mark_count(mark) == MARK_MOST ? UINT64_MAX : mark_count(mark);

	switch (mark_form(mark)) {
	case MARK_NONE:
		refer_unknown(r, block, addr, end);
		break;
	case MARK_EMPTY:
	case MARK_FRAME:
		break;
	case MARK_LIST:
		refer_words(r, addr, words_within(addr, end, count), 1);
		break;
	case MARK_KEYS:
		refer_keys(r, addr, end);
		break;
	case MARK_SET:
		if (count > (end - addr) / heap->set_entry_size)
			count = (end - addr) / heap->set_entry_size;
		refer_words(r, addr + heap->set_entry_key, count, heap->set_entry_size / WORD);
		break;
	case MARK_DEQUE:
		refer_deque_block(r, addr, end, mark);
		break;
	}
}

void references_of(struct references *references, uint32_t block, uint32_t mark)
{
	const struct heap_view *view = references->view;
	int32_t type = heap_blocks_type(view->blocks, block);
	struct object object;

	if (type == BLOCK_BUFFER) {
		refer_buffer(references, block, mark);
	} else if (type >= 0) {
		object.addr = heap_blocks_object(view->blocks, block);
		object.end = heap_blocks_addr(view->blocks, block) +
			     heap_blocks_size(view->blocks, block);
		object.body = &references->bodies->list[type];
		object.mark = mark;
		refer_object(references, &object);
		if (dies_with_another(references, block))
			references->targets[references->count++] = block;
	}
}

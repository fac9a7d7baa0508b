/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: tell which blocks are objects, and of which type. No mark in a block says so.
 *
 * An object's ob_type leads to a type. That type's flags say how far into its block an object
 * begins: behind a GC head, behind the pointers to dict and weak references, or at once. A buffer
 * may have a word that leads to a type by chance. It would also need that offset, a size that fits
 * and a possible reference count.
 *
 * For the allocator, objects on CPython's free lists are in use. Their count is 0, or (3.14+) the
 * address of the next object on the list.
 */
#include "heap/blocks_private.h"

#define IMMORTAL_OVERFLOW 1 /* 3.14+: ob_overflow is 0 or 1 */

void classify_init(struct heap_blocks *b)
{
	const struct py_heap_layout *l = b->layout;

	b->offsets[b->offset_count++] = 0;
	if (l->gc_head)
		b->offsets[b->offset_count++] = l->gc_head;
	/* Two words before the GC head, or before an object without one. */
	if (l->pre_bytes && l->pre_bytes != l->gc_head)
		b->offsets[b->offset_count++] = l->pre_bytes;
	if (l->pre_bytes)
		b->offsets[b->offset_count++] = l->gc_head + l->pre_bytes;
}

enum verdict { NO_OBJECT, OBJECT, CACHED };

static enum verdict judge_count(const struct heap_blocks *b, const unsigned char *object,
				uint64_t type)
{
	uint64_t count, next_type = 0;
	uint16_t overflow;

	memcpy(&count, object, sizeof(count));
	if (!count)
		return CACHED;
	if (b->layout->flags & PY_HEAP_REFCNT_32) {
		overflow = (uint16_t)(count >> 32);
		/* In an array of types, as modules keep in their state, this word is the address of
		 * a type. */
		if ((uint32_t)count && overflow <= IMMORTAL_OVERFLOW)
			return heap_types_find(b->types, count) == TYPE_NONE ? OBJECT : NO_OBJECT;
		if (!(uint32_t)count && overflow <= IMMORTAL_OVERFLOW)
			return CACHED;
	} else if (count >> 40 == 0) {
		return heap_types_find(b->types, count) == TYPE_NONE ? OBJECT : NO_OBJECT;
	}
	/* It is an address: of the next object on a free list? */
	snapshot_read(b->snapshot, count + b->layout->object_type, &next_type, sizeof(next_type));
	return next_type == type ? CACHED : NO_OBJECT;
}

/* Least bytes of an object of that type. basicsize of str is that of its largest form. */
static uint64_t least_size(const struct heap_blocks *b, const struct heap_type *type)
{
	if (type->kind == TYPE_STR && type->exact)
		return b->layout->unicode_utf8_length;
	return type->basicsize;
}

/* Is ob_size the number of items that lie in the object itself? */
static bool has_counted_items(const struct heap_type *type)
{
	return type->itemsize && (type->kind == TYPE_TUPLE || type->kind == TYPE_BYTES);
}

static bool fits(const struct heap_blocks *b, const struct heap_type *type,
		 const unsigned char *object, uint64_t room)
{
	uint64_t least = least_size(b, type), items;

	if (least > room)
		return false;
	if (!has_counted_items(type))
		return true;
	memcpy(&items, object + b->layout->object_size, sizeof(items));
	return items <= (room - least) / type->itemsize;
}

/* Is there an object `offset` bytes into the block, which has `room` bytes from there on? Its type
 * in *index. */
static enum verdict judge(const struct heap_blocks *b, const unsigned char *object, uint32_t offset,
			  uint64_t room, int32_t *index)
{
	const struct heap_type *type;
	uint64_t addr;

	memcpy(&addr, object + b->layout->object_type, sizeof(addr));
	*index = heap_types_find(b->types, addr);
	if (*index == TYPE_NONE)
		return NO_OBJECT;
	type = heap_types_get(b->types, *index);
	if (type->before != offset || !fits(b, type, object, room))
		return NO_OBJECT;
	return judge_count(b, object, addr);
}

/* `memory`: the block's beginning; `size`: all of its bytes. */
static int32_t classify_block(struct heap_blocks *b, const unsigned char *memory, uint64_t size,
			      bool has_debug_hooks)
{
	int32_t best = BLOCK_BUFFER, type;

	if (has_debug_hooks) {
		uint32_t debug = blocks_debug_bytes(memory, size);

		memory += debug;
		size -= debug;
	}
	for (unsigned i = 0; i < b->offset_count; i++) {
		uint32_t offset = b->offsets[i];
		enum verdict verdict;

		if (size < offset + b->layout->object_head)
			continue;
		verdict = judge(b, memory + offset, offset, size - offset, &type);
		if (verdict == OBJECT)
			return type;
		if (verdict == CACHED)
			best = BLOCK_CACHED;
	}
	return best;
}

#define LOOKED_AT 128 /* bytes of a block that the checks read at most */
/* So many blocks of a run are looked at for debug hooks. Of malloc's these are more, as C libraries
 * allocate without hooks there. */
#define DEBUG_SAMPLE(run) ((run)->kind == RUN_POOL ? 4u : 256u)

/* The block's beginning, in `buf` if its pages are not neighbours in the copy; NULL: it was not
 * copied. */
static const unsigned char *memory_of(const struct heap_blocks *b, uint64_t start, uint64_t end,
				      unsigned char *buf)
{
	size_t len = end - start < LOOKED_AT ? end - start : LOOKED_AT;
	const unsigned char *memory;

	if (end <= start)
		return NULL;
	memory = snapshot_at(b->snapshot, start, len);
	if (memory)
		return memory;
	return snapshot_read_apart(b->snapshot, start, buf, len) ? buf : NULL;
}

/* PYTHONMALLOC=debug can be set for any build: the first blocks say whether it was. */
static bool has_debug_hooks(const struct heap_blocks *b, const struct heap_run *run,
			    const int32_t *types)
{
	unsigned char buf[LOOKED_AT];
	unsigned looked_at = 0;

	for (uint32_t i = 0; i < run->count && looked_at < DEBUG_SAMPLE(run); i++) {
		const unsigned char *memory;
		uint64_t start, end;

		if (types[i] == BLOCK_FREE)
			continue;
		blocks_bounds_in(b, run, i, &start, &end);
		memory = memory_of(b, start, end, buf);
		if (memory && blocks_debug_bytes(memory, end - start))
			return true;
		looked_at++;
	}
	return false;
}

/* The reference count of the object in the block at `memory`. */
static uint8_t count_of(const struct heap_blocks *b, const unsigned char *memory, uint64_t size,
			int32_t type)
{
	uint32_t debug = b->has_debug_hooks ? blocks_debug_bytes(memory, size) : 0, count;

	memcpy(&count, memory + debug + heap_types_get(b->types, type)->before, sizeof(count));
	return count < BLOCK_COUNT_MOST ? (uint8_t)count : BLOCK_COUNT_MOST;
}

/* Classifies block number `index` of `run`. */
static void classify_one(struct heap_blocks *b, const struct heap_run *run, uint32_t index,
			 const unsigned char *memory, uint64_t start, uint64_t end, int32_t *type)
{
	*type = classify_block(b, memory, end - start, b->has_debug_hooks);
	if (*type == BLOCK_CACHED)
		b->allocators.cached_bytes += snapshot_resident(b->snapshot, start, end);
	if (*type >= 0 && b->counts)
		b->counts[run->first + index] = count_of(b, memory, end - start, *type);
}

/* Classifies a pool that was copied as a whole, as nearly all are. `memory`: its first byte. */
static void classify_pool(struct heap_blocks *b, const struct heap_run *run, int32_t *types,
			  const unsigned char *memory)
{
	uint32_t offset = b->pool_first;

	for (uint32_t i = 0; i < run->count; i++, offset += run->stride) {
		if (types[i] != BLOCK_FREE)
			classify_one(b, run, i, memory + offset, run->start + offset,
				     run->start + offset + run->stride, &types[i]);
	}
}

void classify_run(struct heap_blocks *b, const struct heap_run *run, int32_t *types)
{
	const unsigned char *memory = NULL;
	unsigned char buf[LOOKED_AT];
	uint64_t start, end;

	b->has_debug_hooks = b->has_debug_hooks || has_debug_hooks(b, run, types);
	if (run->kind == RUN_POOL)
		memory = snapshot_at(b->snapshot, run->start,
				     b->pool_first + (uint64_t)run->count * run->stride);
	if (memory) {
		classify_pool(b, run, types, memory);
		return;
	}
	for (uint32_t i = 0; i < run->count; i++) {
		if (types[i] == BLOCK_FREE)
			continue;
		blocks_bounds_in(b, run, i, &start, &end);
		memory = memory_of(b, start, end, buf);
		if (memory)
			classify_one(b, run, i, memory, start, end, &types[i]);
	}
}

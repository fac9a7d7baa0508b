/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: say in some nanoseconds whether a word of a heap is the address of a type. Most words
 * are not, and many of these differ.
 *
 * A type is recognised by the chain of ob_type that begins at it: it ends with `type`, which is its
 * own type. All types of the chain are ready, and have sizes that make sense; the first has a
 * printable name.
 *
 * Types that were found are in a table. Addresses that are no types are in a small one, where a new
 * address replaces an old one.
 */
#include "heap/types.h"

#include <stdlib.h>

#include "base/array.h"
#include "heap/types_private.h"

#define SLOTS_FIRST    4096
#define NO_TYPES_BITS  16
#define METATYPES_MAX  8
#define BASICSIZE_MAX  (1u << 20)
#define ITEMSIZE_MAX   (1u << 16)
#define LOWEST_ADDRESS 65536

static uint64_t mix(uint64_t addr)
{
	return (addr >> 3) * 0x9e3779b97f4a7c15ull;
}

/* --- checks --- */

bool type_read_head(struct heap_types *types, uint64_t addr, unsigned char *head)
{
	return snapshot_read_any(types->snapshot, addr, head, types->heap_layout->type_size);
}

static bool is_printable(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++) {
		if ((unsigned char)*name < ' ' || *name == 0x7f)
			return false;
	}
	return true;
}

bool type_read_name(struct heap_types *types, uint64_t at, char *name, size_t size)
{
	size_t done = 0;

	/* The name may end right before memory that can't be read. */
	while (done < size - 1) {
		size_t part = 16 - (at + done) % 16;

		if (part > size - 1 - done)
			part = size - 1 - done;
		if (!snapshot_read_any(types->snapshot, at + done, name + done, part))
			return false;
		done += part;
		if (memchr(name + done - part, '\0', part))
			break;
	}
	name[done] = '\0';
	return is_printable(name);
}

static bool is_plausible(const struct heap_types *types, const unsigned char *head)
{
	const struct py_heap_layout *l = types->heap_layout;
	uint64_t flags = type_word(head, l->type_flags);
	uint64_t basicsize = type_word(head, l->type_basicsize);

	return flags & TPFLAG_READY && flags >> 32 == 0 && basicsize >= l->object_head &&
	       basicsize <= BASICSIZE_MAX && type_word(head, l->type_itemsize) <= ITEMSIZE_MAX;
}

static bool is_root(struct heap_types *types, const unsigned char *head)
{
	char name[16];

	return type_word(head, types->heap_layout->type_flags) & TPFLAG_TYPE_SUBCLASS &&
	       type_read_name(types, type_word(head, types->heap_layout->type_name), name,
			      sizeof(name)) &&
	       strcmp(name, "type") == 0;
}

/* Is it a type? Reads the head at `addr` and follows its chain of types. */
static bool is_type(struct heap_types *types, uint64_t addr, unsigned char *head)
{
	unsigned char buffer[TYPE_HEAD_MAX], *at = head;
	uint64_t type = addr;

	for (unsigned i = 0; i < METATYPES_MAX; i++) {
		uint64_t above;

		if (type & 7 || !type_read_head(types, type, at) || !is_plausible(types, at))
			return false;
		/* All but the first are types of types. */
		if (i && !(type_word(at, types->heap_layout->type_flags) & TPFLAG_TYPE_SUBCLASS))
			return false;
		above = type_word(at, types->heap_layout->object_type);
		if (above == type)
			return is_root(types, at);
		type = above;
		at = buffer;
	}
	return false;
}

/* --- the tables --- */

static size_t slot_of(const struct heap_types *types, uint64_t addr)
{
	size_t slot = mix(addr) >> 32 & (types->slots - 1);

	while (types->keys[slot] && types->keys[slot] != addr)
		slot = (slot + 1) & (types->slots - 1);
	return slot;
}

static bool make_slots(struct heap_types *types, size_t slots)
{
	free(types->keys);
	free(types->values);
	types->slots = slots;
	types->keys = calloc(slots, sizeof(*types->keys));
	types->values = calloc(slots, sizeof(*types->values));
	if (!types->keys || !types->values)
		return false;
	for (size_t i = 0; i < types->count; i++) {
		size_t slot = slot_of(types, types->types[i].addr);

		types->keys[slot] = types->types[i].addr;
		types->values[slot] = (int32_t)i;
	}
	return true;
}

struct heap_types *heap_types_new(struct snapshot *snapshot,
				  const struct py_heap_layout *heap_layout,
				  const struct py_layout *layout)
{
	struct heap_types *types;

	if (heap_layout->type_size > TYPE_HEAD_MAX)
		return NULL;
	types = calloc(1, sizeof(*types));
	if (!types)
		return NULL;
	types->snapshot = snapshot;
	types->heap_layout = heap_layout;
	types->layout = layout;
	types->no_types = calloc((size_t)1 << NO_TYPES_BITS, sizeof(*types->no_types));
	if (!types->no_types || !make_slots(types, SLOTS_FIRST)) {
		heap_types_free(types);
		return NULL;
	}
	return types;
}

void heap_types_free(struct heap_types *types)
{
	if (!types)
		return;
	free(types->types);
	free(types->keys);
	free(types->values);
	free(types->no_types);
	free(types);
}

static uint32_t bytes_before(const struct py_heap_layout *l, uint64_t flags)
{
	return (flags & TPFLAG_HAVE_GC ? l->gc_head : 0) +
	       (flags & l->pre_flags ? l->pre_bytes : 0);
}

static int32_t add_type(struct heap_types *types, uint64_t addr, const unsigned char *head)
{
	const struct py_heap_layout *l = types->heap_layout;
	struct heap_type *type;
	size_t slot;

	if (types->count >= types->slots / 2 && !make_slots(types, types->slots * 2))
		return TYPE_NONE;
	if (types->count >= INT32_MAX || !ARRAY_HAS_ROOM(types->types, types->count, types->room))
		return TYPE_NONE;
	type = &types->types[types->count];
	*type = (struct heap_type){
		.addr = addr,
		.flags = type_word(head, l->type_flags),
		.basicsize = (uint32_t)type_word(head, l->type_basicsize),
		.itemsize = (uint32_t)type_word(head, l->type_itemsize),
		.dictoffset = (int32_t)type_word(head, l->type_dictoffset),
		.weaklistoffset = (int32_t)type_word(head, l->type_weaklistoffset),
		.base = type_word(head, l->type_base),
	};
	type->before = bytes_before(l, type->flags);
	type_name(types, head, type);
	type_kind(types, head, type);
	slot = slot_of(types, addr);
	types->keys[slot] = addr;
	types->values[slot] = (int32_t)types->count;
	return (int32_t)types->count++;
}

void heap_types_set_refuse(struct heap_types *types, heap_types_refuse_fn *refuse, const void *arg)
{
	types->refuse = refuse;
	types->refuse_arg = arg;
}

/* Looks for a type at an address that is not in the table. */
static __attribute__((noinline)) int32_t look_for_type(struct heap_types *types, uint64_t addr)
{
	unsigned char head[TYPE_HEAD_MAX];
	uint64_t *no_type = &types->no_types[mix(addr) >> (64 - NO_TYPES_BITS)];
	char name[sizeof(((struct heap_type *)0)->name)];

	if (*no_type == addr)
		return TYPE_NONE;
	if (is_type(types, addr, head) &&
	    type_read_name(types, type_word(head, types->heap_layout->type_name), name,
			   sizeof(name)))
		return add_type(types, addr, head);
	*no_type = addr;
	return TYPE_NONE;
}

int32_t heap_types_find(struct heap_types *types, uint64_t addr)
{
	size_t slot;

	if (addr & 7 || addr < LOWEST_ADDRESS || !page_map_covers(addr))
		return TYPE_NONE;
	slot = slot_of(types, addr);
	if (types->keys[slot])
		return types->values[slot];
	if (types->refuse && types->refuse(types->refuse_arg, addr))
		return TYPE_NONE;
	return look_for_type(types, addr);
}

uint32_t heap_types_count(const struct heap_types *types)
{
	return (uint32_t)types->count;
}

const struct heap_type *heap_types_get(const struct heap_types *types, int32_t index)
{
	return &types->types[index];
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the types share. */
#ifndef TYPES_PRIVATE_H
#define TYPES_PRIVATE_H

#include "heap/types.h"

/* Bits of tp_flags: Include/object.h, the same in 3.8 to 3.15. */
#define TPFLAG_HEAP_TYPE	(1ull << 9)
#define TPFLAG_READY		(1ull << 12)
#define TPFLAG_HAVE_GC		(1ull << 14)
#define TPFLAG_LONG_SUBCLASS	(1ull << 24)
#define TPFLAG_LIST_SUBCLASS	(1ull << 25)
#define TPFLAG_TUPLE_SUBCLASS	(1ull << 26)
#define TPFLAG_BYTES_SUBCLASS	(1ull << 27)
#define TPFLAG_UNICODE_SUBCLASS (1ull << 28)
#define TPFLAG_DICT_SUBCLASS	(1ull << 29)
#define TPFLAG_TYPE_SUBCLASS	(1ull << 31)

/* The largest head that is read of a type is a PyHeapTypeObject. */
#define TYPE_HEAD_MAX 1024

struct heap_types {
	struct snapshot *snapshot;
	const struct py_heap_layout *heap_layout;
	const struct py_layout *layout;
	heap_types_refuse_fn *refuse; /* NULL: nothing is refused */
	const void *refuse_arg;
	struct heap_type *types;
	size_t count, room;
	/* Open addressing: addresses (0: empty) and indices. */
	uint64_t *keys;
	int32_t *values;
	size_t slots;	    /* a power of two */
	uint64_t *no_types; /* addresses that are no types, by hash: each replaces another */
};

/* Reads a type's head into `head` (heap_layout->type_size bytes). */
bool type_read_head(struct heap_types *types, uint64_t addr, unsigned char *head);

/* A word of a head. */
static inline uint64_t type_word(const unsigned char *head, unsigned offset)
{
	uint64_t word;

	memcpy(&word, head + offset, sizeof(word));
	return word;
}

/* Reads tp_name as it is. False: it is no printable text. */
bool type_read_name(struct heap_types *types, uint64_t at, char *name, size_t size);

/* Fills type->name. `head` is that of the type at type->addr. */
void type_name(struct heap_types *types, const unsigned char *head, struct heap_type *type);

/* Fills type->kind and type->exact. */
void type_kind(struct heap_types *types, const unsigned char *head, struct heap_type *type);

#endif

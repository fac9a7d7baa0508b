/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The types of a heap: each PyTypeObject that some block's ob_type points to, found and checked
 * once. */
#ifndef HEAP_TYPES_H
#define HEAP_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/snapshot.h"
#include "py_heap_layout.h"
#include "py_layout.h"

/* How an object's body is read. */
enum type_kind {
	TYPE_OTHER, /* body: any word may be a reference */
	TYPE_LEAF,  /* float, complex: no references */
	TYPE_INT,
	TYPE_BYTES,
	TYPE_STR,
	TYPE_BYTEARRAY,
	TYPE_LIST,
	TYPE_TUPLE,
	TYPE_DICT,
	TYPE_SET, /* and frozenset */
	TYPE_WEAKREF,
	TYPE_MODULE,
	TYPE_TYPE,
	TYPE_FUNCTION,
	TYPE_METHOD,
	TYPE_CELL,
	TYPE_CODE,
	TYPE_FRAME,
	TYPE_GENERATOR, /* generator, coroutine, async generator */
	TYPE_DEQUE,
	TYPE_NDARRAY,
};

struct heap_type {
	uint64_t addr;
	char name[96]; /* "pkg.mod.Qualname", escaped when printed, not here; cut with "..." */
	enum type_kind kind; /* inherited by subclasses: a dict's subclass is TYPE_DICT */
	bool exact;	     /* not a subclass of the kind's own type */
	uint64_t flags;
	uint32_t basicsize, itemsize;
	uint32_t before; /* bytes of an object's block before the object: GC head, preheader */
	int32_t dictoffset, weaklistoffset;
	uint64_t base; /* tp_base */
};

struct heap_types;

/* Makes an empty list of types. All arguments must outlive it; `layout` says how a str is read.
 * NULL: out of memory. */
struct heap_types *heap_types_new(struct snapshot *snapshot,
				  const struct py_heap_layout *heap_layout,
				  const struct py_layout *layout);
void heap_types_free(struct heap_types *types);

/* True: no type can be at that address. It is asked before memory is read. */
typedef bool heap_types_refuse_fn(const void *arg, uint64_t addr);
void heap_types_set_refuse(struct heap_types *types, heap_types_refuse_fn *refuse, const void *arg);

#define TYPE_NONE (-1)

/* Index of the type at `addr`; TYPE_NONE: there is none. Either is remembered. */
int32_t heap_types_find(struct heap_types *types, uint64_t addr);
uint32_t heap_types_count(const struct heap_types *types);
const struct heap_type *heap_types_get(const struct heap_types *types, int32_t index);

#endif

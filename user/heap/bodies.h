/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How the body of each type's objects is read for references. It is worked out once for each type,
 * as it is needed for each of millions of objects. */
#ifndef HEAP_BODIES_H
#define HEAP_BODIES_H

#include "heap/view.h"

enum body_form {
	BODY_WORDS,	/* any word between `from` and `to` may be a reference */
	BODY_STR,	/* pointers to characters, where they are not in the object itself */
	BODY_BYTEARRAY, /* a pointer into its buffer */
	BODY_TUPLE,	/* ob_size items */
	BODY_SET,	/* its table, of which only the keys count */
	BODY_FRAME,	/* to 3.10: up to the top of its value stack; from 3.11 on: its own frame */
	BODY_GENERATOR, /* from 3.11 on: a frame is inside */
};

struct body {
	enum type_kind kind;
	enum body_form form;
	bool exact;
	/* Bytes of the object that are read word by word: from `from` to, not including, `to`. */
	uint32_t from, to;
	uint32_t weakrefs;    /* offset of a list of weak references, which owns nothing; 0: none */
	int32_t dict;	      /* negative offset of an instance's dict, from its end; 0: none */
	uint32_t itemsize;    /* bytes of an item: `dict` is behind the items */
	uint16_t before_dict; /* how far before the object a dict's pointer lies; 0: none */
	uint16_t before_values;
	bool inline_values; /* 3.13+: values behind the object */
	bool heap_type;	    /* its objects are types made at run time */
	bool deque, ndarray;
};

struct bodies {
	struct body *list; /* by index of type */
	uint32_t count;
};

/* Fills *bodies for all types that `view` has now. 0, -ENOMEM. bodies_fini() frees it. */
int bodies_init(struct bodies *bodies, const struct heap_view *view);
void bodies_fini(struct bodies *bodies);

/* ob_size of an object, the number of its items. The target controls it: any number. */
static inline uint64_t body_size(const struct heap_view *view, uint64_t object)
{
	return snapshot_word(view->snapshot, object + view->heap->object_size);
}

/* Address of the pointer to an instance's dict that lies at the end of an object of varying size (a
 * subclass of tuple, int, bytes), whose ob_size is `size`; 0: there is none. */
uint64_t body_dict_at_end(const struct heap_view *view, const struct body *body, uint64_t object,
			  uint64_t size);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Python objects as values: the text of a str, the items of a dict. For code that reads a few
 * objects, as for names and roots. What was not copied (static objects, read-only data) is read
 * from the process.
 *
 * All addresses are the target's: they may be any number, and need not be readable. Loops are
 * bounded by the memory that is there.
 */
#ifndef HEAP_OBJECT_READ_H
#define HEAP_OBJECT_READ_H

#include "heap/view.h"

/* The word at `addr`; 0: it can't be read. */
uint64_t object_word(const struct heap_view *view, uint64_t addr);
int32_t object_int(const struct heap_view *view, uint64_t addr);

/* ob_size of an object whose size varies. */
uint64_t object_size(const struct heap_view *view, uint64_t addr);

/* The type of the object at `addr`, in a block or static. False: it is no object. */
bool object_type(const struct heap_view *view, uint64_t addr, struct heap_type *type);
bool object_is(const struct heap_view *view, uint64_t addr, enum type_kind kind);

/* The text of a str in UTF-8, cut with "…" where it has more than `size` - 4 bytes. False, and "":
 * it is no str. */
bool object_text(const struct heap_view *view, uint64_t addr, char *text, size_t size);

/* The value of an int of at most 60 bits. False: it is none. */
bool object_integer(const struct heap_view *view, uint64_t addr, int64_t *value);

/* Item `index` of a tuple or list; 0: there is none. */
uint64_t object_item(const struct heap_view *view, uint64_t addr, uint64_t index);

/* The items of a dict. object_items_begin() is called first, then object_items_next() as long as it
 * is true. Keys and values may be 0: deleted. */
struct object_items {
	const struct heap_view *view;
	uint64_t entry, values; /* addresses; `values` is 0 if values are in the entries */
	uint64_t left;
	unsigned size, key_at, value_at;
	uint64_t key, value; /* of the present item */
};
bool object_items_begin(struct object_items *items, const struct heap_view *view, uint64_t dict);
bool object_items_next(struct object_items *items);

/* Begins with the entries of a PyDictKeysObject at `keys`, which may have no dict: a type's names
 * of attributes. */
void object_keys_begin(struct object_items *items, const struct heap_view *view, uint64_t keys);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The entries of a dict: where they lie in its PyDictKeysObject, in any version. */
#ifndef HEAP_DICT_KEYS_H
#define HEAP_DICT_KEYS_H

#include "heap/view.h"

struct dict_keys {
	uint64_t entries;	   /* address of the first one */
	uint64_t count;		   /* of entries, used or deleted. The target says so: any number */
	unsigned size, key, value; /* of an entry, and offsets in it */
};

/* Reads the header of the keys at `keys`. `live`: bytes that were not copied are read from the
 * process, which only one thread may do. */
struct dict_keys dict_keys_read(const struct heap_view *view, uint64_t keys, bool live);

/* Entries that fit between the first one and `end`, at most the count. */
static inline uint64_t dict_keys_within(const struct dict_keys *keys, uint64_t end)
{
	uint64_t most = keys->entries < end ? (end - keys->entries) / keys->size : 0;

	return keys->count < most ? keys->count : most;
}

#endif

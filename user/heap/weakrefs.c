/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/weakrefs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/large.h"
#include "heap/object_read.h"

#define WORD	      sizeof(uint64_t)
#define NAME_MAX_SIZE 64

/* Qualified names of the callbacks that take a weak reference out of its table: Lib/_weakrefset.py,
 * Lib/weakref.py, Lib/logging/__init__.py. Those of WeakMethod and finalize are not among them, as
 * their weak references stay. */
static const char *const takes_out[] = {
	"WeakSet.__init__.<locals>._remove",
	"WeakValueDictionary.__init__.<locals>.remove",
	"WeakKeyDictionary.__init__.<locals>.remove",
	"_removeHandlerRef",
};

/* PyWeakReference begins with what it refers to (None, once that is dead), and its callback. */
int weakrefs_note(struct weakrefs *weakrefs, const struct heap_view *view, uint32_t block)
{
	uint64_t object = heap_blocks_object(view->blocks, block);
	struct weakref weakref = {.block = block};
	uint32_t count = 0;

	weakref.callback = snapshot_word(view->snapshot, object + view->heap->weakref_callback);
	snapshot_read(view->snapshot, object, &count, sizeof(count));
	if (!weakref.callback || count != 1)
		return 0;
	weakref.referent =
		view_target(view, snapshot_word(view->snapshot, object + view->heap->object_head));
	if (weakref.referent == BLOCK_NONE || weakref.referent == block ||
	    heap_blocks_type(view->blocks, weakref.referent) < 0)
		return 0;
	if (!ARRAY_HAS_ROOM(weakrefs->list, weakrefs->count, weakrefs->room))
		return -ENOMEM;
	weakrefs->list[weakrefs->count++] = weakref;
	return 0;
}

int weakrefs_join(struct weakrefs *weakrefs, const struct weakrefs *other)
{
	for (size_t i = 0; i < other->count; i++) {
		if (!ARRAY_HAS_ROOM(weakrefs->list, weakrefs->count, weakrefs->room))
			return -ENOMEM;
		weakrefs->list[weakrefs->count++] = other->list[i];
	}
	return 0;
}

/* Is the callback one of these functions? Its names are among the words of its body. */
static bool takes_it_out(const struct heap_view *view, uint64_t callback)
{
	uint32_t block = view_target(view, callback);
	const struct heap_type *type = block == BLOCK_NONE ? NULL : view_type(view, block);
	char name[NAME_MAX_SIZE];

	if (!type || type->kind != TYPE_FUNCTION)
		return false;
	for (uint64_t at = view->heap->object_head; at + WORD <= type->basicsize; at += WORD) {
		uint64_t word = object_word(view, callback + at);

		if (!word || !object_is(view, word, TYPE_STR) ||
		    !object_text(view, word, name, sizeof(name)))
			continue;
		for (size_t i = 0; i < sizeof(takes_out) / sizeof(takes_out[0]); i++)
			if (!strcmp(name, takes_out[i]))
				return true;
	}
	return false;
}

static int by_callback(const void *a, const void *b)
{
	const struct weakref *x = a, *y = b;

	return x->callback < y->callback ? -1 : x->callback > y->callback;
}

static int by_referent(const void *a, const void *b)
{
	const struct weakref *x = a, *y = b;

	if (x->referent != y->referent)
		return x->referent < y->referent ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

int weakrefs_choose(struct weakrefs *weakrefs, const struct heap_view *view)
{
	size_t kept = 0, bytes = ((size_t)heap_blocks_count(view->blocks) / 64 + 1) * WORD;
	uint64_t known = 0;
	bool good = false;

	if (!weakrefs->count)
		return 0;
	qsort(weakrefs->list, weakrefs->count, sizeof(*weakrefs->list), by_callback);
	for (size_t i = 0; i < weakrefs->count; i++) {
		if (weakrefs->list[i].callback != known) {
			known = weakrefs->list[i].callback;
			good = takes_it_out(view, known);
		}
		if (good)
			weakrefs->list[kept++] = weakrefs->list[i];
	}
	weakrefs->count = kept;
	if (!kept)
		return 0;
	weakrefs->owned = large_new(bytes);
	if (!weakrefs->owned)
		return -ENOMEM;
	weakrefs->owned_bytes = bytes;
	qsort(weakrefs->list, kept, sizeof(*weakrefs->list), by_referent);
	for (size_t i = 0; i < kept; i++)
		weakrefs->owned[weakrefs->list[i].block >> 6] |= 1ull
								 << (weakrefs->list[i].block & 63);
	return 0;
}

void weakrefs_fini(struct weakrefs *weakrefs)
{
	free(weakrefs->list);
	large_free(weakrefs->owned, weakrefs->owned_bytes);
	*weakrefs = (struct weakrefs){0};
}

size_t weakrefs_from(const struct weakrefs *weakrefs, uint32_t block)
{
	size_t low = 0, high = weakrefs->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (weakrefs->list[middle].referent < block)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

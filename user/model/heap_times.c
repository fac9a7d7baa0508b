/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/heap_times.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"

struct heap_times_name {
	char *text;
	size_t number;
	UT_hash_handle hh;
};

void heap_times_fini(struct heap_times *times)
{
	struct heap_times_name *name, *next;

	HASH_ITER(hh, times->by_text, name, next)
	{
		HASH_DEL(times->by_text, name);
		free(name->text);
		free(name);
	}
	for (size_t i = 0; i < times->look_count; i++)
		free(times->looks[i].verdict);
	free(times->looks);
	free(times->names);
	*times = (struct heap_times){0};
}

struct heap_times_look *heap_times_add(struct heap_times *times)
{
	struct heap_times_look *look;

	if (!ARRAY_HAS_ROOM(times->looks, times->look_count, times->look_room))
		return NULL;
	look = &times->looks[times->look_count++];
	memset(look, 0, sizeof(*look));
	return look;
}

void heap_times_drop(struct heap_times *times)
{
	free(times->looks[--times->look_count].verdict);
}

bool heap_times_is_full(const struct heap_times *times)
{
	return times->look_count >= HEAP_TIMES_MOST || times->name_bytes >= HEAP_TIMES_NAMES;
}

ssize_t heap_times_name(struct heap_times *times, const char *text)
{
	size_t length = strnlen(text, HEAP_TIMES_NAME);
	struct heap_times_name *name;

	/* Not within a character. */
	while (text[length] && length && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	HASH_FIND(hh, times->by_text, text, length, name);
	if (name)
		return (ssize_t)name->number;
	if (!ARRAY_HAS_ROOM(times->names, times->name_count, times->name_room))
		return -ENOMEM;
	name = calloc(1, sizeof(*name));
	if (name)
		name->text = strndup(text, length);
	if (name && name->text) {
		name->number = times->name_count;
		HASH_ADD_KEYPTR(hh, times->by_text, name->text, length, name);
		if (name->hh.tbl) {
			times->names[times->name_count++] = name->text;
			times->name_bytes += length;
			return (ssize_t)name->number;
		}
		free(name->text);
	}
	free(name);
	return -ENOMEM;
}

/* Where a row of that size belongs; HEAP_TIMES_ROWS: nowhere. Makes room for it. */
#define MAKE_ROOM(rows, count, size, value)                             \
	({                                                              \
		size_t at_ = (count);                                   \
		while (at_ && (rows)[at_ - 1].size < (value))           \
			at_--;                                          \
		if (at_ < HEAP_TIMES_ROWS) {                            \
			if ((count) < HEAP_TIMES_ROWS)                  \
				(count)++;                              \
			memmove(&(rows)[at_ + 1], &(rows)[at_],         \
				((count)-at_ - 1) * sizeof((rows)[0])); \
		}                                                       \
		at_;                                                    \
	})

int heap_times_add_type(struct heap_times *times, struct heap_times_look *look, const char *type,
			uint64_t objects, uint64_t bytes)
{
	ssize_t name;
	size_t at;

	if (look->type_count == HEAP_TIMES_ROWS && look->types[HEAP_TIMES_ROWS - 1].bytes >= bytes)
		return 0;
	name = heap_times_name(times, type);
	if (name < 0)
		return (int)name;
	at = MAKE_ROOM(look->types, look->type_count, bytes, bytes);
	look->types[at] = (struct heap_times_type){(size_t)name, objects, bytes};
	return 0;
}

int heap_times_add_holder(struct heap_times *times, struct heap_times_look *look, const char *path,
			  const char *type, int64_t entries, uint64_t retained_bytes)
{
	ssize_t path_name, type_name;
	size_t at;

	if (look->holder_count == HEAP_TIMES_ROWS &&
	    look->holders[HEAP_TIMES_ROWS - 1].retained_bytes >= retained_bytes)
		return 0;
	path_name = heap_times_name(times, path);
	type_name = heap_times_name(times, type);
	if (path_name < 0 || type_name < 0)
		return -ENOMEM;
	at = MAKE_ROOM(look->holders, look->holder_count, retained_bytes, retained_bytes);
	look->holders[at] = (struct heap_times_holder){(size_t)path_name, (size_t)type_name,
						       entries, retained_bytes};
	return 0;
}

bool heap_times_keeps(size_t i, size_t count, size_t kept)
{
	if (count <= kept)
		return true;
	if (kept < 2)
		return kept && i == count - 1;
	/* The first of those that stand for the same one of `kept`. */
	return !i || i * (kept - 1) / (count - 1) != (i - 1) * (kept - 1) / (count - 1);
}

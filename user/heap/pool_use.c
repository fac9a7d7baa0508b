/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/pool_use.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFERS	   "buffers"
#define FIRST_ROOM 256

static bool lives(int32_t type)
{
	return type >= BLOCK_BUFFER;
}

static int make_room(struct pool_use *use, int32_t type)
{
	size_t room = use->room ? use->room : FIRST_ROOM;
	struct pool_pin *pins;

	if ((size_t)(type + 1) < use->room)
		return 0;
	while (room <= (size_t)(type + 1))
		room *= 2;
	pins = reallocarray(use->pins, room, sizeof(*pins));
	if (!pins)
		return -ENOMEM;
	memset(pins + use->room, 0, (room - use->room) * sizeof(*pins));
	use->pins = pins;
	use->room = room;
	return 0;
}

static int add_pins(struct pool_use *use, const struct pool_blocks *pool)
{
	for (uint32_t i = 0; i < pool->count; i++) {
		struct pool_pin *pin;
		int err;

		if (!lives(pool->types[i]))
			continue;
		err = make_room(use, pool->types[i]);
		if (err)
			return err;
		pin = &use->pins[pool->types[i] + 1];
		pin->bytes += pool->size;
		pin->pools += !pin->pools || pin->last_pool != pool->addr;
		pin->last_pool = pool->addr;
	}
	return 0;
}

int pool_use_add(struct pool_use *use, const struct pool_blocks *pool)
{
	uint64_t used = 0, tenth;

	for (uint32_t i = 0; i < pool->count; i++)
		used += lives(pool->types[i]) ? pool->size : 0;
	if (!used)
		return 0;
	tenth = 10 * used / pool->bytes;
	use->pools++;
	use->by_fullness[tenth < 10 ? tenth : 9]++;
	return 2 * used < pool->bytes ? add_pins(use, pool) : 0;
}

static int by_bytes(const void *a, const void *b)
{
	const struct heap_pin_row *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->type, y->type);
}

int pool_use_tell(const struct pool_use *use, const struct heap_types *types,
		  struct heap_look *look)
{
	look->pools = use->pools;
	memcpy(look->pools_by_fullness, use->by_fullness, sizeof(use->by_fullness));
	look->pins = calloc(use->room ? use->room : 1, sizeof(*look->pins));
	if (!look->pins)
		return -ENOMEM;
	for (size_t i = 0; i < use->room; i++) {
		struct heap_pin_row *row = &look->pins[look->pin_count];

		if (!use->pins[i].pools)
			continue;
		*row = (struct heap_pin_row){
			.type = strdup(i ? heap_types_get(types, (int32_t)i - 1)->name : BUFFERS),
			.bytes = use->pins[i].bytes,
			.pools = use->pins[i].pools,
		};
		if (!row->type)
			return -ENOMEM;
		look->pin_count++;
	}
	if (look->pin_count)
		qsort(look->pins, look->pin_count, sizeof(*look->pins), by_bytes);
	return 0;
}

void pool_use_fini(struct pool_use *use)
{
	free(use->pins);
	*use = (struct pool_use){.pools = 0};
}

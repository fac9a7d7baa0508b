/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/pool_use.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFERS "buffers"

struct pin {
	uint64_t bytes, pools, last_pool;
};

struct pinned {
	const struct heap_blocks *blocks;
	struct heap_look *look;
	uint64_t pool_size;
	struct pin *pins; /* by type; behind the last one, buffers */
	uint32_t types;
};

static uint64_t pool_of(const struct pinned *p, uint32_t block)
{
	return heap_blocks_addr(p->blocks, block) & ~(p->pool_size - 1);
}

static bool lives(const struct pinned *p, uint32_t block)
{
	int32_t type = heap_blocks_type(p->blocks, block);

	return type >= 0 || type == BLOCK_BUFFER;
}

static void count_fullness(struct pinned *p, uint64_t used)
{
	uint64_t tenth = 10 * used / p->pool_size;

	p->look->pools++;
	p->look->pools_by_fullness[tenth < 10 ? tenth : 9]++;
}

/* Counts one pool, whose blocks are those from `first` to before `end`. */
static void count_pool(struct pinned *p, uint32_t first, uint32_t end)
{
	uint64_t pool = pool_of(p, first), used = 0;
	struct pin *pin;
	int32_t type;

	for (uint32_t block = first; block < end; block++)
		used += lives(p, block) ? heap_blocks_size(p->blocks, block) : 0;
	if (!used)
		return;
	count_fullness(p, used);
	if (2 * used >= p->pool_size)
		return;
	for (uint32_t block = first; block < end; block++) {
		if (!lives(p, block))
			continue;
		type = heap_blocks_type(p->blocks, block);
		pin = &p->pins[type >= 0 ? (uint32_t)type : p->types];
		pin->bytes += heap_blocks_size(p->blocks, block);
		pin->pools += !pin->pools || pin->last_pool != pool;
		pin->last_pool = pool;
	}
}

static void count_pools(struct pinned *p)
{
	uint32_t count = heap_blocks_count(p->blocks), first = 0, block;

	while (first < count) {
		if (!heap_blocks_pooled(p->blocks, first)) {
			first++;
			continue;
		}
		block = first + 1;
		while (block < count && pool_of(p, block) == pool_of(p, first))
			block++;
		count_pool(p, first, block);
		first = block;
	}
}

static int by_bytes(const void *a, const void *b)
{
	const struct heap_pin_row *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->type, y->type);
}

static int add_rows(const struct pinned *p, const struct heap_types *types)
{
	struct heap_look *look = p->look;
	struct heap_pin_row *row;

	for (uint32_t i = 0; i <= p->types; i++) {
		if (!p->pins[i].pools)
			continue;
		row = &look->pins[look->pin_count];
		*row = (struct heap_pin_row){
			.type = strdup(i < p->types ? heap_types_get(types, (int32_t)i)->name
						    : BUFFERS),
			.bytes = p->pins[i].bytes,
			.pools = p->pins[i].pools,
		};
		if (!row->type)
			return -ENOMEM;
		look->pin_count++;
	}
	if (look->pin_count)
		qsort(look->pins, look->pin_count, sizeof(*look->pins), by_bytes);
	return 0;
}

int heap_pool_use(const struct heap_types *types, const struct heap_blocks *blocks,
		  const struct py_heap_layout *layout, struct heap_look *look)
{
	struct pinned p = {.blocks = blocks,
			   .look = look,
			   .pool_size = layout->pool_size,
			   .types = heap_types_count(types)};
	int err = -ENOMEM;

	p.pins = calloc(p.types + 1, sizeof(*p.pins));
	look->pins = calloc(p.types + 1, sizeof(*look->pins));
	if (p.pins && look->pins) {
		count_pools(&p);
		err = add_rows(&p, types);
	}
	free(p.pins);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/page_map.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/array.h"

#define LEAF_BYTES (sizeof(uint32_t) << PAGE_MAP_LEAF_BITS)

/* calloc() is not used, as it may write all of it. */
static void *zero_pages(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A huge page would be written for a leaf that holds one value. */
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	return memory;
}

int page_map_init(struct page_map *map, unsigned page_shift)
{
	*map = (struct page_map){
		.page_shift = page_shift,
		.leaf_count = (size_t)1
			      << (PAGE_MAP_ADDRESS_BITS - page_shift - PAGE_MAP_LEAF_BITS),
	};
	map->leaves = zero_pages(map->leaf_count * sizeof(*map->leaves));
	return map->leaves ? 0 : -ENOMEM;
}

void page_map_fini(struct page_map *map)
{
	if (!map->leaves)
		return;
	for (size_t i = 0; i < map->made_count; i++)
		munmap(map->leaves[map->made[i]], LEAF_BYTES);
	free(map->made);
	munmap(map->leaves, map->leaf_count * sizeof(*map->leaves));
	map->leaves = NULL;
}

static uint32_t *make_leaf(struct page_map *map, uint64_t leaf)
{
	if (!ARRAY_HAS_ROOM(map->made, map->made_count, map->made_room))
		return NULL;
	map->leaves[leaf] = zero_pages(LEAF_BYTES);
	if (map->leaves[leaf])
		map->made[map->made_count++] = (uint32_t)leaf;
	return map->leaves[leaf];
}

uint32_t *page_map_slot(struct page_map *map, uint64_t addr)
{
	uint64_t leaf = addr >> (map->page_shift + PAGE_MAP_LEAF_BITS);

	if (leaf >= map->leaf_count || (!map->leaves[leaf] && !make_leaf(map, leaf)))
		return NULL;
	return &map->leaves[leaf][(addr >> map->page_shift) & ((1u << PAGE_MAP_LEAF_BITS) - 1)];
}

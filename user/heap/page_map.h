/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A 32-bit value for each page of an address space. It is a table of two levels, and only what was
 * written to takes memory (4 bytes for a page). A look-up is two loads. */
#ifndef PAGE_MAP_H
#define PAGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* User addresses of x86-64 and arm64 have at most 48 bits, unless a program asks for more. Pages
 * above that are in no map. */
#define PAGE_MAP_ADDRESS_BITS 48
#define PAGE_MAP_LEAF_BITS    18 /* pages of a leaf */

struct page_map {
	uint32_t **leaves;
	size_t leaf_count; /* places for leaves */
	uint32_t *made;	   /* numbers of the leaves that have been made */
	size_t made_count, made_room;
	unsigned page_shift;
};

/* 0 or -ENOMEM. page_map_fini() frees what the map owns; it may be called for a map that is all
 * zero. */
int page_map_init(struct page_map *map, unsigned page_shift);
void page_map_fini(struct page_map *map);

/* The value of the page of `addr`, to be written. NULL: out of memory, or `addr` is above the
 * addresses of a map (page_map_covers()). */
uint32_t *page_map_slot(struct page_map *map, uint64_t addr);

static inline bool page_map_covers(uint64_t addr)
{
	return addr >> PAGE_MAP_ADDRESS_BITS == 0;
}

/* 0 where nothing was written. */
static inline uint32_t page_map_get(const struct page_map *map, uint64_t addr)
{
	uint64_t leaf = addr >> (map->page_shift + PAGE_MAP_LEAF_BITS);
	const uint32_t *values = leaf < map->leaf_count ? map->leaves[leaf] : NULL;

	return values ? values[(addr >> map->page_shift) & ((1u << PAGE_MAP_LEAF_BITS) - 1)] : 0;
}

#endif

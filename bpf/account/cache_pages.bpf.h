/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pages of files that come to places and go from them. Part of account/cache.bpf.h, whose maps
 * these are. */
#ifndef CACHE_PAGES_BPF_H
#define CACHE_PAGES_BPF_H

static __always_inline __u32 cached_id(const struct pymem_cached *place, __u32 number)
{
	return place->turn << 16 | (number & 0xffff);
}

/* Pages with this id have gone. 0: nobody's. */
static __always_inline void cached_gone(__u32 id, __u32 pages)
{
	__u32 number = id & 0xffff;
	struct pymem_cached *place = id ? bpf_map_lookup_elem(&cached, &number) : NULL;

	if (place && cached_id(place, number) == id)
		__sync_fetch_and_add(&place->gone, pages);
}

static const struct pymem_cache_chunk cache_no_pages;

/* The chunk with that key, marked as used; `make`: made if there is none. NULL: none, or no room.
 */
static __always_inline struct pymem_cache_chunk *cache_chunk(struct pymem_cache_chunk_key *key,
							     bool make)
{
	struct pymem_cache_chunk *chunk = bpf_map_lookup_elem(&cache_chunks, key);

	if (!chunk && make) {
		bpf_map_update_elem(&cache_chunks, key, &cache_no_pages, BPF_NOEXIST);
		chunk = bpf_map_lookup_elem(&cache_chunks, key);
	}
	if (chunk)
		chunk->look = cache_look;
	return chunk;
}

/* The chunk has `change` more pages than before. */
static __always_inline void cache_used(struct pymem_cache_chunk *chunk, __s32 change)
{
	if (!change)
		return;
	__sync_fetch_and_add(&chunk->used, change);
	if (!*(volatile __u32 *)&chunk->used)
		__sync_fetch_and_add(&cache_emptied, 1);
}

struct cache_range {
	__u64 file, index, id;
	__u64 pages; /* that are left */
	__u64 unknown;
};

#ifdef PYMEM_LEGACY

/* One page of a file comes, by the place that `id` names, or with id 0 goes. 1: it comes, and there
 * is no room for it. */
SEPARATE __s64 cache_page_is(__u64 file, __u64 index, __u64 id)
{
	struct pymem_cache_chunk_key key = {.number = index / PYMEM_CACHE_CHUNK_PAGES,
					    .file = file};
	struct pymem_cache_chunk *chunk = cache_chunk(&key, id);
	__u32 *at, had;

	if (!chunk)
		return id != 0;
	at = &chunk->pages[index & (PYMEM_CACHE_CHUNK_PAGES - 1)];
	had = *at;
	*at = id;
	cached_gone(had, 1);
	cache_used(chunk, !!id - !!had);
	return 0;
}

#define CACHE_STEPS PAGES_MOST

LOOP_BODY cache_range_step(__u32 i, struct cache_range *r)
{
	if (i >= r->pages)
		return 1;
	r->unknown += cache_page_is(r->file, r->index + i, r->id);
	return 0;
}

#else /* One search for all pages of a chunk: these run with interrupts off. */

struct cache_part {
	struct pymem_cache_chunk *chunk;
	__u64 index, id;
	__u32 gone, pages; /* so many pages in a row were of the place that `gone` names */
	/* The chunk's. It begins as what the kernel's verifier knows nothing of: of a sum that
	 * begins with 0 it would follow each value, a million instructions with the code of
	 * clang 19. */
	__u32 used;
};

LOOP_BODY cache_part_step(__u32 i, struct cache_part *part)
{
	__u32 *at = &part->chunk->pages[(part->index + i) & (PYMEM_CACHE_CHUNK_PAGES - 1)];
	__u32 had = *at;

	*at = part->id;
	part->used += !!part->id - !!had;
	if (had != part->gone) {
		cached_gone(part->gone, part->pages);
		part->gone = had;
		part->pages = 0;
	}
	part->pages++;
	return 0;
}

#define CACHE_STEPS (PAGES_MOST / PYMEM_CACHE_CHUNK_PAGES + 1)

LOOP_BODY cache_range_step(__u32 i __attribute__((unused)), struct cache_range *r)
{
	struct pymem_cache_chunk_key key = {.number = r->index / PYMEM_CACHE_CHUNK_PAGES,
					    .file = r->file};
	struct cache_part part = {.index = r->index, .id = r->id};
	__u64 pages = PYMEM_CACHE_CHUNK_PAGES - r->index % PYMEM_CACHE_CHUNK_PAGES;

	if (pages > r->pages)
		pages = r->pages;
	if (!pages)
		return 1;
	part.chunk = cache_chunk(&key, r->id);
	if (part.chunk) {
		__u32 before = part.chunk->used;

		part.used = before;
		LOOP(pages, cache_part_step, &part);
		cached_gone(part.gone, part.pages);
		cache_used(part.chunk, part.used - before);
	} else if (r->id) {
		r->unknown += pages;
	}
	r->index += pages;
	r->pages -= pages;
	return 0;
}

#endif

/* Pages of a file come, by the place that `id` names, or with id 0 go. Returns how many there was
 * no room for. */
SEPARATE __s64 cache_pages(__u64 file, __u64 index, __u64 pages, __u64 id)
{
	struct cache_range r = {.file = file, .index = index, .pages = pages, .id = id};

	LOOP(CACHE_STEPS, cache_range_step, &r);
	return r.unknown;
}

#endif

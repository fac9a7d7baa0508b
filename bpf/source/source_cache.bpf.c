/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: pages of files that come into the page cache, and that go again.
 *
 * What comes is brought by the thread that reads, writes or faults, also what is read ahead. What
 * goes may be anybody's doing: reclaim, a truncation, another process. tmpfs keeps its pages itself
 * and is not in here, nor are huge pages of hugetlbfs.
 */
#include "account/cache.bpf.h"

/* Counts the pages at their place, and gives them its id. */
static __always_inline void cache_count(struct pymem_proc *p, struct cache_page *page,
					const struct pymem_cached_key *key, __u64 address)
{
	__u32 number = cached_place(p, key);
	struct pymem_cached *place = bpf_map_lookup_elem(&cached, &number);
	enum cache_account account;
	__u64 unknown = page->pages;

	if (!place) {
		__sync_fetch_and_add(&p->cached_unkept, page->pages);
		return;
	}
	/* First: what goes is never more than what came. */
	__sync_fetch_and_add(&place->added, page->pages);
	/* Nobody looks for the pages of one that is larger than any we know. */
	if (key->file && page->pages <= PAGES_MOST)
		unknown =
			cache_pages(key->file, page->index, page->pages, cached_id(place, number));
	ADD_IF(place->unknown, unknown);
	account = cache_account(address);
	if (account == CACHE_OWN)
		__sync_fetch_and_add(&place->own, page->pages);
	else if (account == CACHE_OTHER)
		__sync_fetch_and_add(&place->other, page->pages);
}

/* The page or folio at `address` has come by the stack `hash` of p. A function of its own, since a
 * chain of calls has 512 bytes, and that of the walk needs most of them. */
static __noinline int cache_came(struct pymem_proc *p, __u64 address, __u64 hash)
{
	struct pymem_cached_key key = {.stack = {.hash = hash}};
	struct cache_page page = {};

	if (!p || !cache_locate(&page, address) || !cache_identify(&page))
		return 0;
	key.stack.proc = p->id;
	key.file = cache_file(p, &page);
	cache_count(p, &page, &key, address);
	return 0;
}

SEC("raw_tp/mm_filemap_add_to_page_cache")
int cache_added(struct bpf_raw_tracepoint_args *ctx)
{
	struct pymem_thread *th;
	struct pymem_proc *p;

	th = current_thread(&p);
	if (!th)
		return 0;
	if (vmcalls_walk(p, th))
		cache_came(p, ctx->args[0], th->loss + 1);
	else
		cache_came(p, ctx->args[0], key_now(th).hash);
	return 0;
}

SEC("raw_tp/mm_filemap_delete_from_page_cache")
int cache_deleted(struct bpf_raw_tracepoint_args *ctx)
{
	struct cache_page page = {};
	__u32 *number;

	if (!cache_locate(&page, ctx->args[0]) || !cache_filter[pymem_cache_slot(page.inode)] ||
	    !cache_identify(&page))
		return 0;
	number = bpf_map_lookup_elem(&cache_file_numbers, &page.file);
	if (number && page.pages <= PAGES_MOST)
		cache_pages((__u64)*number + 1, page.index, page.pages, 0);
	return 0;
}

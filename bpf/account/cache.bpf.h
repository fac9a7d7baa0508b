/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who brought a page into the page cache, and whether it is still there.
 *
 * Each pair of a stack and a file has a place in an array. A page that comes is counted there, and
 * a chunk of the file remembers its place; a page that goes is found in the chunk, by its offset in
 * the file, and counted at that place. Not by its address: a page that is migrated gets another
 * one, and a large one may be split, without an event. Pages go in the context of others, so
 * nothing is allocated then.
 *
 * All tables are bounded. Without a place a page is counted in its image's record (cached_unkept).
 * Without a file or a chunk it is counted at its place as `unknown`.
 *
 * Chunks that are empty stay until user space deletes them, which it does if nobody has used them
 * for two of its looks.
 */
#ifndef CACHE_BPF_H
#define CACHE_BPF_H

#include "account/vmcalls.bpf.h"
#include "base/cache_compat.bpf.h"
#include "pymem_cache.h"

/* Only programs of this source use these, so they are here and not in maps.bpf.h. Sized by the
 * loader, which leaves them out unless the page cache is watched. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pymem_cached_key);
	__type(value, __u32);
} cached_places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pymem_cached);
} cached SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pymem_cache_file_key);
	__type(value, __u32);
} cache_file_numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pymem_cache_file);
} cache_files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pymem_cache_chunk_key);
	__type(value, struct pymem_cache_chunk);
} cache_chunks SEC(".maps");

/* Numbers that user space has given back. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 1);
	__uint(value_size, sizeof(__u32));
} cached_free SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 1);
	__uint(value_size, sizeof(__u32));
} cache_files_free SEC(".maps");

__u32 cached_next, cache_files_next;	      /* numbers that have ever been given out */
__u32 cached_used, cache_files_used;	      /* places and files that are taken */
__u32 cache_look;			      /* number of user space's look at the files; not 0 */
__u32 cache_emptied;			      /* how often a chunk became empty; wraps */
__u32 cache_filter[PYMEM_CACHE_FILTER_SLOTS]; /* files of the table, by pymem_cache_slot() */

struct pymem_cache_held cache_held[PYMEM_ACCOUNTS];

/* --- what an event is about --- */

struct cache_page {
	struct pymem_cache_file_key file;
	__u64 inode;
	__u64 index;
	__u32 pages;
	__u32 pad;
};

/* Fills in the rest of page->file, whose inode is known. False: such pages are not counted. */
static __always_inline bool cache_identify(struct cache_page *page)
{
	struct inode___cache *inode = (void *)page->inode;
	struct super_block___cache *super = BPF_CORE_READ(inode, i_sb);
	unsigned long magic;

	page->file.inode = page->inode;
	page->file.number = BPF_CORE_READ(inode, i_ino);
	page->file.generation = BPF_CORE_READ(inode, i_generation);
	magic = BPF_CORE_READ(super, s_magic);
	page->file.device =
		magic == BDEVFS_MAGIC ? BPF_CORE_READ(inode, i_rdev) : BPF_CORE_READ(super, s_dev);
	return magic != HUGETLBFS_MAGIC;
}

/* Where the page or folio of an event belongs: inode, index, pages. False: to no file. */
static __always_inline bool cache_locate(struct cache_page *page, __u64 address)
{
	struct address_space___cache *mapping;

	if (bpf_core_type_exists(struct folio___cache)) {
		struct folio___cache *folio = (void *)address;

		mapping = BPF_CORE_READ(folio, mapping);
		page->index = BPF_CORE_READ(folio, index);
		page->pages = folio_pages(folio);
	} else {
		struct page___cache *old = (void *)address;

		mapping = BPF_CORE_READ(old, mapping);
		page->index = BPF_CORE_READ(old, index);
		page->pages = 1;
	}
	if (!mapping)
		return false;
	if (!page->pages)
		page->pages = 1; /* at least */
	page->inode = (__u64)BPF_CORE_READ(mapping, host);
	return page->inode;
}

enum cache_account { CACHE_UNACCOUNTED, CACHE_OWN, CACHE_OTHER };

/* The control group that memcg_data of a page names. 0: it could not be read. */
static __always_inline __u64 cache_group(__u64 memcg_data)
{
	struct obj_cgroup___cache *object = (void *)(memcg_data & ~MEMCG_FLAGS);

	if (object && bpf_core_field_exists(object->is_root))
		return (__u64)BPF_CORE_READ(object, memcg);
	return (__u64)object;
}

/* Is a page that the current task brings accounted to the task's control group? */
static __always_inline enum cache_account cache_account(__u64 address)
{
	struct page___cache *old = (void *)address;
	struct folio___cache *folio = (void *)address;
	struct task_struct___cache *task = (void *)current_task();
	struct css_set___cache *groups;
	__u64 group = 0, own = 0;

	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id___cache, memory_cgrp_id___cache))
		return CACHE_UNACCOUNTED;
	if (bpf_core_field_exists(folio->memcg_data))
		group = cache_group(BPF_CORE_READ(folio, memcg_data));
	else if (bpf_core_field_exists(old->memcg_data))
		group = cache_group(BPF_CORE_READ(old, memcg_data));
	else if (bpf_core_field_exists(old->mem_cgroup))
		group = (__u64)BPF_CORE_READ(old, mem_cgroup);
	if (!group)
		return CACHE_UNACCOUNTED;
	/* The group's record begins with its part of the hierarchy. */
	groups = BPF_CORE_READ(task, cgroups);
	bpf_probe_read_kernel(&own, sizeof(own),
			      (char *)groups +
				      bpf_core_field_offset(struct css_set___cache, subsys) +
				      8 * bpf_core_enum_value(enum cgroup_subsys_id___cache,
							      memory_cgrp_id___cache));
	return own == group ? CACHE_OWN : CACHE_OTHER;
}

/* --- names --- */

struct cache_naming {
	struct dentry___cache *dentry; /* NULL: all is there */
	char *to;
	__u32 bytes;
	__u32 state;
};

/* Adds the name of the next folder, outwards. */
LOOP_BODY cache_name_step(__u32 i __attribute__((unused)), struct cache_naming *n)
{
	struct dentry___cache *dentry = n->dentry, *parent = BPF_CORE_READ(dentry, d_parent);
	__u32 at = n->bytes & (PYMEM_CACHE_NAME_BYTES - 1);
	long length;

	if (parent == dentry) {
		n->state &= ~PYMEM_CACHE_CUT;
		return 1; /* the root of the filesystem */
	}
	length = bpf_probe_read_kernel_str(n->to + at, PYMEM_CACHE_NAME_BYTES,
					   BPF_CORE_READ(dentry, d_name.name));
	if (length <= 1 || at + length >= PYMEM_CACHE_NAME_BYTES)
		return 1;
	n->bytes = at + length;
	n->dentry = parent;
	return 0;
}

/* Writes the file's path into its record. */
SEPARATE __s64 cache_name(__u64 number, __u64 inode)
{
	__u32 index = number;
	struct pymem_cache_file *file = bpf_map_lookup_elem(&cache_files, &index);
	struct scratch *s = scratch_get();
	struct cache_naming n = {.state = PYMEM_CACHE_NAMED | PYMEM_CACHE_CUT};

	if (!file || !s || s->busy)
		return 0;
	if (BPF_CORE_READ((struct inode___cache *)inode, i_sb, s_magic) == BDEVFS_MAGIC)
		file->state = PYMEM_CACHE_BLOCKS;
	n.dentry = cache_dentry((void *)inode);
	if (!n.dentry)
		return 0;
	s->busy = 1;
	n.to = (char *)s->chunk;
	LOOP(PYMEM_CACHE_NAME_PARTS, cache_name_step, &n);
	if (!BPF_CORE_READ((struct inode___cache *)inode, i_nlink))
		n.state |= PYMEM_CACHE_DELETED;
	bpf_probe_read_kernel(file->name, sizeof(file->name), s->chunk);
	file->bytes = n.bytes;
	file->state |= n.state;
	s->busy = 0;
	return 0;
}

/* --- places --- */

/* A number: one that was given back, or a new one below `most`. ~0: there is none. */
static __always_inline __u32 cache_number(void *free, __u32 *next, __u32 most)
{
	__u32 number = ~0u;

	if (!bpf_map_pop_elem(free, &number))
		return number;
	if (*(volatile __u32 *)next >= most)
		return ~0u;
	number = next_number(next);
	return number < most ? number : ~0u;
}

/* May p have another place? */
static __always_inline bool cached_allows(const struct pymem_proc *p, __u32 account)
{
	return quota_leaves(cached_used, PYMEM_CACHED_PLACES, p->cached_places, account,
			    cache_held[account & (PYMEM_ACCOUNTS - 1)].places);
}

/* May p have another file? Not without a place for it. */
static __always_inline bool cache_file_allows(const struct pymem_proc *p, __u32 account)
{
	return cached_allows(p, account) &&
	       quota_leaves(cache_files_used, PYMEM_CACHE_FILES, p->cached_files, account,
			    cache_held[account & (PYMEM_ACCOUNTS - 1)].files);
}

/* The record of the file, made for p if it is new: its number, plus 1; 0: no
 * room. */
static __noinline __u32 cache_file(struct pymem_proc *p, const struct cache_page *page)
{
	struct pymem_cache_file *file;
	__u32 number, account, *had;

	if (!p || !page)
		return 0;
	had = bpf_map_lookup_elem(&cache_file_numbers, &page->file);
	if (had)
		return *had + 1;
	account = quota_account(p);
	if (!cache_file_allows(p, account))
		return 0;
	number = cache_number(&cache_files_free, &cache_files_next, PYMEM_CACHE_FILES);
	file = bpf_map_lookup_elem(&cache_files, &number);
	if (!file)
		return 0;
	/* User space has zeroed it. */
	if (bpf_map_update_elem(&cache_file_numbers, &page->file, &number, BPF_NOEXIST)) {
		/* Another CPU was first, or there is no room: the record stays without a key, so
		 * that user space takes it for no file. */
		bpf_map_push_elem(&cache_files_free, &number, BPF_ANY);
		had = bpf_map_lookup_elem(&cache_file_numbers, &page->file);
		return had ? *had + 1 : 0;
	}
	__sync_fetch_and_add(&cache_filter[pymem_cache_slot(page->inode)], 1);
	__sync_fetch_and_add(&cache_files_used, 1);
	__sync_fetch_and_add(&cache_held[account & (PYMEM_ACCOUNTS - 1)].files, 1);
	__sync_fetch_and_add(&p->cached_files, 1);
	file->account = account;
	file->key = page->file;
	cache_name(number, page->inode);
	return number + 1;
}

/* The place of the stack and the file, made for p if it is new. ~0: no room. */
static __noinline __u32 cached_place(struct pymem_proc *p, const struct pymem_cached_key *key)
{
	struct pymem_cached *place;
	__u32 number, account, *had;

	if (!p || !key)
		return ~0u;
	had = bpf_map_lookup_elem(&cached_places, key);
	if (had)
		return *had;
	account = quota_account(p);
	if (!cached_allows(p, account))
		return ~0u;
	number = cache_number(&cached_free, &cached_next, PYMEM_CACHED_PLACES);
	place = bpf_map_lookup_elem(&cached, &number);
	if (!place)
		return ~0u;
	/* User space has zeroed it, but for the turn. */
	if (bpf_map_update_elem(&cached_places, key, &number, BPF_NOEXIST)) {
		bpf_map_push_elem(&cached_free, &number, BPF_ANY);
		had = bpf_map_lookup_elem(&cached_places, key);
		return had ? *had : ~0u;
	}
	if (!(place->turn & 0xffff))
		place->turn = 1;
	__sync_fetch_and_add(&cached_used, 1);
	__sync_fetch_and_add(&cache_held[account & (PYMEM_ACCOUNTS - 1)].places, 1);
	__sync_fetch_and_add(&p->cached_places, 1);
	place->account = account;
	place->key = *key;
	return number;
}

#include "account/cache_pages.bpf.h"

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's structures of the page cache, and what differs in them between kernels. */
#ifndef CACHE_COMPAT_BPF_H
#define CACHE_COMPAT_BPF_H

#include "base/compat.bpf.h"

/* Up to 5.15 the events have a page. A page up to then, and a folio since, knows its file and its
 * offset. Before 6.1 a folio's size is in its second page; 6.1 to 6.14 name it _folio_nr_pages,
 * later ones _nr_pages. */
struct page___cache {
	struct address_space___cache *mapping;
	unsigned long index;
	unsigned long memcg_data;      /* from 5.11 on */
	struct mem_cgroup *mem_cgroup; /* 5.10 */
	unsigned int compound_nr;      /* of the second page: up to 6.0, of a large one */
} __attribute__((preserve_access_index));

struct folio___cache {
	struct address_space___cache *mapping;
	unsigned long index;
	unsigned long memcg_data;
	unsigned int _folio_nr_pages;
	unsigned int _nr_pages;
	unsigned long _flags_1;
} __attribute__((preserve_access_index));

struct hlist_node___cache {
	struct hlist_node___cache *next, **pprev;
} __attribute__((preserve_access_index));

struct hlist_head___cache {
	struct hlist_node___cache *first;
} __attribute__((preserve_access_index));

struct super_block___cache {
	__u32 s_dev;
	unsigned long s_magic;
} __attribute__((preserve_access_index));

struct inode___cache {
	struct super_block___cache *i_sb;
	unsigned long i_ino;
	unsigned int i_nlink;
	__u32 i_generation, i_rdev;
	struct hlist_head___cache i_dentry;
} __attribute__((preserve_access_index));

struct address_space___cache {
	struct inode___cache *host;
} __attribute__((preserve_access_index));

struct qstr___cache {
	const unsigned char *name;
} __attribute__((preserve_access_index));

struct dentry_alias___cache {
	struct hlist_node___cache d_alias;
} __attribute__((preserve_access_index));

struct dentry___cache {
	struct dentry___cache *d_parent;
	struct qstr___cache d_name;
	union {
		struct hlist_node___cache d_alias;
	} d_u;
} __attribute__((preserve_access_index));

/* As some later kernel may have it. */
struct dentry___flat {
	struct hlist_node___cache d_alias;
} __attribute__((preserve_access_index));

enum pageflags___cache {
	PG_head___cache,
};

enum cgroup_subsys_id___cache {
	memory_cgrp_id___cache,
};

/* Since 7.2, memcg_data of a page in the cache has this between the page and its group, so that
 * pages outlive a group; `is_root` came with that. */
struct obj_cgroup___cache {
	struct mem_cgroup *memcg;
	bool is_root;
} __attribute__((preserve_access_index));

struct css_set___cache {
	void *subsys[1];
} __attribute__((preserve_access_index));

struct task_struct___cache {
	struct css_set___cache *cgroups;
} __attribute__((preserve_access_index));

#define HUGETLBFS_MAGIC 0x958458f6 /* its pages are no page cache */
#define BDEVFS_MAGIC	0x62646576 /* its files are block devices */
#define MEMCG_FLAGS	7ul	   /* bits of memcg_data that are no part of the pointer */
/* Of a folio: a huge page of x86-64 has 512 pages; one of arm64 with pages of 64 KiB has 8192. */
#define PAGES_MOST BY_BUILD(8192, 512)

/* 0: this kernel does not say. */
static __always_inline __u32 folio_pages(struct folio___cache *folio)
{
	struct page___cache *second =
		(void *)((char *)folio + bpf_core_type_size(struct page___cache));
	unsigned long flags = 0;

	/* The flags come first, whatever their type. */
	bpf_probe_read_kernel(&flags, sizeof(flags), folio);
	if (!(flags >> bpf_core_enum_value(enum pageflags___cache, PG_head___cache) & 1))
		return 1;
	if (bpf_core_field_exists(folio->_nr_pages))
		return BPF_CORE_READ(folio, _nr_pages);
	if (bpf_core_field_exists(folio->_folio_nr_pages))
		return BPF_CORE_READ(folio, _folio_nr_pages);
	if (bpf_core_field_exists(folio->_flags_1))
		return 1u << (BPF_CORE_READ(folio, _flags_1) & 31);
	if (bpf_core_field_exists(second->compound_nr))
		return BPF_CORE_READ(second, compound_nr);
	return 0;
}

/* The entry of the inode in its folder; NULL: none is known. */
static __always_inline struct dentry___cache *cache_dentry(struct inode___cache *inode)
{
	char *alias = (char *)BPF_CORE_READ(inode, i_dentry.first);
	struct dentry___cache *dentry = NULL;

	if (!alias)
		return NULL;
	if (bpf_core_field_exists(dentry->d_u.d_alias))
		return (void *)(alias - bpf_core_field_offset(struct dentry___cache, d_u.d_alias));
	if (bpf_core_field_exists(struct dentry___flat, d_alias))
		return (void *)(alias - bpf_core_field_offset(struct dentry___flat, d_alias));
	return NULL;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Objects and pages that the kernel allocates for a line and charges to its control group, and when
 * they go.
 *
 * Each object has an entry in `kernel_owners`, by its address, with the stack that it stands for.
 * What goes is found there, whoever frees it: interrupts too. So that map has all its entries from
 * the beginning. If it took them as they are needed, each would be an allocation, of which these
 * programs are told.
 *
 * Only allocations that may sleep are counted. The others are those of interrupts, which are not
 * charged to the thread that was interrupted, and what BPF programs, these among them, take.
 *
 * What goes once its image ends (`dying`, or no record of it) counts as still there: of a process
 * that has ended, it is what was there then.
 *
 * What one image, and all images of one user, may have of the entries is limited (quota_leaves()).
 * An entry names the account that it is on, and is taken off that one when it goes. User space
 * deletes those that images left behind.
 *
 * Without an entry nothing is known of an object's end (pymem_kernel.unknown). Some ends are not
 * told (objects that are freed in bulk, or by kfree_rcu()): if another object gets the address,
 * that is the end; before, the object counts as still there.
 */
#ifndef KERNEL_OBJECTS_BPF_H
#define KERNEL_OBJECTS_BPF_H

#include "account/vmcalls.bpf.h"
#include "base/kernel_compat.bpf.h"
#include "pymem_objects.h"

/* Sized by the loader, which leaves these out unless the kernel's own memory is watched. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct pymem_kernel_owner);
} kernel_owners SEC(".maps");

/* Numbers of entries, by a hash of the address: what has none is turned away by one load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} kernel_filter SEC(".maps");

/* Functions that allocate, in the order of their addresses; set by the loader. */
struct pymem_site kernel_sites[PYMEM_SITES];
__u32 kernel_site_count;

__u32 kernel_owners_used;	   /* entries that there are */
__u32 kernel_held[PYMEM_ACCOUNTS]; /* of these, by account */

const volatile __u32 page_bytes = 4096; /* set by the loader */

/* What the function at `site` allocates. */
static __always_inline __u32 kind_of_site(__u64 site)
{
	__u32 low = 0, high = kernel_site_count, i, middle;

	/* The last one that begins at or before it. */
	for (i = 0; i < PYMEM_SITE_BITS; i++) {
		middle = (low + high) / 2;
		if (kernel_sites[middle & (PYMEM_SITES - 1)].start <= site)
			low = middle;
		else
			high = middle;
	}
	low &= PYMEM_SITES - 1;
	if (site < kernel_sites[low].start || site >= kernel_sites[low].end)
		return PYMEM_KERNEL_SLAB;
	return kernel_sites[low].kind;
}

static __always_inline __u32 *filter_slot(__u64 address)
{
	__u32 slot = pymem_kernel_slot(address);

	return bpf_map_lookup_elem(&kernel_filter, &slot);
}

/* To be asked just before `kind` is used: 5.10 forgets the bounds of what clang puts on the stack
 * meanwhile. */
static __always_inline bool is_kind(__u64 *kind)
{
	barrier_var(*kind);
	return *kind < PYMEM_KERNEL_COUNT;
}

/* There are `entries` more on that account. */
static __always_inline void owner_book(__u32 account, __s32 entries)
{
	__sync_fetch_and_add(&kernel_owners_used, entries);
	__sync_fetch_and_add(&kernel_held[account & (PYMEM_ACCOUNTS - 1)], entries);
}

/* What the owner stands for is gone, and its entry. */
static __always_inline void owner_gone(const struct pymem_kernel_owner *owner)
{
	struct pymem_stack_key key = {.proc = owner->proc, .hash = owner->hash};
	struct pymem_kernel *sums;
	__u64 kind, mm = owner->mm;
	struct pymem_proc *p = bpf_map_lookup_elem(&procs, &mm);

	owner_book(owner->account, -1);
	if (!p || p->id != owner->proc)
		return;
	__sync_fetch_and_add(&p->kernel_owned, -1);
	if (p->dying)
		return;
	sums = bpf_map_lookup_elem(&kernel_sums, &key);
	kind = owner->kind;
	if (!sums || !is_kind(&kind))
		return;
	__sync_fetch_and_add(&sums->gone[kind], owner->bytes);
	if (owner->stack)
		__sync_fetch_and_add(&sums->gone[PYMEM_KERNEL_STACKS],
				     (__u64)owner->stack * page_bytes);
}

/* May p, whose account that is, have another entry? */
static __always_inline bool owner_is_allowed(const struct pymem_proc *p, __u32 account)
{
	return quota_leaves(kernel_owners_used, PYMEM_KERNEL_OWNERS, p->kernel_owned, account,
			    kernel_held[account & (PYMEM_ACCOUNTS - 1)]);
}

/* Remembers that p owns the object. False: no room, or p may have no more. */
static __noinline bool owner_keep(struct pymem_proc *p, __u64 address,
				  struct pymem_kernel_owner *owner)
{
	struct pymem_kernel_owner *old, was;
	__u32 *slot = filter_slot(address);

	if (!p || !owner || !slot)
		return false;
	owner->account = quota_account(p);
	old = bpf_map_lookup_elem(&kernel_owners, &address);
	if (old) {
		was = *old;
		*old = *owner;
		owner_gone(&was);
	} else if (owner_is_allowed(p, owner->account) &&
		   !bpf_map_update_elem(&kernel_owners, &address, owner, BPF_NOEXIST)) {
		__sync_fetch_and_add(slot, 1);
	} else {
		return false;
	}
	owner_book(owner->account, 1);
	__sync_fetch_and_add(&p->kernel_owned, 1);
	return true;
}

/* The kernel has allocated this for the current thread. `address` 0: its end is not told. */
static __always_inline int kernel_took(__u64 address, __u64 kind, __u64 bytes)
{
	struct pymem_kernel_owner owner = {.bytes = bytes, .kind = kind};
	struct pymem_stack_key key = {};
	struct pymem_kernel *sums;
	struct pymem_thread *th;
	struct pymem_proc *p;

	th = current_thread(&p);
	if (!th)
		return 0;
	vmcalls_walk(p, th);
	owner.mm = p->mm;
	key.proc = owner.proc = p->id;
	key.hash = owner.hash = kernel_hash(th);
	sums = bpf_map_lookup_elem(&kernel_sums, &key) ?: kernel_make(p, &key);
	if (!is_kind(&kind))
		return 0;
	if (!sums) {
		__sync_fetch_and_add(&p->kernel_unkept[kind], bytes);
		return 0;
	}
	__sync_fetch_and_add(&sums->bytes[kind], bytes);
	__sync_fetch_and_add(&sums->objects[kind], 1);
	if (!address || !owner_keep(p, address, &owner))
		__sync_fetch_and_add(&sums->unknown, bytes);
	return 0;
}

/* It has freed what was at that address. */
static __always_inline int kernel_freed(__u64 address)
{
	__u32 *slot = filter_slot(address);
	struct pymem_kernel_owner *found, owner;

	if (!slot || !*slot)
		return 0;
	found = bpf_map_lookup_elem(&kernel_owners, &address);
	if (!found)
		return 0;
	owner = *found;
	if (bpf_map_delete_elem(&kernel_owners, &address))
		return 0;
	__sync_fetch_and_add(slot, -1);
	owner_gone(&owner);
	return 0;
}

#endif

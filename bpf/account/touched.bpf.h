/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which stack first touched a page. From 6.2 on, and only if asked for.
 *
 * The address is known at a fault's entry, the stack where its pages are counted (rss_stat). In
 * between it is kept by PID; a mark over PID, number of the fault and address tells that it is
 * this fault's. If it is not, the pages are unplaced: no page gets a stack that is not its own.
 *
 * Frees are not seen. A page that becomes resident again gets another stack by that fault, so user
 * space asks only for pages that are resident when it looks.
 *
 * A directory leads from (directory, region) to a leaf. At a fork, the parent's directory stays as
 * it is, and parent and child go on with one of their own. So both find what was touched before the
 * fork, and neither sees what the other touches later.
 */
#ifndef TOUCHED_BPF_H
#define TOUCHED_BPF_H

#include "account/thread.bpf.h"
#include "base/maps.bpf.h"

#define PAGE_SHIFT    12 /* x86: where faults are traced */
#define MADV_DONTNEED 4

/* Odd numbers for the mark: of xxHash. */
#define TOUCH_NUMBER  0x9e3779b185ebca87ULL
#define TOUCH_ADDRESS 0xc2b2ae3d27d4eb4fULL

enum touch_by { TOUCH_BY_USER, TOUCH_BY_KERNEL }; /* page_fault_user, page_fault_kernel */

static __always_inline __u64 touch_mark(struct task_struct *task, __u64 address, enum touch_by by)
{
	return (__u64)TASK_READ(task, pid) * 2 + by + fault_number(task) * TOUCH_NUMBER +
	       address * TOUCH_ADDRESS;
}

/* The current task faults at `address`. */
static __always_inline void touch_note(__u64 address, enum touch_by by)
{
	struct task_struct *task = current_task();
	struct pymem_touch *touch = &touches[TASK_READ(task, pid) & (TOUCHES - 1)];

	touch->address = address;
	if (watch_waits)
		touch->since = bpf_ktime_get_ns();
	touch->mark = touch_mark(task, address, by);
}

/* Where the current task faults, and since when; 0: not known, or it is in no fault. */
static __always_inline __u64 touch_found(__u64 *since)
{
	struct task_struct *task = current_task();
	const struct pymem_touch *touch = &touches[TASK_READ(task, pid) & (TOUCHES - 1)];
	__u64 address = *(const volatile __u64 *)&touch->address;

	*since = *(const volatile __u64 *)&touch->since;
	/* In a system call, only the kernel's own access can fault. */
	if (touch->mark !=
	    touch_mark(task, address, in_exception() ? TOUCH_BY_USER : TOUCH_BY_KERNEL))
		return 0;
	return address;
}

static __always_inline __u64 touch_address(void)
{
	__u64 since;

	return touch_found(&since);
}

/* A new id of a stack; 0: there are no more. */
static __always_inline __u32 touched_id(void)
{
	__u32 id = new_id(false);

	return id < PYMEM_TOUCHED_NEW ? id : 0;
}

/* These pages of p have become resident at an unknown address. */
static __always_inline void touched_unplaced(struct pymem_proc *p, __u32 member, __s64 change)
{
	if (watch_touched && member != PYMEM_SWAP && change > 0)
		__sync_fetch_and_add(&p->touched_unplaced, change);
}

/* May p have another leaf? It may hold `quota_share` times as many as are free. With a share of 1,
 * that is half of those that nobody else holds. */
static __always_inline bool touched_allows(const struct pymem_proc *p)
{
	__u32 used = touched_used, free = used < touched_room ? touched_room - used : 0;

	return free && p->touched_leaves < (__u64)quota_share * free;
}

/* A leaf for the key, for p: its index plus 1; 0: no room. */
static __noinline __u32 touched_make(struct pymem_proc *p, __u64 key)
{
	__u32 leaf = 0, *had;

	if (!p || !touched_allows(p))
		return 0;
	if (bpf_map_pop_elem(&touched_free, &leaf)) {
		leaf = next_number(&touched_next);
		if (leaf >= touched_room)
			return 0;
	}
	if (bpf_map_update_elem(&touched_dirs, &key, &leaf, BPF_NOEXIST)) {
		/* Another CPU was first, or there is no room. */
		bpf_map_push_elem(&touched_free, &leaf, BPF_ANY);
		had = bpf_map_lookup_elem(&touched_dirs, &key);
		return had ? *had + 1 : 0;
	}
	__sync_fetch_and_add(&touched_used, 1);
	__sync_fetch_and_add(&p->touched_leaves, 1);
	p->touched_written = 1;
	return leaf + 1;
}

/* The leaf of an address, for p, which the current thread th runs. NULL: no room. */
static __always_inline struct pymem_touched_leaf *
touched_leaf(struct pymem_proc *p, struct pymem_thread *th, __u64 address)
{
	__u64 key = pymem_touched_key(p->touched_dirs[0], address);
	__u32 *had, leaf = th->touched_leaf;

	if (!leaf || th->touched_key != key) {
		had = bpf_map_lookup_elem(&touched_dirs, &key);
		leaf = had ? *had + 1 : touched_make(p, key);
		th->touched_key = key;
		th->touched_leaf = leaf;
	}
	leaf--;
	return bpf_map_lookup_elem(&touched_leaves, &leaf);
}

struct touched_fill {
	struct pymem_touched_leaf *leaf;
	__u32 first, id;
}; /* some pages of a leaf, which get an id */

LOOP_BODY touched_step(__u32 i, struct touched_fill *fill)
{
	fill->leaf->ids[(fill->first + i) & (PYMEM_TOUCHED_PAGES - 1)] = fill->id;
	return 0;
}

LOOP_BODY touched_around_step(__u32 i, struct touched_fill *fill)
{
	__u32 *id = &fill->leaf->ids[(fill->first + i) & (PYMEM_TOUCHED_PAGES - 1)];

	if (!*id || *id == PYMEM_TOUCHED_NEW)
		*id = fill->id | PYMEM_TOUCHED_AROUND;
	return 0;
}

#define FAULT_AROUND 16 /* pages: mm/memory.c, fault_around_bytes of 64 KiB */

/* A fault has mapped more than the page at `at`. Anonymous memory: a large folio, aligned to its
 * size. A file: what the page cache has around that page, or from 6.18 on in a large folio; the
 * kernel tells it in parts, and some of it may have been mapped before. */
static __noinline int touched_many(struct pymem_touched_leaf *leaf, __u32 at, __u32 member,
				   __u64 pages, __u32 id)
{
	struct touched_fill fill = {.leaf = leaf, .id = id};
	__u32 window;

	if (!leaf)
		return 0;
	/* The next power of two; without a loop, since the verifier would follow what comes after
	 * once for each of them. */
	window = pages < PYMEM_TOUCHED_PAGES ? pages - 1 : PYMEM_TOUCHED_PAGES - 1;
	if (member != PYMEM_ANON)
		window |= FAULT_AROUND - 1;
	window |= window >> 1;
	window |= window >> 2;
	window |= window >> 4;
	window |= window >> 8;
	window++;
	fill.first = at & ~(window - 1);
	if (window == pages && (member == PYMEM_ANON || pages == PYMEM_TOUCHED_PAGES))
		LOOP(window, touched_step, &fill);
	else
		LOOP(window, touched_around_step, &fill);
	return 0;
}

#define FIRST_HASH 0x9e3779b1U /* odd: of xxHash */

/* Notes what is at `address`, for the directory `dir`, if that is one in eight of the addresses at
 * which a pool may begin. The stack `id` has touched that page and now touches another one, so what
 * is there is its own. Not if `differs`: then another stack touched the page, or the directory has
 * changed. */
SEPARATE __s64 touched_first(__u64 address, __u64 dir, __u64 id, __u64 differs)
{
	__u32 hash = (__u32)(address >> PYMEM_FIRST_SHIFT) * FIRST_HASH, slot;
	struct scratch *s;
	struct pymem_first *first;

	if (!watch_touched || differs || id >= PYMEM_TOUCHED_NEW || hash >> 29 ||
	    address & ((1 << PYMEM_FIRST_SHIFT) - 1))
		return 0;
	s = scratch_get();
	slot = (hash >> 19) & (PYMEM_FIRSTS - 1);
	first = bpf_map_lookup_elem(&touched_firsts, &slot);
	if (!first || !s || s->busy)
		return 0;
	first->id = 0;
	first->address = address;
	first->dir = dir;
	/* If the page has gone meanwhile, the read's own fault is no event. */
	if (!scratch_begins(s))
		return 0;
	if (!bpf_probe_read_user(first->bytes, sizeof(first->bytes), (void *)address))
		first->id = id;
	s->busy = 0;
	return 0;
}

/* The page that th has touched last. */
static __always_inline __u64 touched_last(const struct pymem_thread *th)
{
	return (__u64)(__u32)th->touched_key << PYMEM_TOUCHED_SHIFT | (__u64)th->touched_at
									      << PAGE_SHIFT;
}

/* The current thread th of p has made these pages resident, by the stack `id`. 1: it is known
 * where. */
static __noinline int touched_pages(struct pymem_proc *p, struct pymem_thread *th, __u32 member,
				    __s64 change, __u32 id)
{
	struct pymem_touched_leaf *leaf;
	__u64 address;
	__u32 at;

	if (!p || !th)
		return 0;
	th->touched_by = 0;
	address = touch_address();
	if (!address) {
		__sync_fetch_and_add(&p->touched_unplaced, change);
		return 0;
	}
	leaf = touched_leaf(p, th, address);
	if (!leaf) {
		__sync_fetch_and_add(&p->touched_refused, change);
		return 0;
	}
	at = (address >> PAGE_SHIFT) & (PYMEM_TOUCHED_PAGES - 1);
	if (change > 1 || member == PYMEM_FILE)
		touched_many(leaf, at, member, change, id);
	th->touched_at = at;
	th->touched_was = leaf->ids[at];
	leaf->ids[at] = id;
	return 1;
}

/* A fault of th has brought a page back from swap: the page gets back the id that it had. The
 * kernel counts the page before the swap entry (do_swap_page()). */
static __noinline int touched_back(struct pymem_thread *th)
{
	struct pymem_touched_leaf *leaf;
	__u32 at, index, was;

	if (!th)
		return 0;
	at = th->touched_at & (PYMEM_TOUCHED_PAGES - 1);
	was = th->touched_was;
	index = th->touched_leaf - 1;
	leaf = was && touch_address() ? bpf_map_lookup_elem(&touched_leaves, &index) : NULL;
	if (leaf)
		leaf->ids[at] = was;
	th->touched_was = 0;
	return 0;
}

/* The current thread has changed a counter of its image, with the stack `id`. */
static __always_inline void touched_change(struct pymem_proc *p, struct pymem_thread *th,
					   __u32 member, __s64 change, __u32 id)
{
	if (member == PYMEM_SWAP) {
		if (change < 0)
			touched_back(th);
	} else if (change > 0) {
		__u32 dir = p->touched_dirs[0];

		touched_first(touched_last(th), dir, id,
			      (th->touched_by ^ id) | (th->touched_key >> 32 ^ dir));
		/* No branch: the verifier would follow what comes after twice. */
		th->touched_by = id * touched_pages(p, th, member, change, id);
	}
}

struct touched_range {
	struct pymem_proc *p;
	struct pymem_thread *th;
	__u64 from, to;	 /* addresses; from 0: all pages get `id` */
	__u64 from_key;	 /* of `from_leaf` */
	__u32 from_leaf; /* plus 1; 0: none */
	__u32 id;
};

/* The id of the next page of the old place; LOST: there is none, or only from before a fork. */
static __always_inline __u32 touched_next_id(struct touched_range *r)
{
	__u64 key = pymem_touched_key(r->p->touched_dirs[0], r->from);
	struct pymem_touched_leaf *leaf;
	__u32 *had, index, id = 0;

	if (key != r->from_key) {
		had = bpf_map_lookup_elem(&touched_dirs, &key);
		r->from_leaf = had ? *had + 1 : 0;
		r->from_key = key;
	}
	index = r->from_leaf - 1;
	leaf = bpf_map_lookup_elem(&touched_leaves, &index);
	if (leaf)
		id = leaf->ids[(r->from >> PAGE_SHIFT) & (PYMEM_TOUCHED_PAGES - 1)];
	return id ?: PYMEM_TOUCHED_LOST;
}

LOOP_BODY touched_range_step(__u32 i __attribute__((unused)), struct touched_range *r)
{
	__u32 id = r->from ? touched_next_id(r) : r->id;
	struct pymem_touched_leaf *leaf = touched_leaf(r->p, r->th, r->to);

	if (leaf)
		leaf->ids[(r->to >> PAGE_SHIFT) & (PYMEM_TOUCHED_PAGES - 1)] = id;
	if (r->from)
		r->from += 1 << PAGE_SHIFT;
	r->to += 1 << PAGE_SHIFT;
	return 0;
}

#define RANGE_PAGES_MAX (1 << 23) /* 32 GiB: the most that bpf_loop() does */

/* The current thread, which runs on `mm`, has moved `bytes` from `from` (mremap), or with `from` 0
 * makes all pages at `to` resident by the stack `id` (MAP_POPULATE). If threads touch the new
 * place meanwhile, ids of the old place may replace theirs. */
SEPARATE __s64 touched_range(__u64 mm, __u64 from, __u64 to, __u64 bytes, __u64 id)
{
	struct touched_range range = {.from = from, .to = to, .id = id};
	__u64 pages = (bytes + (1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT;

	if (!watch_touched)
		return 0;
	range.p = bpf_map_lookup_elem(&procs, &mm);
	range.th = thread_of(current_task());
	if (!range.p || !range.th)
		return 0;
	if (pages > RANGE_PAGES_MAX) {
		__sync_fetch_and_add(&range.p->touched_unplaced, pages - RANGE_PAGES_MAX);
		pages = RANGE_PAGES_MAX;
	}
	/* The pages were counted as unplaced when they became resident, or soon will be. */
	if (!from && id != PYMEM_TOUCHED_LOST)
		__sync_fetch_and_add(&range.p->touched_unplaced, -pages);
	range.th->touched_by = 0;
	LOOP(pages, touched_range_step, &range);
	return 0;
}

/* All of a leaf is new. */
static const struct pymem_touched_leaf touched_new_leaf = {
	.ids = {[0 ... PYMEM_TOUCHED_PAGES - 1] = PYMEM_TOUCHED_NEW}};

struct touched_renewal {
	__u64 address, bytes;
	__u32 dir;
};

LOOP_BODY touched_new_step(__u32 i, struct touched_renewal *r)
{
	__u64 region = ((r->address >> PYMEM_TOUCHED_SHIFT) + i) << PYMEM_TOUCHED_SHIFT;
	__u64 first = region < r->address ? r->address - region : 0;
	__u64 last = r->address + r->bytes - region;
	__u64 key = pymem_touched_key(r->dir, region);
	__u32 *leaf = bpf_map_lookup_elem(&touched_dirs, &key);
	struct touched_fill fill = {.id = PYMEM_TOUCHED_NEW};

	if (!leaf)
		return 0;
	if (!first && last >= 1 << PYMEM_TOUCHED_SHIFT) {
		bpf_map_update_elem(&touched_leaves, leaf, &touched_new_leaf, BPF_ANY);
		return 0;
	}
	fill.leaf = bpf_map_lookup_elem(&touched_leaves, leaf);
	fill.first = first >> PAGE_SHIFT;
	if (last > 1 << PYMEM_TOUCHED_SHIFT)
		last = 1 << PYMEM_TOUCHED_SHIFT;
	if (fill.leaf && last > first)
		LOOP((last - first) >> PAGE_SHIFT, touched_step, &fill);
	return 0;
}

/* What was at these addresses, of the image that writes to the directory `dir`, is gone. A fault
 * tells of the page that it touches; but not of those that the kernel maps beside it, or elsewhere
 * than in a fault. */
SEPARATE __s64 touched_new(__u64 dir, __u64 address, __u64 bytes)
{
	struct touched_renewal renewal = {.address = address, .bytes = bytes, .dir = dir};
	__u64 regions = ((address + bytes - 1) >> PYMEM_TOUCHED_SHIFT) -
			(address >> PYMEM_TOUCHED_SHIFT) + 1;

	if (!watch_touched || !bytes)
		return 0;
	LOOP(regions < RANGE_PAGES_MAX ? regions : RANGE_PAGES_MAX, touched_new_step, &renewal);
	return 0;
}

/* `parent` has forked `child`. What the parent has touched is both's from now on. */
static __noinline int touched_fork(struct pymem_proc *parent, struct pymem_proc *child)
{
	const __u32 older = (PYMEM_TOUCHED_CHAIN - 1) * sizeof(__u32);
	__u32 next;

	if (!parent || !child)
		return 0;
	if (parent->touched_dirs[PYMEM_TOUCHED_CHAIN - 1]) {
		child->touched_cut = 1;
		return 0;
	}
	child->touched_cut = parent->touched_cut;
	if (!parent->touched_written) {
		__builtin_memcpy(child->touched_dirs + 1, parent->touched_dirs + 1, older);
		return 0;
	}
	next = new_id(false);
	__builtin_memcpy(child->touched_dirs + 1, parent->touched_dirs, older);
	__builtin_memcpy(parent->touched_dirs + 1, child->touched_dirs + 1, older);
	*(volatile __u32 *)&parent->touched_dirs[0] = next;
	parent->touched_written = 0;
	return 0;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Publishes a process's memory on the block that the process itself has mapped
 * (include/pymem_block.h).
 *
 * A process that has a block mapped may find a way to write to it (a BPF program of its own can,
 * given the map). So nothing is ever read from a block here. All that is added up, and all that
 * decides anything, is in a record that nobody else has (`block_records`). The block gets copies of
 * it.
 *
 * A block is known by its serial number. Its place in both tables is the number modulo their size,
 * and the record there must have that number: so an image that names a block that is gone writes
 * nowhere. Totals are stored, and looked at again after the store: of two CPUs, the last to store
 * has seen both changes.
 *
 * Sums lie within one another, as processes do. An image names the innermost block that adds it up
 * (`tree`: its own, if it has one), that block names the one around it (`outer`), and a change is
 * added to all of them. When a block goes, images and blocks that named it name the one around it.
 * The function that is called for each block takes only numbers (SEPARATE), so the verifier checks
 * it once. */
#ifndef BLOCK_BPF_H
#define BLOCK_BPF_H

#include "base/compat.bpf.h"
#include "base/maps.bpf.h"

static __always_inline struct pymem_block_record *block_of(__u32 serial)
{
	struct pymem_block_record *record;
	__u32 place = serial % PYMEM_BLOCKS;

	record = bpf_map_lookup_elem(&block_records, &place);
	return record && serial && record->serial == serial ? record : NULL;
}

/* The block that belongs to the record. It is only written to. */
static __always_inline struct pymem_block *block_shown(const struct pymem_block_record *record)
{
	__u32 place = record->serial % PYMEM_BLOCKS, zero = 0;
	void *inner = bpf_map_lookup_elem(&blocks, &place);

	return inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
}

/* Copies a word of the record, which other CPUs may change meanwhile, to the block. */
static __always_inline void block_show(__s64 *shown, const __s64 *recorded)
{
	int i;

	for (i = 0; i < 3; i++) {
		__s64 value = *(const volatile __s64 *)recorded;

		*(volatile __s64 *)shown = value;
		asm volatile("" ::: "memory");
		if (*(const volatile __s64 *)recorded == value)
			return;
	}
}

static __always_inline __s64 block_rss_of(const struct pymem_proc *p)
{
	return p->now_pages[PYMEM_FILE] + p->now_pages[PYMEM_ANON] + p->now_pages[PYMEM_SHMEM];
}

/* Raises *peak to at least `pages`, and its copy on the block (`shown`) too. */
static __always_inline void block_raise(__s64 *peak, __s64 *shown, __s64 pages)
{
	int i;

	for (i = 0; i < 4; i++) {
		__s64 before = *(volatile __s64 *)peak;

		if (pages <= before)
			return;
		if (!swap_if(peak, before, pages))
			continue;
		block_show(shown, peak);
		return;
	}
}

/* Stores the RSS of the process whose block that is. 0; 1: there is no such block. */
SEPARATE __u64 block_put(__u64 serial, __s64 pages)
{
	struct pymem_block_record *record = block_of(serial);
	struct pymem_block *block = record ? block_shown(record) : NULL;
	__u32 i;

	if (!block)
		return 1;
	*(volatile __s64 *)&block->rss_pages = pages;
	for (i = 0; i < PYMEM_BLOCK_WATCHERS; i++) {
		if (i >= record->slots)
			break;
		block_raise(&record->peaks[i].peak_pages, &block->peaks[i].peak_pages, pages);
	}
	return 0;
}

static __always_inline void block_store_rss(const struct pymem_proc *p)
{
	__s64 pages;
	int i;

	for (i = 0; i < 3; i++) {
		pages = block_rss_of(p);
		if (block_put(p->block, pages))
			return;
		asm volatile("" ::: "memory");
		if (block_rss_of(p) == pages)
			return;
	}
}

/* Adds to the sum on one block. Returns the block around it; 0: none. */
SEPARATE __u64 block_add(__u64 serial, __s64 change)
{
	struct pymem_block_record *record = block_of(serial);
	struct pymem_block *block = record ? block_shown(record) : NULL;
	__s64 pages;
	__u32 i;

	if (!block)
		return 0;
	__sync_fetch_and_add(&record->tree_pages, change);
	block_show(&block->tree_pages, &record->tree_pages);
	pages = *(volatile __s64 *)&record->tree_pages;
	for (i = 0; i < PYMEM_BLOCK_WATCHERS; i++) {
		if (i >= record->slots)
			break;
		block_raise(&record->peaks[i].tree_peak_pages, &block->peaks[i].tree_peak_pages,
			    pages);
	}
	return record->outer;
}

/* Marks the sum on one block as incomplete. Returns the block around it; 0: none. */
SEPARATE __u64 block_mark(__u64 serial)
{
	struct pymem_block_record *record = block_of(serial);
	struct pymem_block *block = record ? block_shown(record) : NULL;

	if (!block)
		return 0;
	block->flags = PYMEM_BLOCK_PARTIAL;
	return record->outer;
}

/* Marks the sums on that block and on those around it as incomplete. */
SEPARATE __u64 block_partial(__u64 serial)
{
	__u32 i;

	for (i = 0; i < PYMEM_BLOCK_NESTED && serial; i++)
		serial = block_mark(serial);
	return 0;
}

/* Adds to the sum on that block and on those around it. */
SEPARATE __u64 block_add_all(__u64 serial, __s64 change)
{
	__u32 i;

	for (i = 0; i < PYMEM_BLOCK_NESTED; i++) {
		if (!serial)
			return 0;
		serial = block_add(serial, change);
	}
	if (serial)
		block_partial(serial);
	return 0;
}

/* The block itself, or if it is closing, the innermost one around it that is not. 0: none. */
SEPARATE __u64 block_open(__u64 serial)
{
	struct pymem_block_record *record;
	__u32 i;

	for (i = 0; i < PYMEM_BLOCK_NESTED; i++) {
		record = block_of(serial);
		if (!record)
			return 0;
		if (!record->closing)
			return serial;
		serial = record->outer;
	}
	return 0;
}

/* p's RSS has changed by `change` pages, which p->now_pages has already. */
static __noinline int block_change(struct pymem_proc *p, __s64 change)
{
	if (!p)
		return 0;
	if (p->tree)
		block_add_all(p->tree, change);
	if (p->block)
		block_store_rss(p);
	return 0;
}

/* Another task changed p's RSS. */
static __noinline int block_foreign(struct pymem_proc *p, __s64 change)
{
	struct pymem_block_record *record = p ? block_of(p->block) : NULL;
	struct pymem_block *block = record ? block_shown(record) : NULL;

	if (!block)
		return 0;
	__sync_fetch_and_add(&record->foreign_pages, change);
	block_show(&block->foreign_pages, &record->foreign_pages);
	return 0;
}

/* p begins to be published on the block that it names. */
static __noinline int block_begin(struct pymem_proc *p)
{
	struct pymem_block_record *record = p ? block_of(p->block) : NULL;
	struct pymem_block *block = record ? block_shown(record) : NULL;

	if (!block)
		return 0;
	block->start_pages = block_rss_of(p);
	block_store_rss(p);
	block->images = ++record->images;
	asm volatile("" ::: "memory");
	if (!record->closing)
		block->state = PYMEM_BLOCK_LIVE;
	return 0;
}

/* The process whose block that is has ended. */
static __always_inline void block_close(__u32 serial)
{
	struct pymem_block_record *record = block_of(serial);
	struct pymem_block *block = record ? block_shown(record) : NULL;

	if (block)
		block->state = PYMEM_BLOCK_ENDED;
}

/* p has ended. With `exec`, another image of the same process follows. */
static __noinline int block_end(struct pymem_proc *p, bool exec)
{
	if (!p)
		return 0;
	block_change(p, 0);
	block_add_all(p->tree, -block_rss_of(p));
	if (!exec)
		block_close(p->block);
	return 0;
}

/* After an exec that from_exec waits for, the peaks begin anew: those before are not the
 * command's. */
static __noinline int block_forget_launcher(__u32 serial)
{
	struct pymem_block_record *record = block_of(serial);
	struct pymem_block *block = record ? block_shown(record) : NULL;
	__u32 i;

	if (!block || !record->from_exec)
		return 0;
	record->from_exec = 0;
	for (i = 0; i < PYMEM_BLOCK_WATCHERS; i++) {
		record->peaks[i].peak_pages = 0;
		record->peaks[i].tree_peak_pages = 0;
		block->peaks[i].peak_pages = 0;
		block->peaks[i].tree_peak_pages = 0;
	}
	return 0;
}

/* From now on the block `outer` is around the block of this record. */
static __always_inline void block_link(struct pymem_block_record *record, __u32 outer)
{
	struct pymem_block *block = block_shown(record);

	record->outer = outer;
	if (block)
		block->outer = outer;
}

/* From now on p is counted for `block`, which shows its own RSS (0: none), and for `tree`, which
 * adds it up with its relatives. A child belongs to the sum only. p is tracked as long as one of
 * the two lasts. */
static __always_inline void block_adopt(struct pymem_proc *p, __u32 block, __u32 tree)
{
	__u32 open;

	p->block = block;
	p->tree = tree;
	/* User space marks a block that it ends, and then looks for images on it. So either we see
	 * the mark, or user space sees p. */
	asm volatile("" ::: "memory");
	open = block_open(tree);
	if (open != tree)
		p->tree = tree = open;
	if (block != tree)
		p->block = block = 0;
	if (block)
		block_forget_launcher(block);
	if (tree)
		block_change(p, block_rss_of(p));
	if (block)
		block_begin(p);
}

/* p begins to be published on the block `serial`. The sums around that block have p already. */
static __noinline int block_adopt_new(struct pymem_proc *p, __u32 serial)
{
	struct pymem_block_record *record = block_of(serial);

	if (!p || !record)
		return 0;
	if (p->tree != serial)
		block_link(record, block_open(p->tree));
	p->block = serial;
	if (p->tree != serial) {
		p->tree = serial;
		block_add(serial, block_rss_of(p));
	}
	block_begin(p);
	return 0;
}

/* Puts the block `serial` between the block `outer` (0: none) and the next block within it on the
 * way to the block `tree`, unless it is there already. 0; 1: that can't be done, and the sum lacks
 * that part. */
SEPARATE __u64 block_insert(__u64 serial, __u64 outer, __u64 tree)
{
	struct pymem_block_record *record;
	__u32 i, next;
	__s64 pages;

	for (i = 0; i < PYMEM_BLOCK_NESTED; i++) {
		record = block_of(tree);
		if (tree == serial || !record)
			return 0;
		next = block_open(record->outer);
		/* `tree` belongs to another branch, whose outermost block this is. Under `serial`,
		 * which has `outer` around it, a block might come to be around itself. */
		if (!next && outer)
			return 1;
		if (!next || next == outer) {
			pages = record->tree_pages;
			block_link(record, serial);
			if (next)
				block_add(serial, pages);
			else
				block_add_all(serial, pages);
			return 0;
		}
		tree = next;
	}
	return 1;
}

/* p is an image of a descendant of the process whose block `serial` is. It becomes part of the sum
 * on that block, together with all that is part of p's own sum. The block `outer` is around
 * `serial`. */
static __noinline int block_join(struct pymem_proc *p, __u32 serial, __u32 outer)
{
	__u32 tree;

	if (!p)
		return 0;
	tree = block_open(p->tree);
	if (tree && tree != outer) {
		if (block_insert(serial, outer, tree))
			block_partial(serial);
		return 0;
	}
	p->tree = serial;
	if (tree)
		block_add(serial, block_rss_of(p));
	else
		block_add_all(serial, block_rss_of(p));
	return 0;
}

/* The thread's ID as the thread itself sees it. */
static __always_inline __u32 own_tid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level), tid = 0;
	__u64 numbers = (__u64)__builtin_preserve_access_index(&pid->numbers);

	if (level > 32) /* MAX_PID_NS_LEVEL */
		return 0;
	bpf_probe_read_kernel(&tid, sizeof(tid),
			      (const void *)(numbers + level * bpf_core_type_size(struct upid)));
	return tid;
}

#define PLACE_NONE PYMEM_BLOCK_THREADS

/* The i-th place that the thread `tid` may have. The verifier does not follow the remainder, so
 * callers check the place once more. The asm keeps clang from dropping that check. */
static __always_inline __u32 block_place(__u32 tid, __u32 i)
{
	__u32 at = (tid + i) % PYMEM_BLOCK_THREADS;

	asm volatile("" : "+r"(at));
	return at;
}

/* The place that the thread `tid` has, else a free one for it, else PLACE_NONE. */
static __always_inline __u32 block_place_find(struct pymem_block_record *record, __u32 tid)
{
	__u32 i, at, free = PLACE_NONE;

	for (i = 0; i < PYMEM_BLOCK_PROBES; i++) {
		at = block_place(tid, i);
		if (at >= PYMEM_BLOCK_THREADS)
			return PLACE_NONE;
		if (record->tids[at] == tid)
			return at;
		if (!record->tids[at] && free == PLACE_NONE)
			free = at;
	}
	return free;
}

/* The thread th has changed p's RSS, and th->net_pages with it: shows that on the block. */
static __noinline int block_thread(struct pymem_proc *p, struct pymem_thread *th)
{
	struct pymem_block_record *record = p ? block_of(p->block) : NULL;
	struct pymem_block *block = record ? block_shown(record) : NULL;
	__u32 at;

	if (!block || !th)
		return 0;
	if (!th->tid)
		th->tid = own_tid(current_task());
	if (!th->tid)
		return 0;
	at = block_place_find(record, th->tid);
	asm volatile("" : "+r"(at));
	if (at >= PYMEM_BLOCK_THREADS) {
		block->missed = ++record->missed;
		return 0;
	}
	asm volatile("" : "+r"(at));
	record->tids[at] = th->tid;
	block->threads[at].net_pages = th->net_pages;
	block->threads[at].tid = th->tid;
	return 0;
}

/* th, the current thread, ends: frees its place. */
static __noinline int block_thread_end(struct pymem_proc *p, struct pymem_thread *th)
{
	struct pymem_block_record *record = p ? block_of(p->block) : NULL;
	struct pymem_block *block = record ? block_shown(record) : NULL;
	__u32 i, at;

	if (!block || !th || !th->tid)
		return 0;
	for (i = 0; i < PYMEM_BLOCK_PROBES; i++) {
		at = block_place(th->tid, i);
		if (at >= PYMEM_BLOCK_THREADS)
			return 0;
		asm volatile("" : "+r"(at));
		if (record->tids[at] != th->tid)
			continue;
		block->threads[at].tid = 0;
		block->threads[at].net_pages = 0;
		record->tids[at] = 0;
	}
	return 0;
}

#endif

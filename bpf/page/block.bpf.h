/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Publishes a process's memory on the block that the process itself has mapped
 * (include/pymem_block.h).
 *
 * Who has a block may come to write to it (a BPF program of its own does, given the map). So
 * nothing of it is ever read here: all that is added up or decides anything is in a record that
 * nobody else has (`block_records`), and what the block shows is stored from there.
 *
 * A block goes by its serial number: its place in both tables is the number modulo their
 * count, and the record there must bear the number, so that a process that still names a
 * block that is gone writes nowhere. Totals are stored and looked at again
 * after the store: of two CPUs, the last to store has seen both changes.
 *
 * Sums lie within one another, as processes do. An image names the innermost block that adds
 * it up (`tree`: its own, if it has one), that block names the one around it (`outer`), and a
 * change is added to all of them. When a block goes, what named it names the one around it. Only
 * what takes numbers is called for each of them (SEPARATE), so that the verifier looks at it once.
 */
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

/* What the record's owner sees: to be written only. */
static __always_inline struct pymem_block *block_shown(const struct pymem_block_record *record)
{
	__u32 place = record->serial % PYMEM_BLOCKS, zero = 0;
	void *inner = bpf_map_lookup_elem(&blocks, &place);

	return inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
}

/* Shows a word of the record that other CPUs may change meanwhile. */
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

/* Raises *peak to at least `pages`, and what is shown of it. */
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

/* p's own block: its RSS is `pages`. */
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

/* Adds to the sum on one block. The block around it, 0: none. */
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

/* The sum on one block lacks some. The block around it, 0: none. */
SEPARATE __u64 block_mark(__u64 serial)
{
	struct pymem_block_record *record = block_of(serial);
	struct pymem_block *block = record ? block_shown(record) : NULL;

	if (!block)
		return 0;
	block->flags = PYMEM_BLOCK_PARTIAL;
	return record->outer;
}

/* The sum on that block, and those around it, lack some. */
static __noinline int block_partial(__u32 serial)
{
	__u32 i;

	for (i = 0; i < PYMEM_BLOCK_NESTED && serial; i++)
		serial = block_mark(serial);
	return 0;
}

/* Adds to the sum on that block and on those around it. */
static __noinline int block_add_all(__u32 serial, __s64 change)
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

/* The block, or if it is closing the innermost around it that is not; 0: none. */
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

/* p's RSS, as counted by now, has changed by `pages`. */
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

/* p has ended; another image of the same process may follow. */
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

/* Peaks of what ran before the exec are not the command's. */
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

/* The block `outer` is around that one from now on. */
static __always_inline void block_link(struct pymem_block_record *record, __u32 outer)
{
	struct pymem_block *block = block_shown(record);

	record->outer = outer;
	if (block)
		block->outer = outer;
}

/* What is counted on behalf of a block, and hence ended with it: the process's own record,
 * the sum over it and its descendants. A child is part of the sum, not of the record. */
static __always_inline void block_adopt(struct pymem_proc *p, __u32 block, __u32 tree)
{
	__u32 open;

	p->block = block;
	p->tree = tree;
	/* Who ends a block marks it, then looks for what is on it: if it was marked too late for
	 * us, we are seen. */
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

/* p begins to be published on the block `serial`. The sums around that have p already. */
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

/* The block `serial` comes between the block `outer` (0: none) and those within it on the way
 * to the block `tree`, unless it is there. 0, or 1: they are too many. */
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
		/* The outermost of another branch: under `serial`, which has one around it, it
		 * might come to be around itself. */
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

/* p, of a descendant of the process whose block that is, becomes part of its sum, and with it
 * whatever is part of p's own. The block `outer` is around that block. */
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

/* The i-th place that the thread `tid` may have, masked for the verifier, which does not follow
 * the remainder; out of clang's sight, which would drop the check. */
static __always_inline __u32 block_place(__u32 tid, __u32 i)
{
	__u32 at = (tid + i) % PYMEM_BLOCK_THREADS;

	asm volatile("" : "+r"(at));
	return at;
}

/* Where the thread `tid` is or can be, or PLACE_NONE. */
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

/* th's own doing has changed p's RSS: th->net_pages has it. */
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

/* th, the current thread, ends: its place is free. */
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

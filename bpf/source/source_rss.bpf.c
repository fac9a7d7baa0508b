/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: the kernel's own accounting of resident pages, kmem:rss_stat.
 *
 * A raw tracepoint: it needs no tracefs, and it gives the mm as a number, so that an
 * untraced process costs one load. One program for 6.2 and later, one for what was before.
 */
#include "account/huge.bpf.h"
#include "account/swap.bpf.h"

/* Does the current task, which does not run on p's mm, tear it down? After an exec it runs on
 * another one; the last thread to exit runs on none. One of several that exits may only have
 * reclaimed memory. */
static __always_inline bool tears_down(struct pymem_proc *p)
{
	struct task_struct *task = current_task();

	if (bpf_get_current_pid_tgid() >> 32 != p->tgid)
		return false;
	return TASK_READ(task, mm) || BPF_CORE_READ(task, signal, live.counter) <= 0;
}

/* A change that is caused by no line, and not by its thread. */
static __always_inline void nobodys_change(struct pymem_proc *p, __u32 member, __s64 change)
{
	proc_add(p, member, change);
	touched_unplaced(p, member, change);
	if (watch_swap)
		swap_by_others(p, member, change);
	if (p->block && member != PYMEM_SWAP)
		block_foreign(p, change);
	lose(p, PYMEM_LOSS_OTHER_TASK, member, change);
}

/* Another task's change: either p is torn down, or it is lost. */
static __always_inline void foreign_change(struct pymem_proc *p, __u32 member, __s64 change)
{
	/* Accounting ends here. */
	if (tears_down(p)) {
		p->dying = 1;
		return;
	}
	if (watch_takers)
		taken(p->mm, member, change);
	nobodys_change(p, member, change);
}

/* include/linux/sched.h. Set while a task reclaims memory (memalloc_noreclaim_save(), since 4.12),
 * be it for the host or for its memory cgroup. */
#define PF_MEMALLOC 0x00000800

/* Does the current task reclaim memory because memory is short? Any task that asks for a page then
 * may have to. The pages that it takes, also from its own process, say nothing of the line that it
 * runs. False if the program itself asked for it: madvise(MADV_PAGEOUT). */
static __always_inline bool reclaims(void)
{
	if (!(TASK_READ(current_task(), flags) & PF_MEMALLOC))
		return false;
	/* Only where registers can be had: bpf_task_pt_regs() came with 5.15. */
	return batched_counters || SYSCALL_NR(current_regs()) != NR_MADVISE;
}

/* Has the current thread, which runs on p's mm, taken these pages from it by reclaim? The fault or
 * system call in which that happens goes on, so what is pending for it stays. */
static __always_inline bool reclaimed(struct pymem_proc *p, __u32 member, __s64 change)
{
	__u64 shrinks = (__u64)change >> 63;
	struct pymem_thread *th;

	/* The verifier must not learn the sign of `change` here: it would follow all that comes
	 * after once for each sign. */
	asm volatile("" : "+r"(shrinks));
	/* Reclaim makes only swap entries grow, so other growth costs no look. */
	if ((!shrinks && member != PYMEM_SWAP) || !reclaims())
		return false;
	th = thread_of(current_task());
	/* The page may be one that a string instruction has written to (source_fault). */
	if (th)
		th->string.ip = 0;
	nobodys_change(p, member, change);
	return true;
}

__u64 advised_pages; /* given back by calls of madvise, which are not seen */

/* Where calls of madvise are not seen: has the current thread, of an image that writes to the
 * directory `dir`, given back pages by one? */
SEPARATE __s64 advice(__s64 change, __u64 dir)
{
	const struct pt_regs *regs;
	struct pymem_thread *th;
	__u64 call;

	if (!watch_advice || change >= 0 || current_call() != NR_MADVISE)
		return 0;
	__sync_fetch_and_add(&advised_pages, -change);
	th = watch_touched ? thread_of(current_task()) : NULL;
	if (!th)
		return 0;
	regs = current_regs();
	/* One call brings many events. They have its arguments in common, and no fault of the
	 * thread between them. */
	call = mix(mix(SYSCALL_ARG1(regs), SYSCALL_ARG2(regs)), fault_number(current_task()));
	if (SYSCALL_ARG3(regs) == MADV_DONTNEED && call != th->vm_advice)
		touched_new(dir, SYSCALL_ARG1(regs), SYSCALL_ARG2(regs));
	th->vm_advice = call;
	return 0;
}

/* A change of at least so many pages is worth confirming its stack. */
#define MANY_PAGES 16

/* A change of RSS by the current thread. */
static __always_inline void own_change(struct pymem_proc *p, struct pymem_thread *th, __u32 member,
				       __s64 change)
{
	struct pymem_recent *recent;
	__u32 pending;
	bool counts;
	__u64 rss;
	int err;

	if (!th) {
		proc_add(p, member, change);
		touched_unplaced(p, member, change);
		lose(p, PYMEM_LOSS_MAP_FULL, member, change);
		return;
	}
	if (watch_advice)
		advice(change, p->touched_dirs[0]);
	settle_major(th, current_task());
	settle_caches(p, th, current_task());
	rss = thread_add(p, th, member, change);
	if (count_only) {
		lose(p, PYMEM_LOSS_UNIDENTIFIED, member, change);
		return;
	}
	/* What is not confirmed is lost when its code object dies. That should not happen to many
	 * pages, so they confirm their stack. The bit is set if either difference is negative; a
	 * branch would double what the verifier follows. */
	th->confirm |= ((__u64)(MANY_PAGES - 1 - change) | (__u64)(change + MANY_PAGES - 1)) >> 63;
	err = same_stack(th, change) ? 0 : stack_now(p, th);
	/* Not before the walk, which the verifier would follow once for each answer. */
	pending = pending_now(th);
	counts = counts_now(th, pending);
	recent = recent_current(th);
	if (watch_touched)
		touched_change(p, th, member, change,
			       err || !recent ? PYMEM_TOUCHED_LOST : recent->id);
	/* Each in a function that the verifier follows by itself. */
	if (watch_huge)
		huge_change(p->mm, member, change);
	if (watch_swap)
		swap_change(p->mm, member, change);
	if (err || !recent) {
		lose(p, err ? LOSS_OF(err) : th->loss, member, change);
		if (counts)
			lose_faults(p, 1);
	} else {
		/* Where counters are batched, a fault's changes come by batched_rest(). */
		if (pending && !batched_counters)
			settle_copy(th, recent, member, change);
		recent_pages(recent, member, change, rss);
		if (counts)
			recent_fault(th, recent);
	}
	if (pending)
		th->pending &= ~PYMEM_PENDING_FAULT;
}

#ifndef PYMEM_LEGACY
SEC("raw_tp/rss_stat")
int rss_stat(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 mm = ctx->args[0];
	__u32 member = (__u32)ctx->args[1];
	struct pymem_proc *p;
	__s64 change;

	if (!mm_filter[mm_slot(mm)])
		return 0;
	p = bpf_map_lookup_elem(&procs, &mm);
	if (!p || p->dying || member >= PYMEM_MEMBERS)
		return 0;
	change = percpu_change(p, member);
	if (!change)
		return 0;
	if (!current_runs_on(mm)) {
		foreign_change(p, member, change);
		return 0;
	}
	if (!reclaimed(p, member, change))
		own_change(p, thread_get(p), member, change);
	return 0;
}
#else
/* Before 6.2: `count` is the shared counter after the change, to which a task adds its
 * cache about every 64 faults. What the cache holds has been seen at each fault already
 * (source_fault), but for the last one. */
SEC("raw_tp/rss_stat")
int rss_stat(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 mm = ctx->args[0];
	__u32 member = (__u32)ctx->args[1];
	struct task_struct *task;
	struct pymem_thread *th;
	struct pymem_proc *p;
	__s64 change;
	__s32 cache, rest;

	if (!mm_filter[mm_slot(mm)])
		return 0;
	p = bpf_map_lookup_elem(&procs, &mm);
	if (!p || p->dying || member >= PYMEM_MEMBERS)
		return 0;
	task = current_task();
	/* `count` is a number of pages from 5.6 (e4dcad204d3a) to 6.1. */
	change = (__s64)ctx->args[2] - p->shared_pages[member & 3];
	__sync_fetch_and_add(&p->shared_pages[member & 3], change);
	if (!current_runs_on(mm)) {
		if (change)
			foreign_change(p, member, change);
		return 0;
	}
	/* Reclaim goes past the task's cache. */
	if (change && reclaimed(p, member, change))
		return 0;
	th = thread_get(p);
	cache = task_cache(task, member);
	if (!th || !cache || change != cache) {
		/* A change of its own, made past the cache. */
		if (change)
			own_change(p, th, member, change);
		return 0;
	}
	/* The cache goes into the counter: RSS stays, but for what the last fault added. */
	rest = cache - th->cache[member & 3];
	th->cache[member & 3] = 0;
	if (rest)
		batched_rest(p, th, member, rest);
	return 0;
}
#endif

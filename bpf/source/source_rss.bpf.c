/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: the kernel's own accounting of resident pages, kmem:rss_stat.
 *
 * A raw tracepoint: it needs no tracefs, and it gives the mm as a number, so that an
 * untraced process costs one load. One program for 6.2 and later, one for what was before.
 */
#include "account/image.bpf.h"
#ifndef PYMEM_LEGACY
#include "account/string.bpf.h"

/* Kernel memory by address with a plain load that the kernel guards (6.2): a tenth of a
 * helper's cost. Only here: the linker of libbpf 1.1 takes such an extern from one file. */
extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym;

/* The cast must name a struct of the kernel's: any that begins with an int will do. */
struct timezone {
	int tz_minuteswest;
	int tz_dsttime;
} __attribute__((preserve_access_index));

static __always_inline __s32 load_s32(__u64 address)
{
	const struct timezone *word =
		bpf_rdonly_cast((const void *)address, bpf_core_type_id_kernel(struct timezone));

	return word->tz_minuteswest;
}

#define CLAIM_TRIES 24
#define CLAIMING    (1LL << 40) /* of pending_pages(): ask again */

struct pending {
	struct pymem_proc *p;
	__s64 pages;
	__u32 member, own;
	__u32 claiming; /* one is just doing that: what is left is not known yet */
};

/* Has CPU `cpu` just emptied its part into the shared count, its event still to come? If it
 * was one page short of a batch, that is what it will claim; else at least as much. */
LOOP_BODY pending_step(__u32 cpu, struct pending *c)
{
	struct pymem_cpu *other;
	__u64 *offset;
	__s32 last;

	if (cpu >= nr_cpus)
		return 1;
	if (cpu == c->own)
		return 0;
	offset = cpu_offset(cpu);
	if (!offset)
		return 1;
	other = (struct pymem_cpu *)(c->p + 1) + cpu;
	last = other->last[c->member & 3];
	if (*(volatile __u32 *)&other->claiming)
		c->claiming = 1;
	if (last && !load_s32(c->p->percpu[c->member & 3] + *offset))
		c->pages += last > 0 ? counter_batch : -(__s64)counter_batch;
	return 0;
}

/* What other CPUs have put into the shared count for their own events to claim. */
static __noinline __s64 pending_pages(struct pymem_proc *p, __u32 member)
{
	struct pending c = {.p = p, .member = member, .own = bpf_get_smp_processor_id()};

	if (!p)
		return 0;
	LOOP(nr_cpus, pending_step, &c);
	return c.claiming ? CLAIMING : c.pages;
}

/* This CPU's part was `last` and is 0; `there` pages can be claimed of the shared count. How
 * many of them are this CPU's?
 *
 * All of them, unless several threads of the process change the counter in the same
 * instant. A page fault adds one page, or a power of two: that decides whatever others do.
 * What a system call changes is any number: of that, what is pending elsewhere is left. */
static __noinline __s64 own_share(struct pymem_proc *p, __u32 member, __s64 there, __s32 last)
{
	__s64 change = there - last, batch = counter_batch, others;

	if (change == 1 || change == -1)
		return there;
	others = pending_pages(p, member);
	if (others == CLAIMING)
		return CLAIMING;
	if (!in_exception())
		return there - others;
	if (!others && change > 1 && !(change & (change - 1)))
		return there;
	if (last == batch - 1 || last == 1 - batch)
		return last > 0 ? batch : -batch;
	/* One page less was left: nothing was emptied. */
	if (last == 1 || last == -1)
		return 0;
	return there - others;
}

struct claim {
	struct pymem_proc *p;
	struct pymem_cpu *cpu;
	__u32 member;
	__s32 last;
	__s64 mine; /* of the shared count; also if nothing was claimed */
	__u32 claimed;
};

/* The part went into the shared count, or came to 0 by itself: claims what is this CPU's. */
LOOP_BODY claim_step(__u32 i __attribute__((unused)), struct claim *c)
{
	struct pymem_cpu *cpu = c->cpu;
	struct pymem_proc *p = c->p;
	__u32 member = c->member & 3;
	__s64 claimed, mine, swapped;

	claimed = p->shared_pages[member];
	mine = counter_shared(p->counter[member]) - claimed;
	c->mine = mine;
	if (!mine && c->last != (__s64)counter_batch - 1)
		return 1;
	mine = own_share(p, member, mine, c->last);
	c->mine = 0;
	if (mine == CLAIMING)
		return 0;
	/* Whoever sees the claim but not yet that nothing is left here looks again. */
	*(volatile __u32 *)&cpu->claiming = 1;
	swapped = __sync_val_compare_and_swap(&p->shared_pages[member], claimed, claimed + mine);
	if (swapped == claimed) {
		*(volatile __s32 *)&cpu->last[member] = 0;
		c->mine = mine;
		c->claimed = 1;
	}
	*(volatile __u32 *)&cpu->claiming = 0;
	return c->claimed;
}

/* The same value, of which the verifier knows nothing: else it follows the rest of the program
 * once for each way in which it may have come about. */
static __always_inline __s64 opaque_change(struct pymem_cpu *c, __s64 change)
{
	*(volatile __s64 *)&c->change = change;
	return *(volatile __s64 *)&c->change;
}

/* The change of p's counter that this CPU has just made. */
static __noinline __s64 percpu_change(struct pymem_proc *p, __u32 member)
{
	struct claim claim = {.p = p, .member = member & 3};
	struct pymem_cpu *c = proc_cpu(p);
	__s32 part, last;
	__u64 *offset;

	if (!c)
		return 0;
	member &= 3;
	offset = cpu_offset(bpf_get_smp_processor_id());
	if (!offset)
		return 0;
	last = c->last[member];
	part = load_s32(p->percpu[member] + *offset);
	if (part) {
		c->last[member] = part;
		return opaque_change(c, part - last);
	}
	/* Until `last` is 0 too, other CPUs see that something is to be claimed here. */
	claim.cpu = c;
	claim.last = last;
	LOOP(CLAIM_TRIES, claim_step, &claim);
	if (!claim.claimed)
		c->last[member] = 0;
	return opaque_change(c, claim.mine - last);
}

#endif

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

/* A change that is no line's doing, nor its thread's. */
static __always_inline void nobodys_change(struct pymem_proc *p, __u32 member, __s64 change)
{
	proc_add(p, member, change);
	if (p->block && member != PYMEM_SWAP)
		block_foreign(p, change);
	lose(p, PYMEM_LOSS_OTHER_TASK, member, change);
}

/* Not the process's own doing: why? */
static __always_inline void foreign_change(struct pymem_proc *p, __u32 member, __s64 change)
{
	/* RSS ends here. */
	if (tears_down(p)) {
		p->dying = 1;
		return;
	}
	nobodys_change(p, member, change);
}

/* include/linux/sched.h. Set while a task reclaims memory (memalloc_noreclaim_save(), since 4.12),
 * be it for the host or for its memory cgroup. */
#define PF_MEMALLOC 0x00000800

/* Does the current task reclaim memory for want of it? Whoever asks for a page when there is none
 * does; what it takes, also of its own process, says nothing of the line it is in. Not where the
 * program itself asks for it: madvise(MADV_PAGEOUT). */
static __always_inline bool reclaims(void)
{
	if (!(TASK_READ(current_task(), flags) & PF_MEMALLOC))
		return false;
#ifndef PYMEM_LEGACY /* bpf_task_pt_regs() came with 5.15 */
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

	if (SYSCALL_NR(regs) == NR_MADVISE)
		return false;
#endif
	return true;
}

/* Has the current thread, which runs on p's mm, lost it these pages by reclaim? The fault or system
 * call in which that happens goes on: what is pending for it stays. */
static __always_inline bool reclaimed(struct pymem_proc *p, __u32 member, __s64 change)
{
	__u64 shrinks = (__u64)change >> 63;
	struct pymem_thread *th;

	/* The verifier is not to learn the sign of `change` here: it would follow all that comes
	 * after once for each. */
	asm volatile("" : "+r"(shrinks));
	/* What grows is swap entries only, so that growth costs no look. */
	if ((!shrinks && member != PYMEM_SWAP) || !reclaims())
		return false;
	th = thread_of(current_task());
	/* The page may be one that a string instruction has written to (source_fault). */
	if (th)
		th->string.ip = 0;
	nobodys_change(p, member, change);
	return true;
}

/* From so many pages on, a change is worth a look at whose stack it is by name. */
#define MANY_PAGES 16

#ifdef PYMEM_LEGACY
/* Each fault has been noted, and its stack walked, at its entry. */
static __always_inline __u32 pending_now(const struct pymem_thread *th)
{
	return th->noted == fault_number(current_task()) ? th->pending : 0;
}

static __always_inline bool same_stack(struct pymem_thread *th, __s64 change)
{
	(void)th;
	(void)change;
	return false;
}

static __always_inline bool counts_now(struct pymem_thread *th, __u32 pending)
{
	if (!(pending & PYMEM_PENDING_FAULT))
		return false;
	th->counted = th->noted;
	return true;
}
#else
/* What was noted at the entry of the fault that is being handled; 0: nothing. */
static __always_inline __u32 pending_now(const struct pymem_thread *th)
{
	return th->noted == fault_number(current_task()) ? th->pending : 0;
}

/* Is this change one of a fault, or of a string instruction, whose stack th collects for?
 * Then no Python code has run since that was walked. What shrinks is no string's. */
static __always_inline bool same_stack(struct pymem_thread *th, __s64 change)
{
	__u64 number = fault_number(current_task());
	bool resumed;

	if (!in_exception()) {
		th->string.ip = 0;
		return false;
	}
	if (th->charged == number)
		return th->current < PYMEM_RECENT;
	th->charged = number;
	resumed = change > 0 && string_resumed(th);
	if (!resumed && th->string.unit)
		th->confirm = 1; /* faults without a walk follow */
	return resumed;
}

/* Is this the first change of a fault that has not been counted? */
static __always_inline bool counts_now(struct pymem_thread *th, __u32 pending)
{
	__u64 number = fault_number(current_task());

	if (!count_faults ||
	    (!(pending & PYMEM_PENDING_FAULT) && (th->counted == number || !in_exception())))
		return false;
	th->counted = number;
	return true;
}
#endif

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
		lose(p, PYMEM_LOSS_MAP_FULL, member, change);
		return;
	}
	settle_major(th, current_task());
	settle_caches(p, th, current_task());
	rss = thread_add(p, th, member, change);
	if (count_only) {
		lose(p, PYMEM_LOSS_UNIDENTIFIED, member, change);
		return;
	}
	/* What is not confirmed when its code object dies is lost: of little, not of much. Set if
	 * either difference is negative; a branch would double what the verifier follows. */
	th->confirm |= ((__u64)(MANY_PAGES - 1 - change) | (__u64)(change + MANY_PAGES - 1)) >> 63;
	err = same_stack(th, change) ? 0 : stack_now(p, th);
	/* Not before: the verifier would follow the walk once for each answer. */
	pending = pending_now(th);
	counts = counts_now(th, pending);
	recent = recent_current(th);
	if (err || !recent) {
		lose(p, err ? -err - 1 : th->loss, member, change);
		if (counts)
			__sync_fetch_and_add(&p->lost_faults, 1);
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

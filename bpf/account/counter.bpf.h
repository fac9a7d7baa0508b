/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's own counters of an mm's resident pages.
 *
 * From 6.2 on a counter is a shared count plus one part per CPU. A change is made on one CPU:
 * either its part moves, or, once the part would reach the batch size, the part and the change
 * together go into the shared count and the part becomes 0. So an event reads its own CPU's part,
 * and the shared count only when that part is 0. What the shared count gained since it was last
 * claimed is claimed with compare-and-swap: the increments telescope, and their sum is the change
 * of RSS whatever races. If two threads overflow a counter in the same instant, own_share() says
 * whose a batch is.
 *
 * Up to 6.1 a counter is an atomic, to which each task adds what it has cached.
 */
#ifndef COUNTER_BPF_H
#define COUNTER_BPF_H

#include "base/compat.bpf.h"
#include "base/maps.bpf.h"

static __always_inline struct pymem_cpu *proc_cpu(struct pymem_proc *p)
{
	__u32 cpu = bpf_get_smp_processor_id();

	if (cpu >= nr_cpus)
		return NULL;
	return (struct pymem_cpu *)(p + 1) + cpu;
}

static __always_inline __u64 *cpu_offset(__u32 cpu)
{
	return bpf_map_lookup_elem(&cpu_offsets, &cpu);
}

/* Address of mm's counter for `member`; 0 on a kernel without per-CPU counters. */
static __always_inline __u64 counter_address(__u64 mm, __u32 member)
{
	struct mm_struct *m = (struct mm_struct *)mm;

	switch (member) {
	case 0:
		return (__u64)__builtin_preserve_access_index(&m->rss_stat[0]);
	case 1:
		return (__u64)__builtin_preserve_access_index(&m->rss_stat[1]);
	case 2:
		return (__u64)__builtin_preserve_access_index(&m->rss_stat[2]);
	default:
		return (__u64)__builtin_preserve_access_index(&m->rss_stat[3]);
	}
}

static __always_inline __s64 counter_shared(__u64 counter)
{
	__s64 count = 0;

	bpf_probe_read_kernel(
		&count, sizeof(count),
		__builtin_preserve_access_index(&((struct percpu_counter *)counter)->count));
	return count;
}

static __always_inline __s32 counter_part(__u64 percpu, __u32 cpu)
{
	__u64 *offset = cpu_offset(cpu);

	return offset ? kernel_s32(percpu + *offset) : 0;
}

static __always_inline __s64 atomic_counter(__u64 mm, __u32 member)
{
	struct mm_struct___atomic *m = (struct mm_struct___atomic *)mm;

	switch (member) {
	case 0:
		return BPF_CORE_READ(m, rss_stat.count[0].counter);
	case 1:
		return BPF_CORE_READ(m, rss_stat.count[1].counter);
	case 2:
		return BPF_CORE_READ(m, rss_stat.count[2].counter);
	default:
		return BPF_CORE_READ(m, rss_stat.count[3].counter);
	}
}

/* Pages that `task` has counted but not yet added to its mm (6.1 and older). */
static __always_inline __s32 task_cache(struct task_struct *task, __u32 member)
{
	struct task_struct___atomic *t = (struct task_struct___atomic *)task;

	switch (member) {
	case 0:
		return BPF_CORE_READ(t, rss_stat.count[0]);
	case 1:
		return BPF_CORE_READ(t, rss_stat.count[1]);
	case 2:
		return BPF_CORE_READ(t, rss_stat.count[2]);
	default:
		return BPF_CORE_READ(t, rss_stat.count[3]);
	}
}

struct totals {
	struct pymem_proc *p;
	__s64 total;
	__u32 member, keep;
};

LOOP_BODY total_step(__u32 cpu, struct totals *t)
{
	struct pymem_cpu *c = (struct pymem_cpu *)(t->p + 1);
	__s32 part;

	if (cpu >= nr_cpus)
		return 1;
	part = counter_part(t->p->percpu[t->member & 3], cpu);
	t->total += part;
	if (t->keep)
		c[cpu].last[t->member & 3] = part;
	return 0;
}

/* The exact value of one of p's counters, from all CPUs. With `keep`, events continue
 * from this value. */
static __always_inline __s64 counter_total(struct pymem_proc *p, __u32 member, __u32 keep)
{
	struct totals t = {.p = p, .member = member & 3, .keep = keep};

	if (batched_counters)
		t.total = atomic_counter(p->mm, t.member);
	else
		t.total = counter_shared(p->counter[t.member]);
	if (keep)
		p->shared_pages[t.member] = t.total;
	if (!batched_counters)
		LOOP(nr_cpus, total_step, &t);
	return t.total;
}

static __always_inline void proc_find_counters(struct pymem_proc *p, __u32 member)
{
	__u64 counter;

	if (batched_counters)
		return;
	counter = counter_address(p->mm, member);
	p->counter[member & 3] = counter;
	bpf_probe_read_kernel(
		&p->percpu[member & 3], sizeof(__u64),
		__builtin_preserve_access_index(&((struct percpu_counter *)counter)->counters));
}

struct counters_of {
	struct pymem_proc *p;
};

LOOP_BODY begin_step(__u32 member, struct counters_of *c)
{
	struct pymem_proc *p = c->p;
	__s64 pages;

	member &= 3;
	proc_find_counters(p, member);
	pages = counter_total(p, member, 1);
	p->start_pages[member] = pages;
	p->now_pages[member] = pages;
	return 0;
}

/* p begins with what its counters have. */
static __always_inline void proc_begin_counters(struct pymem_proc *p)
{
	struct counters_of c = {p};

	LOOP(PYMEM_MEMBERS, begin_step, &c);
}

LOOP_BODY peak_step(__u32 cpu, struct counters_of *c)
{
	struct pymem_cpu *of = (struct pymem_cpu *)(c->p + 1);

	if (cpu >= nr_cpus)
		return 1;
	if (of[cpu].peak_pages > c->p->peak_pages)
		c->p->peak_pages = of[cpu].peak_pages;
	return 0;
}

static __always_inline void proc_fold_peaks(struct pymem_proc *p)
{
	struct counters_of c = {p};

	LOOP(nr_cpus, peak_step, &c);
}

#ifndef PYMEM_LEGACY
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
#define CLAIMING    (1LL << 40) /* result of pending_pages() and own_share(): ask again */

struct pending {
	struct pymem_proc *p;
	/* Of this CPU: pages are summed up in `change`, where the verifier does not follow each
	 * value. CLAIMING more for each CPU that is just claiming: what is left is not known yet.
	 */
	struct pymem_cpu *own;
	__u32 member, cpu;
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
	if (cpu == c->cpu)
		return 0;
	offset = cpu_offset(cpu);
	if (!offset)
		return 1;
	other = (struct pymem_cpu *)(c->p + 1) + cpu;
	last = other->last[c->member & 3];
	if (*(volatile __u32 *)&other->claiming)
		c->own->change += CLAIMING;
	if (last && !load_s32(c->p->percpu[c->member & 3] + *offset))
		c->own->change += last > 0 ? counter_batch : -(__s64)counter_batch;
	return 0;
}

/* What other CPUs than this one, which has `own`, have put into the shared count for their own
 * events to claim. */
static __noinline __s64 pending_pages(struct pymem_proc *p, __u32 member, struct pymem_cpu *own)
{
	struct pending c = {
		.p = p, .own = own, .member = member, .cpu = bpf_get_smp_processor_id()};

	if (!p || !own)
		return 0;
	own->change = 0;
	LOOP(nr_cpus, pending_step, &c);
	return own->change > CLAIMING / 2 ? CLAIMING : own->change;
}

/* This CPU's part was `last` and is 0; `there` pages can be claimed of the shared count. How
 * many of them are this CPU's?
 *
 * All of them, unless several threads of the process change the counter in the same
 * instant. A page fault adds one page, or a power of two: that decides whatever others do.
 * What a system call changes is any number: of that, what is pending elsewhere is left. */
static __noinline __s64 own_share(struct pymem_proc *p, __u32 member, __s64 there, __s32 last,
				  struct pymem_cpu *own)
{
	__s64 change = there - last, batch = counter_batch, others;

	if (change == 1 || change == -1)
		return there;
	others = pending_pages(p, member, own);
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
	mine = own_share(p, member, mine, c->last, cpu);
	c->mine = 0;
	if (mine == CLAIMING)
		return 0;
	/* A CPU that sees the claim, but not yet that nothing is left here, looks again. */
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

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Process images: how tracking one begins and ends, and how much RSS it has.
 *
 * From 6.2 on a counter is a shared count plus one part per CPU. A change is made on
 * one CPU: either its part moves, or, once the part would reach the batch size, the part
 * and the change together go into the shared count and the part becomes 0. So an event
 * reads its own CPU's part, and the shared count only when that part is 0. What the
 * shared count gained since it was last claimed is claimed with compare-and-swap: the
 * increments telescope, and their sum is the change of RSS whatever races. Whose a batch is
 * where two threads overflow a counter within the same instant: own_share().
 */
#ifndef IMAGE_BPF_H
#define IMAGE_BPF_H

#include "account/account.bpf.h"

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

#define MAX_CPUS 4096 /* the verifier follows only nr_cpus iterations */

/* The exact value of one of p's counters, from all CPUs. With `keep`, events continue
 * from this value. */
static __always_inline __s64 counter_total(struct pymem_proc *p, __u32 member, __u32 keep)
{
	struct pymem_cpu *c = (struct pymem_cpu *)(p + 1);
	__s64 total;
	__u32 cpu;

	member &= 3;
	if (batched_counters) {
		total = atomic_counter(p->mm, member);
		if (keep)
			p->shared_pages[member] = total;
		return total;
	}
	total = counter_shared(p->counter[member]);
	if (keep)
		p->shared_pages[member] = total;
	for (cpu = 0; cpu < MAX_CPUS; cpu++) {
		__s32 part;

		if (cpu >= nr_cpus)
			break;
		part = counter_part(p->percpu[member], cpu);
		total += part;
		if (keep)
			c[cpu].last[member] = part;
	}
	return total;
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

static __noinline int proc_begin_member(struct pymem_proc *p, __u32 member)
{
	__s64 pages;

	if (!p)
		return 0;
	member &= 3;
	proc_find_counters(p, member);
	pages = counter_total(p, member, 1);
	p->start_pages[member] = pages;
	p->now_pages[member] = pages;
	return 0;
}

/* Unique in the session, without an atomic that returns a value (5.12). A fork or exec may
 * interrupt an iterator, which has a counter of its own: there is one at a time. */
static __always_inline __u32 new_id(bool iterator)
{
	__u32 place = iterator ? nr_cpus : bpf_get_smp_processor_id(), zero = 0;
	struct id_counter *counter = bpf_map_lookup_elem(&id_counters, &zero);

	if (!counter)
		return 0;
	if (iterator)
		return ++iterator_ids * (nr_cpus + 1) + place;
	return ++counter->next * (nr_cpus + 1) + place;
}

static __always_inline void proc_fold_peaks(struct pymem_proc *p)
{
	struct pymem_cpu *c = (struct pymem_cpu *)(p + 1);
	__u32 cpu;

	for (cpu = 0; cpu < MAX_CPUS; cpu++) {
		if (cpu >= nr_cpus)
			break;
		if (c[cpu].peak_pages > p->peak_pages)
			p->peak_pages = c[cpu].peak_pages;
	}
}

static __always_inline void tell_all(struct pymem_msg_process *m)
{
	if (count_only)
		return;
	if (bpf_ringbuf_output(&ring, m, sizeof(*m), BPF_RB_FORCE_WAKEUP))
		__sync_fetch_and_add(&dropped_messages, 1);
}

static __always_inline void tell(__u32 type, __u32 id, __u32 tgid, __u32 ppid)
{
	struct pymem_msg_process m = {.type = type, .proc = id, .tgid = tgid, .ppid = ppid};

	tell_all(&m);
}

/* A process has forked the image p. */
static __always_inline void tell_fork(const struct pymem_proc *p)
{
	struct pymem_msg_process m = {.type = PYMEM_MSG_FORK,
				      .proc = p->id,
				      .tgid = p->tgid,
				      .ppid = p->ppid,
				      .parent = p->parent_id,
				      .identified = p->identified};

	tell_all(&m);
}

/* Puts one more image on the account `place`; false if there are `most` already. By adding first
 * and looking then, since BPF before 5.12 can't do both at once: of two that take the last place
 * neither may get it. */
static __always_inline bool account_take(__u32 place, __u32 most)
{
	struct pymem_payer *account = &payers[place & (PYMEM_PAYERS - 1)];

	__sync_fetch_and_add(&account->images, 1);
	if (*(volatile __u32 *)&account->images <= most)
		return true;
	__sync_fetch_and_add(&account->images, -1);
	__sync_fetch_and_add(&account->refused, 1);
	return false;
}

/* `payer` has one image less. */
static __always_inline void payer_leave(__u32 payer)
{
	if (!payer)
		return;
	__sync_fetch_and_add(&payers[payer & (PYMEM_PAYERS - 1)].images, -1);
	__sync_fetch_and_add(&payers[0].images, -1);
}

/* `payer` has one more, whatever it may have: to replace one that is about to go. */
static __always_inline void payer_keep(__u32 payer)
{
	if (!payer)
		return;
	__sync_fetch_and_add(&payers[payer & (PYMEM_PAYERS - 1)].images, 1);
	__sync_fetch_and_add(&payers[0].images, 1);
}

/* May `payer` have one more? Then it has. */
static __always_inline bool payer_take(__u32 payer)
{
	struct pymem_payer *account = &payers[payer & (PYMEM_PAYERS - 1)];

	if (!payer)
		return true;
	if (!account_take(payer, payer_images))
		return false;
	if (account_take(0, all_payers_images))
		return true;
	__sync_fetch_and_add(&account->images, -1);
	__sync_fetch_and_add(&account->refused, 1);
	return false;
}

/* True for the first to end the image p. Before 5.12 two may take themselves for that, which
 * does no harm but that its end is told twice. */
static __always_inline bool proc_claim_end(struct pymem_proc *p)
{
#ifdef PYMEM_LEGACY
	bool first = !p->ended;

	p->ended = 1;
	return first;
#else
	return !__sync_val_compare_and_swap(&p->ended, 0, 1);
#endif
}

/* Deletes the record of the image `id` on `mm`, which may be another's by now: one may take its
 * place while two end it. */
static __always_inline void proc_delete(__u64 mm, __u32 id, __u32 payer)
{
	struct pymem_proc *p = bpf_map_lookup_elem(&procs, &mm);

	if (!p || p->id != id || bpf_map_delete_elem(&procs, &mm))
		return;
	__sync_fetch_and_add(&mm_filter[mm_slot(mm)], -1);
	payer_leave(payer);
}

/* The image p has ended: its record moves to `dead`. False: another does that just now. */
static __noinline int proc_retire(struct pymem_proc *p, bool exec)
{
	__u32 id, tgid, payer;
	__u64 mm;

	if (!p || !proc_claim_end(p))
		return 0;
	id = p->id;
	tgid = p->tgid;
	mm = p->mm;
	payer = p->payer;
	proc_fold_peaks(p);
	if (!count_only && bpf_map_update_elem(&dead, &id, p, BPF_ANY))
		__sync_fetch_and_add(&dropped_images, 1);
	if (p->block || p->tree)
		block_end(p, exec);
	proc_delete(mm, id, payer);
	tell(PYMEM_MSG_EXIT, id, tgid, 0);
	return 1;
}

#ifndef PYMEM_LEGACY
#define RETIRE_TRIES 1024

LOOP_BODY retired_step(__u32 i __attribute__((unused)), __u64 *mm)
{
	return !bpf_map_lookup_elem(&procs, mm);
}
#endif

/* An image is to begin on `mm`. Is there another still? A process frees its old mm well before
 * its exec is told (and before 6.16, before its exit is), and whoever forks next is likely to
 * get it. That image has ended; what follows its exec is to know of what counter block it was. */
static __always_inline void proc_make_way(__u64 mm)
{
	struct pymem_proc *old = bpf_map_lookup_elem(&procs, &mm);
	struct tgid_entry *entry;
	__u32 id, tgid, payer;

	if (!old)
		return;
	id = old->id;
	tgid = old->tgid;
	payer = old->payer;
	entry = bpf_map_lookup_elem(&tgids, &tgid);
	if (entry && entry->id == old->id) {
		entry->block = old->block;
		entry->tree = old->tree;
		entry->payer = payer;
	}
	if (proc_retire(old, true))
		return;
#ifndef PYMEM_LEGACY
	/* Else what deletes the old one might delete the new one. */
	LOOP(RETIRE_TRIES, retired_step, &mm);
#endif
	proc_delete(mm, id, payer);
}

/* Starts to track the image that runs on `mm`, for `payer`, which has taken it. NULL: table full;
 * then the payer has it no longer. */
static __always_inline struct pymem_proc *proc_begin(__u64 mm, struct task_struct *task,
						     const struct pymem_proc *parent, __u32 payer,
						     bool iterator)
{
	struct pymem_proc *p, *zeroed;
	struct tgid_entry entry = {.mm = mm};
	__u32 zero = 0, tgid = BPF_CORE_READ(task, tgid);

	zeroed = bpf_map_lookup_elem(&blank, &zero);
	if (!zeroed)
		goto leave;
	proc_make_way(mm);
	if (bpf_map_update_elem(&procs, &mm, zeroed, BPF_ANY)) {
		__sync_fetch_and_add(&dropped_images, 1);
		goto leave;
	}
	p = bpf_map_lookup_elem(&procs, &mm);
	if (!p)
		goto leave;
	p->payer = payer;
	p->id = entry.id = new_id(iterator);
	p->tgid = tgid;
	p->mm = mm;
	p->start_boottime_ns = BPF_CORE_READ(task, start_boottime);
	p->brk = BPF_CORE_READ((struct mm_struct *)mm, brk);
	p->ppid = BPF_CORE_READ(task, real_parent, tgid);
	bpf_probe_read_kernel_str(p->comm, sizeof(p->comm), task->comm);
	if (parent) {
		p->parent_id = parent->id;
		p->layout = parent->layout;
		p->runtime = parent->runtime;
		p->interp_head = parent->interp_head;
		p->identified = parent->identified;
		p->multi = parent->multi;
	}
	proc_begin_member(p, PYMEM_FILE);
	proc_begin_member(p, PYMEM_ANON);
	proc_begin_member(p, PYMEM_SWAP);
	proc_begin_member(p, PYMEM_SHMEM);
	p->peak_pages = proc_rss(p);
	if (bpf_map_update_elem(&tgids, &tgid, &entry, BPF_ANY)) {
		bpf_map_delete_elem(&procs, &mm);
		__sync_fetch_and_add(&dropped_images, 1);
		goto leave;
	}
	__sync_fetch_and_add(&mm_filter[mm_slot(mm)], 1);
	__sync_fetch_and_add(&tgid_filter[tgid_slot(tgid)], 1);
	return p;
leave:
	payer_leave(payer);
	return NULL;
}

/* Drops an image that a task iterator has begun if its process exited or ran another program
 * meanwhile, whose events may have come too early to find it. True: it is gone. */
static __always_inline bool proc_undo(struct pymem_proc *p, struct task_struct *task)
{
	__u32 tgid = p->tgid, payer = p->payer;
	__u64 mm = p->mm, now = task_mm(task);
	struct tgid_entry *entry;

	/* The last thread leaves the count of the living before its exit event. */
	if (BPF_CORE_READ(task, signal, live.counter) > 0 && (now == mm || !now))
		return false;
	entry = bpf_map_lookup_elem(&tgids, &tgid);
	if (entry && entry->mm == mm && !bpf_map_delete_elem(&tgids, &tgid))
		__sync_fetch_and_add(&tgid_filter[tgid_slot(tgid)], -1);
	if (!bpf_map_delete_elem(&procs, &mm)) {
		__sync_fetch_and_add(&mm_filter[mm_slot(mm)], -1);
		payer_leave(payer);
	}
	return true;
}

/* Ends the image p, by an exec or for good. The mm may be reused from now on. User space may be
 * ending it too (session_block_free): one of the two deletes it, and takes it out of the filters.
 */
static __always_inline void proc_end(struct pymem_proc *p, bool exec)
{
	__u32 tgid = p->tgid;

	/* Of several threads that end at once, one ends the image. The others find it in `procs`,
	 * then in `dead`. */
	if (bpf_map_delete_elem(&tgids, &tgid))
		return;
	__sync_fetch_and_add(&tgid_filter[tgid_slot(tgid)], -1);
	proc_retire(p, exec);
}

/* The image that `entry` names, unless it has ended and another has got its mm. */
static __always_inline struct pymem_proc *proc_of(struct tgid_entry *entry)
{
	__u64 mm = entry->mm;
	struct pymem_proc *p = bpf_map_lookup_elem(&procs, &mm);

	return p && p->id == entry->id ? p : NULL;
}

/* The image that the current thread runs; fills `mm`. */
static __always_inline struct pymem_proc *current_proc(__u64 *mm)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct tgid_entry *entry;

	if (!tgid_filter[tgid_slot(tgid)])
		return NULL;
	entry = bpf_map_lookup_elem(&tgids, &tgid);
	if (!entry)
		return NULL;
	*mm = entry->mm;
	return bpf_map_lookup_elem(&procs, mm);
}

/* The record of the current thread if it is traced, and its image. */
static __always_inline struct pymem_thread *current_thread(struct pymem_proc **p)
{
	struct pymem_thread *th;
	__u64 mm = 0;

	*p = current_proc(&mm);
	if (!*p || (*p)->dying || !current_runs_on(mm))
		return NULL;
	th = thread_get(*p);
	return th;
}

/* What a write to a present page did, as far as RSS tells: a file page that goes was
 * copied; anonymous memory that grows without one replaces the zero page, for which a
 * page was allocated but nothing copied. */
static __always_inline void settle_copy(struct pymem_thread *th, struct pymem_recent *recent,
					__u32 member, __s64 change)
{
	if (th->pending & PYMEM_PENDING_COPIED) {
		if (member == PYMEM_ANON && change > 0)
			recent->acc.cow_faults--;
	} else if (th->pending & PYMEM_PENDING_WRITE && member == PYMEM_FILE && change < 0) {
		recent->acc.cow_faults++;
	}
	th->pending &= ~(PYMEM_PENDING_COPIED | PYMEM_PENDING_WRITE);
}

/* 6.1 and older: pages that th's last fault left in the task's cache. They belong to
 * the stack seen at that fault, which th still collects for. */
static __always_inline void batched_rest(struct pymem_proc *p, struct pymem_thread *th,
					 __u32 member, __s64 pages)
{
	__u64 rss = thread_add(p, th, member, pages);
	struct pymem_recent *recent = recent_current(th);

	if (recent) {
		settle_copy(th, recent, member, pages);
		recent_pages(recent, member, pages, rss);
	} else {
		lose(p, th->loss, member, pages);
	}
}

static __always_inline void settle_cache(struct pymem_proc *p, struct pymem_thread *th,
					 struct task_struct *task, __u32 member)
{
	__s32 cache = task_cache(task, member), rest = cache - th->cache[member & 3];

	if (!rest)
		return;
	th->cache[member & 3] = cache;
	batched_rest(p, th, member, rest);
}

/* What the last fault left in the task's cache belongs to the stack seen then: before
 * another one is looked at. */
static __always_inline void settle_caches(struct pymem_proc *p, struct pymem_thread *th,
					  struct task_struct *task)
{
	if (!batched_counters)
		return;
	settle_cache(p, th, task, PYMEM_FILE);
	settle_cache(p, th, task, PYMEM_ANON);
	settle_cache(p, th, task, PYMEM_SWAP);
	settle_cache(p, th, task, PYMEM_SHMEM);
}

#endif

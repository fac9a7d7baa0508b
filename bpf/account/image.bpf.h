/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Process images: how tracking one begins and ends, and how much RSS it has. */
#ifndef IMAGE_BPF_H
#define IMAGE_BPF_H

#include "account/counter.bpf.h"
#include "account/owner.bpf.h"
#include "base/loss.bpf.h"
#include "page/block.bpf.h"

static __always_inline __u64 proc_rss(struct pymem_proc *p)
{
	__s64 rss = p->now_pages[PYMEM_FILE] + p->now_pages[PYMEM_ANON] + p->now_pages[PYMEM_SHMEM];

	return rss > 0 ? rss : 0;
}

/* A counter of p has changed by `pages`. Returns the RSS after that. */
static __always_inline __u64 proc_add(struct pymem_proc *p, __u32 member, __s64 pages)
{
	struct pymem_cpu *c = proc_cpu(p);
	__u64 rss;

	__sync_fetch_and_add(&p->now_pages[member & 3], pages);
	rss = proc_rss(p);
	if (c && rss > c->peak_pages)
		c->peak_pages = rss;
	if ((p->block || p->tree) && member != PYMEM_SWAP)
		block_change(p, pages);
	return rss;
}

#ifdef PYMEM_LEGACY
#define ID_NEXT(counter) (++*(counter))
#else
#define ID_NEXT(counter) (__sync_fetch_and_add(counter, 1) + 1)
#endif

/* A number that is unique in the session. Each CPU has its counter. A fork or exec may interrupt a
 * task iterator, so iterators have a counter of their own; only one runs at a time. Programs that
 * can be preempted need an atomic that returns a value. That came with 5.12, so in the legacy build
 * two of them can get the same number, on a kernel that preempts (preempt=full), and of stacks
 * only. */
static __always_inline __u32 new_id(bool iterator)
{
	__u32 place = iterator ? nr_cpus : bpf_get_smp_processor_id(), zero = 0;
	struct id_counter *counter = bpf_map_lookup_elem(&id_counters, &zero);

	if (!counter)
		return 0;
	if (iterator)
		return ++iterator_ids * (nr_cpus + 1) + place;
	return ID_NEXT(&counter->next) * (nr_cpus + 1) + place;
}

/* Whom a message wakes takes this CPU, if a program can be preempted, while it still runs. So what
 * forks, execs and exits tell wakes nobody there: wake_late() does. */
static __always_inline __u64 tell_flags(__u32 type)
{
	bool lifecycle = type == PYMEM_MSG_FORK || type == PYMEM_MSG_EXEC || type == PYMEM_MSG_EXIT;

	if (!lifecycle || !preemptible)
		return BPF_RB_FORCE_WAKEUP;
	wake_waits = 1;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void tell_all(struct pymem_msg_process *m)
{
	if (count_only)
		return;
	if (bpf_ringbuf_output(&ring, m, sizeof(*m), tell_flags(m->type)))
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

/* Puts one more image on the account `place`; false if there are `most` already. It is added first
 * and looked at then, since BPF before 5.12 can't do both at once. So of two that take the last
 * place, it may be that neither gets it. */
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

/* Adds an image to what `payer` has, whatever its limit: the image replaces one that is about to
 * go. */
static __always_inline void payer_keep(__u32 payer)
{
	if (!payer)
		return;
	__sync_fetch_and_add(&payers[payer & (PYMEM_PAYERS - 1)].images, 1);
	__sync_fetch_and_add(&payers[0].images, 1);
}

/* Adds an image to what `payer` has. False: it may have no more. */
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

/* Deletes the record of the image `id` on `mm`. The mm may be another image's by now: a new one may
 * begin there while two CPUs end the old one. */
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

	/* If two CPUs both find themselves the first (first_to_set()), both send the message of the
	 * end. */
	if (!p || !first_to_set(&p->ended))
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

#define RETIRE_TRIES BY_BUILD(1024, 1) /* where only one CPU ends it, others can wait for that */

LOOP_BODY retired_step(__u32 i __attribute__((unused)), __u64 *mm)
{
	return !bpf_map_lookup_elem(&procs, mm);
}

static __always_inline struct heritage heritage_of(const struct pymem_proc *p)
{
	struct heritage left = {.block = p->block,
				.tree = p->tree,
				.payer = p->payer,
				.account = p->account,
				.user = p->user,
				.names_left = p->names_left,
				.names_at = p->names_at};

	return left;
}

/* An image is to begin on `mm`. If another one is still known there, that has ended: a process
 * frees its old mm well before the tracepoint of its exec (and before 6.16, of its exit), and the
 * next fork is likely to get it. What the old image leaves to the one after its exec, such as its
 * counter block, is kept in `tgids`. */
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
	if (entry && entry->id == old->id)
		entry->left = heritage_of(old);
	if (proc_retire(old, true))
		return;
	/* Otherwise the CPU that deletes the old record might delete the new one. */
	LOOP(RETIRE_TRIES, retired_step, &mm);
	proc_delete(mm, id, payer);
}

/* Starts to track the image that runs on `mm`, for `payer`, whose images it was added to
 * (payer_take()). `owner`: of the image before it; 0: unknown. NULL: the table is full, and the
 * image is taken off the payer again. */
static __always_inline struct pymem_proc *proc_begin(__u64 mm, struct task_struct *task,
						     const struct pymem_proc *parent, __u32 payer,
						     __u64 owner, bool iterator)
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
	proc_own(p, owner, credentials_of(task));
	p->id = entry.id = new_id(iterator);
	p->tgid = tgid;
	p->mm = mm;
	p->start_boottime_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	p->touched_dirs[0] = p->id;
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
		p->names_at = parent->names_at;
		p->names_left = parent->names_left;
	}
	proc_begin_counters(p);
	p->peak_pages = proc_rss(p);
	if (watch_kernel)
		p->tables_start = p->tables_now = tables_of(mm);
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

#endif

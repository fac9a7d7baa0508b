/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A page fault, from its entry to the thread's next event.
 *
 * What a fault did is known piece by piece. At its entry: whether it writes to a present page. At a
 * change of RSS: that it is one to be counted, and whether a file page or the zero page was
 * replaced. Once it is over: whether it was a major one, and up to 6.1 how many pages it added,
 * which wait in the task's cache. A fault is known by its number (fault_number()).
 */
#ifndef FAULT_BPF_H
#define FAULT_BPF_H

#include "account/account.bpf.h"
#include "account/string.bpf.h"

/* Counts a fault for a recent stack: as a minor one, until it is over. The last one counted is
 * the one that may turn out to be major. */
static __always_inline void recent_fault(struct pymem_thread *th, struct pymem_recent *recent)
{
	recent->acc.minor_faults++;
	th->minor = 1;
}

/* A fault's kind is known once it is over: task->maj_flt has moved by the next event. It also moves
 * for what the kernel brings in by itself (MAP_POPULATE, mlock), which was counted nowhere
 * before. */
static __always_inline void settle_major(struct pymem_thread *th, struct task_struct *task)
{
	__u64 major = TASK_READ(task, maj_flt);
	__u64 more = major - th->major;
	__u32 minor = th->minor;
	struct pymem_recent *recent;

	/* Not yet over: a fault can change RSS more than once. */
	th->minor &= th->counted == fault_number(task);
	if (!more)
		return;
	th->minor = 0;
	th->major = major;
	if (!count_faults)
		return;
	recent = recent_current(th);
	if (recent) {
		recent->acc.major_faults += more;
		recent->acc.minor_faults -= minor;
	}
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

/* What the last fault left in the task's cache belongs to the stack seen then. So this is done
 * before another stack is looked at. */
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

/* The last fault wrote to a present page, and no event has shown what came of it: counts it as
 * such. */
static __always_inline void write_unresolved(struct pymem_proc *p, struct pymem_thread *th)
{
	th->pending &= ~PYMEM_PENDING_WRITE;
	if (copies_watched || !p->identified)
		return; /* nothing was allocated: the page was kept */
	__sync_fetch_and_add(&p->unwatched_writes, 1);
	if (!copies_asked) {
		copies_asked = 1;
		tell(PYMEM_MSG_COPIES, p->id, p->tgid, 0);
	}
}

/* What was noted is over, and no change of RSS has come of it. */
static __always_inline void fault_over(struct pymem_proc *p, struct pymem_thread *th)
{
	if (th->pending & PYMEM_PENDING_FAULT)
		lose_faults(p, 1);
	if (th->pending & PYMEM_PENDING_WRITE)
		write_unresolved(p, th);
}

/* Still in the exception that was noted? A system call since then has put its number
 * where exceptions put -1, and the kernel has counted a fault that is over. */
static __always_inline bool in_noted(const struct pymem_thread *th)
{
	struct pt_regs *regs = (struct pt_regs *)th->regs;

	return IS_EXCEPTION(regs) && th->noted == fault_number(current_task());
}

/* What was noted at the entry of the fault that is being handled; 0: nothing. */
static __always_inline __u32 pending_now(const struct pymem_thread *th)
{
	return th->noted == fault_number(current_task()) ? th->pending : 0;
}

/* Is this change one of a fault, or of a string instruction, whose stack th collects for? Then no
 * Python code has run since that was walked. A string instruction shrinks nothing. */
static __always_inline bool same_stack(struct pymem_thread *th, __s64 change)
{
	__u64 number;
	bool resumed;

	if (batched_counters)
		return false; /* a fault's changes are told by later events: batched_rest() */
	if (!in_exception()) {
		th->string.ip = 0;
		return false;
	}
	number = fault_number(current_task());
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
	__u64 number;

	/* Each fault has been noted, and its stack walked, at its entry. */
	if (batched_counters) {
		if (!(pending & PYMEM_PENDING_FAULT))
			return false;
		th->counted = th->noted;
		return true;
	}
	number = fault_number(current_task());
	if (!count_faults ||
	    (!(pending & PYMEM_PENDING_FAULT) && (th->counted == number || !in_exception())))
		return false;
	th->counted = number;
	return true;
}

#endif

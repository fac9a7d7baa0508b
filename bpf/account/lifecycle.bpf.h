/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is done at a fork, an exec and an exit.
 *
 * An image is one mm: fork and exec begin a new one, exec and exit end one. It ends with the RSS
 * that it had before it was torn down.
 *
 * From 7.0 on tracepoints leave preemption on (srcu_fast_notrace in place of preempt_disable). The
 * kernel runs a program once at a time on a CPU: while a thread that runs it is preempted, the
 * events of others on that CPU are passed over (recursion_misses). So a second program sees each of
 * these events again there (`again`), and does what the first has not done; it also wakes the
 * reader, so that the first one is not preempted by that. What both have passed over of an exit is
 * done when the kernel frees the task (thread_freed()).
 */
#ifndef LIFECYCLE_BPF_H
#define LIFECYCLE_BPF_H

#include "account/fault.bpf.h"

#define PF_EXITING 0x00000004 /* include/linux/sched.h: set before the exit's tracepoint */

#ifndef PYMEM_LEGACY
/* From 6.10 on. Only here: the linker of libbpf 1.1 takes such an extern from one file. */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* Until cpu_release(), no other thread runs on this CPU: none finds the scratch area taken. */
static __always_inline void cpu_hold(void)
{
	if (preemptible)
		bpf_preempt_disable();
}

static __always_inline void cpu_release(void)
{
	if (preemptible)
		bpf_preempt_enable();
}
#else
#define cpu_hold()
#define cpu_release()
#endif

/* Wakes the reader of messages that have woken nobody, by an empty record, which it skips. For a
 * program that has nothing else to do: its next events on this CPU may be passed over. If a wake is
 * missing, the reader looks when its time has come. */
static __always_inline void wake_late(void)
{
	void *record;

	if (!wake_waits)
		return;
	wake_waits = 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(__u64), 0);
	if (record)
		bpf_ringbuf_discard(record, BPF_RB_FORCE_WAKEUP);
}

#define SEEN_SLOTS 1024

/* What the first program has seen, for the second: forks by the child's PID, execs by the PID. */
static __u64 seen_forks[SEEN_SLOTS], seen_execs[SEEN_SLOTS];

/* `mark` names an event. The first program notes it; the second one learns whether it has. Another
 * event may take its place meanwhile, so that is not all that the second one looks at. */
static __always_inline bool is_done(__u64 *seen, __u32 tgid, __u64 mark, bool again)
{
	volatile __u64 *slot = &seen[tgid & (SEEN_SLOTS - 1)];

	if (again)
		return *slot == mark;
	*slot = mark;
	return false;
}

struct flush {
	struct pymem_proc *p; /* NULL: user space has taken its record */
	struct pymem_thread *th;
	__u32 id;
	__u32 check;
};

LOOP_BODY flush_step(__u32 i, struct flush *c)
{
	struct pymem_recent *recent = &c->th->recent[i & (PYMEM_RECENT - 1)];

	if (i >= PYMEM_RECENT)
		return 1;
	if (!c->p)
		recent_flush_late(c->id, recent);
	else if (c->check && recent->raw && recent->since &&
		 code_fingerprint(recent->leaf_code) != recent->leaf_fingerprint)
		acc_lose(c->p, &recent->acc, PYMEM_LOSS_REPLACED);
	else
		recent_flush(c->p, recent);
	return 0;
}

/* Moves what th, the current thread, has collected to its stacks. With `check`, what was not
 * confirmed lately is moved only if its code object is still the same; for that, the process's
 * memory must exist. */
static __always_inline void thread_flush_last(struct pymem_proc *p, struct pymem_thread *th,
					      bool check)
{
	struct scratch *s = scratch_get();
	struct flush flush = {.p = p, .th = th};

	cpu_hold();
	if (!s || s->busy || !p->identified)
		check = false;
	if (check) {
		s->busy = 1;
		scratch_begin(s, p);
	}
	flush.check = check;
	LOOP(PYMEM_RECENT, flush_step, &flush);
	if (check)
		s->busy = 0;
	cpu_release();
}

/* th is about to end. Another thread is ending the image, or has ended it. */
static __noinline int thread_flush_late(struct pymem_thread *th)
{
	struct flush flush = {.th = th};
	struct pymem_proc *p;
	__u32 id;
	__u64 mm;

	if (!th)
		return 0;
	flush.id = id = th->proc;
	mm = th->mm;
	p = bpf_map_lookup_elem(&dead, &id);
	if (!p) {
		p = bpf_map_lookup_elem(&procs, &mm);
		if (p && p->id != id)
			p = NULL;
	}
	flush.p = p;
	LOOP(PYMEM_RECENT, flush_step, &flush);
	return 0;
}

/* The current thread leaves the image p. If another thread has ended its image, p is NULL or a
 * newer one: of several threads that exit at once, the first to find no other alive ends the image.
 * `tid` is the thread's number when its record was made: in an exec, a thread takes over that of
 * the process. */
static __always_inline void thread_end(struct pymem_proc *p, __u32 tid, bool exec)
{
	struct task_struct *task = current_task();
	struct pymem_thread *th = thread_by(task, tid);

	if (!th)
		return;
	if (p && th->proc == p->id) {
		/* From 6.16 on its memory is still there at its exit. */
		thread_flush_last(p, th, !exec && TASK_READ(task, mm));
		if (p->block)
			block_thread_end(p, th);
	} else {
		thread_flush_late(th);
	}
	thread_forget(task, tid, th, p && th->proc == p->id ? p : NULL);
}

/* The current process has forked `child`, or begun a thread. */
static __always_inline int forked(struct task_struct *child, bool again)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32, child_tgid;
	struct tgid_entry *entry, borrowed = {.borrowed = 1};
	struct pymem_proc *parent, *p;
	__u64 mm, child_mm;

	if (!tgid_filter[tgid_slot(tgid)])
		return 0;
	entry = bpf_map_lookup_elem(&tgids, &tgid);
	if (!entry)
		return 0;
	child_tgid = BPF_CORE_READ(child, tgid);
	if (child_tgid == tgid)
		return 0; /* a thread */
	mm = entry->mm;
	child_mm = task_mm(child);
	if (!child_mm || (preemptible && is_done(seen_forks, child_tgid,
						 BPF_CORE_READ(child, start_boottime), again)))
		return 0;
	if (again) {
		entry = bpf_map_lookup_elem(&tgids, &child_tgid);
		if (entry && entry->mm == child_mm)
			return 0;
		entry = bpf_map_lookup_elem(&tgids, &tgid);
		if (!entry)
			return 0;
	}
	if (child_mm == mm) { /* vfork, posix_spawn: it runs on this mm until it execs */
		borrowed.mm = mm;
		borrowed.id = entry->id;
		if (!bpf_map_update_elem(&tgids, &child_tgid, &borrowed, BPF_ANY))
			__sync_fetch_and_add(&tgid_filter[tgid_slot(child_tgid)], 1);
		return 0;
	}
	if (!follow_children)
		return 0;
	parent = bpf_map_lookup_elem(&procs, &mm);
	if (!parent || (count_only && !block_open(parent->tree)))
		return 0;
	p = payer_take(parent->payer)
		    ? proc_begin(child_mm, child, parent, parent->payer, proc_owner(parent), false)
		    : NULL;
	if (!p) {
		block_partial(parent->tree);
		return 0;
	}
	p->ppid = tgid;
	if (watch_touched)
		touched_fork(parent, p);
	if (parent->tree)
		block_adopt(p, 0, parent->tree);
	tell_fork(p);
	return 0;
}

/* 6.1 and older: what a thread has cached already, at attach or at exec, counts as there at the
 * start. */
static __always_inline __s64 adopt_cache(struct pymem_proc *p, struct pymem_thread *th,
					 struct task_struct *task, __u32 member)
{
	__s32 cache = task_cache(task, member);

	th->cache[member & 3] = cache;
	p->start_pages[member & 3] += cache;
	p->now_pages[member & 3] += cache;
	return cache;
}

static __always_inline void adopt_thread(struct pymem_proc *p, struct task_struct *task,
					 bool iterator)
{
	struct pymem_thread *th = thread_make(task, p, iterator);
	__s64 pages;

	if (!th || th->proc == p->id)
		return;
	thread_begin(th, task, p);
	adopt_cache(p, th, task, PYMEM_SWAP);
	pages = adopt_cache(p, th, task, PYMEM_FILE);
	pages += adopt_cache(p, th, task, PYMEM_ANON);
	pages += adopt_cache(p, th, task, PYMEM_SHMEM);
	if (p->block || p->tree)
		block_change(p, pages);
	/* Its exit may have looked for the record before there was one. */
	if (iterator && BPF_CORE_READ(task, flags) & PF_EXITING)
		thread_forget(task, task_key(task), th, p);
}

static __always_inline void forget_tgid(__u32 tgid)
{
	if (!bpf_map_delete_elem(&tgids, &tgid))
		__sync_fetch_and_add(&tgid_filter[tgid_slot(tgid)], -1);
}

/* The image that an exec begins takes over the blocks of the image before it. */
static __always_inline void go_on_as(struct pymem_proc *next, struct task_struct *task, __u32 block,
				     __u32 tree)
{
#ifdef THREAD_POINTER_LAGS
	next->exec_switches = switches_now();
#endif
	if (batched_counters)
		adopt_thread(next, task, false);
	if (block || tree)
		block_adopt(next, block, tree);
	tell(PYMEM_MSG_EXEC, next->id, next->tgid, next->ppid);
}

/* The image that an exec begins can't be tracked. */
static __always_inline void end_on(__u32 block, __u32 tree)
{
	if (block)
		block_close(block);
	if (tree)
		block_partial(tree);
}

/* The current task has begun another program. `old_tid`: its thread ID before that. */
static __always_inline int execed(struct task_struct *task, __u32 old_tid, bool again)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct pymem_proc *p = NULL, *next;
	struct tgid_entry *entry;
	struct heritage left = {};
	bool kept = false;
	__u64 mm;

	if (preemptible && is_done(seen_execs, tgid, task_mm(task) ^ tgid, again))
		return 0;
	entry = tgid_filter[tgid_slot(tgid)] ? bpf_map_lookup_elem(&tgids, &tgid) : NULL;
	if (again && entry && entry->mm == task_mm(task))
		return 0;
	if (!entry) {
		if (watch_host)
			tell(PYMEM_MSG_EXEC, 0, tgid, 0);
		return 0;
	}
	p = proc_of(entry);
	thread_end(p, old_tid, true);
	if (entry->borrowed) {
		forget_tgid(tgid);
		/* What it did on its parent's memory is done; it is not followed further. */
		if (!follow_children)
			return 0;
		if (p)
			left = heritage_of(p);
		left.block = 0;
	} else if (p) {
		left = heritage_of(p);
		/* Otherwise a fork of another process of this payer might take the place in
		 * between. */
		payer_keep(left.payer);
		kept = true;
		proc_end(p, true);
	} else {
		left = entry->left;
		forget_tgid(tgid);
	}
	mm = task_mm(task);
	/* If its block is about to go, it would be tracked for nobody. */
	if (!mm || (count_only && !left.block && !block_open(left.tree))) {
		if (kept)
			payer_leave(left.payer);
		return 0;
	}
	next = kept || payer_take(left.payer) ? proc_begin(mm, task, NULL, left.payer,
							   OWNER(left.user, left.account), false)
					      : NULL;
	if (next) {
		next->names_left = left.names_left;
		next->names_at = left.names_at;
		go_on_as(next, task, left.block, left.tree);
	} else {
		end_on(left.block, left.tree);
	}
	return 0;
}

/* The process has ended. p: its image; NULL: that has ended before. */
static __always_inline void process_over(struct pymem_proc *p, struct tgid_entry *entry, __u32 tgid)
{
	if (p && !entry->borrowed) {
		proc_end(p, false);
	} else {
		if (!entry->borrowed)
			block_close(entry->left.block);
		forget_tgid(tgid);
	}
}

/* The current thread exits. To do it twice does no harm: the first time leaves nothing to do. */
static __always_inline int exited(struct task_struct *task)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32, tid = bpf_get_current_pid_tgid();
	struct tgid_entry *entry;
	struct pymem_proc *p;

	entry = bpf_map_lookup_elem(&tgids, &tgid);
	if (!entry) {
		thread_end(NULL, tid, false);
		return 0;
	}
	p = proc_of(entry);
	thread_end(p, tid, false);
	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0; /* other threads go on */
	process_over(p, entry, tgid);
	return 0;
}

/* The kernel frees `task`, whose process has been waited for if it is the leader. Usually its exit
 * has left nothing to do. */
static __always_inline int thread_freed(struct task_struct *task)
{
	__u32 tgid = BPF_CORE_READ(task, tgid);
	struct pymem_thread *th = thread_of(task);
	struct tgid_entry *entry;
	struct pymem_proc *p;

	if (th)
		thread_flush_late(th);
	if (!tgid_filter[tgid_slot(tgid)])
		return 0;
	entry = bpf_map_lookup_elem(&tgids, &tgid);
	if (!entry)
		return 0;
	p = proc_of(entry);
	if (th && p && th->proc == p->id && p->block)
		block_thread_end(p, th);
	if ((__u32)BPF_CORE_READ(task, pid) != tgid)
		return 0;
	/* Another process has got its PID. */
	if (p && !entry->borrowed && p->start_boottime_ns != BPF_CORE_READ(task, start_boottime))
		return 0;
	process_over(p, entry, tgid);
	return 0;
}

#endif

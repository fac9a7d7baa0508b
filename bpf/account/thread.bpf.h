/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The record of a thread: its task's own storage, or before 5.11 a table by thread ID. */
#ifndef THREAD_BPF_H
#define THREAD_BPF_H

#include "account/image.bpf.h"
#include "account/quota.bpf.h"

/* The record of the current task, made when it was the thread `tid`. NULL: none. */
static __always_inline struct pymem_thread *thread_by(struct task_struct *task, __u32 tid)
{
#ifdef PYMEM_LEGACY
	(void)task;
	return bpf_map_lookup_elem(&threads, &tid);
#else
	(void)tid;
	return bpf_task_storage_get(&threads, task, 0, 0);
#endif
}

/* The record of `task`. NULL: it has none. */
static __always_inline struct pymem_thread *thread_of(struct task_struct *task)
{
#ifdef PYMEM_LEGACY
	__u32 tid = BPF_CORE_READ(task, pid);

	return bpf_map_lookup_elem(&threads, &tid);
#else
	return bpf_task_storage_get(&threads, task, 0, 0);
#endif
}

/* The same; a new one, of p, if it has none. NULL: no room. */
static __always_inline struct pymem_thread *thread_make(struct task_struct *task,
							struct pymem_proc *p)
{
#ifdef PYMEM_LEGACY
	static const struct pymem_thread none;
	__u32 tid = BPF_CORE_READ(task, pid);
	struct pymem_thread *th = bpf_map_lookup_elem(&threads, &tid);

	if (th || !quota_allows(p, PYMEM_TABLE_THREADS))
		return th;
	/* p holds it once it begins there: a record may be left from an image that is gone. */
	if (!bpf_map_update_elem(&threads, &tid, &none, BPF_NOEXIST))
		quota_take_late(PYMEM_TABLE_THREADS);
	return bpf_map_lookup_elem(&threads, &tid);
#else
	(void)p;
	return bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
#endif
}

/* Forgets a thread's record; p: of which it was, NULL: that has ended. */
static __always_inline void thread_forget(struct task_struct *task, __u32 tid, struct pymem_proc *p)
{
#ifdef PYMEM_LEGACY
	(void)task;
	if (bpf_map_delete_elem(&threads, &tid))
		return;
	__sync_fetch_and_add(&places_used[PYMEM_TABLE_THREADS], -1);
	if (p)
		quota_hold(p, PYMEM_TABLE_THREADS, -1);
#else
	(void)tid;
	(void)p;
	bpf_task_storage_delete(&threads, task);
#endif
}

/* Begins the record of a thread that runs on p: once for each record and image. */
static __always_inline void thread_begin(struct pymem_thread *th, struct task_struct *task,
					 struct pymem_proc *p)
{
	__u32 i;

	/* In parts, kept apart: clang takes no larger memset. */
	__builtin_memset(th, 0, __builtin_offsetof(struct pymem_thread, recent));
	for (i = 0; i < PYMEM_RECENT; i++) {
		asm volatile("" ::: "memory");
		__builtin_memset(&th->recent[i], 0, sizeof(th->recent[i]));
	}
	th->mm = p->mm;
	th->proc = p->id;
	th->major = TASK_READ(task, maj_flt);
	th->current = PYMEM_RECENT;
	th->loss = PYMEM_LOSS_UNSETTLED;
#ifdef PYMEM_LEGACY
	quota_hold(p, PYMEM_TABLE_THREADS, 1);
#endif
}

/* The record of the current thread, which runs on p; made at its first event. */
static __always_inline struct pymem_thread *thread_get(struct pymem_proc *p)
{
	struct task_struct *task = current_task();
	struct pymem_thread *th = thread_make(task, p);

	if (th && th->proc != p->id)
		thread_begin(th, task, p);
	return th;
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

/* The same, by the thread th's own doing. */
static __always_inline __u64 thread_add(struct pymem_proc *p, struct pymem_thread *th, __u32 member,
					__s64 pages)
{
	__u64 rss;

	if (member != PYMEM_SWAP) {
		if (th->block != p->block) {
			th->block = p->block;
			th->net_pages = 0;
		}
		th->net_pages += pages;
		if (p->block)
			block_thread(p, th);
	}
	rss = proc_add(p, member, pages);
	if (rss > th->line_peak)
		th->line_peak = rss;
	return rss;
}

#endif

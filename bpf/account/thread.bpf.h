/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The record of a thread: its task's own storage, or before 5.11 a table by thread ID. */
#ifndef THREAD_BPF_H
#define THREAD_BPF_H

#include "account/image.bpf.h"
#include "account/quota.bpf.h"

/* The record of the current task, made when it was the thread `tid`. NULL: none. */
static __always_inline struct pymem_thread *thread_by(struct task_struct *task, __u32 tid)
{
	return task_value(&threads, task, tid);
}

/* The record of `task`. NULL: it has none. */
static __always_inline struct pymem_thread *thread_of(struct task_struct *task)
{
	return task_value(&threads, task, task_key(task));
}

/* Makes a record in the table. One that a task iterator makes may be deleted by the thread itself
 * before it can be looked at: so it has its account from the beginning. */
static __always_inline struct pymem_thread *thread_insert(__u32 key, __u32 account, bool iterator)
{
	static const struct pymem_thread none;
	struct pymem_thread *blank, *th;
	bool made;

	if (iterator) {
		blank = BLANK_VALUE(thread_blank);
		if (!blank)
			return NULL;
		blank->account = account;
		made = !bpf_map_update_elem(&threads, &key, blank, BPF_NOEXIST);
	} else {
		made = !bpf_map_update_elem(&threads, &key, &none, BPF_NOEXIST);
	}
	if (made)
		quota_book(PYMEM_TABLE_THREADS, account, 1);
	th = bpf_map_lookup_elem(&threads, &key);
	if (th && made && !iterator)
		th->account = account;
	return th;
}

/* The same; if it has none, a new one on p's account. NULL: no room. */
static __always_inline struct pymem_thread *thread_make(struct task_struct *task,
							struct pymem_proc *p, bool iterator)
{
	__u32 key = task_key(task);
	struct pymem_thread *th;
	int account;

	if (!TASKS_IN_TABLE)
		return task_value_make(&threads, task, key, NULL);
	th = bpf_map_lookup_elem(&threads, &key);
	if (th)
		return th;
	account = quota_of(p->mm, p->id, PYMEM_TABLE_THREADS, credentials_of(task), 1);
	return account < 0 ? NULL : thread_insert(key, account, iterator);
}

/* Forgets the record th of a thread. p: the image that it ran; NULL: that has ended. */
static __always_inline void thread_forget(struct task_struct *task, __u32 tid,
					  const struct pymem_thread *th, struct pymem_proc *p)
{
	__u32 account = th->account;

	if (task_value_delete(&threads, task, tid) || !TASKS_IN_TABLE)
		return;
	quota_book(PYMEM_TABLE_THREADS, account, -1);
	if (p)
		quota_hold(p, PYMEM_TABLE_THREADS, -1);
}

/* Begins the record of a thread that runs on p: once for each record and image. */
static __always_inline void thread_begin(struct pymem_thread *th, struct task_struct *task,
					 struct pymem_proc *p)
{
	__u32 account = th->account, i;

	/* In parts that the asm keeps apart: clang takes no larger memset. */
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
	th->account = account;
	if (TASKS_IN_TABLE)
		quota_hold(p, PYMEM_TABLE_THREADS, 1);
}

/* The record of the current thread, which runs on p; made at its first event. */
static __always_inline struct pymem_thread *thread_get(struct pymem_proc *p)
{
	struct task_struct *task = current_task();
	struct pymem_thread *th = thread_make(task, p, false);

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

/* proc_add() for a change that the thread th has made. */
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

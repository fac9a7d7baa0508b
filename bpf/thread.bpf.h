/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The record of a thread: its task's own storage, or before 5.11 a table by thread ID. */
#ifndef THREAD_BPF_H
#define THREAD_BPF_H

#include "compat.bpf.h"
#include "maps.bpf.h"

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

/* The record of `task`; with `make`, a new one if it has none. NULL: none, or no room. */
static __always_inline struct pymem_thread *thread_of(struct task_struct *task, bool make)
{
#ifdef PYMEM_LEGACY
	static const struct pymem_thread none;
	__u32 tid = BPF_CORE_READ(task, pid);
	struct pymem_thread *th = bpf_map_lookup_elem(&threads, &tid);

	if (th || !make)
		return th;
	bpf_map_update_elem(&threads, &tid, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, &tid);
#else
	return bpf_task_storage_get(&threads, task, 0, make ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
#endif
}

static __always_inline void thread_forget(struct task_struct *task, __u32 tid)
{
#ifdef PYMEM_LEGACY
	(void)task;
	bpf_map_delete_elem(&threads, &tid);
#else
	(void)tid;
	bpf_task_storage_delete(&threads, task);
#endif
}

/* Begins the record of a thread that runs on p. */
static __always_inline void thread_begin(struct pymem_thread *th, struct task_struct *task,
					 struct pymem_proc *p)
{
	__u32 i;

	/* In parts, kept apart: clang takes no larger memset. */
	__builtin_memset(th, 0, __builtin_offsetof(struct pymem_thread, slots));
	for (i = 0; i < PYMEM_SLOTS; i++) {
		asm volatile("" ::: "memory");
		__builtin_memset(&th->slots[i], 0, sizeof(th->slots[i]));
	}
	th->mm = p->mm;
	th->proc = p->id;
	th->major = TASK_READ(task, maj_flt);
	th->current = PYMEM_SLOTS;
	th->loss = PYMEM_LOSS_UNSETTLED;
}

/* The record of the current thread, which runs on p; made at its first event. */
static __always_inline struct pymem_thread *thread_get(struct pymem_proc *p)
{
	struct task_struct *task = current_task();
	struct pymem_thread *th = thread_of(task, true);

	if (th && th->proc != p->id)
		thread_begin(th, task, p);
	return th;
}

#endif

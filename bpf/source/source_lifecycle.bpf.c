/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: fork, exec, exit (account/lifecycle.bpf.h); and attaching to what runs already.
 */
#include "account/lifecycle.bpf.h"

#include "account/kernel.bpf.h"

#define USER_HZ_NS 10000000ULL /* /proc shows start times in these */

SEC("raw_tp/sched_process_fork")
int process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	return forked((struct task_struct *)ctx->args[1], false);
}

SEC("raw_tp/sched_process_exec")
int process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	return execed((struct task_struct *)ctx->args[0], ctx->args[1], false);
}

SEC("raw_tp/sched_process_exit")
int process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return exited((struct task_struct *)ctx->args[0]);
}

/* The same events once more, where programs of tracepoints can be preempted. */
SEC("raw_tp/sched_process_fork")
int fork_again(struct bpf_raw_tracepoint_args *ctx)
{
	forked((struct task_struct *)ctx->args[1], true);
	wake_late();
	return 0;
}

SEC("raw_tp/sched_process_exec")
int exec_again(struct bpf_raw_tracepoint_args *ctx)
{
	execed((struct task_struct *)ctx->args[0], ctx->args[1], true);
	wake_late();
	return 0;
}

SEC("raw_tp/sched_process_exit")
int exit_again(struct bpf_raw_tracepoint_args *ctx)
{
	exited((struct task_struct *)ctx->args[0]);
	wake_late();
	return 0;
}

/* RCU calls it, in a softirq: on one CPU, none interrupts another. */
SEC("tp_btf/sched_process_free")
int process_free(__u64 *ctx)
{
	thread_freed((struct task_struct *)ctx[0]);
	wake_late();
	return 0;
}

/* The process's start time: that of its leader, whichever thread `task` is. */
static __always_inline __u64 leader_start(struct task_struct *task)
{
	return BPF_CORE_READ(task, group_leader, start_boottime);
}

/* Settles what a thread's last fault left for its next event. */
static __always_inline void settle_thread(struct pymem_proc *p, struct task_struct *task)
{
	struct pymem_thread *th = thread_of(task);

	if (!th || th->proc != p->id)
		return;
	settle_major(th, task);
	settle_caches(p, th, task);
}

/* Adds what the kernel has counted and no event told. If `task` leaves the mm meanwhile, what was
 * read may be of the mm's teardown, or of another mm that got its place. */
static __noinline int settle_member(struct pymem_proc *p, struct task_struct *task, __u32 member)
{
	__s64 rest;

	if (!p || !task)
		return 0;
	member &= 3;
	if (batched_counters)
		rest = atomic_counter(p->mm, member) - p->shared_pages[member];
	else
		rest = counter_total(p, member, 0) - p->now_pages[member];
	if (task_mm(task) != p->mm)
		return 0;
	if (batched_counters)
		p->shared_pages[member] += rest;
	if (rest) {
		proc_add(p, member, rest);
		lose(p, PYMEM_LOSS_UNSETTLED, member, rest);
	}
	return 0;
}

static __always_inline void identify(struct pymem_proc *p, const struct pymem_wanted *w)
{
	p->runtime = w->runtime;
	p->interp_head = w->interp_head;
	p->layout = w->layout;
	/* A walker on another CPU must see all of that before this. */
	__sync_fetch_and_add(&p->identified, w->identified && !p->identified ? 1 : 0);
}

#define MAX_GENERATIONS 16

/* The block that will be, or is, around the block `serial` of process `tgid`. */
static __always_inline __u32 block_around(__u32 serial, __u32 tgid)
{
	struct tgid_entry *entry = bpf_map_lookup_elem(&tgids, &tgid);
	struct pymem_proc *p = entry ? proc_of(entry) : NULL;
	struct pymem_block_record *record = block_of(serial);

	if (!p || !record)
		return 0;
	/* The iterator may meet this process, or a descendant of it, first. The link is made in
	 * either case. */
	if (p->block != serial)
		block_link(record, block_open(p->tree));
	return record->outer;
}

/* A descendant of a process that is to be published belongs to the sum on its block, if it exists
 * already as well as if it is forked later. Before 6.2 some is left out: what the descendant's
 * threads have cached, up to 63 pages each, but for the first thread that is seen. */
static __always_inline void adopt_descendant(struct task_struct *task)
{
	struct task_struct *ancestor = task;
	struct pymem_wanted *w = NULL;
	struct pymem_proc *p;
	__u32 tgid = 0, i;
	__u64 mm;

	if (!count_only || !follow_children || (__u32)task->tgid == own_tgid)
		return;
	for (i = 0; i < MAX_GENERATIONS && !w; i++) {
		ancestor = BPF_CORE_READ(ancestor, real_parent);
		tgid = BPF_CORE_READ(ancestor, tgid);
		if (tgid <= 1)
			return;
		w = bpf_map_lookup_elem(&wanted, &tgid);
	}
	mm = task_mm(task);
	/* By vfork it may run on the very memory that is to be published. */
	if (!w || !w->block || !mm || mm == task_mm(ancestor))
		return;
	p = bpf_map_lookup_elem(&procs, &mm);
	if (!p) {
		p = payer_take(w->payer) ? proc_begin(mm, task, NULL, w->payer, 0, true) : NULL;
		if (p && proc_undo(p, task))
			return;
		if (p && batched_counters)
			adopt_thread(p, task, true);
	}
	if (p)
		block_join(p, w->block, block_around(w->block, tgid));
	else
		block_partial(w->block);
}

/* Begins to track the task's image. NULL: w->result says why not. */
static __always_inline struct pymem_proc *begin_wanted(struct pymem_wanted *w, __u64 mm,
						       struct task_struct *task)
{
	struct pymem_proc *p;

	if (!payer_take(w->payer)) {
		w->result = PYMEM_WANTED_QUOTA;
		return NULL;
	}
	p = proc_begin(mm, task, NULL, w->payer, 0, true);
	if (!p) {
		w->result = PYMEM_WANTED_MAP_FULL;
		return NULL;
	}
	if (proc_undo(p, task)) {
		if (w->result == PYMEM_WANTED_UNSEEN)
			w->result = PYMEM_WANTED_NO_MM;
		return NULL;
	}
	w->adopt = 1;
	return p;
}

/* For each task of a process in `wanted`: track it, or identify what is tracked. */
SEC("iter/task")
int attach_wanted(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct pymem_wanted *w;
	struct pymem_proc *p;
	__u64 mm;
	__u32 tgid;

	if (!task)
		return 0;
	tgid = task->tgid;
	w = bpf_map_lookup_elem(&wanted, &tgid);
	if (!w) {
		adopt_descendant(task);
		return 0;
	}
	if (w->start_boottime_ns &&
	    w->start_boottime_ns / USER_HZ_NS != leader_start(task) / USER_HZ_NS) {
		w->result = PYMEM_WANTED_OTHER;
		return 0;
	}
	mm = task_mm(task);
	if (!mm) {
		if (w->result == PYMEM_WANTED_UNSEEN)
			w->result = PYMEM_WANTED_NO_MM;
		return 0;
	}
	p = bpf_map_lookup_elem(&procs, &mm);
	if (w->expect && (!p || p->id != w->expect)) {
		w->result = PYMEM_WANTED_OTHER;
		return 0;
	}
	if (!p) {
		p = begin_wanted(w, mm, task);
		if (!p)
			return 0;
	}
	if (batched_counters && w->adopt)
		adopt_thread(p, task, true);
	if (w->block && p->block != w->block) {
		if (p->block && block_open(p->block) == p->block) {
			w->result = PYMEM_WANTED_BUSY;
			return 0;
		}
		block_adopt_new(p, w->block);
	}
	if (w->result != PYMEM_WANTED_OK)
		identify(p, w);
	w->id = p->id;
	w->result = PYMEM_WANTED_OK;
	return 0;
}

/* Once everything is detached: brings each tracked image's figures to the kernel's own. What no
 * event told is lost as `unsettled`. */
SEC("iter/task")
int settle(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct tgid_entry *entry;
	struct pymem_proc *p;
	__u32 tgid;
	__u64 mm;

	if (!task)
		return 0;
	tgid = task->tgid;
	entry = bpf_map_lookup_elem(&tgids, &tgid);
	if (!entry || entry->borrowed)
		return 0;
	p = proc_of(entry);
	if (!p || p->dying)
		return 0;
	mm = task_mm(task);
	/* What an exiting thread had cached is with its mm by now, as long as that is there. */
	if (mm == p->mm || (!mm && BPF_CORE_READ(task, signal, live.counter) > 0))
		settle_thread(p, task);
	/* If the process runs another program by now, or has exited, its image ended as it was seen
	 * last. */
	if (mm != p->mm)
		return 0;
	settle_member(p, task, PYMEM_FILE);
	settle_member(p, task, PYMEM_ANON);
	settle_member(p, task, PYMEM_SWAP);
	settle_member(p, task, PYMEM_SHMEM);
	if (watch_kernel && task_mm(task) == p->mm)
		tables_charge(p, LOST_HASH(PYMEM_LOSS_UNSETTLED));
	return 0;
}

/* Writes what each traced thread has collected. Threads go on meanwhile: only after
 * session_detach() is it of one instant. */
SEC("iter/task")
int collect(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct pymem_collected collected = {};
	struct pymem_thread *th;
	__u32 i;

	if (!task)
		return 0;
	th = thread_of(task);
	if (!th)
		return 0;
	for (i = 0; i < PYMEM_RECENT; i++) {
		if (!th->recent[i].raw)
			continue;
		collected.key.proc = th->proc;
		collected.key.hash = th->recent[i].hash;
		collected.counters = th->recent[i].acc;
		bpf_seq_write(ctx->meta->seq, &collected, sizeof(collected));
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: fork, exec, exit; and attaching to what runs already.
 *
 * An image is one mm: fork and exec begin a new one, exec and exit end one. It ends with the RSS
 * that it had before it was torn down.
 */
#include "account/fault.bpf.h"

#define PF_EXITING 0x00000004  /* include/linux/sched.h: set before the exit's tracepoint */
#define USER_HZ_NS 10000000ULL /* /proc shows start times in these */

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

SEC("raw_tp/sched_process_fork")
int process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *child = (struct task_struct *)ctx->args[1];
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
	if (!child_mm)
		return 0;
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

SEC("raw_tp/sched_process_exec")
int process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct pymem_proc *p = NULL, *next;
	struct tgid_entry *entry;
	struct heritage left = {};
	bool kept = false;
	__u64 mm;

	entry = tgid_filter[tgid_slot(tgid)] ? bpf_map_lookup_elem(&tgids, &tgid) : NULL;
	if (!entry) {
		if (watch_host)
			tell(PYMEM_MSG_EXEC, 0, tgid, 0);
		return 0;
	}
	p = proc_of(entry);
	thread_end(p, ctx->args[1], true);
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
	if (next)
		go_on_as(next, task, left.block, left.tree);
	else
		end_on(left.block, left.tree);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
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
	if (p && !entry->borrowed) {
		proc_end(p, false);
	} else {
		if (!entry->borrowed)
			block_close(entry->left.block);
		forget_tgid(tgid);
	}
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

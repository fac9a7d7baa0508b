/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: CPython's own probes (USDT python:line, function__entry, function__return,
 * gc__start, gc__done), for the exact engine.
 *
 * For each thread there is a stack of the frames that it is in, each with the line that it
 * runs and with what the thread's own net change of RSS was when the run began. The next
 * event of that frame ends the run: the difference is its increment, calls included.
 *
 * Entry and return say which frame runs, and reading that from the interpreter at each line
 * would cost as much as the rest. Where the function's name does not match, a frame was
 * entered or left unseen (before the attach, by a greenlet's switch): then the interpreter
 * is asked. A frame that is met below the top has outlived those above it; one that is not
 * met at all has just been entered.
 *
 * With `by_function` only calls are counted, and the line probe is not attached
 * (account/functions.bpf.h).
 */
#include "account/functions.bpf.h"

SEC("uprobe")
int line(struct pt_regs *ctx)
{
	struct line_event e = {};
	struct pymem_line_frame *f;
	__u64 name = 0, number = 0;

	if (by_function || !event_begin(&e, true))
		return 0;
	place_of(ctx, e.ls, &name, &number);
	f = frame_top(&e, name);
	if (!f)
		f = frame_resync(&e, name);
	if (!f)
		return 0;
	if (!f->fingerprint)
		frame_name(e.p, e.ls, f);
	/* A function's first line may be told twice: by the entry, and by a line event. */
	if (f->how == PYMEM_LINE_ENTRY && f->line == (__s32)number && f->fingerprint) {
		f->how = PYMEM_LINE_EVENT;
		return 0;
	}
	if (f->line)
		run_end(e.ls, e.ls->depth - 1, e.th->net_pages, e.th->line_peak, e.rss);
	run_begin(f, e.th, number, PYMEM_LINE_EVENT, e.rss);
	return 0;
}

/* A call, or a generator that goes on. A call begins a run of the function's first line. In a
 * generator, the run of the line that it was left at goes on. */
SEC("uprobe")
int function_entry(struct pt_regs *ctx)
{
	struct line_event e = {};
	struct pymem_line_frame *f;
	__u64 frame = 0, name = 0, number = 0;
	__s32 first;
	__u32 depth;

	if (by_function)
		return call_begin();
	if (!event_begin(&e, false))
		return 0;
	if (frame_now(e.p, e.ls, e.th, &frame)) {
		miss(PYMEM_LINE_MISS_UNREADABLE);
		return 0;
	}
	place_of(ctx, e.ls, &name, &number);
	/* A frame of the same address has been left unseen. */
	depth = find_frame(e.ls, frame);
	if (depth)
		unwind(e.ls, e.th, depth - 1, e.rss);
	f = frame_push(&e, frame, name);
	if (!f)
		return 0;
	first = frame_name(e.p, e.ls, f);
	run_begin(f, e.th, number,
		  first && (__s32)number != first ? PYMEM_LINE_RESUMED : PYMEM_LINE_ENTRY, e.rss);
	return 0;
}

SEC("uprobe")
int function_return(struct pt_regs *ctx)
{
	struct line_event e = {};
	__u64 frame = 0, name = 0, number = 0;
	__u32 depth;

	if (by_function)
		return call_end(ctx);
	if (!event_begin(&e, false))
		return 0;
	place_of(ctx, e.ls, &name, &number);
	depth = e.ls->depth;
	if (!frame_top(&e, name)) {
		if (frame_now(e.p, e.ls, e.th, &frame)) {
			miss(PYMEM_LINE_MISS_UNREADABLE);
			return 0;
		}
		depth = find_frame(e.ls, frame);
	}
	if (!depth)
		return 0;
	unwind(e.ls, e.th, depth - 1, e.rss);
	e.th->line_peak = e.rss;
	return 0;
}

SEC("uprobe")
int gc_start(struct pt_regs *ctx __attribute__((unused)))
{
	struct line_event e = {};

	if (!event_begin(&e, false))
		return 0;
	/* A finalizer may have a subinterpreter collect: part of this collection. */
	if (!e.ls->collecting++)
		e.ls->gc_start = e.th->net_pages;
	return 0;
}

SEC("uprobe")
int gc_done(struct pt_regs *ctx __attribute__((unused)))
{
	struct line_event e = {};
	struct pymem_line_frame *f;
	struct pymem_line *line;
	__u32 depth;

	/* If the start of a collection was not seen, what it changed is unknown. */
	if (!event_begin(&e, false) || !e.ls->collecting || --e.ls->collecting)
		return 0;
	depth = e.ls->depth;
	if (!depth)
		return 0;
	f = frame_at(e.ls, depth - 1);
	if (by_function && !f->fingerprint)
		frame_name(e.p, e.ls, f);
	line = line_of(e.ls, f);
	if (!line)
		return 0;
	__sync_fetch_and_add(&line->collections, 1);
	__sync_fetch_and_add(&line->gc_pages, e.th->net_pages - e.ls->gc_start);
	return 0;
}

/* Ends all runs of a thread, which is still there. */
static __always_inline void runs_end(struct task_struct *task)
{
	struct pymem_line_stack *ls = line_stack_of(task, false);
	struct pymem_thread *th = thread_of(task);
	struct pymem_proc *p;
	__u64 mm;

	if (!ls || !th || !ls->depth || th->proc != ls->proc)
		return;
	mm = th->mm;
	p = bpf_map_lookup_elem(&procs, &mm);
	if (p && p->id == ls->proc) {
		if (by_function)
			self_settle(p, ls, th, false);
		unwind(ls, th, 0, proc_rss(p));
	}
	ls->depth = 0;
}

/* Attached before process_exit and process_exec, and run before them. */
SEC("raw_tp/sched_process_exit")
int lines_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];

	if (!tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)])
		return 0;
	runs_end(current_task());
	/* A task's own storage goes with the task. */
	if (TASKS_IN_TABLE)
		task_value_delete(&line_stacks, task, task_key(task));
	return 0;
}

SEC("raw_tp/sched_process_exec")
int lines_exec(struct bpf_raw_tracepoint_args *ctx __attribute__((unused)))
{
	if (tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)])
		runs_end(current_task());
	return 0;
}

/* The same events once more, where programs of tracepoints can be preempted
 * (account/lifecycle.bpf.h). The first time leaves nothing to do. */
SEC("raw_tp/sched_process_exit")
int lines_exit_again(struct bpf_raw_tracepoint_args *ctx __attribute__((unused)))
{
	if (tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)])
		runs_end(current_task());
	return 0;
}

SEC("raw_tp/sched_process_exec")
int lines_exec_again(struct bpf_raw_tracepoint_args *ctx __attribute__((unused)))
{
	if (tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)])
		runs_end(current_task());
	return 0;
}

/* Once everything is detached: ends what still runs. */
SEC("iter/task")
int lines_settle(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		runs_end(task);
	return 0;
}

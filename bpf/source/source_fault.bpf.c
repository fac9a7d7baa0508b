/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: page faults, at their entry (x86: exceptions:page_fault_user, _kernel).
 *
 * A write to an absent page changes RSS a moment later, where rss_stat walks the stack and
 * counts the fault too: from 6.2 on nothing is done for it here. The others (reads of the zero
 * page, writes to a present page) may change no counter: noted and counted here. A fault is
 * known by its number (fault_number()).
 *
 * Copy-on-write: what a write to a present page did is told by RSS where it replaced a file page
 * (file - 1) or the zero page (anon + 1). Where RSS stays, an anonymous page was either copied or,
 * if no one else had it any more, kept: it is a copy if a page is allocated before the fault is
 * over. Watching page allocations costs every process on the host a little, so the loader attaches
 * that program only when a traced process forks, or writes to a present page with an unknown
 * result, for the first time.
 *
 * On 6.1 and older each fault first settles what the previous one left in the task's cache.
 */
#include "account/fault.bpf.h"

#define FAULT_PRESENT 1
#define FAULT_WRITE   2

#define GFP_MOVABLE_TYPE 1 /* MIGRATE_MOVABLE: what user pages are */

static __always_inline int fault(__u64 regs, __u64 error_code)
{
	bool maybe_copy =
		(error_code & (FAULT_PRESENT | FAULT_WRITE)) == (FAULT_PRESENT | FAULT_WRITE);
	struct task_struct *task = current_task();
	struct pymem_thread *th;
	struct pymem_recent *recent;
	struct pymem_proc *p;

	th = current_thread(&p);
	if (!th)
		return 0;
	settle_major(th, task);
	settle_caches(p, th, task);
	fault_over(p, th);
	th->pending = PYMEM_PENDING_FAULT;
	th->noted = fault_number(task);
	th->charged = 0;
	if (maybe_copy) {
		th->pending |= PYMEM_PENDING_WRITE;
		th->regs = regs;
	} else if (!batched_counters && error_code & FAULT_WRITE) {
		return 0;
	}
	th->string.ip = 0;
	if (stack_now(p, th))
		return 0;
	recent = recent_current(th);
	if (recent) {
		recent_fault(th, recent);
		recent_pages(recent, PYMEM_ANON, 0, proc_rss(p));
	}
	th->counted = th->noted;
	th->pending &= ~PYMEM_PENDING_FAULT;
	return 0;
}

SEC("raw_tp/page_fault_user")
int fault_user(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 error_code = ctx->args[2];

	if (watch_touched || watch_waits)
		touch_note(ctx->args[0], TOUCH_BY_USER);
	/* The common case, and nothing is looked up for it: rss_stat does all the work. */
	if (!batched_counters && (error_code & (FAULT_PRESENT | FAULT_WRITE)) == FAULT_WRITE)
		return 0;
	return fault(ctx->args[1], error_code);
}

/* The kernel's own accesses to user memory, read(2) into a fresh buffer say. A read of an absent
 * page by our own programs comes here too: scratch.busy turns it away. */
SEC("raw_tp/page_fault_kernel")
int fault_kernel(struct bpf_raw_tracepoint_args *ctx)
{
	struct scratch *s = scratch_get();

	if (!s || s->busy)
		return 0;
	if (watch_touched || watch_waits)
		touch_note(ctx->args[0], TOUCH_BY_KERNEL);
	return fault(ctx->args[1], ctx->args[2]);
}

SEC("raw_tp/mm_page_alloc")
int page_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	struct pymem_thread *th;
	struct pymem_recent *recent;
	struct pymem_proc *p;
	__u64 mm = 0;

	if (!tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)])
		return 0;
	th = thread_of(current_task());
	if (!th || !(th->pending & PYMEM_PENDING_WRITE) ||
	    (__u32)ctx->args[3] != GFP_MOVABLE_TYPE || !in_noted(th))
		return 0;
	th->pending &= ~PYMEM_PENDING_WRITE;
	p = current_proc(&mm);
	if (!p || th->mm != mm)
		return 0;
	/* The stack was walked at the fault's entry and has not moved since. */
	recent = recent_current(th);
	if (recent) {
		recent->acc.cow_faults++;
		if (watch_touched)
			touched_pages(p, th, PYMEM_ANON, 1, recent->id);
		th->pending |= PYMEM_PENDING_COPIED;
	} else {
		lose_faults(p, 1);
	}
	return 0;
}

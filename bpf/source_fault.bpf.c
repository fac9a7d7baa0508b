/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: page faults, at their entry (x86: exceptions:page_fault_user, _kernel).
 *
 * Most write faults change RSS a moment later, where rss_stat walks the stack and counts
 * the fault too: here they are only noted. The others (reads of the zero page, writes
 * to a present page) may change no counter and are counted here.
 *
 * Copy-on-write: what a write to a present page did is told by RSS where it replaced a
 * file page (file - 1) or the zero page (anon + 1). Where RSS stays, an anonymous page was
 * either copied or, if no one else had it any more, kept: it is a copy if a page is
 * allocated before the fault is over. Watching page allocations costs every process on
 * the host a little, so the loader attaches that program only when a traced process
 * forks or writes so for the first time.
 *
 * On 6.1 and older each fault first settles what the previous one left in the task's cache.
 */
#include "image.bpf.h"

#define FAULT_PRESENT 1
#define FAULT_WRITE   2

__u32 copies_watched; /* set by the loader once page_alloc is attached */
__u32 copies_asked; /* not static: clang would make it a single byte, of which BTF knows nothing */

#define GFP_MOVABLE_TYPE 1 /* MIGRATE_MOVABLE: what user pages are */

#if defined(__TARGET_ARCH_x86)
/* Bytes per iteration of the instruction at `ip` if it is rep stos or rep movs, else 0. */
static __always_inline __u32 string_unit(__u64 ip)
{
	__u8 code[3];
	__u32 wide;

	if (bpf_probe_read_user(code, sizeof(code), (const void *)ip) || code[0] != 0xf3)
		return 0;
	wide = code[1] == 0x48;
	if (wide)
		code[1] = code[2];
	if (code[1] == 0xaa || code[1] == 0xa4)
		return 1;
	if (code[1] == 0xab || code[1] == 0xa5)
		return wide ? 8 : 4;
	return 0;
}

/* Is this fault one of the string instruction that faulted last? Then no Python code has
 * run in between and the stack need not be walked.
 *
 * Why that is certain: same instruction, same stack pointer, same end of the
 * destination, further along. Had the instruction completed and another begun, every
 * page up to that end would be present by now: and were one unmapped since by this
 * thread, that event would have cleared the record. So large memset and memcpy, the
 * densest source of faults there is, cost no walk. */
static __always_inline bool string_resumed(struct pymem_thread *th, __u64 address)
{
	struct pymem_string *string = &th->string;
	struct pt_regs regs;
	bool same;

	if (bpf_probe_read_kernel(&regs, sizeof(regs), (const void *)address))
		return false;
	if (regs.ip != string->ip || regs.sp != string->sp) {
		string->ip = regs.ip;
		string->sp = regs.sp;
		string->unit = 0;
		string->end = 0;
		return false;
	}
	/* The second fault at this place: worth a look. */
	if (!string->unit && !string->end) {
		string->unit = string_unit(regs.ip);
		string->end = 1;
	}
	if (!string->unit)
		return false;
	same = regs.di + regs.cx * string->unit == string->end && regs.di > string->at;
	string->end = regs.di + regs.cx * string->unit;
	string->at = regs.di;
	return same && th->current < PYMEM_SLOTS;
}
#else
static __always_inline bool string_resumed(struct pymem_thread *th, __u64 address)
{
	(void)th;
	(void)address;
	return false;
}
#endif

/* The last fault wrote to a present page and no event has told what came of it. */
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

static __always_inline int fault(__u64 regs, __u64 error_code)
{
	bool maybe_copy =
		(error_code & (FAULT_PRESENT | FAULT_WRITE)) == (FAULT_PRESENT | FAULT_WRITE);
	struct task_struct *task = current_task();
	struct pymem_thread *th;
	struct pymem_slot *slot;
	struct pymem_proc *p;

	if (!tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)])
		return 0;
	/* The common case: rss_stat will do the work. */
	th = thread_of(task, false);
	if (!batched_counters && th && current_runs_on(th->mm) && !maybe_copy &&
	    error_code & FAULT_WRITE &&
	    !(th->pending & (PYMEM_PENDING_FAULT | PYMEM_PENDING_WRITE))) {
		settle_major(th, task);
		th->pending = PYMEM_PENDING_FAULT;
		if (string_resumed(th, regs))
			th->pending |= PYMEM_PENDING_RESUMED;
		else if (th->string.unit)
			th->confirm = 1; /* faults without a walk follow */
		return 0;
	}
	th = current_thread(&p);
	if (!th)
		return 0;
	settle_major(th, task);
	settle_caches(p, th, task);
	if (th->pending & PYMEM_PENDING_FAULT)
		__sync_fetch_and_add(&p->lost_faults, 1);
	if (th->pending & PYMEM_PENDING_WRITE)
		write_unresolved(p, th);
	th->pending = PYMEM_PENDING_FAULT;
	if (maybe_copy) {
		th->pending |= PYMEM_PENDING_WRITE;
		th->regs = regs;
	} else if (!batched_counters && error_code & FAULT_WRITE) {
		return 0;
	}
	th->string.ip = 0;
	if (stack_now(p, th))
		return 0;
	slot = slot_current(th);
	if (slot) {
		slot->acc.minor_faults++;
		slot_pages(slot, PYMEM_ANON, 0, proc_rss(p));
	}
	th->pending &= ~PYMEM_PENDING_FAULT;
	return 0;
}

SEC("raw_tp/page_fault_user")
int fault_user(struct bpf_raw_tracepoint_args *ctx)
{
	return fault(ctx->args[1], ctx->args[2]);
}

/* The kernel's own accesses to user memory, read(2) into a fresh buffer say. A read by
 * this profiler of a page that is absent ends here too: scratch.busy turns it away. */
SEC("raw_tp/page_fault_kernel")
int fault_kernel(struct bpf_raw_tracepoint_args *ctx)
{
	struct scratch *s = scratch_get();

	if (!s || s->busy)
		return 0;
	return fault(ctx->args[1], ctx->args[2]);
}

/* Still in the exception that was noted? A system call since then has put its number
 * where exceptions put -1. */
static __always_inline bool in_exception(const struct pymem_thread *th)
{
	struct pt_regs *regs = (struct pt_regs *)th->regs;

	return IS_EXCEPTION(regs);
}

SEC("raw_tp/mm_page_alloc")
int page_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	struct pymem_thread *th;
	struct pymem_slot *slot;
	struct pymem_proc *p;
	__u64 mm = 0;

	if (!tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)])
		return 0;
	th = thread_of(current_task(), false);
	if (!th || !(th->pending & PYMEM_PENDING_WRITE) || (__u32)ctx->args[3] != GFP_MOVABLE_TYPE)
		return 0;
	th->pending &= ~PYMEM_PENDING_WRITE;
	p = current_proc(&mm);
	if (!p || th->mm != mm || !in_exception(th))
		return 0;
	/* The stack was walked at the fault's entry and has not moved since. */
	slot = slot_current(th);
	if (slot) {
		slot->acc.cow_faults++;
		th->pending |= PYMEM_PENDING_COPIED;
	} else {
		__sync_fetch_and_add(&p->lost_faults, 1);
	}
	return 0;
}

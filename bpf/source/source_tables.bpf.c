/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sources: page tables, at changes of RSS and at page faults (account/kernel.bpf.h). The ends of
 * memory system calls are the third place (account/vmcalls.bpf.h).
 *
 * A fault makes page tables before it changes RSS. So what has changed when RSS does is of the same
 * stack. A fault that changes no RSS, such as a read of what was never written, leaves its page
 * tables to the next fault of its thread, at whose entry the thread still collects for the stack
 * before. Hence these programs are attached before all others.
 */
#include "account/vmcalls.bpf.h"

SEC("raw_tp/rss_stat")
int tables_rss(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 mm = ctx->args[0];
	struct pymem_thread *th;
	struct pymem_proc *p;

	if (!mm_filter[mm_slot(mm)])
		return 0;
	p = bpf_map_lookup_elem(&procs, &mm);
	if (!p || p->dying || !tables_changed(p))
		return 0;
	if (!current_runs_on(mm))
		return tables_charge(p, LOST_HASH(PYMEM_LOSS_OTHER_TASK));
	th = thread_get(p);
	if (!th)
		return tables_charge(p, LOST_HASH(PYMEM_LOSS_MAP_FULL));
	vmcalls_walk(p, th);
	return tables_charge(p, kernel_hash(th));
}

/* The current thread begins a fault. What has grown since its last event may be of another thread
 * whose fault has not come to its end yet. It is taken only if this thread's last fault was noted,
 * which means that it may have changed no RSS. */
static __always_inline int fault_begins(void)
{
	struct pymem_thread *th;
	struct pymem_proc *p;

	th = current_thread(&p);
	if (!th || !tables_changed(p))
		return 0;
	if (tables_of(p->mm) < p->tables_now || th->noted + 1 == fault_number(current_task()))
		tables_charge(p, kernel_hash(th));
	return 0;
}

SEC("raw_tp/page_fault_user")
int tables_fault_user(struct bpf_raw_tracepoint_args *ctx __attribute__((unused)))
{
	return fault_begins();
}

/* Not in a read of an absent page by our own programs. */
SEC("raw_tp/page_fault_kernel")
int tables_fault_kernel(struct bpf_raw_tracepoint_args *ctx __attribute__((unused)))
{
	struct scratch *s = scratch_get();

	return !s || s->busy ? 0 : fault_begins();
}

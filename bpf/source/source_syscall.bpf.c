/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: memory system calls, at their exit, where both arguments and result are known.
 *
 * As a raw tracepoint on sys_exit, so that no tracefs is needed. It makes each system
 * call on the host take the traced path (about 0.2 us); --no-syscalls leaves it out.
 */
#include "account/vmcalls.bpf.h"

#define PROT_EXEC     4
#define MAP_ANONYMOUS 0x20

static __always_inline void count_call(struct pymem_proc *p, struct pymem_thread *th, __u64 call,
				       __s64 bytes, __u64 mapped)
{
	struct pymem_vmcalls *v;
	int err = vmcalls_walk(p, th);

	/* A chunk of the thread's data stack, perhaps (popped_caller()). */
	if (mapped) {
		th->mapped = err ? 0 : mapped;
		th->mapped_leaf = th->leaf;
	}
	if (err)
		return;
	v = vmcalls_now(p, th);
	if (!v) {
		__sync_fetch_and_add(&dropped_calls, 1);
		return;
	}
	/* Checked here, and in 64 bits: 5.10's verifier has forgotten a bound that was checked
	 * before. */
	asm volatile("" : "+r"(call));
	if (call >= PYMEM_VMCALL_COUNT)
		return;
	__sync_fetch_and_add(&v->calls[call], 1);
	__sync_fetch_and_add(&v->bytes[call], bytes);
}

#define MAP_POPULATE  0x8000
#define MADV_DONTNEED 4

/* Notes pages that the current thread th of p has moved by a system call, or made resident without
 * a fault. */
static __always_inline void touched_call(struct pymem_proc *p, struct pymem_thread *th,
					 struct pt_regs *regs, __s64 nr, __u64 result)
{
	__u64 address = SYSCALL_ARG1(regs), bytes = SYSCALL_ARG2(regs), more = SYSCALL_ARG3(regs);
	struct pymem_recent *recent = recent_current(th);

	if (nr == NR_MREMAP && address != result)
		touched_range(p->mm, address, result, bytes < more ? bytes : more, 0);
	else if (nr == NR_MADVISE && more == MADV_DONTNEED)
		touched_new(p->touched_dirs[0], address, bytes);
	else if (nr == NR_MMAP && SYSCALL_ARG4(regs) & MAP_POPULATE)
		touched_range(p->mm, 0, result, bytes, recent ? recent->id : PYMEM_TOUCHED_LOST);
	else if (nr == NR_MMAP)
		touched_new(p->touched_dirs[0], result, bytes);
}

static __always_inline void memory_call(struct pymem_proc *p, struct pymem_thread *th,
					struct pt_regs *regs, __s64 nr, __s64 result)
{
	struct scratch *s = scratch_get();
	__s64 bytes = SYSCALL_ARG2(regs);
	__u32 call;

	switch (nr) {
	case NR_BRK:
		call = PYMEM_VMCALL_BRK;
		bytes = result - (__s64)p->brk;
		p->brk = result;
		break;
	case NR_MMAP:
		call = PYMEM_VMCALL_MMAP;
		break;
	case NR_MUNMAP:
		call = PYMEM_VMCALL_MUNMAP;
		break;
	case NR_MREMAP:
		call = PYMEM_VMCALL_MREMAP;
		bytes = (__s64)SYSCALL_ARG3(regs) - bytes;
		break;
	default:
		call = PYMEM_VMCALL_MADVISE;
		break;
	}
	/* A brk that moves nothing is a query, or was refused. */
	if (!s || (nr == NR_BRK && !bytes))
		return;
	count_call(p, th, opaque(s, call), bytes, nr == NR_MMAP ? result : 0);
	if (watch_touched)
		touched_call(p, th, regs, nr, result);
}

SEC("raw_tp/sys_exit")
int syscall_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__s64 result = ctx->args[1], nr;
	struct tgid_entry *entry;
	struct pymem_thread *th;
	struct pymem_proc *p = NULL;
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	__u64 mm;

	if (!tgid_filter[tgid_slot(tgid)] && !watch_host)
		return 0;
	nr = SYSCALL_NR(regs);
	if (nr != NR_MMAP && nr != NR_MUNMAP && nr != NR_BRK && nr != NR_MREMAP && nr != NR_MADVISE)
		return 0;
	if (result < 0 && result > -4096)
		return 0;
	entry = bpf_map_lookup_elem(&tgids, &tgid);
	if (entry) {
		mm = entry->mm;
		p = bpf_map_lookup_elem(&procs, &mm);
	}
	/* A library was mapped: perhaps libpython. */
	if (nr == NR_MMAP && SYSCALL_ARG3(regs) & PROT_EXEC &&
	    !(SYSCALL_ARG4(regs) & MAP_ANONYMOUS) && (p ? !p->identified : watch_host))
		tell(PYMEM_MSG_MAPPED, p ? p->id : 0, tgid, 0);
	if (!p || p->dying || !p->identified)
		return 0;
	if (!current_runs_on(mm))
		return 0;
	th = thread_get(p);
	if (th)
		memory_call(p, th, regs, nr, result);
	return 0;
}

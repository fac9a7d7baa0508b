/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The counters that few stacks have: the map `vmcalls`, by stack as the map `stacks`. And what is
 * done with a memory system call that has succeeded, whichever source tells of it. */
#ifndef VMCALLS_BPF_H
#define VMCALLS_BPF_H

#include "account/fault.bpf.h"
#include "account/kernel.bpf.h"

DEFINE_MAKE(vmcalls_make, pymem_vmcalls, vmcalls)

/* Walks the stack of the current thread th of p, which is in no change of RSS, but perhaps in a
 * fault. Not 0: its stack is not known. */
static __always_inline int vmcalls_walk(struct pymem_proc *p, struct pymem_thread *th)
{
	/* They belong to the stack seen before. */
	settle_major(th, current_task());
	settle_caches(p, th, current_task());
	th->string.ip = 0;
	return stack_now(p, th);
}

/* The counters of the stack just walked. NULL: no room, or p may have no more. */
static __always_inline struct pymem_vmcalls *vmcalls_now(struct pymem_proc *p,
							 struct pymem_thread *th)
{
	struct pymem_stack_key key = key_now(th);
	struct pymem_vmcalls *v;

	if (!key.hash)
		return NULL;
	v = bpf_map_lookup_elem(&vmcalls, &key);
	return v ?: vmcalls_make(p, &key);
}

#define PROT_EXEC     4
#define MAP_ANONYMOUS 0x20
#define MAP_POPULATE  0x8000

/* `mapped`: the address of a new mapping; 0: this call is no mmap, or it is not known. */
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
	tables_now(p, th);
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

/* Counts a memory system call of the current thread th of p. `result`: of brk and mmap; else, or if
 * an mmap's is not known, any number. */
static __always_inline void count_memory_call(struct pymem_proc *p, struct pymem_thread *th,
					      struct pt_regs *regs, __s64 nr, __s64 result)
{
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
	if (nr == NR_BRK && !bytes)
		return;
	/* From memory: the verifier is to follow the walk once, not once for each call. */
	th->vm_kind = call;
	call = *(volatile __u32 *)&th->vm_kind;
	count_call(p, th, call, bytes, nr == NR_MMAP ? result : 0);
}

static __always_inline void memory_call(struct pymem_proc *p, struct pymem_thread *th,
					struct pt_regs *regs, __s64 nr, __s64 result)
{
	count_memory_call(p, th, regs, nr, result);
	if (watch_touched)
		touched_call(p, th, regs, nr, result);
}

/* Has an mmap with these registers brought a library into memory, libpython perhaps? p: the image
 * of the process; NULL: it has none. User space looks at the process then. */
static __always_inline bool maps_library(const struct pymem_proc *p, struct pt_regs *regs)
{
	return (p ? !p->identified : watch_host) && SYSCALL_ARG3(regs) & PROT_EXEC &&
	       !(SYSCALL_ARG4(regs) & MAP_ANONYMOUS);
}

static __always_inline bool is_error(__s64 result)
{
	return result < 0 && result > -4096;
}

/* The current task, of the process tgid, ends the memory system call nr without an error. */
static __always_inline void call_done(__u32 tgid, struct pt_regs *regs, __s64 nr, __s64 result)
{
	struct pymem_proc *p = NULL;
	struct tgid_entry *entry;
	struct pymem_thread *th;
	__u64 mm = 0;

	entry = bpf_map_lookup_elem(&tgids, &tgid);
	if (entry) {
		mm = entry->mm;
		p = bpf_map_lookup_elem(&procs, &mm);
	}
	if (nr == NR_MMAP && maps_library(p, regs))
		tell(PYMEM_MSG_MAPPED, p ? p->id : 0, tgid, 0);
	if (!p || p->dying || !p->identified || !current_runs_on(mm))
		return;
	th = thread_get(p);
	if (th)
		memory_call(p, th, regs, nr, result);
}

#endif

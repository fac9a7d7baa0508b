/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: memory system calls, by the lock of the address space (mmap_lock) that they take.
 *
 * brk, mmap, munmap and mremap change mappings while they hold the lock for writing, and each takes
 * it once. The size of the address space (total_vm) before and after says whether the call
 * succeeded, since nobody else can change it meanwhile; arguments are in the thread's registers. No
 * other system call costs more than before.
 *
 * What can't be seen:
 * - the result. Where a new mapping is follows from what vm_unmapped_area() found, or from the
 *   arguments. If it does not, the address is not known, and counts as such.
 * - a call that changes no size: a munmap where nothing is mapped is not counted. An mmap or mremap
 *   to a fixed address may replace as many pages as it maps: it is counted, also if it failed.
 * - madvise. It takes the lock for reading, or that of one mapping only. What it gives back is in
 *   the change of RSS like all else; how much that is is counted in `advised_pages`.
 *
 * The event of the release comes before the release itself, also where munmap has become a reader
 * before. Up to 6.12 these events build a path of a control group for each event of the host: there
 * user space does not load this.
 */
#define OWN_SCRATCH call
#include "python/own_scratch.bpf.h"

#include "account/vmcalls.bpf.h"

#define MAP_FIXED	    0x10
#define MAP_FIXED_NOREPLACE 0x100000
#define MREMAP_FIXED	    2
#define MREMAP_DONTUNMAP    4

/* An area for huge pages is asked for with so much room that one can be aligned in it: the size of
 * a huge page, 2 MiB at least. Rounding to pages adds 64 KiB at most. */
#define ROUNDED_LESS_THAN (1 << 20)

#define HUGE_BYTES		 (2 << 20) /* x86: where touches are noted */
#define VM_UNMAPPED_AREA_TOPDOWN 1

static __always_inline bool changes_mappings(__s64 nr)
{
	return nr == NR_MMAP || nr == NR_MUNMAP || nr == NR_BRK || nr == NR_MREMAP;
}

/* The image of the current task if its memory system calls are counted: a traced one, which has the
 * address space `mm`. NULL: it has none. */
static __always_inline struct pymem_proc *counted_proc(__u64 mm, __u32 tgid)
{
	struct pymem_proc *p = bpf_map_lookup_elem(&procs, &mm);

	/* Until its exec, a child of vfork() runs on its parent's. */
	return p && !p->dying && p->tgid == tgid && current_runs_on(mm) ? p : NULL;
}

#ifndef PYMEM_LEGACY
/* How far behind the beginning of its file a mapping begins, or for memory without a file, what the
 * kernel takes for that. */
static long note_offset(struct task_struct *task __attribute__((unused)),
			struct vm_area_struct *vma, struct pymem_thread **th)
{
	if (!vma->vm_file)
		(*th)->vm_offset = (vma->vm_pgoff << PAGE_SHIFT) + (*th)->vm_offset - vma->vm_start;
	else
		(*th)->vm_offset = 0;
	return 0;
}
#endif

/* mmap_lock_start_locking(mm, write) */
SEC("raw_tp/mmap_lock_start_locking")
int lock_wanted(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 mm = ctx->args[0];
#ifndef PYMEM_LEGACY
	struct pymem_thread *th;
	struct pymem_proc *p;
	__u64 at;
#endif

	if (!mm_filter[mm_slot(mm)] || !watch_touched || current_call() != NR_MREMAP)
		return 0;
#ifndef PYMEM_LEGACY
	p = counted_proc(mm, bpf_get_current_pid_tgid() >> 32);
	th = p && p->identified ? thread_get(p) : NULL;
	if (!th)
		return 0;
	th->vm_offset = at = SYSCALL_ARG1(current_regs());
	if (bpf_find_vma(bpf_get_current_task_btf(), at, note_offset, &th, 0))
		th->vm_offset = 0;
#endif
	return 0;
}

/* mmap_lock_acquire_returned(mm, write, success) */
SEC("raw_tp/mmap_lock_acquire_returned")
int lock_acquired(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 mm = ctx->args[0];
	struct pymem_thread *th;
	struct pymem_proc *p;
	__s64 nr;

	if (!mm_filter[mm_slot(mm)] || !ctx->args[1] || !ctx->args[2])
		return 0;
	nr = current_call();
	if (!changes_mappings(nr))
		return 0;
	p = counted_proc(mm, bpf_get_current_pid_tgid() >> 32);
	th = p && p->identified ? thread_get(p) : NULL;
	if (!th)
		return 0;
	th->vm_pages = BPF_CORE_READ((struct mm_struct *)mm, total_vm);
	th->vm_brk = BPF_CORE_READ((struct mm_struct *)mm, brk);
	th->vm_area = th->vm_length = 0;
	th->vm_call = nr + 1;
	return 0;
}

/* vm_unmapped_area(address or -errno, info) */
SEC("raw_tp/vm_unmapped_area")
int area_found(struct bpf_raw_tracepoint_args *ctx)
{
	const struct vm_unmapped_area_info *info = (void *)ctx->args[1];
	struct task_struct *task = current_task();
	struct pymem_thread *th;

	if (!mm_filter[mm_slot(task_mm(task))])
		return 0;
	th = thread_of(task);
	if (!th || !th->vm_call)
		return 0;
	th->vm_area = is_error(ctx->args[0]) ? 0 : ctx->args[0];
	th->vm_length = BPF_CORE_READ(info, length);
	th->vm_topdown = BPF_CORE_READ(info, flags) & VM_UNMAPPED_AREA_TOPDOWN;
	return 0;
}

/* Where the area that was found last is, of which `bytes` are used. 0: not known. */
static __always_inline __u64 found_at(const struct pymem_thread *th, __u64 bytes)
{
	return th->vm_length - bytes < ROUNDED_LESS_THAN ? th->vm_area : 0;
}

/* Where a mapping is that an mmap of th has made. 0: not known. */
static __always_inline __u64 mapped_at(const struct pymem_thread *th, struct pt_regs *regs)
{
	/* The kernel rounds a hint down. Without one, what is free is always asked for; but not
	 * everybody who knows a place asks by the function that has the tracepoint. */
	if (SYSCALL_ARG4(regs) & (MAP_FIXED | MAP_FIXED_NOREPLACE) || !th->vm_area)
		return SYSCALL_ARG1(regs) & ~4095ULL;
	return found_at(th, SYSCALL_ARG2(regs));
}

/* Where a mapping is that an mremap of th has changed. 0: not known. */
static __always_inline __u64 remapped_at(const struct pymem_thread *th, struct pt_regs *regs)
{
	if (SYSCALL_ARG4(regs) & MREMAP_FIXED)
		return SYSCALL_ARG5(regs);
	return th->vm_area ? found_at(th, SYSCALL_ARG3(regs)) : SYSCALL_ARG1(regs);
}

/* Where a mapping without a file is, of `bytes`, in an area that was found with room for a huge
 * page more (__thp_get_unmapped_area()): as far behind the beginning of a huge page as `offset`. 0:
 * this is no such area. */
static __always_inline __u64 aligned_at(const struct pymem_thread *th, __u64 bytes, __u64 offset)
{
	__u64 at = th->vm_area, shift = (offset - at) & (HUGE_BYTES - 1);

	if (!at || th->vm_length - bytes - HUGE_BYTES >= ROUNDED_LESS_THAN)
		return 0;
	/* From the top down it leaves out what is aligned already. */
	return at + (!shift && th->vm_topdown ? HUGE_BYTES : shift);
}

/* Notes what the call nr of th, which has succeeded, does to touched pages. `result`: where the new
 * mapping of mmap is, 0: not known. */
static __always_inline void touched_by_call(struct pymem_proc *p, struct pymem_thread *th,
					    struct pt_regs *regs, __s64 nr, __u64 result)
{
	__u64 bytes = nr == NR_MREMAP ? SYSCALL_ARG3(regs) : SYSCALL_ARG2(regs);

	if (nr == NR_MREMAP)
		result = remapped_at(th, regs);
	if (!result && nr == NR_MMAP && SYSCALL_ARG4(regs) & MAP_ANONYMOUS)
		result = aligned_at(th, bytes, 0);
	if (!result && nr == NR_MREMAP && th->vm_offset)
		result = aligned_at(th, bytes, th->vm_offset);
	if (result)
		touched_call(p, th, regs, nr, result);
	else if (!th->vm_area)
		return;
	else if (nr == NR_MREMAP) /* it is somewhere in there, and nothing else is */
		touched_range(p->mm, 0, th->vm_area, th->vm_length, PYMEM_TOUCHED_LOST);
	else
		touched_new(p->touched_dirs[0], th->vm_area, th->vm_length);
}

/* Has the call nr succeeded, which changed the size of the address space by so many pages? */
static __always_inline bool succeeded(struct pt_regs *regs, __s64 nr, __s64 pages)
{
	if (nr == NR_MUNMAP)
		return pages < 0;
	if (nr == NR_MMAP)
		return pages > 0 || (!pages && SYSCALL_ARG4(regs) & MAP_FIXED);
	if (nr == NR_MREMAP)
		return pages || SYSCALL_ARG2(regs) == SYSCALL_ARG3(regs) ||
		       SYSCALL_ARG4(regs) & (MREMAP_FIXED | MREMAP_DONTUNMAP);
	return true; /* brk: its amount says so */
}

/* mmap_lock_released(mm, write) */
SEC("raw_tp/mmap_lock_released")
int lock_released(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 mm = ctx->args[0], result = 0;
	struct pymem_thread *th;
	struct pymem_proc *p;
	struct pt_regs *regs;
	__s64 nr, pages;

	if (!mm_filter[mm_slot(mm)] && !watch_host)
		return 0;
	nr = current_call();
	if (!changes_mappings(nr))
		return 0;
	regs = (struct pt_regs *)current_regs();
	p = counted_proc(mm, tgid);
	/* It may have failed. Then user space looks in vain. */
	if (nr == NR_MMAP && ctx->args[1] && maps_library(p, regs) && current_runs_on(mm))
		tell(PYMEM_MSG_MAPPED, p ? p->id : 0, tgid, 0);
	th = p && p->identified ? thread_of(current_task()) : NULL;
	if (!th || th->proc != p->id || th->vm_call != nr + 1)
		return 0;
	pages = BPF_CORE_READ((struct mm_struct *)mm, total_vm) - th->vm_pages;
	th->vm_call = 0;
	if (!succeeded(regs, nr, pages))
		return 0;
	if (nr == NR_BRK) {
		p->brk = th->vm_brk;
		result = BPF_CORE_READ((struct mm_struct *)mm, brk);
	} else if (nr == NR_MMAP) {
		result = mapped_at(th, regs);
		if (!result)
			th->mapped = 0;
	}
	if (!watch_touched) {
		count_memory_call(p, th, regs, nr, result);
		return 0;
	}
	/* Both are kept where the verifier does not follow them: else it would follow the walk once
	 * for each call. */
	th->vm_done = nr;
	th->vm_result = result;
	count_memory_call(p, th, regs, nr, result);
	nr = *(volatile __u32 *)&th->vm_done;
	if (nr == NR_MMAP || nr == NR_MREMAP)
		touched_by_call(p, th, regs, nr, th->vm_result);
	return 0;
}

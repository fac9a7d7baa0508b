/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls that change mappings, by the lock that they take (bpf/source/source_vm_locks.bpf.c):
 * where programs can't be attached to the kernel's functions, and nobody asked for sys_exit. */
#include "kernel/event_source.h"
#include "kernel/session_private.h"

static bool syscalls_are_asked(const struct session_options *options)
{
	return options->syscalls;
}

/* True on kernels where source_vm_functions can't be loaded. */
static bool functions_do_not(const struct kernel_features *kernel)
{
	return !source_need_is_met(&source_vm_functions.needs[0], kernel);
}

static bool moves_are_asked(const struct session_options *options)
{
	return options->syscalls && options->touched && options->faults;
}

static void configure(struct session *session, bool loaded)
{
	*session->bpf.knob.watch_advice = loaded;
}

const struct event_source source_vm_locks = {
	.name = "vm_locks",
	.programs = {"lock_acquired", "area_found", "lock_released"},
	.asked = syscalls_are_asked,
	.rather = &source_syscall,
	.needs =
		{
			{
				.applies = functions_do_not,
				/* Where events have the number of a control group. Before, each
				 * built its path, which would make every page fault of the host
				 * dearer. */
				.types = {KERNEL_TRACEPOINT("mmap_lock_acquire_returned"),
					  KERNEL_TRACEPOINT("mmap_lock_released"),
					  KERNEL_TRACEPOINT("vm_unmapped_area"),
					  KERNEL_MEMBER("trace_event_raw_mmap_lock", "memcg_id")},
				.met = kernel_is_per_cpu,
				.what = "tracepoints mmap_lock:*, mmap:vm_unmapped_area",
				.remedy =
					"brk, mmap, munmap and mremap, too, are counted only with "
					"--sys-exit",
				.note = "this kernel has no cheap way to count memory system "
					"calls: "
					"they are not counted; --sys-exit counts them, and makes "
					"each system call of the host dearer",
			},
		},
	.shed = "memory system calls",
	.touches = true,
	.dropped = "advised_pages",
	.dropped_text =
		"pages were given back by madvise, whose calls this kernel has no cheap way "
		"to count; --sys-exit counts them, and makes each system call of the host "
		"dearer",
	.configure = configure,
};

/* Before an mremap takes the lock, what it moves can be looked at. */
const struct event_source source_vm_moves = {
	.name = "vm_moves",
	.programs = {"lock_wanted"},
	.asked = moves_are_asked,
	.rather = &source_syscall,
	.needs =
		{
			{
				.applies = functions_do_not,
				.types = {KERNEL_TRACEPOINT("mmap_lock_start_locking"),
					  KERNEL_MEMBER("trace_event_raw_mmap_lock", "memcg_id")},
				.met = kernel_is_per_cpu,
				.what = "tracepoint mmap_lock:mmap_lock_start_locking (for "
					"--touched)",
				.remedy = "who touched what mremap moves is known only with "
					  "--sys-exit",
				.note = "who touched what mremap has moved is not always known: "
					"this "
					"kernel has no cheap way to tell; --sys-exit tells it",
			},
		},
	.shed = "memory system calls",
	.touches = true,
};

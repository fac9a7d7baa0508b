/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls that change mappings, by the functions that carry them out
 * (bpf/source/source_vm_functions.bpf.c). The best way, and the one that is tried first. */
#include "kernel/event_source.h"

static bool syscalls_are_asked(const struct session_options *options)
{
	return options->syscalls;
}

const struct event_source source_vm_functions = {
	.name = "vm_functions",
	.programs = {"brk_ends", "mmap_ends", "munmap_ends", "mremap_ends", "madvise_ends"},
	.asked = syscalls_are_asked,
	.needs =
		{
			{
				.types = {KERNEL_SYSCALL("brk"), KERNEL_SYSCALL("mmap"),
					  KERNEL_SYSCALL("munmap"), KERNEL_SYSCALL("mremap"),
					  KERNEL_SYSCALL("madvise")},
				.met = kernel_has_function_ends,
				.what = "BPF programs at the end of functions (fexit)",
				.remedy = "calls of madvise are counted only with --sys-exit, "
					  "which makes each system call of the host dearer",
			},
		},
};

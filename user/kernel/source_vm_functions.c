/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls that change mappings, by the functions that carry them out
 * (bpf/source/source_vm_functions.bpf.c). The best way, and the one that is tried first. */
#include <bpf/bpf.h>

#include "kernel/event_source.h"
#include "kernel/session_private.h"

static bool syscalls_are_asked(const struct session_options *options)
{
	return options->syscalls;
}

static void configure(struct session *session, bool loaded)
{
	if (!session->bpf.map.call_tails)
		return;
	bpf_map__set_autocreate(session->bpf.map.call_tails, loaded);
	bpf_program__set_autoload(session->bpf.program.call_tail, loaded);
}

/* Up to 6.1 the programs of the first functions leave to another one what is to be done. */
static int prepare(struct session *session)
{
	uint32_t first = 0, program;

	if (!session->bpf.map.call_tails)
		return 0;
	program = bpf_program__fd(session->bpf.program.call_tail);
	return bpf_map_update_elem(bpf_map__fd(session->bpf.map.call_tails), &first, &program,
				   BPF_ANY);
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
	.shed = "memory system calls",
	.touches = true,
	.passed_text =
		"ends of memory system calls, of all processes, were passed over by the kernel: "
		"one of another thread was just being counted on that CPU; so many calls may be "
		"missing",
	.configure = configure,
	.prepare = prepare,
};

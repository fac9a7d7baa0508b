/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls that change mappings (bpf/source/source_syscall.bpf.c). */
#include "kernel/event_source.h"
#include "kernel/session_private.h"

static bool syscalls_are_asked(const struct session_options *options)
{
	return options->syscalls;
}

static void configure(struct session *session, bool loaded)
{
	unsigned entries = session->options.max_stacks / 4;

	/* Other programs use the map too, so it is always there. */
	(void)loaded;
	session_set_size(session, session->bpf.map.vmcalls, entries);
	*session->bpf.knob.room_vmcalls = entries;
}

const struct event_source source_syscall = {
	.name = "syscall",
	.programs = {"syscall_exit"},
	.asked = syscalls_are_asked,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("sys_exit")},
				.what = "tracepoint raw_syscalls:sys_exit",
				.remedy = "brk, mmap, munmap, mremap and madvise are not counted",
				.note = "this kernel has no sys_exit tracepoint: memory system "
					"calls are not counted",
			},
		},
	.dropped = "dropped_calls",
	.dropped_text = "memory system calls were not counted: table full; raise --max-stacks",
	.configure = configure,
};

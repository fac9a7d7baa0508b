/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls that change mappings, at the exit of all system calls
 * (bpf/source/source_syscall.bpf.c): only if that was asked for. */
#include "kernel/event_source.h"
#include "kernel/session_private.h"

static bool exits_are_asked(const struct session_options *options)
{
	return options->syscalls && options->sys_exit;
}

static void configure(struct session *session, bool loaded)
{
	unsigned entries = session->options.max_stacks / 4;

	/* Other programs use the map too, so it is always there. */
	(void)loaded;
	session_set_size(session, session->bpf.map.vmcalls, entries);
	session->bpf.variable.table_rooms[PYMEM_TABLE_VMCALLS] = entries;
}

const struct event_source source_syscall = {
	.name = "syscall",
	.programs = {"syscall_exit"},
	.asked = exits_are_asked,
	.rather = &source_vm_functions,
	.needs =
		{
			{
				.types = {KERNEL_TRACEPOINT("sys_exit")},
				.what = "tracepoint raw_syscalls:sys_exit (for --sys-exit)",
				.remedy = "--sys-exit does nothing",
				.note = "this kernel has no sys_exit tracepoint: --sys-exit does "
					"nothing",
			},
		},
	.shed = "memory system calls",
	.touches = true,
	.dropped = "dropped_calls",
	.dropped_text = "memory system calls were not counted: table full; raise --max-stacks",
	.configure = configure,
};

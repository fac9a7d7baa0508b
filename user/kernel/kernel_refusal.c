/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a kernel must have, for the first thing that it lacks to be named. Pure, so that kernels
 * that nobody has at hand can be asked about.
 */
#include "kernel/kernel.h"

#include <errno.h>

const char *kernel_refusal(const struct kernel_features *k, bool lines)
{
	if (k->btf_error == EACCES || k->btf_error == EPERM)
		return "the kernel's type information (/sys/kernel/btf/vmlinux) may not be read: "
		       "run as root";
	if (k->btf_error == EINVAL || k->btf_error == ENOTSUP)
		return "the kernel's type information (/sys/kernel/btf/vmlinux) can't be "
		       "understood: a newer pymem-bpf or another kernel is needed";
	if (k->btf_error && k->btf_error != ENOENT)
		return "the kernel's type information (/sys/kernel/btf/vmlinux) can't be read just "
		       "now: try again, and look for what memory or descriptors are short of";
	if (!k->btf)
		return "the kernel has no type information (/sys/kernel/btf/vmlinux): it needs "
		       "CONFIG_DEBUG_INFO_BTF=y, which distribution kernels from 5.10 on have";
	if (!k->rss_stat)
		return "the kernel has no kmem:rss_stat tracepoint: 5.10 or newer is needed";
	if (!k->ring_buffer || !k->task_iterator)
		return "the kernel is too old (no BPF ring buffer or task iterator): 5.10 or newer "
		       "is needed";
	if (!k->batched_counters && !k->percpu_lookup)
		return "the kernel lacks bpf_map_lookup_percpu_elem: 5.19 or newer has it";
	/* Seen only when a task's cache is emptied, about every 64 faults: no line's. */
	if (k->batched_counters && !k->faults)
		return "before 6.2, the kernel's counters must be read at each page fault, and "
		       "this one has no page fault tracepoints (arm64 has none): 6.2 or newer is "
		       "needed";
	if (lines && !k->uprobes)
		return "--lines needs uprobes with reference counts, which this kernel lacks "
		       "(CONFIG_UPROBE_EVENTS); leave --lines out";
	return NULL;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: memory system calls, at the exit of any system call, where arguments and result are
 * known.
 *
 * While it is attached, each system call of each process on the host takes the kernel's traced path
 * (docs/BENCHMARKS.md has what that costs). So it is attached only if the user asks for it, and
 * only where source_vm_functions can't be.
 */
#define OWN_SCRATCH call
#include "python/own_scratch.bpf.h"

#include "account/vmcalls.bpf.h"

SEC("raw_tp/sys_exit")
int syscall_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	__s64 result = ctx->args[1], nr;

	if (!tgid_filter[tgid_slot(tgid)] && !watch_host)
		return 0;
	nr = SYSCALL_NR(regs);
	if (nr != NR_MMAP && nr != NR_MUNMAP && nr != NR_BRK && nr != NR_MREMAP && nr != NR_MADVISE)
		return 0;
	if (!is_error(result))
		call_done(tgid, regs, nr, result);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: memory system calls, at the end of the five functions that carry them out (fexit).
 *
 * Arguments and result are those of the system call, and no other system call costs more than
 * before. A 32-bit program's calls are carried out by other functions, and are not seen.
 *
 * The arguments are taken from the thread's registers. The function has their address; but 5.10's
 * types leave open what it is for some of the functions ("type FWD is not a struct").
 */
#include "account/vmcalls.bpf.h"

/* What a program at the end of such a function is given. */
struct call_end {
	__u64 regs;
	__s64 result;
};

static __always_inline int call_ends(const struct call_end *end, __s64 nr)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct pt_regs *regs;
	__s64 result;

	if (!tgid_filter[tgid_slot(tgid)] && !watch_host)
		return 0;
	result = end->result;
	regs = (struct pt_regs *)any_regs();
	if (!is_error(result) && SYSCALL_NR(regs) == nr)
		call_done(tgid, regs, nr, result);
	return 0;
}

#define CALL_ENDS(name, nr)                         \
	SEC("fexit/" SYSCALL_FUNCTION(#name))       \
	int name##_ends(const struct call_end *end) \
	{                                           \
		return call_ends(end, nr);          \
	}

CALL_ENDS(brk, NR_BRK)
CALL_ENDS(mmap, NR_MMAP)
CALL_ENDS(munmap, NR_MUNMAP)
CALL_ENDS(mremap, NR_MREMAP)
CALL_ENDS(madvise, NR_MADVISE)

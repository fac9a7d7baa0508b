/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Source: memory system calls, at the end of the five functions that carry them out (fexit).
 *
 * Arguments and result are those of the system call, and no other system call costs more than
 * before. A 32-bit program's calls are carried out by other functions, and are not seen.
 *
 * The arguments are taken from the thread's registers. The function has their address; but 5.10's
 * types leave open what it is for some of the functions ("type FWD is not a struct").
 */
#define OWN_SCRATCH call
#include "python/own_scratch.bpf.h"

#include "account/vmcalls.bpf.h"

/* What a program at the end of such a function is given. */
struct call_end {
	__u64 regs;
	__s64 result;
};

/* Is this the end of a call that succeeded, of a process that is watched? Then `regs` are set to
 * the thread's registers. */
static __always_inline bool is_told(const struct call_end *end, __s64 nr, struct pt_regs **regs)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (!tgid_filter[tgid_slot(tgid)] && !(watch_host && nr == NR_MMAP))
		return false;
	*regs = (struct pt_regs *)any_regs();
	return !is_error(end->result) && SYSCALL_NR(*regs) == nr;
}

static __always_inline int call_ends(const struct call_end *end, __s64 nr)
{
	struct pt_regs *regs;

	if (is_told(end, nr, &regs))
		call_done(bpf_get_current_pid_tgid() >> 32, regs, nr, end->result);
	return 0;
}

#ifdef PYMEM_LEGACY
/* Up to 6.1, following what is done with a call takes the verifier long. There programs leave it to
 * one, which user space puts here. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} call_tails SEC(".maps");

/* Never attached. */
SEC("fexit/" SYSCALL_FUNCTION("brk"))
int call_tail(const struct call_end *end)
{
	struct pt_regs *regs = (struct pt_regs *)any_regs();

	call_done(bpf_get_current_pid_tgid() >> 32, regs, SYSCALL_NR(regs), end->result);
	return 0;
}

static __always_inline int call_ends_there(const struct call_end *end, __s64 nr)
{
	struct pt_regs *regs;

	if (!is_told(end, nr, &regs))
		return 0;
	bpf_tail_call((void *)end, &call_tails, 0);
	/* It does not come back, unless it could not go there. */
	__sync_fetch_and_add(&dropped_calls, 1);
	return 0;
}
#else
#define call_ends_there call_ends
#endif

#define CALL_ENDS(name, nr, ends)                   \
	SEC("fexit/" SYSCALL_FUNCTION(#name))       \
	int name##_ends(const struct call_end *end) \
	{                                           \
		return ends(end, nr);               \
	}

CALL_ENDS(brk, NR_BRK, call_ends_there)
CALL_ENDS(mmap, NR_MMAP, call_ends_there)
CALL_ENDS(munmap, NR_MUNMAP, call_ends_there)
/* Programs that share an array must be of functions of one type. The kernel may take the type of
 * these two from what stands for them where they are left out. */
CALL_ENDS(mremap, NR_MREMAP, call_ends)
CALL_ENDS(madvise, NR_MADVISE, call_ends)

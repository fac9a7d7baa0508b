/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Faults that need no walk: those of one string instruction (x86: rep stos, rep movs), which
 * faults, resumes, and faults again.
 */
#ifndef STRING_BPF_H
#define STRING_BPF_H

#include "account/account.bpf.h"

#if defined(__TARGET_ARCH_x86)
/* Bytes per iteration of the instruction at `ip` if it is rep stos or rep movs, else 0. */
static __always_inline __u32 string_unit(__u64 ip)
{
	__u8 code[3];
	__u32 wide;

	if (bpf_probe_read_user(code, sizeof(code), (const void *)ip) || code[0] != 0xf3)
		return 0;
	wide = code[1] == 0x48;
	if (wide)
		code[1] = code[2];
	if (code[1] == 0xaa || code[1] == 0xa4)
		return 1;
	if (code[1] == 0xab || code[1] == 0xa5)
		return wide ? 8 : 4;
	return 0;
}

/* Is this fault one of the string instruction that faulted last? Then no Python code has
 * run in between and the stack need not be walked.
 *
 * Why that is certain: same instruction, same stack pointer, same end of the
 * destination, further along. Had the instruction completed and another begun, every
 * page up to that end would be present by now: and were one unmapped since by this
 * thread, that event would have cleared the record. So large memset and memcpy, the
 * densest source of faults there is, cost no walk. */
static __always_inline bool string_resumed(struct pymem_thread *th)
{
	struct pymem_string *string = &th->string;
	const struct pt_regs *regs = current_regs();
	bool same;

	if (regs->ip != string->ip || regs->sp != string->sp) {
		string->ip = regs->ip;
		string->sp = regs->sp;
		string->unit = 0;
		string->end = 0;
		return false;
	}
	/* The second fault at this place: worth a look. */
	if (!string->unit && !string->end) {
		string->unit = string_unit(regs->ip);
		string->end = 1;
	}
	if (!string->unit)
		return false;
	same = regs->di + regs->cx * string->unit == string->end && regs->di > string->at;
	string->end = regs->di + regs->cx * string->unit;
	string->at = regs->di;
	return same && th->current < PYMEM_RECENT;
}
#else
static __always_inline bool string_resumed(struct pymem_thread *th)
{
	(void)th;
	return false;
}
#endif

#endif

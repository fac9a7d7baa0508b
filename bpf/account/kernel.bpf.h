/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's own memory, by stack: the map `kernel_sums`.
 *
 * Page tables: mm->pgtables_bytes is read where events of the image are seen anyway, and what it
 * has changed by since the last reading belongs to the stack of the event. So the sum over all
 * stacks and causes is what the counter changed by, whichever event a change was seen at.
 *
 * An entry counts against the quota of the table `vmcalls` (account/quota.bpf.h), as it is of the
 * same size and as rare.
 */
#ifndef KERNEL_BPF_H
#define KERNEL_BPF_H

#include "account/account.bpf.h"

/* The hash of what is in no line, because of this. */
#define LOST_HASH(cause) ((__u64)(cause) + 1)

DEFINE_MAKE(kernel_make, pymem_kernel, kernel_sums)

/* The hash of the stack that th collects for, or of the cause why it collects for none. */
static __always_inline __u64 kernel_hash(struct pymem_thread *th)
{
	struct pymem_recent *recent = recent_current(th);

	return recent ? recent->hash : LOST_HASH(th->loss);
}

/* Has p another size of page tables than at the last reading? */
static __always_inline bool tables_changed(const struct pymem_proc *p)
{
	return tables_of(p->mm) != p->tables_now;
}

/* Reads the size of p's page tables, and charges what it changed by since the last reading to the
 * stack, or the cause, with that hash. */
static __noinline int tables_charge(struct pymem_proc *p, __u64 hash)
{
	struct pymem_stack_key key = {.hash = hash};
	struct pymem_kernel *sums;
	__s64 seen, now;

	if (!p)
		return 0;
	seen = p->tables_now;
	now = tables_of(p->mm);
	/* Another CPU may have read it just then. */
	if (now == seen || !add_if(&p->tables_now, seen, now - seen))
		return 0;
	key.proc = p->id;
	sums = bpf_map_lookup_elem(&kernel_sums, &key) ?: kernel_make(p, &key);
	if (sums)
		__sync_fetch_and_add(&sums->bytes[PYMEM_KERNEL_TABLES], now - seen);
	else
		__sync_fetch_and_add(&p->kernel_unkept[PYMEM_KERNEL_TABLES], now - seen);
	return 0;
}

/* The same at an event of the current thread th of p, whose stack was just walked. */
static __always_inline void tables_now(struct pymem_proc *p, struct pymem_thread *th)
{
	if (watch_kernel && tables_changed(p))
		tables_charge(p, kernel_hash(th));
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The counters that few stacks have: the map `vmcalls`, by stack as the map `stacks`. */
#ifndef VMCALLS_BPF_H
#define VMCALLS_BPF_H

#include "account/fault.bpf.h"

/* A new entry of p. NULL: no room, or p may have no more. A function of its own, as
 * stack_make(). */
static __noinline struct pymem_vmcalls *vmcalls_make(struct pymem_proc *p,
						     const struct pymem_stack_key *key)
{
	struct pymem_vmcalls calls = {};
	int account;

	if (!p || !key)
		return NULL;
	account = quota_allows(p, PYMEM_TABLE_VMCALLS);
	if (account < 0)
		return NULL;
	calls.account = account;
	return table_insert(p, PYMEM_TABLE_VMCALLS, &vmcalls, key, &calls, account);
}

/* Walks the stack of the current thread th of p, which is in no change of RSS, but perhaps in a
 * fault. Not 0: its stack is not known. */
static __always_inline int vmcalls_walk(struct pymem_proc *p, struct pymem_thread *th)
{
	/* They belong to the stack seen before. */
	settle_major(th, current_task());
	settle_caches(p, th, current_task());
	th->string.ip = 0;
	return stack_now(p, th);
}

/* The counters of the stack just walked. NULL: no room, or p may have no more. */
static __always_inline struct pymem_vmcalls *vmcalls_now(struct pymem_proc *p,
							 struct pymem_thread *th)
{
	struct pymem_stack_key key = key_now(th);
	struct pymem_vmcalls *v;

	if (!key.hash)
		return NULL;
	v = bpf_map_lookup_elem(&vmcalls, &key);
	return v ?: vmcalls_make(p, &key);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose image is it, where what a user's images hold together has a bound?
 *
 * A process has a user number. But whoever makes a user namespace may get thousands of them there
 * (/etc/subuid), so what runs in one is its maker's; where root made it, as for a container, all
 * that runs in it is one user. Nested namespaces are the outermost one's.
 *
 * Asked once for each image, when it first takes a place without being root: a process that was
 * root and has given that up is the user's it has become. From then on it stays.
 */
#ifndef OWNER_BPF_H
#define OWNER_BPF_H

#include "base/compat.bpf.h"
#include "base/maps.bpf.h"

#define ACCOUNTS_HALF  (PYMEM_ACCOUNTS / 2)
#define MAX_NAMESPACES 33 /* within one another: what the kernel allows */

/* Puts p, which the current task runs, on the account of that task's user `uid`, not root. */
static __noinline int owner_find(struct pymem_proc *p, __u32 uid)
{
	const struct cred *cred = BPF_CORE_READ(current_task(), cred);
	struct user_namespace *ns = BPF_CORE_READ(cred, user_ns);
	__u32 i, owner;

	if (!p)
		return 0;
	for (i = 0; i < MAX_NAMESPACES && BPF_CORE_READ(ns, level) > 1; i++)
		ns = BPF_CORE_READ(ns, parent);
	owner = BPF_CORE_READ(ns, level) ? BPF_CORE_READ(ns, owner.val) : uid;
	p->user = owner ?: uid;
	if (owner)
		p->account = 1 + owner % (ACCOUNTS_HALF - 1);
	else
		p->account = ACCOUNTS_HALF + BPF_CORE_READ(ns, ns.inum) % ACCOUNTS_HALF;
	return 0;
}

static __always_inline struct pymem_account *account_of(const struct pymem_proc *p)
{
	return &accounts[p->account & (PYMEM_ACCOUNTS - 1)];
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose is an image, where what a user's images hold together has a bound?
 *
 * A process has a user number. But whoever makes a user namespace may get thousands of them there
 * (/etc/subuid), so what runs in one is its maker's; where root made it, as for a container, all
 * that runs in it is one user. Nested namespaces are the outermost one's. Outside a namespace such
 * a number is its holder's too, as the map `subids` knows: a set-user-ID file of that number leads
 * to it.
 *
 * An image is on the account of the one that it was forked from, or that ran the process before its
 * exec: so whoever is the first in such a chain that is not root pays, whatever set-user-ID files
 * lead to. What begins the chain, or has had root's only so far, is asked for: when it begins, and
 * again when it takes a place and is not root: a daemon of root's that has given that up is the
 * user's it has become. Once an image has an account, it keeps it.
 */
#ifndef OWNER_BPF_H
#define OWNER_BPF_H

#include "base/compat.bpf.h"
#include "base/maps.bpf.h"

#define ACCOUNTS_HALF  (PYMEM_ACCOUNTS / 2)
#define MAX_NAMESPACES 33 /* within one another: what the kernel allows */

/* An owner: the user's number, and the account. 0: root's, so far. */
#define OWNER(user, account) ((__u64)(user) << 32 | (account))

/* Whose number is that? */
static __always_inline __u32 user_behind(__u32 uid)
{
	struct pymem_subid_key key = {.bits = 32, .uid = __builtin_bswap32(uid)};
	const __u32 *user = bpf_map_lookup_elem(&subids, &key);

	return user ? *user : uid;
}

struct climb {
	const struct user_namespace *ns;
};

LOOP_BODY climb_step(__u32 i __attribute__((unused)), struct climb *c)
{
	const struct user_namespace *ns = c->ns; /* not of `c`, which is no kernel's struct */

	if (BPF_CORE_READ(ns, level) <= 1)
		return 1;
	c->ns = BPF_CORE_READ(ns, parent);
	return 0;
}

/* The outermost user namespace around that one, it included, but for the initial one. */
SEPARATE __u64 outermost_namespace(__u64 address)
{
	struct climb c = {(const struct user_namespace *)address};

	LOOP(MAX_NAMESPACES, climb_step, &c);
	return (__u64)c.ns;
}

/* The owner of what runs with the credentials at that address (struct cred). */
SEPARATE __u64 owner_of(__u64 address)
{
	const struct cred *cred = (const struct cred *)address;
	__u32 uid = BPF_CORE_READ(cred, uid.val), user = uid;
	const struct user_namespace *ns;

	if (!uid)
		return 0;
	ns = (const struct user_namespace *)outermost_namespace(
		(__u64)BPF_CORE_READ(cred, user_ns));
	if (BPF_CORE_READ(ns, level))
		user = BPF_CORE_READ(ns, owner.val);
	if (!user)
		return OWNER(uid, ACCOUNTS_HALF + BPF_CORE_READ(ns, ns.inum) % ACCOUNTS_HALF);
	user = user_behind(user);
	return OWNER(user, 1 + user % (ACCOUNTS_HALF - 1));
}

static __always_inline __u64 proc_owner(const struct pymem_proc *p)
{
	return OWNER(p->user, p->account);
}

static __always_inline __u64 credentials_of(struct task_struct *task)
{
	return (__u64)BPF_CORE_READ(task, cred);
}

/* p is of that owner, if it is one, else of the one with the credentials at `cred`. */
static __always_inline void proc_own(struct pymem_proc *p, __u64 owner, __u64 cred)
{
	if (!owner)
		owner = owner_of(cred);
	p->user = owner >> 32;
	p->account = owner;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* To which user an image belongs. What all images of one user hold together has a bound
 * (quota.bpf.h).
 *
 * The user number of a process is not enough. A user who makes a user namespace may get thousands
 * of numbers there (/etc/subuid), so what runs in a namespace belongs to its maker. If root made
 * it, as for a container, all that runs in it is one user. Nested namespaces belong to the
 * outermost one. Outside of a namespace such a number belongs to its holder too, whom the map
 * `subids` knows: a process can get there by a set-user-ID file of that number.
 *
 * An image inherits its account from the image that it was forked from, or that the process ran
 * before its exec. So the first user in such a chain who is not root pays, whatever set-user-ID
 * files lead to. An image has no account to inherit if it begins a chain, or if the chain was
 * root's so far. Then its credentials are looked at: when it begins, and again when it takes a
 * place and is not root. So a daemon that gives up being root belongs to the user that it becomes.
 * An image that has an account keeps it.
 */
#ifndef OWNER_BPF_H
#define OWNER_BPF_H

#include "base/compat.bpf.h"
#include "base/maps.bpf.h"

#define ACCOUNTS_HALF  (PYMEM_ACCOUNTS / 2)
#define MAX_NAMESPACES 33 /* within one another: what the kernel allows */

/* An owner: the user's number, and the account. 0: root's, so far. */
#define OWNER(user, account) ((__u64)(user) << 32 | (account))

/* The user to whom the number `uid` belongs. */
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
	const struct user_namespace *ns = c->ns; /* a local: `c` is no kernel struct */

	if (BPF_CORE_READ(ns, level) <= 1)
		return 1;
	c->ns = BPF_CORE_READ(ns, parent);
	return 0;
}

/* The outermost user namespace around the one at that address, which may be that one itself. The
 * initial one does not count. */
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

/* p gets `owner`, or if that is 0, the owner of the credentials at `cred`. */
static __always_inline void proc_own(struct pymem_proc *p, __u64 owner, __u64 cred)
{
	if (!owner)
		owner = owner_of(cred);
	p->user = owner >> 32;
	p->account = owner;
}

#endif

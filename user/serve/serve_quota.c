/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: all users share the tables of processes, and one user can fork faster than any server
 * can look. So the BPF side counts at each fork. A process counts against an account: that of the
 * user for whom it, or its ancestor, is watched. This file decides which user has which account.
 *
 * Root has no account. It has what the share of all users leaves.
 *
 * Left out: a process that is part of root's sum as well. It counts against the user for whom it
 * was watched first, until it ends.
 */
#include "serve/serve_quota.h"

#include <errno.h>

int serve_quota_payer(struct serve_quota *quota, uid_t account)
{
	int i, free = 0;

	if (!account)
		return 0;
	for (i = 1; i < PYMEM_PAYERS; i++) {
		if (quota->users[i].account == account)
			return i;
		if (!free && (!quota->users[i].account || !quota->payers[i].images))
			free = i;
	}
	if (!free)
		return -ENOSPC;
	quota->users[free] =
		(struct serve_payer){.account = account, .refused = quota->payers[free].refused};
	return free;
}

bool serve_quota_is_full(const struct serve_quota *quota, int payer)
{
	return quota->payers[payer].images >= quota->user_images;
}

void serve_quota_tell(struct serve_quota *quota, uint64_t now_ns,
		      void (*say)(uid_t account, unsigned refused, void *arg), void *arg)
{
	struct serve_payer *user;
	uint32_t refused;
	int i;

	for (i = 1; i < PYMEM_PAYERS; i++) {
		user = &quota->users[i];
		if (!user->account)
			continue;
		refused = quota->payers[i].refused;
		user->untold += refused - user->refused;
		user->refused = refused;
		if (!user->untold || now_ns < user->quiet_ns)
			continue;
		say(user->account, user->untold, arg);
		user->untold = 0;
		user->quiet_ns = now_ns + SERVE_QUOTA_QUIET_NS;
	}
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many processes of each user are in the tables of the BPF side. Pure: the caller passes the
 * counts. */
#ifndef SERVE_QUOTA_H
#define SERVE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pymem.h"

/* Process images at the same time: in all, of all users but root, and of each user unless
 * --max-processes says otherwise. */
#define SERVE_ALL_IMAGES   8192
#define SERVE_USERS_IMAGES (SERVE_ALL_IMAGES - 1024)
#define SERVE_USER_IMAGES  2048

/* How long nothing more is printed about a user who reaches the quota again and again. */
#define SERVE_QUOTA_QUIET_NS 60000000000ULL

struct serve_quota {
	const volatile struct pymem_payer
		*payers;      /* PYMEM_PAYERS of them, counted by the BPF side */
	unsigned user_images; /* for each user */
	struct serve_payer {
		uid_t account;	   /* 0: not given to anybody yet */
		uint32_t refused;  /* at the last look */
		uint32_t untold;   /* refused since the last message */
		uint64_t quiet_ns; /* no message before this time */
	} users[PYMEM_PAYERS];
};

/* The payer for `account`. 0: root, who has no limit of its own. Otherwise the place of the
 * account, which it keeps while it has images. -ENOSPC: all places are taken. */
int serve_quota_payer(struct serve_quota *quota, uid_t account);

/* True if this payer's own share is used up. If false, that of all users together is. */
bool serve_quota_is_full(const struct serve_quota *quota, int payer);

/* Calls say(account, number, arg) for each user whose images were refused since the last call, at
 * most once in SERVE_QUOTA_QUIET_NS for each user. */
void serve_quota_tell(struct serve_quota *quota, uint64_t now_ns,
		      void (*say)(uid_t account, unsigned refused, void *arg), void *arg);

#endif

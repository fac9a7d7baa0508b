/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose processes fill the kernel side's tables. Pure: the counts are the caller's. */
#ifndef SERVE_QUOTA_H
#define SERVE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pymem.h"

/* Process images at one time: in all, of all users but root, and, unless --max-processes says
 * otherwise, of each user. */
#define SERVE_ALL_IMAGES   8192
#define SERVE_USERS_IMAGES (SERVE_ALL_IMAGES - 1024)
#define SERVE_USER_IMAGES  2048

/* How long nothing more is said of a user who meets the quota again and again. */
#define SERVE_QUOTA_QUIET_NS 60000000000ULL

struct serve_quota {
	const volatile struct pymem_payer *payers; /* PYMEM_PAYERS, as the kernel side counts */
	unsigned user_images;			   /* of each user */
	struct serve_payer {
		uid_t account;	   /* 0: not given out yet */
		uint32_t refused;  /* when last looked at */
		uint32_t untold;   /* refused since something was said */
		uint64_t quiet_ns; /* nothing is said before */
	} users[PYMEM_PAYERS];
};

/* The payer for `account`: 0 for root, whose share is what there is; else its place, which stays
 * its own while it has images. -ENOSPC: all places are taken. */
int serve_quota_payer(struct serve_quota *quota, uid_t account);

/* Is it this payer's own share that is used up? If not, then that of all users. */
bool serve_quota_is_full(const struct serve_quota *quota, int payer);

/* For each user of whom images were refused since the last call, at most once in
 * SERVE_QUOTA_QUIET_NS: say(account, how many, arg). */
void serve_quota_tell(struct serve_quota *quota, uint64_t now_ns,
		      void (*say)(uid_t account, unsigned refused, void *arg), void *arg);

#endif

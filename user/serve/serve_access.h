/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who may watch which process. Pure: works on what /proc and the socket said. */
#ifndef SERVE_ACCESS_H
#define SERVE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Real, effective, saved and file system IDs, in this order. */
struct serve_creds {
	uid_t uids[4];
	gid_t gids[4];
	uint64_t permitted; /* capabilities */
	pid_t tgid;
	uid_t owner;	 /* of /proc/PID/status: not the process's own if it is not dumpable */
	uint64_t userns; /* inode of its user namespace; 0: not known */
};

/* Who connected: as the kernel noted at connect(2), and the capabilities it had when the
 * connection was accepted, in its user namespace of then. */
struct serve_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	uint64_t permitted;
	uint64_t userns; /* 0: not known */
	uid_t account;	 /* whose share of the server it uses: its own, or that of the user who
			  * made its user namespace, who has many IDs in there */
};

/* Fills `creds`, but for `owner` and `userns`, from the text of /proc/PID/status, which need not
 * end in a NUL. 0, or -EBADMSG. */
int serve_creds_parse(const char *text, size_t len, struct serve_creds *creds);

/* NULL if `peer` may watch the process, or why not: a clause to follow the process's name. */
const char *serve_access_refusal(const struct serve_peer *peer, const struct serve_creds *creds);

#endif

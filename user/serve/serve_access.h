/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Decides which user may watch which process. Pure: works on what /proc and the socket said. */
#ifndef SERVE_ACCESS_H
#define SERVE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Real, effective, saved and file system ID, in this order. */
struct serve_creds {
	uid_t uids[4];
	gid_t gids[4];
	uint64_t permitted; /* capabilities */
	pid_t tgid;
	uid_t owner; /* of /proc/PID/status; not the user of the process if it is not dumpable */
	uint64_t userns; /* inode of its user namespace; 0: unknown */
};

/* The user at the other end of a connection: as the kernel noted at connect(2), with the
 * capabilities and the user namespace from when the connection was accepted. */
struct serve_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	uint64_t permitted;
	uint64_t userns; /* 0: unknown */
	/* Whose share of the server it uses: the user's own, or that of the user who made its user
	 * namespace, since one user may have many IDs in there. */
	uid_t account;
};

/* Fills `creds`, except `owner` and `userns`, from the text of /proc/PID/status, which need not end
 * with a NUL. 0 or -EBADMSG. */
int serve_creds_parse(const char *text, size_t len, struct serve_creds *creds);

/* NULL if `peer` may watch the process. Else why not: a clause to be printed behind the name of the
 * process. */
const char *serve_access_refusal(const struct serve_peer *peer, const struct serve_creds *creds);

#endif

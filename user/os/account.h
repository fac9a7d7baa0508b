/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Accounts: the user who is charged for what a process takes from this program. */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include <stdint.h>
#include <sys/types.h>

/* The account of user `uid` in process `pid`. That is `uid`, or the user who made the process's
 * user namespace, since one user may have many IDs in there. Also `uid` if the namespace can't be
 * read. */
uid_t account_of(pid_t pid, uid_t uid);

/* The inode number of the user namespace of process `pid`; 0: unknown. */
uint64_t account_namespace_of(pid_t pid);

#endif

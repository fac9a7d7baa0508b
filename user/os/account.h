/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who answers for what a process takes of us. */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include <stdint.h>
#include <sys/types.h>

/* The account of user `uid` in process `pid`: `uid`, or the user who made the user namespace it is
 * in, who has many IDs in there. `uid` too where the namespace can't be read. */
uid_t account_of(pid_t pid, uid_t uid);

/* The inode number of the user namespace of process `pid`; 0: not known. */
uint64_t account_namespace_of(pid_t pid);

#endif

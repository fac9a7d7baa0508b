/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files that read /proc/PID share. */
#ifndef PROC_PRIVATE_H
#define PROC_PRIVATE_H

#include <errno.h>

#define PROC_PATH_MAX 128 /* bytes of a path below /proc/PID */

/* -errno of a failed call on a file of /proc/PID. A process that ends meanwhile gives ENOENT or
 * ESRCH: both are -ESRCH here. */
static inline int proc_gone_or(int err)
{
	return err == ENOENT || err == ESRCH ? -ESRCH : -err;
}

/* The path of the group that a process is said to be in, of the text of /proc/PID/cgroup, which is
 * changed: one that names a container (cgroup_parse()), of the first hierarchy that has one; else
 * that in cgroup2; else that of the memory controller of v1; else the first one; "": none. It
 * belongs to the text. */
const char *proc_choose_cgroup(char *text);

#endif

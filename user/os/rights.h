/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rights with which a process opens files, and opening files with them. A target chooses the
 * names of source files; what it can't read itself must not be shown. */
#ifndef RIGHTS_H
#define RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Groups of a process beyond these are ignored: that means fewer rights, never more. */
#define RIGHTS_GROUPS_MAX 1024

/* Plain data that is compared byte by byte. So padding is a member. */
struct rights {
	uint32_t uid, gid; /* file system IDs, as numbered in our user namespace */
	uint32_t any;	   /* has CAP_DAC_READ_SEARCH or CAP_DAC_OVERRIDE in our user namespace */
	uint32_t group_count;
	uint32_t groups[RIGHTS_GROUPS_MAX];
};

/* The number of bytes that are in use. */
size_t rights_size(const struct rights *rights);

/* Fills `rights` from the text of /proc/PID/status. `any` follows CapEff, whatever user namespace
 * that refers to. 0 or -EBADMSG. */
int rights_parse(const char *text, size_t len, struct rights *rights);

/* The rights of process `pid`. 0, -ESRCH or -errno. */
int rights_of(pid_t pid, struct rights *rights);

/* From now on, files are opened with these rights only, until rights_give_back(). 0, or -EPERM:
 * this process may not take them on; it keeps its own. rights_give_back() ends the process
 * (abort()) if its own rights can't be restored. */
int rights_take(const struct rights *rights);
void rights_give_back(void);

#endif

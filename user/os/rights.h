/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* With what rights a process opens files, and how to open files with them: the names of source
 * files are a target's to choose, and what it can't read itself must not be shown for it. */
#ifndef RIGHTS_H
#define RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Of a process in more groups the rest is left out: fewer rights, never more. */
#define RIGHTS_GROUPS_MAX 1024

/* Plain data; compared byte by byte, so padding is a field. */
struct rights {
	uint32_t uid, gid; /* file system IDs, as this process's user namespace has them */
	uint32_t any;	   /* CAP_DAC_READ_SEARCH or CAP_DAC_OVERRIDE, in this user namespace */
	uint32_t group_count;
	uint32_t groups[RIGHTS_GROUPS_MAX];
};

/* The bytes of it that count. */
size_t rights_size(const struct rights *rights);

/* From the text of /proc/PID/status. 0, or -EBADMSG. `any` is what CapEff says, whichever user
 * namespace that is about. */
int rights_parse(const char *text, size_t len, struct rights *rights);

/* Those of process `pid`. 0, -ESRCH, -errno. */
int rights_of(pid_t pid, struct rights *rights);

/* From now on files are opened with these rights and no others; rights_give_back() ends that.
 * 0, or -EPERM: this process may not take them on (and has its own). */
int rights_take(const struct rights *rights);
void rights_give_back(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "os/account.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define INITIAL_USER_NAMESPACE 0xeffffffdU /* PROC_USER_INIT_INO in include/linux/proc_ns.h */
#define NAMESPACES_MAX	       33	   /* nested in one another, the initial one included */

static int user_namespace_open(pid_t pid, struct stat *st)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, st)) {
		close(fd);
		return -1;
	}
	return fd;
}

uint64_t account_namespace_of(pid_t pid)
{
	struct stat st;
	int fd = user_namespace_open(pid, &st);

	if (fd < 0)
		return 0;
	close(fd);
	return st.st_ino;
}

/* In a container that root has set up, each user has an account of its own. */
uid_t account_of(pid_t pid, uid_t uid)
{
	struct stat st;
	int fd = user_namespace_open(pid, &st), parent, i;
	uid_t owner = 0;

	for (i = 0; fd >= 0 && i < NAMESPACES_MAX && st.st_ino != INITIAL_USER_NAMESPACE; i++) {
		if (ioctl(fd, NS_GET_OWNER_UID, &owner))
			owner = 0;
		parent = ioctl(fd, NS_GET_PARENT);
		close(fd);
		fd = parent;
		if (fd >= 0 && fstat(fd, &st))
			break;
	}
	if (fd >= 0)
		close(fd);
	return owner ?: uid;
}

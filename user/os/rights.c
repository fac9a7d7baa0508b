/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: open a file exactly if another process could. The kernel decides, with access lists,
 * ID-mapped mounts and all.
 *
 * To check access to a file, the kernel uses the file system IDs, the groups and the effective
 * capabilities of the thread. All three are set to those of the target. What another user namespace
 * grants counts for nothing here. A process without CAP_SETUID or CAP_SETGID can't change some of
 * these: it can only take on rights that are equal to its own in that part. Left out: what security
 * modules add. */
#include "os/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/proc.h"

#define STATUS_MAX (64 * 1024)

size_t rights_size(const struct rights *rights)
{
	return offsetof(struct rights, groups) + rights->group_count * sizeof(rights->groups[0]);
}

static int take_groups(const char *text, struct rights *rights)
{
	char *end;

	for (;; text = end) {
		unsigned long group = strtoul(text, &end, 10);

		if (end == text)
			return *(text + strspn(text, " \t")) ? -EBADMSG : 0;
		if (group > UINT32_MAX)
			return -EBADMSG;
		if (rights->group_count < RIGHTS_GROUPS_MAX)
			rights->groups[rights->group_count++] = (uint32_t)group;
	}
}

enum { SEEN_UID = 1, SEEN_GID = 2, SEEN_GROUPS = 4, SEEN_CAPS = 8, SEEN_ALL = 15 };

/* Handles one line of /proc/PID/status. Returns which line it was, 0 if it does not matter, or
 * -EBADMSG. */
static int take_line(const char *line, struct rights *rights)
{
	uint64_t caps;

	if (sscanf(line, "Uid:%*u%*u%*u%" SCNu32, &rights->uid) == 1)
		return SEEN_UID;
	if (sscanf(line, "Gid:%*u%*u%*u%" SCNu32, &rights->gid) == 1)
		return SEEN_GID;
	if (sscanf(line, "CapEff:%" SCNx64, &caps) == 1) {
		rights->any = caps >> CAP_DAC_READ_SEARCH & 1 || caps >> CAP_DAC_OVERRIDE & 1;
		return SEEN_CAPS;
	}
	if (strncmp(line, "Groups:", 7) != 0)
		return 0;
	return take_groups(line + 7, rights) ?: SEEN_GROUPS;
}

int rights_parse(const char *text, size_t len, struct rights *rights)
{
	char *copy = strndup(text, len), *save = NULL, *line;
	int seen = 0, one = 0;

	memset(rights, 0, sizeof(*rights));
	if (!copy)
		return -ENOMEM;
	/* The name comes first, and its newlines are escaped. So no line can be forged. */
	for (line = strtok_r(copy, "\n", &save); line && one >= 0;
	     line = strtok_r(NULL, "\n", &save)) {
		one = take_line(line, rights);
		seen |= one;
	}
	free(copy);
	return one >= 0 && seen == SEEN_ALL ? 0 : -EBADMSG;
}

/* True if the process is in our user namespace; false also if that can't be found out. */
static bool same_user_namespace(pid_t pid)
{
	struct stat ours, theirs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (stat("/proc/self/ns/user", &ours) != 0)
		return errno == ENOENT; /* a kernel without user namespaces */
	return stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

int rights_of(pid_t pid, struct rights *rights)
{
	char *text = malloc(STATUS_MAX);
	ssize_t len;
	int err;

	if (!text)
		return -ENOMEM;
	len = proc_file_read(pid, "status", text, STATUS_MAX);
	err = len < 0 ? (int)len : rights_parse(text, (size_t)len, rights);
	free(text);
	if (!err && rights->any && !same_user_namespace(pid))
		rights->any = 0;
	return err;
}

/* --- taking them on --- */

static int get_caps(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, caps) ? -errno : 0;
}

/* Sets the effective capabilities: `all` that are permitted; or only those that rights_give_back()
 * needs, and with `any` the one to read all files. 0 or -errno. */
static int set_effective(bool all, bool any)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];
	uint32_t keep = 1u << CAP_SETUID | 1u << CAP_SETGID;
	int err = get_caps(caps);

	if (err)
		return err;
	if (any)
		keep |= 1u << CAP_DAC_READ_SEARCH;
	caps[0].effective = all ? caps[0].permitted : caps[0].permitted & keep;
	caps[1].effective = all ? caps[1].permitted : 0;
	return syscall(SYS_capset, &header, caps) ? -errno : 0;
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static bool same_groups(const gid_t *have, size_t count, const struct rights *rights)
{
	gid_t *one = calloc(2 * count + 1, sizeof(*one)), *other = one + count;
	bool same;

	if (!one || count != rights->group_count) {
		free(one);
		return false;
	}
	memcpy(one, have, count * sizeof(*one));
	memcpy(other, rights->groups, count * sizeof(*one));
	qsort(one, count, sizeof(*one), compare_ids);
	qsort(other, count, sizeof(*one), compare_ids);
	same = !memcmp(one, other, count * sizeof(*one));
	free(one);
	return same;
}

static struct {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	bool groups_changed;
} own;

static int remember_own(void)
{
	int count = getgroups(0, NULL);

	own.uid = (uid_t)setfsuid((uid_t)-1);
	own.gid = (gid_t)setfsgid((gid_t)-1);
	own.groups_changed = false;
	if (count < 0)
		return -errno;
	own.groups = calloc((size_t)count + 1, sizeof(gid_t));
	if (!own.groups)
		return -ENOMEM;
	own.group_count = (size_t)count;
	return getgroups(count, own.groups) < 0 ? -errno : 0;
}

static int change(const struct rights *rights)
{
	int err;

	if (!same_groups(own.groups, own.group_count, rights)) {
		if (setgroups(rights->group_count, rights->groups))
			return -EPERM;
		own.groups_changed = true;
	}
	setfsgid(rights->gid);
	setfsuid(rights->uid);
	/* These calls return the ID from before, and no error. */
	if ((gid_t)setfsgid((gid_t)-1) != rights->gid || (uid_t)setfsuid((uid_t)-1) != rights->uid)
		return -EPERM;
	/* After the IDs, since changing to or from 0 changes capabilities too. */
	err = set_effective(false, rights->any);
	return err ? -EPERM : 0;
}

int rights_take(const struct rights *rights)
{
	int err = remember_own();

	if (!err)
		err = change(rights);
	if (err)
		rights_give_back();
	return err;
}

void rights_give_back(void)
{
	set_effective(true, true);
	setfsuid(own.uid);
	setfsgid(own.gid);
	/* If this fails, we would go on as another user. */
	if ((own.groups_changed && setgroups(own.group_count, own.groups)) ||
	    (uid_t)setfsuid((uid_t)-1) != own.uid || (gid_t)setfsgid((gid_t)-1) != own.gid)
		abort();
	set_effective(true, true);
	free(own.groups);
	own.groups = NULL;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: read /proc about processes that may end, exec or be replaced at any moment, and that
 * choose their own names and arguments.
 *
 * Invariants: what is read of one process at one time is read through one descriptor of /proc/PID,
 * which never becomes that of another process. Left out: mappings (proc_maps.c), and the files of
 * single threads. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "os/cgroup_memory.h"
#include "os/cgroup_parse.h"
#include "os/proc.h"
#include "os/proc_private.h"

#define STAT_MAX	   4096
#define STATUS_MAX	   8192
#define CGROUP_MAX	   (64 * 1024)
#define KERNEL_THREAD_FLAG 0x00200000 /* PF_KTHREAD in include/linux/sched.h */

static int open_proc(pid_t pid)
{
	char path[PROC_PATH_MAX];
	int fd;

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? proc_gone_or(errno) : fd;
}

/* Reads at most `max` bytes of a file of /proc. Returns the length or -errno. */
static ssize_t read_file(int dir, const char *name, char *buf, size_t max)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t n = 0;

	if (fd < 0)
		return proc_gone_or(errno);
	while (done < max) {
		n = read(fd, buf + done, max - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (n < 0)
		n = proc_gone_or(errno);
	close(fd);
	return n < 0 ? n : (ssize_t)done;
}

int proc_stat_parse(const char *text, size_t len, struct proc_info *info)
{
	/* The name may contain spaces, newlines and parentheses: it ends at the last
	 * parenthesis. */
	const char *open = memchr(text, '(', len);
	const char *close = memrchr(text, ')', len);
	char rest[512], first[16] = "";
	size_t comm_len, rest_len;
	uint64_t flags;
	int pid, ppid;

	if (!open || !close || close < open || (size_t)(open - text) >= sizeof(first))
		return -EBADMSG;
	memcpy(first, text, (size_t)(open - text));
	if (sscanf(first, "%d", &pid) != 1)
		return -EBADMSG;
	comm_len = (size_t)(close - open - 1);
	if (comm_len >= sizeof(info->comm))
		comm_len = sizeof(info->comm) - 1;
	memcpy(info->comm, open + 1, comm_len);
	info->comm[comm_len] = '\0';
	rest_len = len - (size_t)(close + 1 - text);
	if (rest_len >= sizeof(rest))
		rest_len = sizeof(rest) - 1;
	memcpy(rest, close + 1, rest_len);
	rest[rest_len] = '\0';
	/* Fields: state ppid pgrp session tty tpgid flags, 4 fault counts, 4 times, priority nice
	 * threads itrealvalue starttime. See proc_pid_stat(5). */
	if (sscanf(rest,
		   " %c %d %*s %*s %*s %*s %" SCNu64
		   " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
		   &info->state, &ppid, &flags, &info->start_ticks) != 4)
		return -EBADMSG;
	info->pid = pid;
	info->ppid = ppid;
	info->kernel_thread = flags & KERNEL_THREAD_FLAG;
	return 0;
}

static int read_stat(int dir, struct proc_info *info)
{
	char text[STAT_MAX + 1];
	ssize_t len = read_file(dir, "stat", text, STAT_MAX);

	if (len < 0)
		return (int)len;
	if (len == 0)
		return -ESRCH;
	text[len] = '\0';
	return proc_stat_parse(text, (size_t)len, info);
}

/* "NSpid:", and the PID in each namespace, from that of this /proc to the process's own. */
pid_t proc_ns_pid_parse(const char *text, pid_t pid)
{
	static const char key[] = "\nNSpid:";
	const char *at = strstr(text, key);
	long long last = 0, number;
	int length;

	if (!at)
		return 0;
	at += sizeof(key) - 1;
	/* A line that is cut off may end within a number. */
	if (!strchr(at, '\n'))
		return 0;
	while (sscanf(at, "%*[ \t]%lld%n", &number, &length) == 1) {
		last = number;
		at += length;
	}
	return *at == '\n' && last > 0 && last <= INT_MAX && last != pid ? (pid_t)last : 0;
}

static pid_t read_ns_pid(int dir, pid_t pid)
{
	char text[STATUS_MAX + 1];
	ssize_t len = read_file(dir, "status", text, STATUS_MAX);

	text[len < 0 ? 0 : len] = '\0';
	return proc_ns_pid_parse(text, pid);
}

pid_t proc_ns_pid(pid_t pid)
{
	int dir = open_proc(pid);
	pid_t ns_pid;

	if (dir < 0)
		return 0;
	ns_pid = read_ns_pid(dir, pid);
	close(dir);
	return ns_pid;
}

static int read_cmdline(int dir, struct proc_info *info)
{
	char *text = malloc(PROC_CMDLINE_MAX + 1);
	size_t at = 0;
	ssize_t len;
	int err = 0;

	if (!text)
		return -ENOMEM;
	len = read_file(dir, "cmdline", text, PROC_CMDLINE_MAX);
	if (len < 0) {
		free(text);
		return (int)len;
	}
	text[len] = '\0';
	info->argv = calloc(PROC_ARGS_MAX + 1, sizeof(char *));
	if (!info->argv)
		err = -ENOMEM;
	while (!err && at < (size_t)len && info->argc < PROC_ARGS_MAX) {
		char *arg = strdup(text + at);

		if (!arg) {
			err = -ENOMEM;
			break;
		}
		info->argv[info->argc++] = arg;
		at += strlen(arg) + 1;
	}
	free(text);
	return err;
}

/* Lines are "hierarchy:controllers:path"; cgroup2 is hierarchy 0. Where it is mounted beside v1,
 * container runtimes may move a process in the hierarchies of v1 only: then its group in cgroup2 is
 * the runtime's. */
const char *proc_choose_cgroup(char *text)
{
	const char *unified = NULL, *memory = NULL, *first = NULL, *container = NULL;
	char *line, *save = NULL;
	struct cgroup_parsed parsed;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(++controllers, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		first = first ?: path;
		if (!strncmp(line, "0:", 2))
			unified = path;
		else if (cgroup_lists_memory(controllers))
			memory = path;
		cgroup_parse(path, &parsed);
		if (parsed.container && (!container || path == unified || path == memory))
			container = path;
	}
	return container ?: unified ?: memory ?: first ?: "";
}

static int read_cgroup(int dir, struct proc_info *info)
{
	char *text = malloc(CGROUP_MAX + 1);
	ssize_t len;

	if (!text)
		return -ENOMEM;
	len = read_file(dir, "cgroup", text, CGROUP_MAX);
	/* A kernel without cgroups does not have this file. The process was seen alive before. */
	if (len < 0 && len != -ESRCH) {
		free(text);
		return (int)len;
	}
	text[len < 0 ? 0 : len] = '\0';
	info->cgroup = strdup(proc_choose_cgroup(text));
	free(text);
	return info->cgroup ? 0 : -ENOMEM;
}

int proc_info_read(pid_t pid, struct proc_info *info)
{
	int dir = open_proc(pid), err;

	memset(info, 0, sizeof(*info));
	if (dir < 0)
		return dir;
	err = read_stat(dir, info);
	if (!err)
		err = read_cmdline(dir, info);
	if (!err)
		err = read_cgroup(dir, info);
	if (!err)
		info->ns_pid = read_ns_pid(dir, pid);
	close(dir);
	if (err)
		proc_info_fini(info);
	return err;
}

void proc_info_fini(struct proc_info *info)
{
	for (int i = 0; i < info->argc; i++)
		free(info->argv[i]);
	free(info->argv);
	free(info->cgroup);
	memset(info, 0, sizeof(*info));
}

int proc_stat_read(pid_t pid, struct proc_info *info)
{
	int dir = open_proc(pid), err;

	memset(info, 0, sizeof(*info));
	if (dir < 0)
		return dir;
	err = read_stat(dir, info);
	close(dir);
	return err;
}

ssize_t proc_file_read(pid_t pid, const char *name, char *buf, size_t max)
{
	int dir = open_proc(pid);
	ssize_t len;

	if (dir < 0)
		return dir;
	len = read_file(dir, name, buf, max);
	close(dir);
	return len;
}

uint64_t proc_start_ticks(pid_t pid)
{
	struct proc_info info;

	return proc_stat_read(pid, &info) ? 0 : info.start_ticks;
}

double proc_start_wall(pid_t pid)
{
	uint64_t ticks = proc_start_ticks(pid);
	struct timespec wall, boot;

	/* btime in /proc/stat would not do: it has whole seconds. */
	if (ticks == 0 || clock_gettime(CLOCK_REALTIME, &wall) != 0 ||
	    clock_gettime(CLOCK_BOOTTIME, &boot) != 0)
		return 0;
	return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static bool rollup_field(const char *text, const char *name, int64_t *bytes)
{
	const char *at = strstr(text, name);
	int64_t kib;

	if (!at || sscanf(at + strlen(name), "%" SCNd64 " kB", &kib) != 1 || kib < 0 ||
	    kib > INT64_MAX / 1024)
		return false;
	*bytes = kib * 1024;
	return true;
}

int proc_rollup_parse(const char *text, struct proc_rollup *rollup)
{
	if (!*text)
		return -ESRCH;
	return rollup_field(text, "\nRss:", &rollup->rss_bytes) &&
			       rollup_field(text, "\nPss:", &rollup->pss_bytes) &&
			       rollup_field(text, "\nSwapPss:", &rollup->swap_pss_bytes)
		       ? 0
		       : -EBADMSG;
}

int64_t proc_rss_bytes(pid_t pid)
{
	struct proc_rollup rollup;
	char text[4096 + 1];
	int dir = open_proc(pid), err;
	ssize_t len;

	if (dir < 0)
		return dir;
	len = read_file(dir, "smaps_rollup", text, sizeof(text) - 1);
	close(dir);
	if (len < 0)
		return len;
	text[len] = '\0';
	err = proc_rollup_parse(text, &rollup);
	return err ?: rollup.rss_bytes;
}

/* Works where the kernel lacks process_vm_readv(), or seccomp forbids it. */
static ssize_t read_proc_mem(pid_t pid, uint64_t addr, void *buf, size_t len)
{
	char path[PROC_PATH_MAX];
	ssize_t n;
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return proc_gone_or(errno);
	n = pread(fd, buf, len, (off_t)addr);
	err = errno;
	close(fd);
	if (n < 0)
		return err == EIO ? -EFAULT : -err;
	return n == 0 && len > 0 ? -ESRCH : n; /* 0: the memory is gone */
}

static proc_read_memory_fn *memory_reader;

void proc_set_memory_reader(proc_read_memory_fn *reader)
{
	memory_reader = reader;
}

ssize_t proc_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = {buf, len};
	struct iovec remote = {(void *)(uintptr_t)addr, len};
	ssize_t n;

	if (pid <= 0)
		return -ESRCH;
	if (addr > INT64_MAX || len > INT64_MAX - addr)
		return -EFAULT; /* not a user address; as an offset it would be negative */
	if (memory_reader)
		return memory_reader(pid, addr, buf, len);
	n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	if (n >= 0)
		return n;
	if (errno == ENOSYS || errno == EPERM)
		return read_proc_mem(pid, addr, buf, len);
	return -errno;
}

int proc_each(int (*fn)(pid_t pid, void *arg), void *arg)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err) {
		char *end;
		long pid;

		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			err = -errno;
			break;
		}
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		pid = strtol(entry->d_name, &end, 10);
		if (*end == '\0' && pid > 0 && pid <= INT_MAX)
			err = fn((pid_t)pid, arg);
	}
	closedir(dir);
	return err;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: read /proc about processes that may end, exec or be replaced at any moment, and that
 * choose their own names, arguments and mapped files.
 *
 * Invariants: what is read of one process at one time is read through one descriptor of /proc/PID,
 * which never becomes that of another process. A mapping's file is opened with O_PATH first, and
 * opened for reading only if it is a regular file, since opening a device can have effects. Left
 * out: the maps of single threads. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/budget.h"
#include "os/proc.h"

#define STAT_MAX	   4096
#define CGROUP_MAX	   (64 * 1024)
#define KERNEL_THREAD_FLAG 0x00200000 /* PF_KTHREAD in include/linux/sched.h */
#define PROC_PATH_MAX	   128

/* A process that ends meanwhile gives either error. */
static int gone_or(int err)
{
	return err == ENOENT || err == ESRCH ? -ESRCH : -err;
}

static int open_proc(pid_t pid)
{
	char path[PROC_PATH_MAX];
	int fd;

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? gone_or(errno) : fd;
}

/* Reads at most `max` bytes of a file of /proc. Returns the length or -errno. */
static ssize_t read_file(int dir, const char *name, char *buf, size_t max)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t n = 0;

	if (fd < 0)
		return gone_or(errno);
	while (done < max) {
		n = read(fd, buf + done, max - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (n < 0)
		n = gone_or(errno);
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

/* Lines are "hierarchy:controllers:path"; cgroup2 is hierarchy 0. */
static int read_cgroup(int dir, struct proc_info *info)
{
	char *text = malloc(CGROUP_MAX + 1), *line, *save = NULL;
	const char *best = NULL;
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
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *controllers = strchr(line, ':');
		const char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		if (!best || strncmp(line, "0::", 3) == 0)
			best = path + 1;
	}
	info->cgroup = strdup(best ? best : "");
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

int64_t proc_rss_bytes(pid_t pid)
{
	char text[4096 + 1];
	int dir = open_proc(pid);
	const char *field;
	ssize_t len;
	int64_t kib;

	if (dir < 0)
		return dir;
	len = read_file(dir, "smaps_rollup", text, sizeof(text) - 1);
	close(dir);
	if (len < 0)
		return len;
	text[len] = '\0';
	field = strstr(text, "\nRss:");
	if (!field)
		return len == 0 ? -ESRCH : -EBADMSG;
	if (sscanf(field, "\nRss: %" SCNd64 " kB", &kib) != 1 || kib < 0 || kib > INT64_MAX / 1024)
		return -EBADMSG;
	return kib * 1024;
}

static int parse_mapping(char *line, struct proc_mapping *mapping)
{
	int path_at = -1;
	char *newline;

	memset(mapping, 0, sizeof(*mapping));
	if (sscanf(line,
		   "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %" SCNx32 ":%" SCNx32 " %" SCNu64 "%n",
		   &mapping->start, &mapping->end, mapping->perms, &mapping->offset,
		   &mapping->dev_major, &mapping->dev_minor, &mapping->inode, &path_at) != 7 ||
	    path_at < 0 || strlen(mapping->perms) != 4 || mapping->start >= mapping->end)
		return -EBADMSG;
	newline = strchr(line + path_at, '\n');
	if (newline)
		*newline = '\0';
	mapping->path = line + path_at + strspn(line + path_at, " ");
	return 0;
}

int proc_maps_parse(FILE *maps, int (*fn)(const struct proc_mapping *mapping, void *arg), void *arg)
{
	/* A newline in a path is written as \012. A longer path is cut: it is only shown to people,
	 * the inode identifies the file. */
	char line[4 * PATH_MAX + 256];
	struct proc_mapping mapping;
	int err = 0;

	while (!err && fgets(line, sizeof(line), maps)) {
		int c = 0;

		if (!strchr(line, '\n')) {
			while (c != '\n' && c != EOF)
				c = getc(maps);
		}
		err = budget_spend(0);
		if (!err)
			err = parse_mapping(line, &mapping);
		if (!err)
			err = fn(&mapping, arg);
	}
	if (!err && ferror(maps))
		return gone_or(errno);
	return err;
}

int proc_maps_each(pid_t pid, int (*fn)(const struct proc_mapping *mapping, void *arg), void *arg)
{
	char path[PROC_PATH_MAX];
	FILE *maps;
	int err;

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		return gone_or(errno);
	err = proc_maps_parse(maps, fn, arg);
	fclose(maps);
	return err;
}

static bool is_mapped_file(const struct stat *st, const struct proc_mapping *mapping)
{
	return st->st_ino == mapping->inode && major(st->st_dev) == mapping->dev_major &&
	       minor(st->st_dev) == mapping->dev_minor;
}

/* Without the right to use map_files: finds the same file by name. An O_PATH descriptor or
 * -errno. */
static int find_mapping_unprivileged(pid_t pid, const struct proc_mapping *mapping, struct stat *st)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	char path[PROC_PATH_MAX];
	int fd, root, err;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, st) == 0 && is_mapped_file(st, mapping))
		return fd;
	if (fd >= 0)
		close(fd);
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return gone_or(errno);
	fd = (int)syscall(SYS_openat2, root, mapping->path, &how, sizeof(how));
	err = fd < 0 ? -errno : 0;
	close(root);
	if (fd >= 0 && (fstat(fd, st) != 0 || !is_mapped_file(st, mapping))) {
		close(fd);
		err = -ENOENT;
	}
	/* The name leads elsewhere by now. What we lack is the privilege to use map_files. */
	return err ? -EPERM : fd;
}

/* An O_PATH descriptor of the mapped file, which is a regular one, or -errno. `st` describes it. */
static int find_mapping(pid_t pid, const struct proc_mapping *mapping, struct stat *st)
{
	char path[PROC_PATH_MAX];
	int fd;

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid,
		 mapping->start, mapping->end);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 && (errno == EPERM || errno == EACCES)) {
		fd = find_mapping_unprivileged(pid, mapping, st);
	} else if (fd < 0) {
		fd = -errno;
	} else if (fstat(fd, st) != 0) {
		close(fd);
		fd = -EIO;
	}
	if (fd >= 0 && !S_ISREG(st->st_mode)) {
		close(fd);
		fd = -ENODEV;
	}
	return fd;
}

int proc_open_mapping(pid_t pid, const struct proc_mapping *mapping)
{
	char path[PROC_PATH_MAX];
	struct stat st;
	int fd, link = find_mapping(pid, mapping, &st);

	if (link < 0)
		return link;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", link);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		fd = -errno;
	close(link);
	return fd;
}

int proc_stat_mapping(pid_t pid, const struct proc_mapping *mapping, struct stat *st)
{
	int link = find_mapping(pid, mapping, st);

	if (link < 0)
		return link;
	close(link);
	return 0;
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
		return gone_or(errno);
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

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What /proc says of a process. Everything read here may be hostile or gone a
 * moment later: sizes are bounded, and a PID is tied to its start time. */
#ifndef PROC_H
#define PROC_H

#include <stdint.h>
#include <stdio.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Of a command line, so much is kept; the rest is cut off. */
#define PROC_CMDLINE_MAX (64 * 1024)
#define PROC_ARGS_MAX	 4096

struct proc_info {
	pid_t pid, ppid;
	char state;	      /* 'Z' for a zombie */
	uint64_t start_ticks; /* clock ticks after boot: with pid, the identity */
	bool kernel_thread;
	char comm[64];
	char **argv; /* NULL-terminated; raw bytes */
	int argc;
	char *cgroup; /* cgroup2 path, or the first of a v1 hierarchy; "" if none */
};

/* Fills `info` for `pid`; all parts are of one and the same process. 0, -ESRCH, -errno.
 * proc_info_fini() frees what it owns. */
int proc_info_read(pid_t pid, struct proc_info *info);
void proc_info_fini(struct proc_info *info);

/* The same of /proc/PID/stat alone: no argv, argc, cgroup, and nothing to free. Unlike the other
 * reads here, nothing that the process does can hold this one up, nor the next two. */
int proc_stat_read(pid_t pid, struct proc_info *info);

/* At most `max` bytes of /proc/PID/`name`. Length, -ESRCH or -errno. */
ssize_t proc_file_read(pid_t pid, const char *name, char *buf, size_t max);

/* Start time in clock ticks since boot, 0 if the process is gone. */
uint64_t proc_start_ticks(pid_t pid);

/* Start time as seconds since the epoch (wall clock), 0 if unknown. */
double proc_start_wall(pid_t pid);

/* RSS in bytes from smaps_rollup (exact), or -errno; -ESRCH where there is no memory (a
 * zombie, a kernel thread). */
int64_t proc_rss_bytes(pid_t pid);

/* One line of /proc/PID/maps. */
struct proc_mapping {
	uint64_t start, end, offset;
	char perms[5];
	uint32_t dev_major, dev_minor;
	uint64_t inode;
	const char *path; /* as the kernel prints it, valid during the call; "" if none */
};

/* Calls `fn` for each mapping until it returns non-zero, which is then returned.
 * -errno if the file can't be read. */
int proc_maps_each(pid_t pid, int (*fn)(const struct proc_mapping *mapping, void *arg), void *arg);

/* The same for an open stream of that format. -EBADMSG: a line is not of that format; -EDQUOT,
 * -EFBIG: more than the budget (budget.h) allows. */
int proc_maps_parse(FILE *maps, int (*fn)(const struct proc_mapping *mapping, void *arg),
		    void *arg);

/* Fills the fields of `info` that /proc/PID/stat has from its text (which need not end
 * in a NUL). 0, or -EBADMSG. */
int proc_stat_parse(const char *text, size_t len, struct proc_info *info);

/* Opens the file behind a mapping through /proc/PID/map_files, which works for
 * deleted files and other mount namespaces and follows no path of the target's.
 * The kernel allows that to CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN only; without, the same
 * file is looked for as /proc/PID/exe and by its path inside the target's root, and taken
 * only if device and inode are the mapping's. Regular files only; others are never opened.
 * A descriptor (the caller closes it), or -errno; -ENOENT: that mapping is gone; -ENODEV: not
 * a regular file. */
int proc_open_mapping(pid_t pid, const struct proc_mapping *mapping);

/* stat() of that file, likewise. 0 or -errno. */
int proc_stat_mapping(pid_t pid, const struct proc_mapping *mapping, struct stat *st);

/* Reads `len` bytes at `addr` of the process. Bytes read (short where readable memory
 * ends), or -errno; -EFAULT where not even the first byte can be read. */
ssize_t proc_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len);

/* Has another process do what proc_read_memory() says (examiner.h); NULL: this one again. */
typedef ssize_t proc_read_memory_fn(pid_t pid, uint64_t addr, void *buf, size_t len);
void proc_set_memory_reader(proc_read_memory_fn *reader);

/* Calls `fn` for each process of /proc (thread groups only, kernel threads too) until non-zero. */
int proc_each(int (*fn)(pid_t pid, void *arg), void *arg);

#endif

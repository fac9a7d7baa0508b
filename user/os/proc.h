/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What /proc says of a process. All of it may be hostile, and out of date a moment later: sizes are
 * bounded, and a PID is tied to its start time. */
#ifndef PROC_H
#define PROC_H

#include <stdint.h>
#include <stdio.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* The most bytes, and arguments, of a command line that are kept. */
#define PROC_CMDLINE_MAX (64 * 1024)
#define PROC_ARGS_MAX	 4096

struct proc_info {
	pid_t pid, ppid;
	pid_t ns_pid;	      /* proc_ns_pid_parse(); 0: the same, or not known */
	char state;	      /* 'Z': a zombie */
	uint64_t start_ticks; /* clock ticks after boot; with `pid`, it identifies the process */
	bool kernel_thread;
	char comm[64];
	char **argv; /* ends with NULL; raw bytes */
	int argc;
	char *cgroup; /* proc_choose_cgroup(); "": none */
};

/* Fills `info` for `pid`. All of it belongs to one and the same process. 0, -ESRCH or -errno.
 * proc_info_fini() frees what `info` owns. */
int proc_info_read(pid_t pid, struct proc_info *info);
void proc_info_fini(struct proc_info *info);

/* Fills in what /proc/PID/stat has: no argv, argc and cgroup, and nothing to free. The process
 * can't hold up this function, proc_start_ticks() and proc_start_wall(). It can hold up the others
 * that read its files or its memory, depending on the file. */
int proc_stat_read(pid_t pid, struct proc_info *info);

/* The PID that process `pid` has in its own PID namespace, from the text of its /proc/PID/status. 0
 * if it has no other one there, or if the text does not say: it is empty, cut off, or of a kernel
 * without PID namespaces. */
pid_t proc_ns_pid_parse(const char *text, pid_t pid);
/* The same of a process that exists. It can't hold up this function. */
pid_t proc_ns_pid(pid_t pid);

/* Reads at most `max` bytes of /proc/PID/`name`. Returns the length, -ESRCH or -errno. */
ssize_t proc_file_read(pid_t pid, const char *name, char *buf, size_t max);

/* The start time in clock ticks after boot. 0: there is no such process. */
uint64_t proc_start_ticks(pid_t pid);

/* The start time in seconds since the epoch (wall clock). 0: unknown. */
double proc_start_wall(pid_t pid);

/* What smaps_rollup says of all mappings of a process, in bytes. */
struct proc_rollup {
	int64_t rss_bytes;
	int64_t pss_bytes;	/* each page divided by the number of its users */
	int64_t swap_pss_bytes; /* the same of what is swapped out, without shared memory */
};

/* Parses the text of smaps_rollup. 0; -ESRCH: it is empty, so the process has no memory (a zombie,
 * a kernel thread); -EBADMSG: it is something else. */
int proc_rollup_parse(const char *text, struct proc_rollup *rollup);

/* The RSS in bytes from smaps_rollup, which is exact. -errno; -ESRCH also if the process has no
 * memory (a zombie, a kernel thread). */
int64_t proc_rss_bytes(pid_t pid);

/* One line of /proc/PID/maps. */
struct proc_mapping {
	uint64_t start, end, offset;
	char perms[5];
	uint32_t dev_major, dev_minor;
	uint64_t inode;
	const char *path; /* as the kernel prints it; valid during the call; "": none */
};

/* Calls `fn` for each mapping until it returns something other than 0, which is then returned.
 * -errno if the file can't be read. */
int proc_maps_each(pid_t pid, int (*fn)(const struct proc_mapping *mapping, void *arg), void *arg);

/* The same for an open stream in that format. -EBADMSG: a line has another format. -EDQUOT, -EFBIG:
 * the budget (budget.h) is exceeded. */
int proc_maps_parse(FILE *maps, int (*fn)(const struct proc_mapping *mapping, void *arg),
		    void *arg);

/* Fills the fields of `info` that /proc/PID/stat has from its text, `len` bytes, which need no NUL
 * at the end. 0 or -EBADMSG. */
int proc_stat_parse(const char *text, size_t len, struct proc_info *info);

/* Opens the file behind a mapping for reading. Goes through /proc/PID/map_files: that works for
 * deleted files and other mount namespaces, and follows no path that the target chose. The kernel
 * allows it with CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. Without these, the file is looked for as
 * /proc/PID/exe and by its path inside the target's root, and used only if device and inode are
 * those of the mapping. Only regular files are opened. A descriptor that the caller closes, or
 * -errno. -ENOENT: the mapping is gone. -ENODEV: not a regular file. */
int proc_open_mapping(pid_t pid, const struct proc_mapping *mapping);

/* fstat() of that file, found in the same way. 0 or -errno. */
int proc_stat_mapping(pid_t pid, const struct proc_mapping *mapping, struct stat *st);

/* Reads `len` bytes at address `addr` of the process. Returns the bytes read, fewer if readable
 * memory ends before, or -errno. -EFAULT: not even the first byte can be read. */
ssize_t proc_read_memory(pid_t pid, uint64_t addr, void *buf, size_t len);

/* From now on `reader` does what proc_read_memory() does, in another process (examiner.h). NULL:
 * this process does it again. */
typedef ssize_t proc_read_memory_fn(pid_t pid, uint64_t addr, void *buf, size_t len);
void proc_set_memory_reader(proc_read_memory_fn *reader);

/* Calls `fn` for each process in /proc, also for kernel threads, until it returns something other
 * than 0, which is then returned. -errno. */
int proc_each(int (*fn)(pid_t pid, void *arg), void *arg);

#endif

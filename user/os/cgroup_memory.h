/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a control group says of its memory: cgroup v2, or the memory controller of v1. */
#ifndef CGROUP_MEMORY_H
#define CGROUP_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How a group of v1 is named here, before its path: as in /proc/PID/cgroup. */
#define CGROUP_MEMORY_V1 "memory:"

/* How often the kernel had to reclaim for want of room in one group, since that was made. -1: not
 * known. */
struct cgroup_reclaims {
	int64_t limit; /* its use reached memory.max; in v1, memory.limit_in_bytes */
	int64_t high;  /* it was above memory.high: its processes were slowed down. -1 in v1 */
	size_t length; /* of the part of the path that names the group; 0: there is none */
};

/* Of that group, among a group and all above it, which has the lowest limit. In bytes; -1: there is
 * none, or it can't be read. */
struct cgroup_memory {
	int64_t limit_bytes, current_bytes;
	int64_t oom_kills; /* processes that its OOM killer has killed so far */
	size_t length;	   /* of the part of the path that names it; 0: there is none */
	/* Of the group with the lowest limit, where memory.high is one, too. */
	struct cgroup_reclaims reclaims;
};

/* Reads it. `path` is as in /proc/PID/cgroup of v2; or as cgroup_memory_name() gives it. The files
 * belong to the kernel alone, so that nobody can hold the reader up. */
void cgroup_memory_read(const char *path, struct cgroup_memory *memory);
/* The same below another root than "" (tests). */
void cgroup_memory_read_at(const char *root, const char *path, struct cgroup_memory *memory);

/* What a group uses. In bytes; -1: not known, or there is none. */
struct cgroup_usage {
	int64_t current_bytes;
	int64_t limit_bytes;   /* the lowest one of the group and of those above it */
	int64_t limited_bytes; /* what the group that has it uses */
	int64_t oom_kills;     /* in the group and, in v2, in those below it, since it was made */
	/* Per cent of the last 10 s in which some of its threads waited for memory: "some avg10" of
	 * memory.pressure. cgroup v2 alone has it, where the kernel was built with PSI. */
	double pressure;
};
void cgroup_usage_read(const char *path, struct cgroup_usage *usage);
void cgroup_usage_read_at(const char *root, const char *path, struct cgroup_usage *usage);

/* Of what a group uses, the pages of files that nobody has used lately, in bytes: the kernel takes
 * them back before it kills. -1: not known. `length`: of the part of `path` that names the group.
 */
int64_t cgroup_idle_cache(const char *path, size_t length);
int64_t cgroup_idle_cache_at(const char *root, const char *path, size_t length);

/* Writes the name of the group that limits the memory of process `pid`. Where the memory controller
 * is one of v1, that is CGROUP_MEMORY_V1 and its path there, or "" if that can't be read, since the
 * process is gone; else it is `path`, which may be NULL: then it is "". `size` is not 0. */
void cgroup_memory_name(pid_t pid, const char *path, char *name, size_t size);
void cgroup_memory_name_at(const char *root, pid_t pid, const char *path, char *name, size_t size);
/* The same as it is now, of a process that may have moved: nothing that was known before is taken.
 * Below `root`. "": it is not known, or the process is gone. */
void cgroup_memory_now_at(const char *root, pid_t pid, char *name, size_t size);

/* True if the list `controllers` of a line of /proc/PID/cgroup ("cpu,memory") has "memory". */
bool cgroup_lists_memory(const char *controllers);

/* How often a process had to reclaim memory by itself, since the host has started: the sum of
 * allocstall* in /proc/vmstat. -1: the kernel does not say. */
int64_t host_reclaims(void);
int64_t host_reclaims_at(const char *root);

#endif

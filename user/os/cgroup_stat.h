/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a control group's memory is made of, as the kernel itself has it: memory.current and
 * memory.stat of cgroup v2; in v1 memory.usage_in_bytes, memory.stat, and the counters of kmem. */
#ifndef CGROUP_STAT_H
#define CGROUP_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* X(ID, key of memory.stat in v2, what to tell a person). TOTAL is memory.current. What is below
 * KERNEL_STACK is a part of KERNEL. */
#define CGROUP_PARTS(X)                                                \
	X(TOTAL, "", "all of it")                                      \
	X(ANON, "anon", "anonymous memory")                            \
	X(FILE, "file", "files")                                       \
	X(SHMEM, "shmem", "shared memory")                             \
	X(KERNEL, "kernel", "kernel")                                  \
	X(SOCK, "sock", "data in TCP and UDP sockets")                 \
	X(KERNEL_STACK, "kernel_stack", "kernel stacks")               \
	X(PAGETABLES, "pagetables", "page tables")                     \
	X(SEC_PAGETABLES, "sec_pagetables", "page tables of machines") \
	X(PERCPU, "percpu", "per-CPU memory")                          \
	X(SLAB, "slab", "slab")                                        \
	X(VMALLOC, "vmalloc", "vmalloc")                               \
	X(ZSWAP, "zswap", "compressed swap")

enum cgroup_part {
#define CGROUP_PART_ENUM(id, key, text) CGROUP_##id,
	CGROUP_PARTS(CGROUP_PART_ENUM)
#undef CGROUP_PART_ENUM
		CGROUP_PART_COUNT,
};

/* In bytes, the groups below included unless `alone`; -1: the kernel does not say. FILE has shared
 * memory in it, SHMEM is that part. */
struct cgroup_stat {
	int64_t bytes[CGROUP_PART_COUNT];
	/* The kernel does not say KERNEL: it is what TOTAL has beside ANON, FILE and SOCK. */
	bool derived;
	/* The root group, of which the kernel keeps no such sums: nothing is known. */
	bool root;
	bool v1;
	/* Groups below are not in it: v1, unless memory.use_hierarchy is 1 (always, since 5.11). */
	bool alone;
	/* Of the group's folder; 0: there is none, or it is not looked for (root). A group that is
	 * made anew has another one. */
	uint64_t inode;
	uid_t owner; /* of that folder; (uid_t)-1: there is none */
	/* Processes in the group itself, not in those below it; -1: not known, or not counted.
	 * CGROUP_PROCESSES: there may be more. And whether there are groups below it. */
	int64_t processes;
	bool has_children;
};
#define CGROUP_PROCESSES 65536

/* Reads it. `path` is as cgroup_memory_name() gives it (cgroup_memory.h), `root` is "" (or another
 * one, in tests). The files belong to the kernel alone, so nobody can hold the reader up; how much
 * of them is read is limited all the same. */
void cgroup_stat_read_at(const char *root, const char *path, struct cgroup_stat *sums);
/* Finds `inode`, `owner` and `has_children` alone; the rest is not known. */
void cgroup_stat_find_at(const char *root, const char *path, struct cgroup_stat *sums);
/* Reads it and counts the processes, which takes as long as there are many. */
void cgroup_stat_count_at(const char *root, const char *path, struct cgroup_stat *sums);

/* Cuts `path` to the group in which memory is accounted: that group itself, or the nearest one
 * above it for which the memory controller is switched on; "/": none but the root. */
void cgroup_stat_owner_at(const char *root, char *path);

/* Which parts this host's control groups tell: those are not -1. `derived` and `v1` as above. Asked
 * of the root group's files. */
void cgroup_stat_probe(struct cgroup_stat *sums);
void cgroup_stat_probe_at(const char *root, struct cgroup_stat *sums);

/* By how much a part may be wrong, in bytes, since the kernel adds to its sums in batches: 64 pages
 * of each CPU. */
int64_t cgroup_stat_batch(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this kernel and this user can do, found out by asking, not by version. */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdbool.h>
#include <stddef.h>

struct kernel_features {
	bool btf;	       /* /sys/kernel/btf/vmlinux is there, readable, understood */
	int btf_error;	       /* why not, an errno; see kernel_btf_find() */
	bool rss_stat;	       /* kmem:rss_stat exists (5.6) */
	bool batched_counters; /* 6.1 and older */
	bool run_time_alloc;   /* hash maps may allocate in tracing programs (6.1) */
	bool faults;	       /* exceptions:page_fault_user, _kernel */
	bool page_alloc;       /* kmem:mm_page_alloc */
	bool uprobes;	       /* with reference counts, for --lines */
	bool sys_exit;	       /* raw_syscalls:sys_exit */
	bool ring_buffer;      /* 5.8 */
	bool task_iterator;    /* 5.8 */
	bool percpu_lookup;    /* bpf_map_lookup_percpu_elem (5.19), needed from 6.2 on */
};

void kernel_probe(struct kernel_features *features);

/* Why the main job (with `lines`, the exact engine) can't be done on such a kernel, and what would
 * help; NULL: it can. */
const char *kernel_refusal(const struct kernel_features *features, bool lines);

/* Are our PIDs the kernel's own? In another PID namespace the two differ, and BPF
 * programs see the kernel's. */
bool kernel_host_pids(void);

/* Capabilities missing to trace, as names ("CAP_BPF or CAP_SYS_ADMIN, CAP_PERFMON"); "" if none. */
void kernel_missing_capabilities(char *names, size_t size);

/* May this process open uprobes, which --lines takes? Some releases ask for CAP_SYS_ADMIN, some for
 * CAP_PERFMON: this one is asked. True where it has none at all. */
bool kernel_allows_uprobes(void);

#endif

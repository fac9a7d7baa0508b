/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this kernel and this user can do, found out by asking, not by version. */
#ifndef KERNEL_H
#define KERNEL_H

#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernel/kernel_btf.h"

/* What a kernel may have, as kernel_ask() and kernel_has() take it. */
#define KERNEL_TRACEPOINT(id)                                     \
	{                                                         \
		.name = "btf_trace_" id, .kind = BTF_KIND_TYPEDEF \
	}
#define KERNEL_FUNCTION(id)                       \
	{                                         \
		.name = id, .kind = BTF_KIND_FUNC \
	}
#define KERNEL_STRUCT(id)                           \
	{                                           \
		.name = id, .kind = BTF_KIND_STRUCT \
	}
#define KERNEL_ENUMERATOR(of, id)                               \
	{                                                       \
		.name = of, .kind = BTF_KIND_ENUM, .member = id \
	}

#define KERNEL_TYPES_MAX 256

struct kernel_features {
	bool btf;	       /* /sys/kernel/btf/vmlinux is there, readable, understood */
	int btf_error;	       /* why not, an errno; see kernel_btf_find() */
	bool batched_counters; /* 6.1 and older */
	bool run_time_alloc;   /* hash maps may allocate in tracing programs (6.1) */
	bool uprobes;	       /* with reference counts, for --lines */
	unsigned type_count;
	struct kernel_btf_wanted types[KERNEL_TYPES_MAX]; /* asked about, with the answers */
};

/* Fills in all of it: what the event sources need (event_source.h) is asked about too. */
void kernel_probe(struct kernel_features *features);

/* Notes the type for kernel_probe() to ask about. */
void kernel_ask(struct kernel_features *features, const struct kernel_btf_wanted *type);

/* Has the kernel that type? False for what was not asked about. */
bool kernel_has(const struct kernel_features *features, const struct kernel_btf_wanted *type);

/* Where RSS is counted: per task, in batches, or per CPU. */
bool kernel_is_batched(const struct kernel_features *features);
bool kernel_is_per_cpu(const struct kernel_features *features);

/* Why nothing can be known of the kernel, and what would help; NULL: its types are known. What else
 * it must have is the affair of the event sources (event_sources_refusal()). */
const char *kernel_refusal(const struct kernel_features *features);

/* Are our PIDs the kernel's own? In another PID namespace the two differ, and BPF
 * programs see the kernel's. */
bool kernel_host_pids(void);

/* Capabilities missing to trace, as names ("CAP_BPF or CAP_SYS_ADMIN, CAP_PERFMON"); "" if none. */
void kernel_missing_capabilities(char *names, size_t size);

/* May this process open uprobes, which --lines takes? Some releases ask for CAP_SYS_ADMIN, some for
 * CAP_PERFMON: this one is asked. True where it has none at all. */
bool kernel_allows_uprobes(void);

#endif

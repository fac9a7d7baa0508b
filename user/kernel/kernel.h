/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What this kernel has and what this user may do. Both are tried out; version numbers are not
 * used. */
#ifndef KERNEL_H
#define KERNEL_H

#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernel/kernel_btf.h"

/* Arguments of kernel_ask() and kernel_has(). */
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

#define KERNEL_MEMBER(of, id)                                     \
	{                                                         \
		.name = of, .kind = BTF_KIND_STRUCT, .member = id \
	}

/* The kernel's function that carries out a system call. */
#if defined(__aarch64__)
#define KERNEL_SYSCALL(name) KERNEL_FUNCTION("__arm64_sys_" name)
#else
#define KERNEL_SYSCALL(name) KERNEL_FUNCTION("__x64_sys_" name)
#endif

/* The types of the kernel itself, without those of modules. */
#define KERNEL_BTF "/sys/kernel/btf/vmlinux"

#define KERNEL_TYPES_MAX 768

struct kernel_features {
	bool btf;		/* /sys/kernel/btf/vmlinux exists and could be read */
	int btf_error;		/* why not, a positive errno; 0: `btf` is true */
	bool batched_counters;	/* RSS counters in batches per task: 6.1 and older */
	bool run_time_alloc;	/* hash maps may allocate entries while programs run: 6.1 */
	bool preemptible;	/* programs of tracepoints can be preempted: 7.0 */
	bool uprobes;		/* with reference counts, which --lines needs */
	size_t huge_page_bytes; /* of a transparent huge page; 0: there are none */
	bool function_ends;	/* BPF programs may be attached to the end of functions (fexit) */
	unsigned kernel_allocs; /* how it tells of objects: enum pymem_kernel_allocs */
	bool symbols;		/* this user is told the addresses of the kernel's functions */
	unsigned type_count;
	struct kernel_btf_wanted
		types[KERNEL_TYPES_MAX]; /* the types asked about, with the answers */
};

/* Fills in everything, including the types that event sources need (event_source.h). */
void kernel_probe(struct kernel_features *features);

/* Adds a type that kernel_probe() looks for. */
void kernel_ask(struct kernel_features *features, const struct kernel_btf_wanted *type);

/* True if the kernel has that type. False for a type that was not asked about. */
bool kernel_has(const struct kernel_features *features, const struct kernel_btf_wanted *type);

/* kernel_is_batched(): RSS is counted per task, in batches. kernel_is_per_cpu(): per CPU. */
bool kernel_is_batched(const struct kernel_features *features);
bool kernel_is_per_cpu(const struct kernel_features *features);

/* While a thread is in a program of a tracepoint, another thread may take its CPU. */
bool kernel_is_preemptible(const struct kernel_features *features);

/* BPF programs may be attached to the end of the kernel's functions. */
bool kernel_has_function_ends(const struct kernel_features *features);

/* The kernel has transparent huge pages, whether or not they are switched on. */
bool kernel_has_huge_pages(const struct kernel_features *features);

/* The kernel's number of a type that it has. */
uint32_t kernel_type_id(const struct kernel_features *features,
			const struct kernel_btf_wanted *type);

/* Why nothing is known of the kernel, and what would help. A constant text. NULL: its types are
 * known. What else it must have is checked by event_sources_refusal(). */
const char *kernel_refusal(const struct kernel_features *features);

/* True if this process is in the host's PID namespace. BPF programs see the PIDs of that one. */
bool kernel_host_pids(void);

/* True if this process is in the host's user namespace. The capabilities of another one, such as
 * those of root in a rootless container, allow nothing that concerns the whole kernel. */
bool kernel_host_users(void);

/* Writes the missing capabilities into `names` ("CAP_BPF or CAP_SYS_ADMIN, CAP_PERFMON"), or "" if
 * none is missing. */
void kernel_missing_capabilities(char *names, size_t size);

/* True if this process may open uprobes, which --lines needs. Some kernels want CAP_SYS_ADMIN for
 * that, others CAP_PERFMON: this one is tried. True also if it has no uprobes at all. */
bool kernel_allows_uprobes(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's own memory, by the stack for which the kernel took it (bpf/account/kernel.bpf.h). */
#ifndef PYMEM_KERNEL_H
#define PYMEM_KERNEL_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Kinds of it. Append only: recordings have their numbers, and no more than PYMEM_KERNEL_ROOM of
 * them. X(ID, JSON name, what to tell a person) */
#define PYMEM_KERNEL_KINDS(X)                       \
	X(TABLES, "page_tables", "page tables")     \
	X(STACKS, "kernel_stacks", "kernel stacks") \
	X(SOCKETS, "sockets", "sockets")            \
	X(PIPES, "pipes", "pipes")                  \
	X(FILES, "files", "open files")             \
	X(SLAB, "slab", "other objects")            \
	X(PAGES, "pages", "other pages")

enum pymem_kernel_kind {
#define PYMEM_KERNEL_ENUM(id, name, text) PYMEM_KERNEL_##id,
	PYMEM_KERNEL_KINDS(PYMEM_KERNEL_ENUM)
#undef PYMEM_KERNEL_ENUM
		PYMEM_KERNEL_COUNT,
};
#define PYMEM_KERNEL_ROOM 10
_Static_assert((int)PYMEM_KERNEL_COUNT <= PYMEM_KERNEL_ROOM, "more kinds than a recording has");

/* What the tracepoints of objects hand over. PLAIN: no cache. */
enum pymem_kernel_allocs { KERNEL_ALLOCS_PLAIN, KERNEL_ALLOCS_CACHES, KERNEL_ALLOCS_NOW };

/* Value of the map `kernel_sums`; its key is that of a stack, or has 1 plus an enum pymem_loss as
 * its hash: what is in no line. In bytes. */
struct pymem_kernel {
	__s64 bytes[PYMEM_KERNEL_COUNT];   /* allocated; of page tables, the net change */
	__u64 gone[PYMEM_KERNEL_COUNT];	   /* of these, freed since, whoever did it */
	__u64 objects[PYMEM_KERNEL_COUNT]; /* number of allocations */
	__u64 unknown; /* bytes of them of which it is not known whether they were freed */
	__u32 account; /* as pymem_stack.account */
	__u32 pad;
};

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the BPF side and the user side share: keys, values, records, loss causes.
 *
 * Fixed widths only; every struct states its size. RSS amounts are in pages on
 * the BPF side and become bytes where the model takes them over.
 */
#ifndef PYMEM_H
#define PYMEM_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Frames kept of one stack, innermost first; deeper ones are counted as truncated. */
#define PYMEM_MAX_FRAMES 128

/* The kernel's own indices into mm->rss_stat (include/linux/mm_types_task.h). */
enum pymem_member {
	PYMEM_FILE,
	PYMEM_ANON,
	PYMEM_SWAP, /* swap entries: recorded, but no part of RSS */
	PYMEM_SHMEM,
	PYMEM_MEMBERS,
};

/* Every way a byte can fail to reach a line. Append only: names are the JSON keys
 * of lost_bytes. X(ID, json name, what to tell a person) */
#define PYMEM_LOSSES(X)                                                                      \
	X(NO_FRAME, "no-frame", "the thread was not running Python code")                     \
	X(NO_THREAD, "no-thread", "a native thread that Python does not know")                \
	X(UNIDENTIFIED, "unidentified", "before the interpreter was found in the process")    \
	X(UNREADABLE, "unreadable", "interpreter state could not be read (paged out, corrupt)") \
	X(MAP_FULL, "map-full", "stack table full; raise --max-stacks")                       \
	X(UNDELIVERED, "undelivered", "the stack's frames did not fit the ring buffer; raise --ring-size") \
	X(OTHER_TASK, "other-task", "changed by another task (reclaim, ptrace, khugepaged)")  \
	X(EXIT, "exit", "torn down at exit or exec")                                          \
	X(RECURSION, "recursion", "an event inside the profiler's own event")                 \
	X(UNSETTLED, "unsettled", "batched by the kernel, not yet assigned to a thread")

enum pymem_loss {
#define PYMEM_LOSS_ENUM(id, name, text) PYMEM_LOSS_##id,
	PYMEM_LOSSES(PYMEM_LOSS_ENUM)
#undef PYMEM_LOSS_ENUM
	PYMEM_LOSS_COUNT,
};

/* The memory system calls that are counted per line. X(ID, name) */
#define PYMEM_VMCALLS(X) \
	X(BRK, "brk")    \
	X(MMAP, "mmap")  \
	X(MUNMAP, "munmap") \
	X(MREMAP, "mremap") \
	X(MADVISE, "madvise")

enum pymem_vmcall {
#define PYMEM_VMCALL_ENUM(id, name) PYMEM_VMCALL_##id,
	PYMEM_VMCALLS(PYMEM_VMCALL_ENUM)
#undef PYMEM_VMCALL_ENUM
	PYMEM_VMCALL_COUNT,
};

/* One Python stack of one process image. `hash` covers code addresses, code
 * fingerprints and instruction offsets of all frames. */
struct pymem_stack_key {
	__u32 proc; /* pymem_proc.id */
	__u32 pad;
	__u64 hash;
};

/* What was charged to one stack. Pages; counts. */
struct pymem_counters {
	__s64 pages[PYMEM_MEMBERS]; /* net change by member */
	__u64 grown_pages;	    /* gross growth of RSS (all members but swap) */
	__u64 freed_pages;	    /* gross shrinkage of RSS */
	__u64 peak_pages;	    /* highest RSS of the process seen with this stack */
	__u64 minor_faults;
	__u64 major_faults;
	__u64 cow_faults; /* write faults that copied a present page */
};

/* System calls of one stack; successful calls only. brk and mremap count the
 * change of size, the others the length. */
struct pymem_vmcalls {
	__u64 calls[PYMEM_VMCALL_COUNT];
	__s64 bytes[PYMEM_VMCALL_COUNT];
};

#endif

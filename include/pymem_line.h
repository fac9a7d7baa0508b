/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the exact engine counts of each executed line, and what it knows of the frames that
 * a thread is in. Shared by both sides; amounts are pages. */
#ifndef PYMEM_LINE_H
#define PYMEM_LINE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* In place of a line's number: the whole function. A profile has either lines or functions. */
#define PYMEM_LINE_FUNCTION (-1)

/* One line of one code object of one image. */
struct pymem_line_key {
	__u32 proc; /* pymem_proc.id */
	__s32 line; /* or PYMEM_LINE_FUNCTION */
	__u64 code;
	__u64 fingerprint;
};

/* A run of a line goes from its event to the next event of its frame, one of a function from its
 * entry to its return: a generator yields more than once, but is called once. */
struct pymem_line {
	__u64 runs;	   /* of a function: calls */
	__s64 pages;	   /* sum over runs: what the thread changed meanwhile, calls included */
	__s64 once_pages;  /* part of `pages`: of runs inside no other run of this code */
	__s64 row_pages;   /* part of once_pages: of runs inside no run of other code on that line.
			    * Of a function: what it changed itself, callees excluded */
	__s64 gc_pages;	   /* part of `pages`: changed by garbage collections */
	__u64 collections; /* garbage collections meanwhile */
	__u64 usage_pages; /* highest RSS of the process at the end of a run */
	__u64 peak_pages;  /* highest RSS that the thread saw in a run */
	__u32 account;	   /* as pymem_stack.account */
	__u32 pad;
};

enum pymem_line_how {
	PYMEM_LINE_EVENT,   /* with a line event */
	PYMEM_LINE_ENTRY,   /* with the call: older builds fire a line event right after it */
	PYMEM_LINE_RESUMED, /* before the frame was left for a while; the run was counted then */
};

/* A frame that a thread is in, and the line that it runs. */
struct pymem_line_frame {
	__u64 frame; /* its address */
	union {
		__u64 name;	 /* of its function, as the probes give it: an address */
		__s64 own_pages; /* by function: what it changed itself while it had no name */
	};
	__u64 code;
	__u64 fingerprint; /* 0: not known yet */
	__s32 line;	   /* 0: none yet */
	__u32 how : 2;	   /* how the run began: enum pymem_line_how */
	__u32 file : 30;   /* of its code: from the address of its name, which a module shares */
	__s64 start_pages; /* the thread's net_pages when the run began */
	__u64 peak_pages;  /* highest RSS since then, up to the thread's last event */
};

#define PYMEM_LINE_FRAMES 128
#define PYMEM_LINE_HEAD	  256 /* bytes */
#define PYMEM_LINE_NAMES  16  /* a power of two */

/* A code object that the thread has named, and what told then that it was that one. */
struct pymem_line_name {
	__u64 code;
	__u64 head; /* functions.bpf.h */
	__u64 fingerprint;
};

/* Frames of one thread, outermost first. */
struct pymem_line_stack {
	__u32 proc;
	__u32 depth;
	__s64 gc_start;	     /* the thread's net_pages when the collection began */
	__u32 collecting;    /* collections whose start was seen and whose end was not yet */
	__u32 tid;	     /* 6.1 and older: its key */
	__u64 arguments[2];  /* of the present event: place_of() */
	__s64 settled_pages; /* by function: the thread's net_pages at its last event */
	__u32 unread;	     /* by function: entries at which the frame could not be read */
	__u32 unsure; /* by function: a return could not be told, so which frame is on top? */
	__u8 head[PYMEM_LINE_HEAD]; /* of the present event: what was read of one structure */
	struct pymem_line_name names[PYMEM_LINE_NAMES]; /* by function */
	struct pymem_line_frame frames[PYMEM_LINE_FRAMES];
};

/* From 7.0 on the storage of a task has no room for more than 8 KiB, its own fields included. */
_Static_assert(sizeof(struct pymem_line_stack) <= 8000, "a thread's frames get no memory");

/* Where a probe has one of its arguments, in 32 bits. `reg` counts the 64-bit words of struct
 * pt_regs (arm64: user_pt_regs), which is an ABI. The value is 1 << `log2` bytes, at `disp`(reg) if
 * it is in memory. */
enum pymem_arg_kind {
	PYMEM_ARG_NONE,
	PYMEM_ARG_CONSTANT, /* `disp` itself */
	PYMEM_ARG_REGISTER,
	PYMEM_ARG_MEMORY,
};

#define PYMEM_ARG_DISP_MAX (1 << 20) /* from -PYMEM_ARG_DISP_MAX to below it */
#define PYMEM_ARG(kind, log2, is_signed, reg, disp)                                         \
	((__u32)(kind) | (__u32)(log2) << 2 | (__u32)(is_signed) << 4 | (__u32)(reg) << 5 | \
	 (__u32)(disp) << 11)
#define PYMEM_ARG_KIND(arg)   ((arg)&3)
#define PYMEM_ARG_BYTES(arg)  (1U << ((arg) >> 2 & 3))
#define PYMEM_ARG_SIGNED(arg) ((arg) >> 4 & 1)
#define PYMEM_ARG_REG(arg)    ((arg) >> 5 & 63)
#define PYMEM_ARG_DISP(arg)   ((__s32)(arg) >> 11)

/* Both arguments of a place: the function's name, the line. On kernels that have them (5.15) it
 * is the cookie of the uprobe; before, the place's address leads to it. */
#define PYMEM_PLACE(name, line) ((__u64)(name) | (__u64)(line) << 32)
#define PYMEM_PLACE_NAME(place) ((__u32)(place))
#define PYMEM_PLACE_LINE(place) ((__u32)((place) >> 32))

struct pymem_place_key {
	__u64 address;
	__u64 tgid;
};

/* Why an event of a probe was not counted. X(ID, what to tell a person) */
#define PYMEM_LINE_MISSES(X)                                                                   \
	X(UNREADABLE, "the frame could not be read")                                           \
	X(TABLE_FULL, "the table of lines was full; raise --max-stacks")                       \
	X(NO_ROOM, "there was no room for another thread's frames; on 6.1 and older raise "    \
		   "--max-processes")                                                          \
	X(DEEP, "in recursions deeper than 128 frames; their callers' lines have the amounts") \
	X(UNNAMED, "the code object could not be named in time")                               \
	X(UNSEEN, "returns of functions whose entry was not seen, since they ran before, or "  \
		  "an exception was thrown into them; their callers have the amounts")

enum pymem_line_miss {
#define PYMEM_LINE_MISS_ENUM(id, text) PYMEM_LINE_MISS_##id,
	PYMEM_LINE_MISSES(PYMEM_LINE_MISS_ENUM)
#undef PYMEM_LINE_MISS_ENUM
		PYMEM_LINE_MISS_COUNT,
};

#endif

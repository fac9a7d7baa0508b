/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The counter block: what a process may read about its own memory. The BPF side keeps it up to date
 * at each change of RSS, and the process maps it read-only. A line hook reads it with a load or
 * two: no system call, no trap.
 *
 * One block per process that `pymem-bpf serve` watches, for all connections that watch it: the
 * only element of a BPF array map, mapped with mmap(2) at offset 0, PYMEM_BLOCK_BYTES long.
 * Amounts are pages of the system's page size (sysconf(_SC_PAGESIZE)). Fields are written by
 * BPF while they are read: read each one once, as a volatile, aligned word. A block is for its
 * readers only: a process that manages to write to its own deceives itself, nobody else.
 */
#ifndef PYMEM_BLOCK_H
#define PYMEM_BLOCK_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define PYMEM_BLOCK_VERSION  2
#define PYMEM_BLOCK_BYTES    16384
#define PYMEM_BLOCK_THREADS  992
#define PYMEM_BLOCK_PROBES   8
#define PYMEM_BLOCK_WATCHERS 8	  /* connections that share one, each with peaks of its own */
#define PYMEM_BLOCK_NESTED   8	  /* sums that one process is part of */
#define PYMEM_BLOCKS	     1024 /* at one time in one session */

/* One thread. Its place: index (tid + i) % PYMEM_BLOCK_THREADS for an i from 0 to
 * PYMEM_BLOCK_PROBES - 1. A thread gets its place at its first change of RSS and keeps it
 * until it ends: no place found means "has changed nothing", unless `missed` is not 0. */
struct pymem_block_thread {
	__u32 tid; /* gettid() as the thread itself sees it; 0: free */
	__u32 pad;
	__s64 net_pages; /* RSS that this thread's own doing added, less what it freed */
};

enum pymem_block_state {
	PYMEM_BLOCK_NEW,  /* not begun */
	PYMEM_BLOCK_LIVE, /* kept up to date, as long as the server runs */
	PYMEM_BLOCK_ENDED,
};

enum pymem_block_flags {
	/* tree_pages lacks some: a process is part of more than PYMEM_BLOCK_NESTED sums, or found
	 * no room to be counted. */
	PYMEM_BLOCK_PARTIAL = 1 << 0,
};

/* What user space has the BPF side do to a block. Nobody else can write to one. */
enum pymem_block_command {
	PYMEM_BLOCK_DO_RESET = 1, /* the peaks of a slot begin anew: (slot) */
	PYMEM_BLOCK_DO_FROM_EXEC, /* sets from_exec */
	PYMEM_BLOCK_DO_END,	  /* PYMEM_BLOCK_ENDED, sets closing */
	PYMEM_BLOCK_DO_LEAVE,	  /* an image leaves it for the block around it: (mm, id) */
	PYMEM_BLOCK_DO_CLIMB, /* the block around it goes: the next one outwards takes its place */
};

/* The peaks of one connection, which is told the number of its slot. */
struct pymem_block_peaks {
	__s64 peak_pages;      /* highest RSS since the last reset; may be below rss_pages just
				* after one: then rss_pages is the peak */
	__s64 tree_peak_pages; /* highest of tree_pages, likewise */
	__u64 resets;	       /* how often these were reset */
	__u64 pad;
};

struct pymem_block {
	__u32 version;	     /* PYMEM_BLOCK_VERSION */
	__u32 state;	     /* enum pymem_block_state */
	__u32 missed;	     /* times that a thread found no free place */
	__u32 images;	     /* 1, and one more for each exec of the process */
	__s64 start_pages;   /* RSS when this image began to be watched */
	__s64 rss_pages;     /* RSS of the process now */
	__s64 tree_pages;    /* RSS of the process and its descendants, added up */
	__s64 foreign_pages; /* changed by other tasks: reclaim, ptrace */
	__u32 flags;	     /* enum pymem_block_flags */
	__u32 serial;	     /* of this block in its session, never 0 */
	__u32 outer;	     /* serial of the block of the nearest ancestor that has one, of
			      * whose sum this one is part; 0: none */
	__u32 slots;	     /* of `peaks` that are kept */
	struct pymem_block_peaks peaks[PYMEM_BLOCK_WATCHERS];
	__u64 pad[24];
	struct pymem_block_thread threads[PYMEM_BLOCK_THREADS];
};

/* What the BPF side itself knows of a block. Who has the block mapped can neither read nor write
 * this, and the BPF side never reads the block. Each flag has a word of its own: several CPUs set
 * them, and older kernels have no atomic OR in BPF. */
struct pymem_block_record {
	__u32 serial; /* of the block, 0: none */
	__u32 outer;
	__u32 slots;
	__u32 from_exec; /* the peaks begin anew at the next exec, which clears this: the process is
			    yet to execute the command */
	__u32 closing;	 /* about to go: what is on it counts as on `outer` from now on */
	__u32 images, missed, pad;
	__s64 tree_pages, foreign_pages;
	struct pymem_block_peaks peaks[PYMEM_BLOCK_WATCHERS];
	__u32 tids[PYMEM_BLOCK_THREADS]; /* which thread has the place; 0: free */
};

#ifndef __bpf__
_Static_assert(sizeof(struct pymem_block) == PYMEM_BLOCK_BYTES, "the block is PYMEM_BLOCK_BYTES");
#endif

#endif

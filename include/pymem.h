/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the BPF side and the user side share: keys, values, records, loss causes.
 *
 * Fixed widths only, the same on both sides. RSS amounts are in pages on
 * the BPF side and become bytes where the model takes them over.
 */
#ifndef PYMEM_H
#define PYMEM_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "py_layout.h"
#include "pymem_kernel.h"

/* Frames kept of one stack, innermost first; deeper ones are counted as truncated. */
#define PYMEM_MAX_FRAMES 128
#define PYMEM_MAX_WALK	 160 /* frames looked at, C-stack shims included */

/* Of so many walks of stacks on a CPU, one is timed. A prime: what a program does in turns is timed
 * in turns, too. */
#define PYMEM_WALKS_TIMED 61

/* The kernel's own indices into mm->rss_stat (include/linux/mm_types_task.h). */
enum pymem_member {
	PYMEM_FILE,
	PYMEM_ANON,
	PYMEM_SWAP, /* swap entries: recorded, but no part of RSS */
	PYMEM_SHMEM,
	PYMEM_MEMBERS,
};

/* Places in the filters that turn away what is not traced; a power of two. */
#define PYMEM_FILTER_SLOTS 8192

/* Place of an mm, by address, in its filter. */
static inline __u32 pymem_mm_slot(__u64 mm)
{
	return ((mm >> 6) ^ (mm >> 19)) & (PYMEM_FILTER_SLOTS - 1);
}

/* Every way a byte can fail to reach a line. Append only: names are the JSON keys
 * of lost_bytes. X(ID, json name, what to tell a person) */
#define PYMEM_LOSSES(X)                                                                           \
	X(NO_FRAME, "no-frame", "the thread was not running Python code")                         \
	X(NO_THREAD, "no-thread", "a thread that Python does not know (yet)")                     \
	X(UNIDENTIFIED, "unidentified", "before the interpreter was found in the process")        \
	X(UNREADABLE, "unreadable", "interpreter state could not be read (paged out, corrupt)")   \
	X(MAP_FULL, "map-full",                                                                   \
	  "stack or thread table full; raise --max-stacks (or --max-processes on 6.1 and older)") \
	X(UNDELIVERED, "undelivered",                                                             \
	  "its code object never arrived: ring buffer full (raise --ring-size)")                  \
	X(OTHER_TASK, "other-task", "changed by another task (reclaim, ptrace, khugepaged)")      \
	X(EXIT, "exit", "torn down at exit or exec")                                              \
	X(RECURSION, "recursion", "an event inside the profiler's own event")                     \
	X(UNSETTLED, "unsettled",                                                                 \
	  "changed while the profiler was ending, or between two readings")                       \
	X(REPLACED, "replaced", "its code object was replaced by another at the same address")    \
	X(CODE_QUOTA, "code-quota",                                                               \
	  "more code objects than the process, or its user, may have; raise --max-stacks")        \
	X(SHED, "shed", "not traced just then: beyond the budget of the agent (--budget)")

enum pymem_loss {
#define PYMEM_LOSS_ENUM(id, name, text) PYMEM_LOSS_##id,
	PYMEM_LOSSES(PYMEM_LOSS_ENUM)
#undef PYMEM_LOSS_ENUM
		PYMEM_LOSS_COUNT,
};

/* The memory system calls that are counted per line. X(ID, name) */
#define PYMEM_VMCALLS(X)    \
	X(BRK, "brk")       \
	X(MMAP, "mmap")     \
	X(MUNMAP, "munmap") \
	X(MREMAP, "mremap") \
	X(MADVISE, "madvise")

enum pymem_vmcall {
#define PYMEM_VMCALL_ENUM(id, name) PYMEM_VMCALL_##id,
	PYMEM_VMCALLS(PYMEM_VMCALL_ENUM)
#undef PYMEM_VMCALL_ENUM
		PYMEM_VMCALL_COUNT,
};

/* Why a thread has to free memory itself before it goes on, and waits until that is done; or is
 * made to wait until others have done so, and while its control group uses more than its
 * memory.high. Each nanosecond is in one kind. X(ID, name) */
#define PYMEM_STALLS(X)             \
	X(DIRECT, "direct")         \
	X(MEMCG, "memcg")           \
	X(COMPACTION, "compaction") \
	X(THROTTLED, "throttled")   \
	X(HIGH, "high")

enum pymem_stall {
#define PYMEM_STALL_ENUM(id, name) PYMEM_STALL_##id,
	PYMEM_STALLS(PYMEM_STALL_ENUM)
#undef PYMEM_STALL_ENUM
		PYMEM_STALL_COUNT,
};

/* Figures that are only counted if they are asked for, by kind: of a stack, and of an image what is
 * in no stack, such as what other tasks did to it. Append only: recordings have this order. X(ID,
 * true: pages; false: a count, or ns) */
#define PYMEM_EXTRAS(X)                                                           \
	X(HUGE_PAGES, false)	 /* huge pages that became resident as a whole */ \
	X(COLLAPSES, false)	 /* small pages became a huge one, */             \
	X(COLLAPSE_FILLED, true) /* and so many were added */                     \
	X(SWAPPED_IN, true)	 /* brought back from swap, */                    \
	X(SWAPIN_NS, false)	 /* and how long these faults took */             \
	X(SWAPPED_OUT, true)	 /* put there */                                  \
	X(TAKEN, true)		 /* of RSS, that another task took */

enum pymem_extra {
#define PYMEM_EXTRA_ENUM(id, pages) PYMEM_EXTRA_##id,
	PYMEM_EXTRAS(PYMEM_EXTRA_ENUM)
#undef PYMEM_EXTRA_ENUM
		PYMEM_EXTRA_COUNT,
};

/* The kinds, as bits. */
enum pymem_extra_kind {
	PYMEM_EXTRA_HUGE = 1,
	PYMEM_EXTRA_SWAP = 2,
	PYMEM_EXTRA_WAITS = 4, /* SWAPPED_IN of lines, and SWAPIN_NS, are known */
	PYMEM_EXTRA_EXTERNAL = 8,
};

/* Who took pages of an image. The first PYMEM_TAKERS tasks have a place. */
#define PYMEM_TAKERS 4

struct pymem_taker {
	__u32 pid; /* a TID, in the initial PID namespace; 0: free */
	__u32 pad;
	__u64 pages;
	char comm[16];
};

/* One Python stack of one process image. `hash` covers code addresses, code
 * fingerprints and instruction offsets of all frames; and pymem_thread.told. */
struct pymem_stack_key {
	__u32 proc; /* pymem_proc.id */
	__u32 pad;
	__u64 hash;
};

/* What tells a thread apart (knob tell_threads): its TID in the initial PID namespace, and above it
 * a number, from 1 on, that no thread of the image with the same TID had before. An image has
 * PYMEM_THREADS_TOLD of them; all its later threads are one, with the TID 0. 0: threads are not
 * told apart. */
#define PYMEM_THREADS_TOLD	  256
#define PYMEM_THREAD_NAME	  16 /* bytes of a name, with its NUL: the kernel's TASK_COMM_LEN */
#define PYMEM_THREAD(number, tid) ((__u64)(number) << 32 | (tid))
#define PYMEM_THREAD_OTHERS	  PYMEM_THREAD(PYMEM_THREADS_TOLD + 1, 0)

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

/* What few stacks have. System calls: successful ones only; brk and mremap count the change of
 * size, the others the length. Stalls: how often and how long threads waited. Extras: counts, or
 * pages. */
struct pymem_vmcalls {
	__u64 calls[PYMEM_VMCALL_COUNT];
	__s64 bytes[PYMEM_VMCALL_COUNT];
	__u64 stalls[PYMEM_STALL_COUNT];
	__u64 stall_ns[PYMEM_STALL_COUNT];
	__u64 reclaimed_pages; /* in these stalls; compaction frees none */
	__u64 extras[PYMEM_EXTRA_COUNT];
	__u32 account; /* as pymem_stack.account */
	__u32 pad;
};

/* A code object that has been handed over: value of the map `codes`. */
struct pymem_code {
	__u32 sent;    /* of its line table, bytes; ~0: nothing is left to be handed over */
	__u32 account; /* as pymem_stack.account */
};

/* Which stack first touched a page (bpf/account/touched.bpf.h). A directory leads from a region of
 * the address space to a leaf, which has an id for each page: that of a stack, or one of these. */
#define PYMEM_TOUCHED_SHIFT  21		/* bytes of a region, as a power of two */
#define PYMEM_TOUCHED_PAGES  512	/* of a region */
#define PYMEM_TOUCHED_NOBODY 0		/* nobody while the image was watched */
#define PYMEM_TOUCHED_LOST   0x7fffffff /* somebody, but no stack was found */
#define PYMEM_TOUCHED_NEW    0x7ffffffe /* nobody since memory was mapped there anew */
#define PYMEM_TOUCHED_AROUND 0x80000000 /* bit of an id: mapped beside the page touched */
#define PYMEM_TOUCHED_CHAIN  16		/* directories of an image */

struct pymem_touched_leaf {
	__u32 ids[PYMEM_TOUCHED_PAGES];
};

/* What a stack put first into a place that it touched. A place is 16 KiB, at which a pool of
 * Python's allocator may begin. `bytes` are its first ones, as they were when the same stack
 * touched its next page. Only some places are noted, chosen by a hash of their address. In the
 * table, one place may replace another. */
#define PYMEM_FIRSTS	  1024 /* a power of two */
#define PYMEM_FIRST_SHIFT 14
#define PYMEM_FIRST_BYTES 128

struct pymem_first {
	__u64 address;
	__u32 dir, id; /* of the directory, of the stack; id 0: nothing */
	__u8 bytes[PYMEM_FIRST_BYTES];
};

/* Where a task faults just now. Several tasks share an entry. `mark` is made of the address, the
 * task and the number of its fault, so it shows if another task has overwritten the entry. */
struct pymem_touch {
	__u64 mark, address;
	__u64 since;  /* bpf_ktime_get_ns() when it began, if that is asked for */
	__u64 pad[5]; /* a cache line each: CPUs must not wait for each other */
};

/* Key of the map `touched_dirs`; its value is the index of a leaf. */
static inline __u64 pymem_touched_key(__u32 dir, __u64 address)
{
	return (__u64)dir << 32 | (__u32)(address >> PYMEM_TOUCHED_SHIFT);
}

/* A stack's counters as the BPF side keeps them. */
struct pymem_stack {
	struct pymem_counters counters;
	__u16 announced; /* its frames have been handed to user space */
	__u16 account;	 /* struct pymem_account that the entry is on since it was made; 0: none */
	__u16 interval;	 /* pymem_recent.interval when it was last a recent stack */
	__u16 lacks;	 /* unless announced: why not, enum pymem_lack */
	__u32 id;	 /* the stack's id in leaves; 0: none */
	__u32 told; /* the reading (`reading`) before which user space has been told of a change */
};

/* Why code objects of a stack have not been handed over. X(ID, what to tell a person) */
#define PYMEM_LACKS(X)                                                                   \
	X(RING, "did not fit the ring buffer: raise --ring-size")                        \
	X(QUOTA, "are more than the process, or its user, may have: raise --max-stacks") \
	X(SENDS, "were still to come: one event hands over 1 to 192")

enum pymem_lack {
#define PYMEM_LACK_ENUM(id, text) PYMEM_LACK_##id,
	PYMEM_LACKS(PYMEM_LACK_ENUM)
#undef PYMEM_LACK_ENUM
		PYMEM_LACK_COUNT,
};

/* The tables that all images share, and of which each has a quota (bpf/account/quota.bpf.h).
 * X(ID, what its entries are) */
#define PYMEM_TABLES(X)                      \
	X(STACKS, "stacks")                  \
	X(VMCALLS, "stacks of system calls") \
	X(CODES, "code objects")             \
	X(LINES, "lines")                    \
	X(THREADS, "threads")

enum pymem_table {
#define PYMEM_TABLE_ENUM(id, text) PYMEM_TABLE_##id,
	PYMEM_TABLES(PYMEM_TABLE_ENUM)
#undef PYMEM_TABLE_ENUM
		PYMEM_TABLE_COUNT,
};

/* An image's places in a table. */
struct pymem_places {
	__u32 held;
	__u32 refused; /* how often its own quota was reached */
	__u32 denied;  /* how often its user's quota was reached */
};

/* What the images of a user hold together: entries of the tables. Each entry names the account that
 * it was put on when it was made, and is taken off that one when it is deleted, whatever became of
 * its image meanwhile. Places in the array `accounts`: the first half are by
 * user number, the second by user namespace (bpf/account/owner.bpf.h), both modulo their count.
 * Place 0 is root's and nobody's. */
#define PYMEM_ACCOUNTS 4096

struct pymem_account {
	__u32 held[PYMEM_TABLE_COUNT];
};

/* A user number that /etc/subuid gives to a user. The map `subids`, a trie of prefixes, leads from
 * it to that user's own number. */
struct pymem_subid_key {
	__u32 bits; /* of `uid` that count, from the highest on */
	__u32 uid;  /* in network byte order */
};

/* A layout of images that are identified, and whose stacks are not walked just now: the agent has
 * no room for them in its budget. */
#define PYMEM_LAYOUT_SHED 0xffffffffu

/* One process image: from attach, fork or exec to exec or exit. Value of the map
 * `procs` (keyed by the address of its mm_struct), followed there by one
 * struct pymem_cpu per possible CPU. */
struct pymem_proc {
	__u32 id;	  /* unique in a session */
	__u32 tgid;	  /* in the initial PID namespace */
	__u32 identified; /* layout and runtime are set: stacks can be walked */
	__u32 dying;	  /* being torn down: no longer accounted */
	__u32 multi;	  /* more than one interpreter: thread states are not cached */
	__u32 layout;	  /* index into the map `layouts`, or PYMEM_LAYOUT_SHED */
	__u64 mm;
	__u64 runtime;	     /* address of _PyRuntime, or of _PyThreadState_Current */
	__u64 interp_head;   /* 3.6: address of interp_head, or of the interpreter once seen */
	__u64 exec_switches; /* arm64: switches_now() of its task when the image began */
	__u64 start_boottime_ns;
	__u64 brk;
	__u64 dynamic_until; /* jiffies; until then each event confirms stacks: code was replaced */
	__s64 start_pages[PYMEM_MEMBERS];
	__s64 now_pages[PYMEM_MEMBERS];
	__s64 shared_pages[PYMEM_MEMBERS]; /* part of the kernel's counter claimed so far */
	__u64 counter[PYMEM_MEMBERS];	   /* address of the kernel's own counter */
	__u64 percpu[PYMEM_MEMBERS];	   /* 6.2+: its per-CPU pointer */
	__s64 lost_pages[PYMEM_LOSS_COUNT];
	struct pymem_places places[PYMEM_TABLE_COUNT];
	__u64 peak_pages;  /* at the end of the image; before, the maximum over CPUs */
	__u64 truncated;   /* distinct stacks whose outermost frames are missing */
	__u64 lost_faults; /* page faults that went to no stack */
	__u64 lost_stalls; /* stalls that went to no stack, and how long they were */
	__u64 lost_stall_ns;
	__u64 lost_extras[PYMEM_EXTRA_COUNT]; /* that no stack of its own has */
	struct pymem_taker takers[PYMEM_TAKERS];
	__u32 block; /* serial of the counter block it is published on (pymem_block.h); 0: none */
	__u32 lines_seen; /* a line event has come: the exact engine is attached to it */
	__u32 ended;	  /* its record is final */
	__u32 tree;	  /* of the counter block that adds it up with its relatives; 0: none */
	__u64 unwatched_writes; /* to present pages, before copies were watched */
	__u32 parent_id, ppid;
	char comm[16];
	__u32 payer;	      /* on whose account it is (struct pymem_payer); 0: nobody's */
	__u32 account;	      /* its user's (struct pymem_account); 0: root's, so far */
	__u32 user;	      /* that user's number */
	__u32 touched_leaves; /* number of leaves that it holds */
	/* Directories in which its pages are looked up, newest first; 0: no more. It writes to the
	 * first one; the others are as they were at a fork. */
	__u32 touched_dirs[PYMEM_TOUCHED_CHAIN];
	__u32 touched_written;	/* the first directory has a leaf */
	__u32 touched_cut;	/* older directories are missing: too many forks */
	__u64 touched_unplaced; /* pages that became resident at an address not known */
	__u64 touched_refused;	/* pages for which there was no leaf */
	__u32 threads; /* that have run Python since the image began, if threads are told apart */
	__u32 cached_places; /* that it holds (struct pymem_cached) */
	__u32 cached_files;  /* records that it made (struct pymem_cache_file) */
	__u64 cached_unkept; /* pages that it brought into the page cache, without a place */
	__s64 tables_start,
		tables_now; /* bytes of its page tables, when last read (pymem_kernel.h) */
	__s64 kernel_unkept[PYMEM_KERNEL_COUNT]; /* bytes of kernel memory without a place */
	__u64 names_at;	    /* when names_left was reckoned, in units of 2^20 ns */
	__s32 names_left;   /* code objects that it may still name (bpf/python/names.bpf.h) */
	__u32 kernel_owned; /* objects of the kernel that are known to be its own */
};

/* A payer is a user for whom `serve` tracks images; each has a limit. User space gives out the
 * places in the array `payers`. Place 0 adds up all the others. */
#define PYMEM_PAYERS 1024

struct pymem_payer {
	__u32 images;  /* tracked now */
	__u32 refused; /* not tracked, since the account was full; wraps */
};

struct pymem_cpu {
	__s32 last[PYMEM_MEMBERS]; /* this CPU's part of each counter at its last event */
	__u64 peak_pages;	   /* highest RSS seen by this CPU */
	__u32 claiming;		   /* an event on this CPU is about to claim what it emptied */
	__u32 pad;
	/* Of this CPU's last event; meanwhile, what other CPUs have pending (pending_pages()). */
	__s64 change;
};

/* A layout as the walker takes it: with how much of each structure to read. */
struct pymem_layout {
	__u16 tstate_size;
	__u16 code_size;
	/* The part of a thread state that has its thread's id and its frame. */
	__u16 tstate_from, tstate_part;
	struct py_layout py;
};

/* What user space wants attached or identified; value of the map `wanted` (by tgid). */
struct pymem_wanted {
	__u64 start_boottime_ns; /* 0: any; else must match to a clock tick (10 ms) */
	__u64 runtime, interp_head;
	__u32 layout; /* as pymem_proc.layout */
	__u32 identified;
	__u32 adopt;  /* set by the BPF side when it begins to track the image */
	__u32 block;  /* serial of the counter block to publish it on; 0: none */
	__u32 expect; /* id of the image that was examined, no other; 0: whichever it runs */
	__u32 payer;  /* of this image and of what it forks; 0: nobody */
	__u32 id;     /* out: of the image now tracked */
	__u32 result; /* out: enum pymem_wanted_result */
};

enum pymem_wanted_result {
	PYMEM_WANTED_UNSEEN,
	PYMEM_WANTED_OK,
	PYMEM_WANTED_NO_MM, /* zombie or kernel thread */
	PYMEM_WANTED_OTHER, /* another process has that PID now, or it runs another image */
	PYMEM_WANTED_MAP_FULL,
	PYMEM_WANTED_BUSY,  /* published on another block already */
	PYMEM_WANTED_QUOTA, /* its payer has as many images as it may */
};

/* Messages of the ring buffer. Each begins with its type. */
enum pymem_msg_type {
	PYMEM_MSG_STACK = 1,
	PYMEM_MSG_CODE,
	PYMEM_MSG_FORK,	  /* a tracked process forked: a new image is tracked */
	PYMEM_MSG_EXEC,	  /* an exec: identify the process */
	PYMEM_MSG_EXIT,	  /* an image ended: its record is in the map `dead` */
	PYMEM_MSG_COPIES, /* time to watch for copies on write */
	PYMEM_MSG_MAPPED, /* a process mapped a file executable: identify it again */
	PYMEM_MSG_WORDS,  /* a signal ends a thread of an image */
	PYMEM_MSG_VICTIM, /* the OOM killer chose the image */
};

/* `lasti` of a frame whose instruction lies outside its code object. */
#define PYMEM_LASTI_UNKNOWN (-0x7fffffff - 1)

struct pymem_msg_frame {
	__u64 code;
	__u64 fingerprint;
	__s32 lasti; /* byte offset of the instruction; < 0: nothing run yet */
	__u32 pad;
};

struct pymem_msg_stack {
	__u32 type;
	__u32 proc;
	__u64 hash;
	__u32 depth;
	__u32 truncated;
	__u64 told;					 /* of its thread */
	char comm[PYMEM_THREAD_NAME];			 /* of its thread, if that is told apart */
	struct pymem_msg_frame frames[PYMEM_MAX_FRAMES]; /* `depth` of them */
};

#define PYMEM_FILE_BYTES  1024
#define PYMEM_NAME_BYTES  512
#define PYMEM_TABLE_BYTES 8192	      /* of a line table in one message */
#define PYMEM_TABLE_MAX	  65536	      /* of it in the messages of one event; later ones go on */
#define PYMEM_TABLE_KEPT  (64u << 20) /* of it at all */

/* A str: its raw characters are `bytes` long, of `length` code points in all. */
struct pymem_str {
	__u32 length;
	__u16 bytes; /* captured */
	__u8 kind;   /* bytes per code point; 0: unreadable */
	__u8 pad;
};

/* A code object; several of them where the line table is long. */
struct pymem_msg_code {
	__u32 type;
	__u32 proc;
	__u64 code;
	__u64 fingerprint;
	__u64 table_addr; /* of the line table's bytes in the process */
	__s32 first_line;
	__u32 table_length; /* of the whole table; 0 with table_bytes 0: unreadable */
	__u32 table_offset; /* of the part in this message */
	__u32 table_bytes;
	__u32 uid, gid; /* real IDs of the process now: it may have given up its former user */
	__u32 last;	/* the table goes on, but this event sends no more of it */
	__u32 pad;
	struct pymem_str file, name;
	char file_data[PYMEM_FILE_BYTES];
	char name_data[PYMEM_NAME_BYTES];
	unsigned char table[PYMEM_TABLE_BYTES]; /* `table_bytes` of them */
};

struct pymem_msg_process { /* FORK, EXEC, EXIT, MAPPED */
	__u32 type;
	__u32 proc; /* image id; 0 where none is tracked yet */
	__u32 tgid;
	__u32 ppid;
	__u32 parent;	  /* FORK: id of the image it was forked from */
	__u32 identified; /* FORK: the child's stacks are walked, as its parent's were at the fork
			   */
};

/* Threads of an image whose last words are sent; of more there is only a number. */
#define PYMEM_WORDS_THREADS 64

/* A signal ends a thread: where it was. A VICTIM has nothing of a thread. */
struct pymem_msg_words {
	__u32 type;
	__u32 proc;
	__u32 tgid;
	__u32 tid;     /* this, and what is of its thread, only in WORDS */
	__u64 hash;    /* of its stack; 0: unknown */
	__u64 time_ns; /* CLOCK_MONOTONIC; when the signal was sent, if that was seen */
	__s64 pages[PYMEM_MEMBERS];  /* of the image at that time */
	__u32 signal;		     /* that ends the process */
	__s32 code;		     /* si_code of the signal as it was sent */
	__u32 sent;		     /* that was seen: these are known */
	__u32 sender, sender_thread; /* PID and TID of who sent it */
	__u32 sender_uid;
	__u32 threads; /* of the process */
	__u32 loss;    /* without a stack: why, enum pymem_loss */
	__u32 raised;  /* the signal was delivered to this thread: it made it, or was chosen */
	__u32 victim;  /* the OOM killer had chosen the process by then */
	/* Where the sender was, if it is another image that is tracked; else sender_proc is 0. */
	__u32 sender_proc, sender_loss;
	__u64 sender_hash;
	char sender_comm[16], comm[16];
};

/* A string instruction (rep stos, rep movs) of x86 that has faulted and will resume. */
struct pymem_string {
	__u64 ip, sp;
	__u64 end;  /* of its destination */
	__u64 at;   /* destination when it last faulted */
	__u32 unit; /* bytes per iteration; 0: not such an instruction */
	__u32 pad;
};

/* A recent stack of a thread, and what the thread has collected for it. */
struct pymem_recent {
	__u64 raw;  /* hash of what was read of the frames; 0: free */
	__u64 hash; /* pymem_stack_key.hash */
	__u64 leaf_code, leaf_fingerprint;
	__u32 since;	/* visits since the stack's code objects were last confirmed */
	__u32 interval; /* confirm them when `since` reaches this */
	__u32 id;	/* pymem_stack.id */
	__u32 named;	/* of a stack that was cut since no more could be named: its frames; or 0 */
	struct pymem_counters acc; /* not yet added to `stacks` */
};

/* Two for each place of a hash. When a third stack comes to a place, the one used last stays. The
 * legacy build has fewer, since it may have to allocate all records of threads at the load. */
#ifdef PYMEM_LEGACY
#define PYMEM_RECENT 16
#else
#define PYMEM_RECENT 32
#endif
#define PYMEM_RECENT_WAYS 2
#define PYMEM_RECENT_SETS (PYMEM_RECENT / PYMEM_RECENT_WAYS)

/* A thread of a tracked process; value of the map `threads`. */
struct pymem_thread {
	__u64 mm;
	__u32 proc;
	__u32 pending;		    /* enum pymem_pending */
	__u64 tstate;		    /* its PyThreadState, 0: not known */
	__u64 floor;		    /* lowest frame in the innermost one's page, at the last walk */
	__u64 leaf;		    /* innermost frame at the last walk */
	__u64 first, first_back;    /* of that walk: a frame that begins a chunk, and its caller */
	__u64 mapped, mapped_leaf;  /* what it mapped last, and the frame that did */
	__u64 major;		    /* task->maj_flt, settled so far */
	__u64 noted;		    /* fault that `pending` is about (fault_number()) */
	__u64 counted;		    /* fault that was counted last */
	__u64 charged;		    /* fault whose stack is `current`, found at a change of RSS */
	__s32 cache[PYMEM_MEMBERS]; /* 6.1 and older: task->rss_stat, settled so far */
	__u64 resume;		    /* thread state at which its search goes on; 0: none */
	__u32 passes;		    /* events that this search has taken */
	__u32 searches;		    /* number of searches that found nothing */
	__u32 current;		    /* the recent stack being collected for; PYMEM_RECENT: none */
	__u32 loss;		    /* while there is none: why (enum pymem_loss) */
	__u32 confirm;		    /* the next visit is to confirm its stack */
	__u32 minor;		    /* the fault counted last is a minor one, as far as is known */
	__u32 account;		    /* 6.1 and older: as pymem_stack.account */
	__u32 tid;		    /* as it sees itself; 0: not asked yet */
	__s64 net_pages;	    /* RSS that its own doing added, less what it freed */
	__u32 block;		    /* serial of the counter block that shows net_pages */
	__u64 line_peak;	    /* highest RSS it has seen since its last line event */
	__u64 stall_since;	    /* bpf_ktime_get_ns() when it began to free memory itself */
	__u64 stall_inside;	    /* ns of it that are of another kind already */
	__u64 high_since;	    /* as stall_since, when it met its group's memory.high; 0 */
	__u64 high_inside;	    /* ns since then that are of another kind already */
	__u64 high_slept;	    /* how often it had gone to sleep, just before it might */
	__u32 stall;		    /* enum pymem_stall, plus 1; 0: it does not */
	__u32 stall_pad;
	__u64 vm_pages, vm_brk;	  /* of its image, when a system call of its took mmap_lock */
	__u64 vm_area, vm_length; /* what that call found free last, and how much; 0: nothing */
	__u64 vm_offset;  /* in an mremap: what the kernel aligns a huge page by; 0: not known */
	__u64 vm_advice;  /* tells apart calls of madvise that give pages back */
	__u32 vm_call;	  /* its number, plus 1, until the lock is released; 0: none */
	__u32 vm_topdown; /* vm_area was sought from the top down */
	/* The call that has succeeded just now, and its result. */
	__u64 vm_result;
	__u32 vm_done;
	__u32 vm_kind; /* the call that is counted just now, enum pymem_vmcall */
	struct pymem_string string;
	__u64 told;	    /* PYMEM_THREAD(); 0 until its Python state was found */
	__u64 regs;	    /* where the kernel keeps the registers of the fault being handled */
	__u64 latest;	    /* a bit for each set: which of its two stacks was used last */
	__u64 touched_key;  /* of the leaf written to last */
	__u32 touched_leaf; /* that leaf, plus 1; 0: none */
	__u16 touched_at;   /* page of it */
	__u16 pad;
	__u32 touched_was; /* the id that this page had before */
	__u32 touched_by;  /* the id that it has now; 0: the page is not known */
	/* If swap is counted: pages by which its last change made RSS grow, 0 if it did not, and
	 * the fault (fault_number()). */
	__s64 grew;
	__u64 grew_in;
	struct pymem_recent recent[PYMEM_RECENT]; /* by `raw`: a set is two neighbours */
};

/* What a thread has collected, as the program `collect` writes it. */
struct pymem_collected {
	struct pymem_stack_key key;
	struct pymem_counters counters;
};

enum pymem_pending {
	PYMEM_PENDING_FAULT = 1 << 0,  /* in a page fault not yet counted for a stack */
	PYMEM_PENDING_WRITE = 1 << 1,  /* of a write to a present page: perhaps a copy */
	PYMEM_PENDING_COPIED = 1 << 2, /* a page was allocated for it */
};

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All maps and globals, declared for each source and defined by maps.bpf.c.
 *
 *   mm_filter, tgid_filter  a few bytes that turn away what is not traced
 *   procs     mm   -> process image, with the kernel's counters as last seen
 *   tgids     tgid -> its mm
 *   threads   task -> where its Python state is, what is being charged
 *   stacks    (image, stack) -> what was charged
 *   codes     code objects whose names and lines have been handed over
 *   touched_… which stack first touched a page
 *   blocks    what a process reads about itself
 *   ring      stacks, code objects, lifecycle: to user space
 *
 * Sizes of hash maps are set by the loader; they allocate entries as they are used
 * where the kernel allows that in a tracing program (6.1 and later).
 */
#ifndef MAPS_BPF_H
#define MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "base/compat.bpf.h"

#include "py_layout.h"
#include "pymem.h"
#include "pymem_block.h"

#ifdef PYMEM_DEFINE_MAPS
#define SHARED
#else
#define SHARED extern
#endif

#define MAX_LAYOUTS 64

/* What the next image of a process takes over from the one before it. */
struct heritage {
	__u32 block, tree, payer;
	__u32 account, user;
	__s32 names_left;
	__u64 names_at; /* 0: there was none before it */
};

struct tgid_entry {
	__u64 mm;
	__u32 borrowed;	      /* vfork child: runs on its parent's mm until it execs */
	__u32 id;	      /* of the image; `mm` may be another's once it has left it */
	struct heritage left; /* of an image that ended before its exec or exit was seen */
	__u32 pad;
};

struct code_key {
	__u64 code;
	__u64 fingerprint;
	__u32 proc;
	__u32 pad;
};

struct frame_raw {
	__u64 frame; /* its address, for the thread's bytecode index */
	__u64 code;
	__u64 instr;
};

#define CHUNK_BYTES 4096
#define NAMED_BITS  6
#define FRAME_BYTES 256 /* upper bound of py_layout.frame_size */

/* Working memory of one event. One per CPU: `busy` turns away an event inside an event. */
struct scratch {
	__u32 busy;
	__u32 depth;
	__u32 truncated;
	__u32 layout;		     /* of the process this event is about */
	__u32 call;		     /* see opaque() */
	__u32 steps;		     /* thread states that may still be looked at */
	__u32 sends;		     /* messages of code objects that may still be sent */
	__u32 names;		     /* code objects that may still be named (names.bpf.h) */
	__u32 names_given;	     /* at the begin of the event */
	__u32 most;		     /* frames to name */
	__u32 shortened;	     /* a caller was not named, since no more may be */
	__u32 prefix;		     /* 0: of no interest */
	__u8 named[1 << NAMED_BITS]; /* where a code object was named in this event: its frame */
	__u32 served;		     /* frames found in `chunk` */
	__s32 denied; /* may the process have more code objects remembered? 0, or enum quota_verdict
		       */
	__u32 coded;  /* code objects that are remembered since this event began */
	__u32 refused;
	__u32 sent;    /* how much of a line table has been handed over; */
	__u32 unread;  /* a part of it can't be read: paged out; */
	__u32 unsent;  /* there was no room in the ring for a part */
	__u32 left;    /* frames that this walk may still look at, where it takes them in runs */
	__s32 more;    /* of the walk: 1: goes on, 0: at the outermost frame, -1: unreadable */
	__u32 small;   /* `chunk` is what a small read brought */
	__u32 account; /* the account that new code objects are on */
	__u32 untimed; /* walks on this CPU until one is timed */
	__u64 since;   /* when the walk began; 0: it is not timed */
	__u64 hash;
	__u64 prefix_hash; /* pymem_msg_stack.hash, if the stack were cut after `prefix` frames */
	__u64 identity;	   /* hash over names, as far as they have been found */
	__u64 frame;	   /* next to look at */
	__u64 leaf;	   /* the innermost one */
	__u64 floor;	   /* lowest frame in its page, last time */
	__u64 low;	   /* this time */
	__u64 first;	   /* innermost frame that begins a chunk of the data stack; 0: none */
	__u64 first_back;
	__u64 search; /* the next state to look at */
	__u64 interp; /* of the search for a state, up to `interpreters`: the next one to search */
	__u64 found;
	__u64 idle;
	__u64 stopped; /* where `steps` ran out */
	__u64 unreadable;
	__u64 interpreters;
	__u64 base; /* what `chunk` was read from */
	__u64 length;
	struct frame_raw frames[PYMEM_MAX_FRAMES];
	__u8 tstate[512];
	__u8 code[512];
	__u8 chunk[CHUNK_BYTES + FRAME_BYTES];
	struct pymem_msg_stack stack;
};

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, sizeof(__u64));
	__uint(value_size, sizeof(struct pymem_proc) + sizeof(struct pymem_cpu));
} procs SEC(".maps");

/* One zeroed value of `procs`: the verifier has no other way to insert one of that size. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct pymem_proc) + sizeof(struct pymem_cpu));
} blank SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct pymem_proc);
} dead SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct tgid_entry);
} tgids SEC(".maps");

SHARED TASK_MAP(struct pymem_thread) threads SEC(".maps");

/* A zeroed record of a thread, for iterators: there is one at a time. */
BLANK_MAP(SHARED, thread_blank, struct pymem_thread);

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pymem_stack_key);
	__type(value, struct pymem_stack);
} stacks SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pymem_stack_key);
	__type(value, struct pymem_vmcalls);
} vmcalls SEC(".maps");

/* Sized by the loader, which leaves it out unless the kernel's own memory is watched. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pymem_stack_key);
	__type(value, struct pymem_kernel);
} kernel_sums SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct code_key);
	__type(value, struct pymem_code);
} codes SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct pymem_wanted);
} wanted SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_LAYOUTS);
	__type(key, __u32);
	__type(value, struct pymem_layout);
} layouts SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pymem_msg_code);
} messages SEC(".maps");

/* The same for programs that can be preempted (own_scratch.bpf.h). */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} call_scratches SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pymem_msg_code);
} call_messages SEC(".maps");

/* Sized by the loader, which leaves these maps out unless touches are noted (watch_touched). */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* pymem_touched_key() */
	__type(value, __u32);
} touched_dirs SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pymem_touched_leaf);
} touched_leaves SEC(".maps");

/* What stacks put first into what they touched: by a hash of the address. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PYMEM_FIRSTS);
	__type(key, __u32);
	__type(value, struct pymem_first);
} touched_firsts SEC(".maps");

/* Leaves that user space has given back, zeroed. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 1);
	__uint(value_size, sizeof(__u32));
} touched_free SEC(".maps");

/* The user to whom /etc/subuid gives a number; filled by the loader. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1 << 20); /* allocated as they are used */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct pymem_subid_key);
	__type(value, __u32);
} subids SEC(".maps");

struct id_counter {
	__u32 next;
};

SHARED struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct id_counter);
} id_counters SEC(".maps");

/* Offset of each CPU's area from a per-CPU pointer; found once by percpu.bpf.c. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} cpu_offsets SEC(".maps");

SHARED struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

/* With `tell_changes`: keys of stacks that have changed since the last reading. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} changes SEC(".maps");

struct block_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, PYMEM_BLOCK_BYTES);
};

/* Counter blocks that processes read about themselves, by serial number modulo PYMEM_BLOCKS. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, PYMEM_BLOCKS);
	__type(key, __u32);
	__array(values, struct block_map);
} blocks SEC(".maps");

/* The BPF side's own records of these. Sized by the loader: one record if there are no blocks. */
SHARED struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pymem_block_record);
} block_records SEC(".maps");

/* Counts of traced images per slot, so that what is not traced is turned away by one load. */
SHARED __u32 mm_filter[PYMEM_FILTER_SLOTS];
SHARED __u32 tgid_filter[PYMEM_FILTER_SLOTS];

SHARED __u32 iterator_ids; /* of images that task iterators have begun */

SHARED __u32 places_used[PYMEM_TABLE_COUNT]; /* entries of the tables with a quota */
/* How many these can have: the loader sets it. No constants: the verifier would follow the quota
 * once for each of them.
 */
SHARED __u32 table_rooms[PYMEM_TABLE_COUNT];

SHARED struct pymem_account accounts[PYMEM_ACCOUNTS];

#define TOUCHES 1024
SHARED struct pymem_touch touches[TOUCHES]; /* by PID; one place may be that of two tasks */
SHARED __u32 touched_next;		    /* leaves that have ever been taken */
SHARED __u32 touched_used;		    /* leaves that are taken now */

SHARED __u32 copies_watched; /* set by the loader once page_alloc is attached */
SHARED __u32 copies_asked;   /* the loader has been asked to attach it */

/* For the agent's budget. */
SHARED __u32 walk_less; /* of PYMEM_MAX_WALK frames, walks leave out so many; set by user space */
SHARED __u64 shortened_stacks; /* that were cut, since their image may not name more */
SHARED __u64 shed_stacks;      /* stacks that were cut while it did */
SHARED __u64 timed_walks, timed_ns;

SHARED __u32 reading;	      /* of the changed stacks: user space counts its own */
SHARED __u64 dropped_changes; /* that found `changes` full */

SHARED __u32 wake_waits; /* messages have come that woke nobody (tell_flags()) */

SHARED __u64 dropped_messages;			/* lifecycle messages that found the ring full */
SHARED struct pymem_payer payers[PYMEM_PAYERS]; /* 0: of all together */
SHARED __u64 dropped_images;			/* images that found `procs` or `dead` full */
SHARED __u64 dropped_calls;			/* system calls that found `vmcalls` full */
SHARED __u64 dropped_swap;			/* pages of swap that found it full */
SHARED __u64 dropped_huge;			/* huge pages, collapses that found it full */
SHARED __u64 dropped_stalls;			/* stalls that found it full */

/* Knobs fixed at load: constants to the verifier. */
#ifndef KNOB_CONST /* a test may set them later */
#define KNOB_CONST const
#endif
#ifdef PYMEM_DEFINE_MAPS
#define KNOB(name, value) KNOB_CONST volatile __u32 name = value
#else
#define KNOB(name, value) extern KNOB_CONST volatile __u32 name
#endif
KNOB(nr_cpus, 1);	 /* possible CPUs */
KNOB(counter_batch, 32); /* where a CPU's part of a counter goes into the shared count */
#ifdef PYMEM_LEGACY
#define batched_counters 1 /* 6.1 and older: counters are fed from per-task caches */
KNOB(probe_cookies, 0);	   /* uprobes have them: from 5.15 on */
#define preemptible 0
#else
KNOB(preemptible, 0); /* programs of tracepoints can be preempted: from 7.0 on */
#define batched_counters 0
#endif
KNOB(follow_children, 1);   /* fork and exec */
KNOB(watch_host, 0);	    /* -a: tell of each exec and of each executable mapping */
KNOB(payer_images, 0);	    /* limit of images of one payer at a time */
KNOB(all_payers_images, 0); /* of all payers together */
KNOB(count_only, 0);	    /* publish amounts on counter blocks: no stacks, nothing for a report */
KNOB(count_faults, 1);	    /* page faults are seen */
KNOB(watch_advice, 0);	    /* calls of madvise are not seen: note what they give back */
KNOB(watch_touched, 0);	    /* note which stack touches a page first: from 6.2 on */
KNOB(touched_room, 0);	    /* leaves */
KNOB(watch_huge, 0);	    /* count huge pages of so many pages; 0: do not */
KNOB(watch_swap, 0);	    /* count what is swapped out */
KNOB(watch_waits, 0);	    /* and what faults swap in, and how long they take: from 6.2 on */
KNOB(watch_takers, 0);	    /* count what other tasks take */
KNOB(watch_kernel, 0);	    /* note for which stack the kernel takes memory of its own */
KNOB(tell_changes, 0);	    /* tell which stacks have changed since they were read */
KNOB(limits_itself, 0);	    /* time walks, and walk less deep: for the agent's budget */
KNOB(names_rate, 0);	    /* code objects that an image may name each 2^20 ns; 0: all */
KNOB(tell_threads, 0);	    /* stacks of different threads are different stacks */
KNOB(own_tgid, 0);	    /* the profiler's own: it may be a child of what it watches */
KNOB(ring_wakeup_bytes, 0);
KNOB(quota_share, 1);	   /* see quota.bpf.h */
KNOB(quota_user_share, 3); /* likewise */

static __always_inline __u32 mm_slot(__u64 mm)
{
	return pymem_mm_slot(mm);
}

static __always_inline __u32 tgid_slot(__u32 tgid)
{
	return tgid & (PYMEM_FILTER_SLOTS - 1);
}

#endif

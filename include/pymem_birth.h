/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the BPF side of births (bpf/births/) and its user side share. Fixed widths, as in pymem.h.
 */
#ifndef PYMEM_BIRTH_H
#define PYMEM_BIRTH_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Frames kept of one stack, innermost first: a line and who called it. */
#define BIRTH_FRAMES 12

/* Words of a new object: its reference count, type and size. */
#define BIRTH_HEAD_WORDS 3

/* Hardware has four debug registers. */
#define BIRTH_WATCHES 4

struct birth_frame {
	__u64 code;
	__u64 instr; /* as the walk finds it (py_layout.frame_instr) */
	__u64 stamp; /* birth_stamp() of the code object at that time; 0: it could not be read */
};

/* An object was made, or the size of a watched container was written. */
struct birth_event {
	__u64 object; /* address of the object, or of the container */
	__s64 change; /* 1: an object was made, or the container has grown; -1: it has shrunk */
	__u32 tid;
	__u32 depth;
	__u64 head[BIRTH_HEAD_WORDS]; /* of the object when it was made; 0: it could not be read */
	struct birth_frame frames[BIRTH_FRAMES];
};

/* The object at that address is not known any more. This is a message of its own; its size tells it
 * from an event. */
struct birth_end {
	__u64 object;
};

/* A watched container. The debug register is on its size field; or, where one container after
 * another takes the same place, on the place that has the container's address. */
struct birth_watch {
	__u64 object; /* 0: unused */
	__u64 size_addr;
	__u64 slot;	    /* a place that had its address; 0: none is known */
	__u64 tracked_addr; /* the first word of its GC head: 0 while an object is being made */
	__u64 type;	    /* its ob_type */
	__s64 size;	    /* at its last event */
	__u32 type_offset;  /* of ob_type */
	__u16 by_slot;	    /* the slot is watched, and `size` is that of the container in it */
	__u16 is_dict; /* dicts of numbers and strings may have a GC head of 0, too (to 3.13) */
	__u32 ended;   /* set by the program: another object was made at that address */
	__u32 pad;
};

/* A number that tells a code object from another one at the same address, made of the words that
 * name it. Never 0. */
static inline __u64 birth_stamp(__u64 filename, __u64 name, __u64 linetable, __u32 first_line)
{
	__u64 hash = filename * 0x9e3779b97f4a7c15ull;

	hash = (hash ^ name) * 0xbf58476d1ce4e5b9ull;
	hash = (hash ^ linetable) * 0x94d049bb133111ebull;
	hash ^= first_line ^ hash >> 29;
	return hash ? hash : 1;
}

#endif

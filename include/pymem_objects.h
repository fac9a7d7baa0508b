/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the loader tells the BPF side of the kernel's allocations
 * (bpf/account/kernel_objects.bpf.h).
 */
#ifndef PYMEM_OBJECTS_H
#define PYMEM_OBJECTS_H

#include "pymem_kernel.h"

/* Objects and blocks of pages of which it is known whether they were freed; numbers of entries of
 * their filter, a power of two. */
#define PYMEM_KERNEL_OWNERS (1u << 18)
#define PYMEM_KERNEL_FILTER (1u << 16)

/* Place of an object, by address, in that filter. */
static inline __u32 pymem_kernel_slot(__u64 address)
{
	return (address >> 4 ^ address >> 20) & (PYMEM_KERNEL_FILTER - 1);
}

/* Whose an object is. Value of the map `kernel_owners`; its key is the address of the object, or of
 * the struct page of the first of several pages. */
struct pymem_kernel_owner {
	__u64 hash; /* of the stack; or as in a key of `kernel_sums` */
	__u64 mm;   /* of its image */
	__u32 bytes;
	__u32 account; /* struct pymem_account that the entry is on; 0: root's */
	__u32 proc;
	__u16 kind;  /* enum pymem_kernel_kind */
	__u16 stack; /* of a task: pages of its kernel stack, which goes with it */
};

/* A function of the kernel that allocates. Addresses: from the first to one behind the last. */
struct pymem_site {
	__u64 start, end;
	__u32 kind; /* enum pymem_kernel_kind */
	__u32 pad;
};

/* Room for these: a power of two, of so many bits. */
#define PYMEM_SITE_BITS 6
#define PYMEM_SITES	(1u << PYMEM_SITE_BITS)

#endif

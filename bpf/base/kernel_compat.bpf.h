/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's allocators: what their tracepoints tell, and what differs in it between kernels.
 *
 *              kmem_cache_alloc                                kmalloc
 * up to 5.18   site, object, asked, bytes, flags               the same
 * 5.19, 6.0    site, object, cache, asked, bytes, flags        the same
 * from 6.1 on  site, object, cache, flags, node                site, object, asked, bytes, flags,
 * node
 */
#ifndef KERNEL_COMPAT_BPF_H
#define KERNEL_COMPAT_BPF_H

#include "base/compat.bpf.h"
#include "pymem_kernel.h"

struct kmem_cache___kernel {
	unsigned int flags;
	unsigned int size;
} __attribute__((preserve_access_index));

struct vm_struct___kernel {
	unsigned int nr_pages;
} __attribute__((preserve_access_index));

struct task_struct___kernel { /* with CONFIG_VMAP_STACK */
	struct vm_struct___kernel *stack_vm_area;
} __attribute__((preserve_access_index));

enum _slab_flag_bits___kernel {
	_SLAB_ACCOUNT___kernel,
};

/* What an allocation is about. */
struct kernel_object {
	__u64 site, address, flags;
	__u64 cache; /* 0: it is not told */
	__u64 bytes; /* 0: the cache knows */
};

/* include/linux/gfp_types.h. The numbers have been the same since 5.10. */
#define GFP_HIGHMEM	   0x2u
#define GFP_IO		   0x40u
#define GFP_FS		   0x80u
#define GFP_ZERO	   0x100u
#define GFP_DIRECT_RECLAIM 0x400u
#define GFP_NOWARN	   0x2000u
#define GFP_ACCOUNT	   0x400000u

const volatile __u32 kernel_allocs = KERNEL_ALLOCS_NOW; /* set by the loader */

/* An argument of the tracepoint. clang would make one load of those in several branches, at a place
 * that it computes, which the verifier does not allow. */
#define ARGUMENT(value, args, number) \
	asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(value) : "r"(args), "i"((number)*8))

static __always_inline void object_of_cache(struct kernel_object *object, const __u64 *args)
{
	ARGUMENT(object->site, args, 0);
	ARGUMENT(object->address, args, 1);
	if (kernel_allocs == KERNEL_ALLOCS_NOW) {
		ARGUMENT(object->cache, args, 2);
		ARGUMENT(object->flags, args, 3);
	} else if (kernel_allocs == KERNEL_ALLOCS_CACHES) {
		ARGUMENT(object->cache, args, 2);
		ARGUMENT(object->bytes, args, 4);
		ARGUMENT(object->flags, args, 5);
	} else {
		ARGUMENT(object->bytes, args, 3);
		ARGUMENT(object->flags, args, 4);
	}
}

static __always_inline void object_of_kmalloc(struct kernel_object *object, const __u64 *args)
{
	ARGUMENT(object->site, args, 0);
	ARGUMENT(object->address, args, 1);
	if (kernel_allocs == KERNEL_ALLOCS_CACHES) {
		ARGUMENT(object->bytes, args, 4);
		ARGUMENT(object->flags, args, 5);
	} else {
		ARGUMENT(object->bytes, args, 3);
		ARGUMENT(object->flags, args, 4);
	}
}

/* What the object takes. */
static __always_inline __u64 object_bytes(const struct kernel_object *object)
{
	struct kmem_cache___kernel *cache = (void *)object->cache;

	return object->bytes ?: BPF_CORE_READ(cache, size);
}

/* Is the object charged to the control group of the task that asks for it? Before 5.19 the kernel
 * does not tell of caches all of whose objects are. */
static __always_inline bool is_accounted(const struct kernel_object *object)
{
	struct kmem_cache___kernel *cache = (void *)object->cache;
	__u32 account = 0x04000000;

	if (object->flags & GFP_ACCOUNT)
		return true;
	if (!cache)
		return false;
	if (bpf_core_enum_value_exists(enum _slab_flag_bits___kernel, _SLAB_ACCOUNT___kernel))
		account = 1u << bpf_core_enum_value(enum _slab_flag_bits___kernel,
						    _SLAB_ACCOUNT___kernel);
	return BPF_CORE_READ(cache, flags) & account;
}

/* Pages of the stack that the thread has in the kernel. */
static __always_inline __u32 stack_pages(__u64 task, __u32 page_size)
{
	struct task_struct___kernel *t = (struct task_struct___kernel *)task;
	__u32 pages = 0;

	if (bpf_core_field_exists(t->stack_vm_area))
		pages = BPF_CORE_READ(t, stack_vm_area, nr_pages);
	return pages ?: KERNEL_STACK_BYTES / page_size;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sources: what the kernel allocates and frees for lines, objects and pages
 * (account/kernel_objects.bpf.h).
 */
#define OWN_SCRATCH stall
#include "python/own_scratch.bpf.h"

#include "account/kernel_objects.bpf.h"

/* Beside each object that is charged lies the address of whom it is charged to. */
#define OBJECT_EXTRA 8
/* From here on an object is pages of its own, of which source `kernel_pages` is told. */
#define OBJECT_MOST (2 * page_bytes)

/* What may wait for memory is for the current thread, and not for an interrupt in it. What must not
 * wait, and may begin I/O, is a large piece that has a smaller one in its place: the data of a
 * message, a table of descriptors. */
static __always_inline bool is_ours(__u64 flags)
{
	__u64 tries = flags & GFP_ACCOUNT ? flags & (GFP_IO | GFP_FS) : 0;

	return (flags & GFP_DIRECT_RECLAIM || tries) &&
	       tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)];
}

static __always_inline int object_made(const struct kernel_object *object)
{
	if (!object->address || !is_accounted(object))
		return 0;
	return kernel_took(object->address, kind_of_site(object->site),
			   object_bytes(object) + OBJECT_EXTRA);
}

SEC("raw_tp/kmem_cache_alloc")
int cache_object(struct bpf_raw_tracepoint_args *ctx)
{
	struct kernel_object object = {};

	object_of_cache(&object, ctx->args);
	return is_ours(object.flags) ? object_made(&object) : 0;
}

SEC("raw_tp/kmalloc")
int plain_object(struct bpf_raw_tracepoint_args *ctx)
{
	struct kernel_object object = {};

	object_of_kmalloc(&object, ctx->args);
	return is_ours(object.flags) && object.bytes <= OBJECT_MOST ? object_made(&object) : 0;
}

SEC("raw_tp/kmem_cache_free")
int cache_object_freed(struct bpf_raw_tracepoint_args *ctx)
{
	return kernel_freed(ctx->args[1]);
}

SEC("raw_tp/kfree")
int plain_object_freed(struct bpf_raw_tracepoint_args *ctx)
{
	return kernel_freed(ctx->args[1]);
}

/* A thread or process was made: its record has just been allocated, and its kernel stack with it.
 * They go together. If that allocation was not told, the record's address still tells when they
 * go. */
SEC("raw_tp/task_newtask")
int task_made(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 task = ctx->args[0];
	struct pymem_stack_key key = {};
	struct pymem_kernel_owner *owner;
	struct pymem_kernel *sums;
	__u32 pages;

	if (!tgid_filter[tgid_slot(bpf_get_current_pid_tgid() >> 32)])
		return 0;
	pages = stack_pages(task, page_bytes);
	owner = bpf_map_lookup_elem(&kernel_owners, &task);
	if (!owner)
		return kernel_took(task, PYMEM_KERNEL_STACKS, (__u64)pages * page_bytes);
	key.proc = owner->proc;
	key.hash = owner->hash;
	sums = bpf_map_lookup_elem(&kernel_sums, &key);
	if (!sums)
		return 0;
	owner->stack = pages;
	__sync_fetch_and_add(&sums->bytes[PYMEM_KERNEL_STACKS], (__u64)pages * page_bytes);
	__sync_fetch_and_add(&sums->objects[PYMEM_KERNEL_STACKS], 1);
	return 0;
}

/* Pages of what kind? PYMEM_KERNEL_TABLES: page tables, which are counted otherwise. Not by
 * __GFP_HARDWALL, which pages for user space have: where there are cpusets, all others get it. */
static __always_inline __u32 kind_of_pages(__u64 flags, __u32 order)
{
	__u64 asked = flags & (GFP_HIGHMEM | GFP_ZERO | GFP_NOWARN);

	if (asked == GFP_HIGHMEM && !order)
		return PYMEM_KERNEL_PIPES;
	return asked == GFP_ZERO && order <= 1 ? PYMEM_KERNEL_TABLES : PYMEM_KERNEL_PAGES;
}

SEC("raw_tp/mm_page_alloc")
int pages_made(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 page = ctx->args[0], flags = ctx->args[2];
	__u32 order = ctx->args[1], kind;

	if (!(flags & GFP_ACCOUNT) || !page || order > 10 || !is_ours(flags))
		return 0;
	kind = kind_of_pages(flags, order);
	if (kind == PYMEM_KERNEL_TABLES)
		return 0;
	return kernel_took(page, kind, (__u64)page_bytes << order);
}

SEC("raw_tp/mm_page_free")
int pages_freed(struct bpf_raw_tracepoint_args *ctx)
{
	return kernel_freed(ctx->args[0]);
}

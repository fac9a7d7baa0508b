/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which line makes an object, and which puts one into a container?
 *
 * This is a BPF object of its own, loaded for one process at a time. Only `pymem-bpf heap` uses it,
 * and what the profiler loads stays as it is. The walk is the profiler's (bpf/python/), with the
 * maps that it needs; the loader leaves out all other maps.
 *
 * birth_return: on the return of functions that make objects, for some milliseconds now and then.
 * birth_death:  meanwhile on the entry of functions that free some of them.
 * birth_write:  on writes to the size fields of up to four containers, or to the places that lead
 *		 to them, by debug registers.
 */
#define PYMEM_DEFINE_MAPS
#include "python/pystack.bpf.h"
#include "pymem_birth.h"
#include "pymem_license.h"

#include <bpf/bpf_tracing.h>

#define THREADS 512

/* A map of preallocated entries: a program of a perf event may use no other before 6.1. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, THREADS);
	__type(key, __u32);
	__type(value, struct pymem_thread);
} birth_threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} birth_events SEC(".maps");

/* Set by the loader. */
struct pymem_proc target;
struct birth_watch watches[BIRTH_WATCHES];
__u32 enabled;
__u64 most; /* events that are recorded with their stacks; 0: all */

/* Read by the loader. */
__u64 seen;
__u64 lost;	/* the ring was full, or the walk was busy */
__u64 unwalked; /* no Python stack was found */
__u64 ends;	/* objects that are not known any more */
__u32 spoilt;	/* a birth_end was lost: nothing of this burst can be believed */

static const struct pymem_thread no_thread;

static __always_inline struct pymem_thread *thread_now(__u32 tid)
{
	struct pymem_thread *th = bpf_map_lookup_elem(&birth_threads, &tid);

	if (th)
		return th;
	bpf_map_update_elem(&birth_threads, &tid, &no_thread, BPF_NOEXIST);
	return bpf_map_lookup_elem(&birth_threads, &tid);
}

static __always_inline __u64 stamp_of(struct scratch *s, const struct pymem_layout *layout,
				      __u64 code)
{
	const struct py_layout *py = layout_of(layout);
	__u32 size = layout->code_size;
	__u64 first;

	if (size > sizeof(s->code))
		size = sizeof(s->code);
	if (bpf_probe_read_user(s->code, size, (const void *)code))
		return 0;
	first = LOAD(s->code, py->code_firstlineno, 511);
	if (py->code_firstlineno & 4)
		first >>= 32;
	return birth_stamp(LOAD(s->code, py->code_filename, 511), LOAD(s->code, py->code_name, 511),
			   LOAD(s->code, py->code_linetable, 511), (__u32)first);
}

struct frames {
	struct scratch *s;
	const struct pymem_layout *layout;
	struct birth_event *event;
};

LOOP_BODY frame_step(__u32 i, struct frames *c)
{
	struct scratch *s = c->s;
	struct birth_frame *frame;

	if (i >= BIRTH_FRAMES || i >= s->depth)
		return 1;
	frame = &c->event->frames[i];
	frame->code = s->frames[i].code;
	frame->instr = s->frames[i].instr;
	frame->stamp = stamp_of(s, c->layout, frame->code);
	return 0;
}

static __noinline int tell(struct scratch *s, const struct pymem_layout *layout, __u64 object,
			   __s64 change)
{
	struct frames c = {.s = s, .layout = layout};
	struct birth_event *event;
	__u32 i;

	if (!s || !layout)
		return 1;
	event = bpf_ringbuf_reserve(&birth_events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&lost, 1);
		return 1;
	}
	event->object = object;
	event->change = change;
	event->tid = (__u32)bpf_get_current_pid_tgid();
	event->depth = s->depth;
	if (bpf_probe_read_user(event->head, sizeof(event->head), (const void *)object))
		__builtin_memset(event->head, 0, sizeof(event->head));
	c.event = event;
	for (i = 0; i < BIRTH_FRAMES; i++)
		if (frame_step(i, &c))
			break;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Tells user space that the object at that address is not known any more: it is freed, or another
 * one is made there and its maker is unknown. */
static __noinline int tell_unknown(__u64 object)
{
	struct birth_end *end = bpf_ringbuf_reserve(&birth_events, sizeof(*end), 0);

	__sync_fetch_and_add(&ends, 1);
	if (!end) {
		/* Any event so far may be of an object that is gone. */
		spoilt = 1;
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	end->object = object;
	bpf_ringbuf_submit(end, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Counts an event whose stack is asked for; false: there have been enough. */
static __always_inline bool another(void)
{
	if (most && seen >= most)
		return false;
	__sync_fetch_and_add(&seen, 1);
	return true;
}

/* Records an event with its stack. 0; 1: that was not possible. */
static __noinline int record(__u64 object, __s64 change)
{
	const struct pymem_layout *layout;
	struct pymem_thread *th;
	struct scratch *s;
	int err = 1;

	s = scratch_get();
	th = thread_now((__u32)bpf_get_current_pid_tgid());
	if (!s || !th || s->busy) {
		__sync_fetch_and_add(&lost, 1);
		return 1;
	}
	scratch_begin(s, &target);
	layout = layout_now(s);
	if (!layout)
		return 1;
	s->busy = 1;
	if (pystack_walk(&target, th, layout, s))
		__sync_fetch_and_add(&unwalked, 1);
	else
		err = tell(s, layout, object, change);
	s->busy = 0;
	return err;
}

static __always_inline bool is_target(void)
{
	return enabled && bpf_get_current_pid_tgid() >> 32 == target.tgid;
}

/* On the entry of functions that free objects: another may take their place without a call that is
 * seen, from a free list. */
SEC("uprobe")
int birth_death(struct pt_regs *ctx)
{
	return is_target() ? tell_unknown(PT_REGS_PARM1(ctx)) : 0;
}

SEC("uretprobe")
int birth_return(struct pt_regs *ctx)
{
	__u64 object = PT_REGS_RC(ctx);

	if (!is_target() || !object)
		return 0;
	/* An object that is made later may take the place of one that was recorded. So user space
	 * must hear of each. */
	return !another() || record(object, 1) ? tell_unknown(object) : 0;
}

/* Is `size` the first size of a new object at the address of the watched one? Then the watched one
 * has died. The collector tracks an object only when it is complete, and most objects from then on.
 * A dict may be untracked later too: it counts as a new one if its size, which was not 0, becomes 0
 * or grows by more than 1. */
static __always_inline bool is_another(const struct birth_watch *watch, __s64 size)
{
	__u64 tracked = 1;

	if (bpf_probe_read_user(&tracked, sizeof(tracked), (const void *)watch->tracked_addr) ||
	    tracked)
		return false;
	return !watch->is_dict || (watch->size > 0 && (!size || size > watch->size + 1));
}

/* The size of whatever is in the slot now, if it is of the same type. */
static __always_inline bool size_by_slot(const struct birth_watch *watch, __s64 *size)
{
	__u64 object = 0, type = 0;

	return !bpf_probe_read_user(&object, sizeof(object), (const void *)watch->slot) &&
	       !bpf_probe_read_user(&type, sizeof(type),
				    (const void *)(object + watch->type_offset)) &&
	       type == watch->type &&
	       !bpf_probe_read_user(size, sizeof(*size),
				    (const void *)(object + watch->size_addr - watch->object));
}

/* A write to the size of one container, or to the place that leads to it. The number of items is
 * not used: if a trap was missed, its items would be charged to the next one. */
static __always_inline int written(__u32 number)
{
	struct birth_watch *watch = &watches[number];
	__s64 size = 0, before = watch->size;

	if (!is_target() || !watch->object)
		return 0;
	if (watch->by_slot) {
		if (!size_by_slot(watch, &size))
			return 0;
	} else {
		if (bpf_probe_read_user(&size, sizeof(size), (const void *)watch->size_addr))
			return 0;
		if (is_another(watch, size)) {
			watch->ended = 1;
			watch->object = 0;
			return 0;
		}
	}
	if (size == before)
		return 0;
	watch->size = size;
	if (another())
		record(watch->object, size > before ? 1 : -1);
	return 0;
}

static __always_inline __u64 watched_addr(const struct birth_watch *watch)
{
	return watch->by_slot ? watch->slot : watch->size_addr;
}

/* linux/bpf_perf_event.h, struct bpf_perf_event_data: part of the kernel's ABI. */
struct breakpoint_context {
#ifdef __TARGET_ARCH_x86
	__u64 regs[21];
#else
	__u64 regs[34];
#endif
	__u64 sample_period;
	__u64 addr;
};

/* One program for all of them: to verify the walk takes a kernel some seconds. The event has the
 * address of its breakpoint. */
SEC("perf_event")
int birth_write(struct breakpoint_context *ctx)
{
	__u64 addr = ctx->addr;
	__u32 i, number = BIRTH_WATCHES;

#pragma unroll
	for (i = 0; i < BIRTH_WATCHES; i++)
		if (watched_addr(&watches[i]) == addr)
			number = i;
	return number < BIRTH_WATCHES ? written(number) : 0;
}

char LICENSE[] SEC("license") = PYMEM_LICENSE;

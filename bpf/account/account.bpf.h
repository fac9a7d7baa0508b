/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sole writer of results: an amount goes to the stack that is running, or is lost by
 * name, so that charged + lost == seen.
 *
 * Amounts collect in the thread's own record, in a slot for each of the stacks it was in
 * lately, and go to the shared map from there. That saves the map on most events, and it
 * is what makes checking identities affordable. A stack is recognised by *addresses*: each
 * code object in it may have died since and another taken its place. So the identity
 * of all of them is confirmed at the second visit with the same addresses, then after 2, 4,
 * 8 … and at most every 64. What has collected since is charged only when confirmed:
 * where a code object turns out to have been replaced, it is lost as "replaced", and
 * for a while that process's stacks are confirmed at every event. A line is never
 * a guess.
 */
#ifndef ACCOUNT_BPF_H
#define ACCOUNT_BPF_H

#include "account/announce.bpf.h"
#include "python/identify.bpf.h"
#include "page/page.bpf.h"
#include "account/thread.bpf.h"

#define CONFIRM_EVERY_MAX 64
#define DYNAMIC_JIFFIES	  1024 /* 1 s to 10 s, and renewed as long as it goes on */

static __always_inline struct pymem_cpu *proc_cpu(struct pymem_proc *p)
{
	__u32 cpu = bpf_get_smp_processor_id();

	if (cpu >= nr_cpus)
		return NULL;
	return (struct pymem_cpu *)(p + 1) + cpu;
}

static __always_inline __u64 proc_rss(struct pymem_proc *p)
{
	__s64 rss = p->now_pages[PYMEM_FILE] + p->now_pages[PYMEM_ANON] + p->now_pages[PYMEM_SHMEM];

	return rss > 0 ? rss : 0;
}

/* The process's RSS changed by `pages`. Returns the RSS after. */
static __always_inline __u64 proc_add(struct pymem_proc *p, __u32 member, __s64 pages)
{
	struct pymem_cpu *c = proc_cpu(p);
	__u64 rss;

	__sync_fetch_and_add(&p->now_pages[member & 3], pages);
	rss = proc_rss(p);
	if (c && rss > c->peak_pages)
		c->peak_pages = rss;
	if ((p->page || p->tree) && member != PYMEM_SWAP)
		page_change(p, pages);
	return rss;
}

/* The same, by the thread th's own doing. */
static __always_inline __u64 thread_add(struct pymem_proc *p, struct pymem_thread *th, __u32 member,
					__s64 pages)
{
	__u64 rss;

	if (member != PYMEM_SWAP) {
		if (th->page != p->page) {
			th->page = p->page;
			th->net_pages = 0;
		}
		th->net_pages += pages;
		if (p->page)
			page_thread(p, th);
	}
	rss = proc_add(p, member, pages);
	if (rss > th->line_peak)
		th->line_peak = rss;
	return rss;
}

static __always_inline void lose(struct pymem_proc *p, __u32 cause, __u32 member, __s64 pages)
{
	if (cause < PYMEM_LOSS_COUNT && member != PYMEM_SWAP)
		__sync_fetch_and_add(&p->lost_pages[cause], pages);
}

/* What was collected can be charged to no line. */
static __always_inline void acc_lose(struct pymem_proc *p, struct pymem_counters *acc, __u32 cause)
{
	__sync_fetch_and_add(&p->lost_pages[cause], acc->pages[PYMEM_FILE] +
							    acc->pages[PYMEM_ANON] +
							    acc->pages[PYMEM_SHMEM]);
	__sync_fetch_and_add(&p->lost_faults, acc->minor_faults + acc->major_faults);
	__builtin_memset(acc, 0, sizeof(*acc));
}

#define ADD_IF(to, from)                                   \
	do {                                               \
		if (from)                                  \
			__sync_fetch_and_add(&(to), from); \
	} while (0)

/* The slot that th collects for; NULL: its stack is not known. */
static __always_inline struct pymem_slot *slot_current(struct pymem_thread *th)
{
	__u32 current = th->current, index = current;

	/* Masked out of clang's sight, which would compute the address before the check. */
	asm volatile("" : "+r"(index));
	return current < PYMEM_SLOTS ? &th->slots[index & (PYMEM_SLOTS - 1)] : NULL;
}

static __always_inline void stack_add(struct pymem_stack *stack, struct pymem_counters *acc)
{
	struct pymem_counters *to = &stack->counters;
	__u64 peak;

	ADD_IF(to->pages[PYMEM_FILE], acc->pages[PYMEM_FILE]);
	ADD_IF(to->pages[PYMEM_ANON], acc->pages[PYMEM_ANON]);
	ADD_IF(to->pages[PYMEM_SWAP], acc->pages[PYMEM_SWAP]);
	ADD_IF(to->pages[PYMEM_SHMEM], acc->pages[PYMEM_SHMEM]);
	ADD_IF(to->grown_pages, acc->grown_pages);
	ADD_IF(to->freed_pages, acc->freed_pages);
	ADD_IF(to->minor_faults, acc->minor_faults);
	ADD_IF(to->major_faults, acc->major_faults);
	ADD_IF(to->cow_faults, acc->cow_faults);
	peak = acc->peak_pages;
	if (peak > to->peak_pages)
		to->peak_pages = peak;
	__builtin_memset(acc, 0, sizeof(*acc));
}

/* Moves what a slot has collected to the stack that it was collected for. */
static __noinline int slot_flush(struct pymem_proc *p, struct pymem_slot *slot)
{
	struct pymem_stack_key key = {};
	struct pymem_stack *stack;

	if (!p || !slot || !slot->raw)
		return 0;
	key.proc = p->id;
	key.hash = slot->hash;
	stack = bpf_map_lookup_elem(&stacks, &key);
	if (stack) {
		stack_add(stack, &slot->acc);
		stack->interval = slot->interval;
	} else {
		acc_lose(p, &slot->acc, PYMEM_LOSS_MAP_FULL);
	}
	return 0;
}

/* The same once user space has taken the record of the image, and maybe the stack. */
static __noinline int slot_flush_late(__u32 proc, struct pymem_slot *slot)
{
	static const struct pymem_stack none;
	struct pymem_stack_key key = {.proc = proc};
	struct pymem_stack *stack;

	if (!slot || !slot->raw)
		return 0;
	key.hash = slot->hash;
	if (!bpf_map_update_elem(&stacks, &key, &none, BPF_NOEXIST))
		quota_take_late(PYMEM_TABLE_STACKS);
	stack = bpf_map_lookup_elem(&stacks, &key);
	if (stack)
		stack_add(stack, &slot->acc);
	return 0;
}

static __always_inline bool proc_dynamic(const struct pymem_proc *p)
{
	return p->dynamic_until > bpf_jiffies64();
}

/* The slot's code objects are not what they were: what it has collected since they last
 * were is nobody's. */
static __always_inline void slot_replaced(struct pymem_proc *p, struct pymem_slot *slot)
{
	acc_lose(p, &slot->acc, PYMEM_LOSS_REPLACED);
	p->dynamic_until = bpf_jiffies64() + DYNAMIC_JIFFIES;
}

/* Another stack takes the slot. The old one's frames are gone, but its innermost code
 * object must still be there if it was never replaced and its code is still in use; a
 * code object that died meanwhile can't be told from one replaced. */
static __always_inline void slot_evict(struct pymem_proc *p, struct pymem_slot *slot)
{
	if (!slot->raw)
		return;
	if (slot->since && code_fingerprint(slot->leaf_code) != slot->leaf_fingerprint)
		slot_replaced(p, slot);
	else
		slot_flush(p, slot);
	slot->raw = 0;
}

/* Hands over `stack`, whose frames are in s->stack. 0, or 1. */
static __always_inline int stack_announce(struct pymem_proc *p, struct pymem_stack *stack)
{
	struct scratch *s = scratch_get();

	if (!s)
		return 1;
	announce_begin(s, p);
	stack->announced = !announce_stack();
	announce_end(s, p);
	stack->lacks = s->refused ? PYMEM_LACK_QUOTA
		       : s->sends ? PYMEM_LACK_RING
				  : PYMEM_LACK_SENDS;
	return !stack->announced;
}

/* Gives the slot to the stack just identified. 0, or -(loss + 1). */
static __noinline int slot_enter(struct pymem_proc *p, struct pymem_slot *slot, struct scratch *s)
{
	static const struct pymem_stack none;
	struct pymem_stack_key key = {};
	struct pymem_stack *stack;

	if (!p || !slot || !s)
		return -1;
	key.proc = p->id;
	key.hash = s->stack.hash;
	stack = bpf_map_lookup_elem(&stacks, &key);
	if (!stack) {
		if (!quota_allows(p, PYMEM_TABLE_STACKS))
			return -(PYMEM_LOSS_MAP_FULL + 1);
		if (!bpf_map_update_elem(&stacks, &key, &none, BPF_NOEXIST))
			quota_take(p, PYMEM_TABLE_STACKS, 1);
		stack = bpf_map_lookup_elem(&stacks, &key);
		if (!stack)
			return -(PYMEM_LOSS_MAP_FULL + 1);
		if (s->truncated)
			__sync_fetch_and_add(&p->truncated, 1);
	}
	if (!stack->announced)
		stack_announce(p, stack);
	slot->raw = s->hash;
	slot->hash = key.hash;
	slot->leaf_code = s->stack.frames[0].code;
	slot->leaf_fingerprint = s->stack.frames[0].fingerprint;
	slot->since = 0;
	/* As it was when it left a slot. Not handed over yet: try again soon. */
	slot->interval = stack->announced && stack->interval ? stack->interval : 1;
	return 0;
}

/* Hands over the slot's stack, which is in the scratch area, if that could not be done yet. 1: the
 * next visit may do what this one could not. */
static __noinline int slot_announce(struct pymem_proc *p, struct pymem_slot *slot,
				    const struct scratch *s)
{
	struct pymem_stack_key key = {};
	struct pymem_stack *stack;

	if (!p || !slot || !s)
		return 0;
	key.proc = p->id;
	key.hash = slot->hash;
	stack = bpf_map_lookup_elem(&stacks, &key);
	if (!stack || stack->announced)
		return 0;
	/* One that met its quota may meet it at each visit. */
	return stack_announce(p, stack) && !s->refused;
}

enum slot_verdict { SLOT_SAME, SLOT_OTHER, SLOT_UNREADABLE };

/* A visit to the slot's stack, or one with the same addresses. Is it the same? If it is another,
 * that is in s->stack. */
static __always_inline enum slot_verdict slot_confirm(struct pymem_proc *p, struct pymem_thread *th,
						      struct pymem_slot *slot, struct scratch *s)
{
	/* All that was collected up to a confirmation is confirmed by it. */
	if (!slot->since)
		slot_flush(p, slot);
	slot->since++;
	if (slot->since < slot->interval && !th->confirm && !proc_dynamic(p))
		return SLOT_SAME;
	th->confirm = 0;
	if (stack_identify())
		return SLOT_UNREADABLE;
	if (s->stack.hash != slot->hash)
		return SLOT_OTHER;
	slot->since = 0;
	if (!slot_announce(p, slot, s) && slot->interval < CONFIRM_EVERY_MAX)
		slot->interval *= 2;
	return SLOT_SAME;
}

/* Where the stack just walked is, or is to be, in th->slots: of the two in its set the one
 * that has it, else the one that was not used last. */
static __always_inline __u32 slot_index(const struct pymem_thread *th, __u64 raw)
{
	__u32 set = raw & (PYMEM_SETS - 1), way = (th->latest >> set) & 1;
	__u32 index = set * PYMEM_WAYS + way;

	asm volatile("" : "+r"(index));
	if (th->slots[index & (PYMEM_SLOTS - 1)].raw == raw)
		return index & (PYMEM_SLOTS - 1);
	return (index ^ 1) & (PYMEM_SLOTS - 1);
}

/* Makes th collect for the stack just walked. 0, or -(loss + 1). */
static __always_inline int slot_choose(struct pymem_proc *p, struct pymem_thread *th,
				       struct scratch *s)
{
	__u32 index = slot_index(th, s->hash), set = s->hash & (PYMEM_SETS - 1);
	struct pymem_slot *slot = &th->slots[index & (PYMEM_SLOTS - 1)];
	enum slot_verdict verdict;
	int err;

	th->latest = (th->latest & ~(1ULL << set)) | (__u64)(index & 1) << set;
	th->current = index;
	if (slot->raw == s->hash) {
		verdict = slot_confirm(p, th, slot, s);
		if (verdict == SLOT_SAME)
			return 0;
		slot_replaced(p, slot);
		slot->raw = 0;
	} else {
		slot_evict(p, slot);
		verdict = stack_identify() ? SLOT_UNREADABLE : SLOT_OTHER;
	}
	th->current = PYMEM_SLOTS;
	if (verdict == SLOT_UNREADABLE)
		return -(PYMEM_LOSS_UNREADABLE + 1);
	err = slot_enter(p, slot, s);
	if (!err)
		th->current = index;
	return err;
}

/* Walks the current thread's stack and makes th collect for it.
 * 0, or -(loss + 1): then nothing may be collected for this event. */
static __noinline int stack_now(struct pymem_proc *p, struct pymem_thread *th)
{
	const struct pymem_layout *layout;
	struct scratch *s = scratch_get();
	int err;

	if (!p || !th || !s)
		return -1;
	th->current = PYMEM_SLOTS;
	th->loss = PYMEM_LOSS_RECURSION;
	if (s->busy)
		return -(PYMEM_LOSS_RECURSION + 1);
	th->loss = PYMEM_LOSS_UNIDENTIFIED;
	if (!p->identified)
		return -(PYMEM_LOSS_UNIDENTIFIED + 1);
	scratch_begin(s, p);
	layout = layout_now(s);
	if (!layout)
		return -(PYMEM_LOSS_UNIDENTIFIED + 1);
	s->busy = 1;
	err = pystack_walk(p, th, layout, s);
	/* On a stack not seen lately, this thread's cached state may not be its only one. */
	if (!err && th->slots[slot_index(th, s->hash)].raw != s->hash &&
	    second_interpreter(p, layout))
		err = pystack_walk(p, th, layout, s);
	if (!err)
		err = slot_choose(p, th, s);
	if (err)
		th->loss = -err - 1;
	s->busy = 0;
	return opaque(s, err);
}

/* The stack that th collects for; hash 0: none. */
static __always_inline struct pymem_stack_key key_now(struct pymem_thread *th)
{
	struct pymem_slot *slot = slot_current(th);
	struct pymem_stack_key key = {.proc = th->proc};

	if (slot)
		key.hash = slot->hash;
	return key;
}

/* Collects a change of RSS for a slot's stack. */
static __always_inline void slot_pages(struct pymem_slot *slot, __u32 member, __s64 pages,
				       __u64 rss)
{
	struct pymem_counters *acc = &slot->acc;

	acc->pages[member & 3] += pages;
	if (member != PYMEM_SWAP) {
		if (pages > 0)
			acc->grown_pages += pages;
		else
			acc->freed_pages -= pages;
	}
	if (rss > acc->peak_pages)
		acc->peak_pages = rss;
}

/* Counts a fault for the slot's stack: as a minor one, until it is over. The last one counted is
 * the one that may turn out to be major. */
static __always_inline void slot_fault(struct pymem_thread *th, struct pymem_slot *slot)
{
	slot->acc.minor_faults++;
	th->minor = 1;
}

/* A fault's kind is known once it is over: task->maj_flt has moved by the next event. It moves
 * too for what the kernel brings in by itself (MAP_POPULATE, mlock), counted nowhere before. */
static __always_inline void settle_major(struct pymem_thread *th, struct task_struct *task)
{
	__u64 major = TASK_READ(task, maj_flt);
	__u64 more = major - th->major;
	__u32 minor = th->minor;
	struct pymem_slot *slot;

	/* Not yet over: a fault can change RSS more than once. */
	th->minor &= th->counted == fault_number(task);
	if (!more)
		return;
	th->minor = 0;
	th->major = major;
	if (!count_faults)
		return;
	slot = slot_current(th);
	if (slot) {
		slot->acc.major_faults += more;
		slot->acc.minor_faults -= minor;
	}
}

#endif

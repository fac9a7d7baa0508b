/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sole writer of results: an amount goes to the stack that is running, or is lost by
 * name, so that charged + lost == seen.
 *
 * Amounts collect in the thread's own record, with its recent stacks: those that it was in
 * lately. They go to the shared map from there. That saves the map on most events, and it
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
#include "account/thread.bpf.h"
#include "account/touched.bpf.h"

#define CONFIRM_EVERY_MAX 64
#define DYNAMIC_JIFFIES	  1024 /* 1 s to 10 s, and renewed as long as it goes on */

#define ADD_IF(to, from)                                   \
	do {                                               \
		if (from)                                  \
			__sync_fetch_and_add(&(to), from); \
	} while (0)

/* The recent stack that th collects for; NULL: its stack is not known. */
static __always_inline struct pymem_recent *recent_current(struct pymem_thread *th)
{
	__u32 current = th->current, index = current;

	/* The asm keeps clang from computing the address before the check. */
	asm volatile("" : "+r"(index));
	return current < PYMEM_RECENT ? &th->recent[index & (PYMEM_RECENT - 1)] : NULL;
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

/* Once a reading, tells user space that the stack has changed. It is called after the change: a
 * reader that begins the next reading before it reads the stack misses nothing on x86, where adding
 * is a barrier. Elsewhere it may, and reads all of the map from time to time. */
static __always_inline void stack_tell(struct pymem_stack *stack, const struct pymem_stack_key *key)
{
	__u32 now;

	if (!tell_changes)
		return;
	now = *(volatile __u32 *)&reading;
	if (stack->told == now)
		return;
	stack->told = now;
	if (bpf_ringbuf_output(&changes, (void *)key, sizeof(*key), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&dropped_changes, 1);
}

/* Moves what a recent stack has collected to the map `stacks`. */
static __noinline int recent_flush(struct pymem_proc *p, struct pymem_recent *recent)
{
	struct pymem_stack_key key = {};
	struct pymem_stack *stack;

	if (!p || !recent || !recent->raw)
		return 0;
	key.proc = p->id;
	key.hash = recent->hash;
	stack = bpf_map_lookup_elem(&stacks, &key);
	if (stack) {
		stack_add(stack, &recent->acc);
		stack->interval = recent->interval;
		stack_tell(stack, &key);
	} else {
		acc_lose(p, &recent->acc, PYMEM_LOSS_MAP_FULL);
	}
	return 0;
}

/* The same once user space has taken the record of the image, and maybe the stack. */
static __noinline int recent_flush_late(__u32 proc, struct pymem_recent *recent)
{
	static const struct pymem_stack none;
	struct pymem_stack_key key = {.proc = proc};
	struct pymem_stack *stack;

	if (!recent || !recent->raw)
		return 0;
	key.hash = recent->hash;
	stack = bpf_map_lookup_elem(&stacks, &key);
	if (!stack)
		stack = table_insert(NULL, PYMEM_TABLE_STACKS, &stacks, &key, &none, 0);
	if (stack) {
		stack_add(stack, &recent->acc);
		stack_tell(stack, &key);
	}
	return 0;
}

static __always_inline bool proc_dynamic(const struct pymem_proc *p)
{
	return p->dynamic_until > bpf_jiffies64();
}

/* A code object of a recent stack was replaced: what was collected since the last confirmation is
 * lost. */
static __always_inline void recent_replaced(struct pymem_proc *p, struct pymem_recent *recent)
{
	acc_lose(p, &recent->acc, PYMEM_LOSS_REPLACED);
	p->dynamic_until = bpf_jiffies64() + DYNAMIC_JIFFIES;
}

/* Another stack takes the place of a recent one. The old one's frames are gone, but its innermost
 * code object must still be there if it was never replaced and its code is still in use; a code
 * object that died meanwhile can't be told from one replaced. */
static __always_inline void recent_evict(struct pymem_proc *p, struct pymem_recent *recent)
{
	if (!recent->raw)
		return;
	if (recent->since && code_fingerprint(recent->leaf_code) != recent->leaf_fingerprint)
		recent_replaced(p, recent);
	else
		recent_flush(p, recent);
	recent->raw = 0;
}

/* Hands over `stack`, whose frames are in s->stack. 0; 1: something is still missing. */
static __always_inline int stack_announce(struct pymem_proc *p, struct pymem_stack *stack)
{
	struct scratch *s = scratch_get();

	if (!s)
		return 1;
	/* The name that its thread has by now: threads get theirs when they have begun. */
	if (tell_threads)
		bpf_get_current_comm(s->stack.comm, sizeof(s->stack.comm));
	announce_begin(s, p);
	stack->announced = !announce_stack();
	announce_end(s, p);
	stack->lacks = s->refused ? PYMEM_LACK_QUOTA
		       : s->sends ? PYMEM_LACK_RING
				  : PYMEM_LACK_SENDS;
	return !stack->announced;
}

/* A new stack of p. NULL: no room, or p may have no more. A function of its own, since the value is
 * large, and a chain of calls has 512 bytes. */
static __noinline struct pymem_stack *stack_make(struct pymem_proc *p,
						 const struct pymem_stack_key *key)
{
	struct pymem_stack stack = {};
	int account;

	if (!p || !key)
		return NULL;
	account = quota_allows(p, PYMEM_TABLE_STACKS);
	if (account < 0)
		return NULL;
	stack.account = account;
	if (watch_touched)
		stack.id = touched_id();
	return table_insert(p, PYMEM_TABLE_STACKS, &stacks, key, &stack, account);
}

/* Gives the place `recent` to the stack in s->stack, which was just identified. 0, or
 * LOST(cause). */
static __noinline int recent_enter(struct pymem_proc *p, struct pymem_recent *recent,
				   struct scratch *s)
{
	struct pymem_stack_key key = {};
	struct pymem_stack *stack;

	if (!p || !recent || !s)
		return -1;
	key.proc = p->id;
	key.hash = s->stack.hash;
	stack = bpf_map_lookup_elem(&stacks, &key);
	if (!stack) {
		stack = stack_make(p, &key);
		if (!stack)
			return LOST(MAP_FULL);
		if (s->truncated) {
			__sync_fetch_and_add(&p->truncated, 1);
			if (s->shortened)
				__sync_fetch_and_add(&shortened_stacks, 1);
			else if (limits_itself && walk_less)
				__sync_fetch_and_add(&shed_stacks, 1);
		}
	}
	if (!stack->announced)
		stack_announce(p, stack);
	recent->raw = s->hash;
	recent->hash = key.hash;
	recent->leaf_code = s->stack.frames[0].code;
	recent->leaf_fingerprint = s->stack.frames[0].fingerprint;
	recent->since = 0;
	recent->named = s->shortened ? s->stack.depth : 0;
	recent->id = stack->id;
	/* The interval is that of the last time when it was a recent stack. If it was not handed
	 * over yet, the next visit tries again. */
	recent->interval = stack->announced && stack->interval ? stack->interval : 1;
	return 0;
}

/* Hands over a recent stack, whose frames are in the scratch area, if that could not be done yet.
 * 1: the next visit may do what this one could not. */
static __noinline int recent_announce(struct pymem_proc *p, struct pymem_recent *recent,
				      const struct scratch *s)
{
	struct pymem_stack_key key = {};
	struct pymem_stack *stack;

	if (!p || !recent || !s)
		return 0;
	key.proc = p->id;
	key.hash = recent->hash;
	stack = bpf_map_lookup_elem(&stacks, &key);
	if (!stack || stack->announced)
		return 0;
	/* An image that has met its quota may meet it at each visit. */
	return stack_announce(p, stack) && !s->refused;
}

enum recent_verdict { RECENT_SAME, RECENT_OTHER, RECENT_UNREADABLE, RECENT_WHOLE };

/* There is not enough to name all frames of `recent`: names the innermost ones, whose lines are
 * those that count. Callers are confirmed later. */
static __always_inline enum recent_verdict
recent_confirm_leaf(struct pymem_thread *th, const struct pymem_recent *recent, struct scratch *s)
{
	const struct pymem_msg_frame *leaf = &s->stack.frames[0];

	s->most = NAMES_LEAST;
	if (stack_identify(th->told))
		return RECENT_UNREADABLE;
	if (leaf->code != recent->leaf_code || leaf->fingerprint != recent->leaf_fingerprint)
		return RECENT_OTHER;
	return RECENT_SAME;
}

/* A visit to `recent`, or to another stack with the same addresses: says which. RECENT_OTHER: the
 * other one is in s->stack. RECENT_WHOLE: it is `recent`, which was cut, and may have all of its
 * frames now; they are in s->stack. */
static __always_inline enum recent_verdict recent_confirm(struct pymem_proc *p,
							  struct pymem_thread *th,
							  struct pymem_recent *recent,
							  struct scratch *s)
{
	/* All that was collected up to a confirmation is confirmed by it. */
	if (!recent->since)
		recent_flush(p, recent);
	recent->since++;
	if (recent->since < recent->interval && !th->confirm && !proc_dynamic(p))
		return RECENT_SAME;
	th->confirm = 0;
	s->prefix = recent->named;
	if (s->names < s->depth && s->names < PYMEM_MAX_FRAMES) {
		if (!recent->named || s->names < recent->named)
			return recent_confirm_leaf(th, recent, s);
		s->most = recent->named;
	}
	if (stack_identify(th->told))
		return RECENT_UNREADABLE;
	if (s->stack.hash != recent->hash)
		return recent->named && s->prefix_hash == recent->hash ? RECENT_WHOLE
								       : RECENT_OTHER;
	recent->since = 0;
	if (!recent_announce(p, recent, s) && recent->interval < CONFIRM_EVERY_MAX)
		recent->interval *= 2;
	return RECENT_SAME;
}

/* Where the stack just walked is, or is to be, in th->recent: of the two in its set the one
 * that has it, else the one that was not used last. */
static __always_inline __u32 recent_index(const struct pymem_thread *th, __u64 raw)
{
	__u32 set = raw & (PYMEM_RECENT_SETS - 1), way = (th->latest >> set) & 1;
	__u32 index = set * PYMEM_RECENT_WAYS + way;

	asm volatile("" : "+r"(index));
	if (th->recent[index & (PYMEM_RECENT - 1)].raw == raw)
		return index & (PYMEM_RECENT - 1);
	return (index ^ 1) & (PYMEM_RECENT - 1);
}

/* Makes th collect for the stack just walked. 0, or LOST(cause). */
static __always_inline int recent_choose(struct pymem_proc *p, struct pymem_thread *th,
					 struct scratch *s)
{
	__u32 index = recent_index(th, s->hash), set = s->hash & (PYMEM_RECENT_SETS - 1);
	struct pymem_recent *recent = &th->recent[index & (PYMEM_RECENT - 1)];
	enum recent_verdict verdict;
	int err;

	th->latest = (th->latest & ~(1ULL << set)) | (__u64)(index & 1) << set;
	th->current = index;
	if (recent->raw == s->hash) {
		verdict = recent_confirm(p, th, recent, s);
		if (verdict == RECENT_SAME)
			return 0;
		if (verdict == RECENT_WHOLE)
			recent_flush(p, recent);
		else
			recent_replaced(p, recent);
		recent->raw = 0;
	} else {
		recent_evict(p, recent);
		verdict = stack_identify(th->told) ? RECENT_UNREADABLE : RECENT_OTHER;
	}
	th->current = PYMEM_RECENT;
	if (verdict == RECENT_UNREADABLE)
		return LOST(UNREADABLE);
	err = recent_enter(p, recent, s);
	if (!err)
		th->current = index;
	return err;
}

/* A walk begins, and ends: if the session limits itself, some are timed. A walk whose thread was
 * off the CPU meanwhile, preempted or with its virtual machine, says nothing of its cost: no walk
 * takes WALK_NS_MOST. */
#define WALK_NS_MOST 1000000

static __always_inline void walk_begins(struct scratch *s)
{
	__u32 left;

	if (!limits_itself)
		return;
	left = s->untimed;
	s->untimed = left - 1;
	if (left)
		return;
	s->untimed = PYMEM_WALKS_TIMED - 1;
	s->since = bpf_ktime_get_ns();
}

static __always_inline void walk_ends(struct scratch *s)
{
	__u64 since, took;

	if (!limits_itself || !s->since)
		return;
	since = s->since;
	s->since = 0;
	took = bpf_ktime_get_ns() - since;
	if (took > WALK_NS_MOST)
		return;
	__sync_fetch_and_add(&timed_ns, took);
	__sync_fetch_and_add(&timed_walks, 1);
}

/* Walks the current thread's stack and makes th collect for it.
 * 0, or LOST(cause): then nothing may be collected for this event. */
static __noinline int stack_now(struct pymem_proc *p, struct pymem_thread *th)
{
	const struct pymem_layout *layout;
	struct scratch *s = scratch_get();
	__u32 index;
	int err;

	if (!p || !th || !s)
		return -1;
	th->current = PYMEM_RECENT;
	th->loss = PYMEM_LOSS_RECURSION;
	if (s->busy)
		return LOST(RECURSION);
	th->loss = PYMEM_LOSS_UNIDENTIFIED;
	if (!p->identified)
		return LOST(UNIDENTIFIED);
	index = p->layout;
	layout = bpf_map_lookup_elem(&layouts, &index);
	if (!layout) { /* PYMEM_LAYOUT_SHED: all others are there */
		th->loss = PYMEM_LOSS_SHED;
		/* As opaque(); but the scratch area may be another event's. */
		return -(int)*(volatile __u32 *)&th->loss - 1;
	}
	/* Before anything is written: some programs can be preempted, by another thread's event. */
	if (!scratch_begins(s)) {
		th->loss = PYMEM_LOSS_RECURSION;
		return LOST(RECURSION);
	}
	scratch_begin(s, p);
	names_begin(s, p);
	walk_begins(s);
	err = pystack_walk(p, th, layout, s);
	/* If the stack was not seen lately, there may be a second interpreter by now. Then the
	 * thread may have another state than the one that was cached. */
	if (!err && th->recent[recent_index(th, s->hash)].raw != s->hash &&
	    second_interpreter(p, layout))
		err = pystack_walk(p, th, layout, s);
	if (!err)
		err = recent_choose(p, th, s);
	if (err)
		th->loss = LOSS_OF(err);
	walk_ends(s);
	names_end(s, p);
	err = opaque(s, err);
	s->busy = 0;
	return err;
}

/* The stack that th collects for; hash 0: none. */
static __always_inline struct pymem_stack_key key_now(struct pymem_thread *th)
{
	struct pymem_recent *recent = recent_current(th);
	struct pymem_stack_key key = {.proc = th->proc};

	if (recent)
		key.hash = recent->hash;
	return key;
}

/* Collects a change of RSS for a recent stack. */
static __always_inline void recent_pages(struct pymem_recent *recent, __u32 member, __s64 pages,
					 __u64 rss)
{
	struct pymem_counters *acc = &recent->acc;

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

#endif

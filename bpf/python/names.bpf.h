/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many code objects the walks of an image may name.
 *
 * To name one takes up to 16 reads, and a program can make up 128 new ones for each event. Where
 * processes are profiled that nobody chose, each image has an account: what its walks name, and
 * hand over, is taken off. NAMES_SAVED are there at first, three times what the
 * imports of some large libraries took. And `names_rate` more come each 2^20 ns. When nothing
 * is left, an event names the NAMES_LEAST innermost frames all the same. A stack that is new is cut
 * there. Of one that is known only these are confirmed; its callers, and all of a stack that was
 * cut, are named when there is enough again.
 */
#ifndef NAMES_BPF_H
#define NAMES_BPF_H

#include "base/compat.bpf.h"
#include "base/maps.bpf.h"

#define NAMES_LEAST    2
#define NAMES_SAVED    (1 << 19)
#define NAMES_FREE     (1U << 30) /* no event needs so many */
#define NAMES_EVENT    512	  /* at least what one event can use: 128 named, 192 handed over */
#define NAMES_TICK     20	  /* time is counted in units of 2^20 ns */
#define MESSAGES_LEAST 1

/* What is left on p's account after what time has added. Two CPUs that do this at once may both add
 * it; what a third takes off meanwhile may be given back. Either comes to what one event takes, or
 * one tick brings. */
static __always_inline __s32 names_refill(struct pymem_proc *p)
{
	__u64 now = bpf_ktime_get_ns() >> NAMES_TICK, passed = now - p->names_at;
	__s32 left = p->names_left;

	if (!passed || passed >> 63)
		return left;
	p->names_at = now;
	if (passed >= NAMES_SAVED / names_rate)
		left = NAMES_SAVED;
	else
		left += (__s32)passed * (__s32)names_rate;
	if (left > NAMES_SAVED)
		left = NAMES_SAVED;
	p->names_left = left;
	return left;
}

/* An event of p begins, for which scratch_begin() was called. */
static __always_inline void names_begin(struct scratch *s, struct pymem_proc *p)
{
	__s32 left;

	if (!names_rate)
		return;
	left = p->names_left;
	if (left < NAMES_EVENT)
		left = names_refill(p);
	if (left <= 0) {
		left = 0;
		s->sends = MESSAGES_LEAST;
	}
	s->names = s->names_given = left + NAMES_LEAST;
}

/* The event ends: p pays, unless there was nothing left when it began. So the account lacks no more
 * than what one event of each CPU takes. */
static __always_inline void names_end(const struct scratch *s, struct pymem_proc *p)
{
	__s32 used;

	if (!names_rate || s->names_given == NAMES_LEAST)
		return;
	used = s->names_given - s->names;
	if (used)
		__sync_fetch_and_add(&p->names_left, -used);
}

/* Takes `number` off what the event may use. */
static __always_inline void names_spend(struct scratch *s, __u64 number)
{
	s->names = number < s->names ? s->names - number : 0;
}

#endif

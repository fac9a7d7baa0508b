/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sends bodies to a server of profiles, one after the other, and keeps some that could not be sent
 * yet. It does not know what is in them, but for when that began: Pyroscope refuses what began more
 * than an hour ago. */
#ifndef PUSH_H
#define PUSH_H

#include "agent/push_try.h"

#define PUSH_WAITING   32		 /* bodies that may wait */
#define PUSH_BYTES     ((size_t)8 << 20) /* that they may have together */
#define PUSH_BACK_MIN  1000000000ULL	 /* ns until another try, the first time */
#define PUSH_BACK_MOST (300 * PUSH_BACK_MIN)
#define PUSH_WAIT_MOST (3600 * PUSH_BACK_MIN) /* whatever the server asks for */

#define PUSH_OLD_NS (3300 * PUSH_BACK_MIN) /* after its begin, a body is not tried any more */

enum push_drop {
	PUSH_DROP_FULL,	   /* the oldest, since others came */
	PUSH_DROP_REFUSED, /* the server does not want it */
	PUSH_DROP_ENDED,   /* the agent has ended */
	PUSH_DROP_OLD,	   /* it began PUSH_OLD_NS ago */
	PUSH_DROPS
};

struct push_counts {	 /* since the beginning */
	uint64_t sent;	 /* bodies that the server took */
	uint64_t failed; /* tries after which there will be another one */
	uint64_t dropped[PUSH_DROPS];
	uint64_t bytes; /* of bodies that the server took */
	size_t waiting; /* bodies, now */
	bool names;	/* can be looked up, now */
};

/* Tells the user a sentence: `bad`: of what goes wrong. */
typedef void push_say_fn(void *arg, bool bad, const char *words);

struct push;

/* Takes over the target and the resolver (which may be none). NULL: out of memory; then both are
 * closed. push_free() frees it. */
struct push *push_new(struct push_target *target, const struct resolver *resolver, push_say_fn *say,
		      void *arg);
/* NULL is allowed. */
void push_free(struct push *push);

/* Sends from now on, in `loop`. To be called once. */
void push_watch(struct push *push, struct loop *loop);
/* Takes over the target in place of the one before; what waits goes there, at once. One that is the
 * same changes nothing: what is being sent goes on, and so does a wait after a failure. */
void push_set_target(struct push *push, struct push_target *target);
/* The time now, in nanoseconds, also of those in which the host was suspended. */
int64_t push_now(void);
/* Takes over the body. `began`: of push_now(), when that began which it tells of. */
void push_add(struct push *push, uint8_t *body, size_t size, int64_t began);
/* Sends what waits, the latest first, in a loop of its own, for so many ns at most. What is left is
 * dropped. To be called last, while the loop of push_watch() does not run. */
void push_finish(struct push *push, uint64_t ns);

struct push_counts push_counts(const struct push *push);
const char *push_drop_name(enum push_drop drop);

/* Nanoseconds until the next try after so many that failed in a row (1 or more): it doubles, from
 * PUSH_BACK_MIN to PUSH_BACK_MOST, and `random` takes up to half of it off. `retry_after`: seconds
 * that the server asked for, which are kept at least, up to PUSH_WAIT_MOST; -1: none. */
uint64_t push_back_off(unsigned failures, uint32_t random, int64_t retry_after);
/* What an answer means. `proto`: its Content-Type is that of a Pyroscope; others, such as the page
 * of a proxy, have taken nothing. */
enum push_verdict { PUSH_TAKEN, PUSH_LATER, PUSH_REFUSED };
enum push_verdict push_verdict(unsigned status, bool proto);

#endif

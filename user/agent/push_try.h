/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One try to send a body: the name of the host is looked up, its addresses are tried in turn, and
 * the request is sent, all within PUSH_TRY_NS. */
#ifndef PUSH_TRY_H
#define PUSH_TRY_H

#include "agent/push_exchange.h"
#include "agent/push_target.h"
#include "os/resolver.h"

#define PUSH_NO_NAMES	"the process that looks up names has ended: restart the agent"
#define PUSH_TRY_NS	10000000000ULL
#define PUSH_CONNECT_NS 3000000000ULL /* for one address of several */

struct push_try { /* private; push_try_init() */
	struct loop *loop;
	const struct push_target *target;
	const struct resolver *resolver;
	struct loop_fd answers;
	uint32_t asked; /* number of the last question */
	bool waits;	/* for its answer, whoever asked */
	struct resolver_answer addresses;
	uint32_t next; /* address */
	struct loop_timer deadline, give_up;
	struct loop_fd connecting;
	int fd; /* that connects; -1: none does */
	struct push_exchange exchange;
	struct push_request request;
	char *head;
	char why[PUSH_WHY]; /* an address can't be connected to; "": none was tried in vain */
	push_exchange_fn *done;
	void *arg;
};

/* `resolver` must outlive it; one that does not run is allowed: then names can't be looked up. */
void push_try_init(struct push_try *try, const struct resolver *resolver);
/* Begins to send the body, which must stay, as must the target. Calls done() once, never from here,
 * in the way of an exchange. 0 or -errno; then it is not called. */
int push_try_begin(struct push_try *try, struct loop *loop, const struct push_target *target,
		   const void *body, size_t size, push_exchange_fn *done, void *arg);
/* Gives it up: done() is not called any more. Does nothing if it does not run. */
void push_try_stop(struct push_try *try);
/* The target is another one from now on: an answer that is waited for is none of it. To be called
 * while it does not run. */
void push_try_forget(struct push_try *try);

#endif

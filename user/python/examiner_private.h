/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What examiner.c (requests) needs of examiner_wait.c (waiting for the answer). */
#ifndef EXAMINER_PRIVATE_H
#define EXAMINER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "python/examiner_wire.h"

/* The process or file that a request is about. */
struct examiner_subject {
	pid_t pid; /* 0: the request is about a source */
	uint32_t owner;
	bool known;	  /* `owner` is known */
	bool one_of_many; /* `pid` is that which the examiner reads */
};

/* True if one more examiner may hang because of the subject's owner, and that owner has not taken
 * too much of our time lately. */
bool examiner_may_hang(struct examiner_subject *subject);

/* Sends a request and waits for its answer, which the caller frees with wire_fini(). 0, or an error
 * of examiner.h. The result of the request itself is in answer->head.result. */
int examiner_ask(struct wire_message *request, struct wire_message *answer,
		 struct examiner_subject *subject);

/* The same for a request about process `pid`. */
int examiner_ask_about(pid_t pid, struct wire_message *request, struct wire_message *answer);

/* The same for a request about several processes. If one of them has held the examiner up (-ETIME),
 * it is that in `*to_blame`. */
int examiner_ask_about_many(struct wire_message *request, struct wire_message *answer,
			    pid_t *to_blame);

/* 0: process `pid` may be part of such a request. -ESRCH, -ETIME, -EBUSY: as of
 * examiner_ask_about(). */
int examiner_may_ask(pid_t pid);

/* Memory in which examiners that are forked later say which process of a request for several they
 * read. 0 or -errno. */
int examiner_share_reading(void);
/* None is read. */
void examiner_read_none(void);
/* That process; 0: none. */
pid_t examiner_reading(void);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t examiner_now_ms(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What examiner.c (requests) needs of examiner_wait.c (the helper, and the wait for it). */
#ifndef EXAMINER_PRIVATE_H
#define EXAMINER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "python/examiner_wire.h"

/* Whom a request is about. */
struct examiner_subject {
	pid_t pid; /* 0: a source */
	uint32_t owner;
	bool known; /* the owner, that is */
};

/* Is there room for one more helper that hangs because of its owner, and has that one not taken too
 * much of our time of late? */
bool examiner_may_hang(struct examiner_subject *subject);

/* Sends a request and waits for its answer, which the caller frees. 0 or one of the errors of
 * examiner.h; the answer's own result is in its head. */
int examiner_ask(struct wire_message *request, struct wire_message *answer,
		 struct examiner_subject *subject);

/* The same for a request about process `pid`. */
int examiner_ask_about(pid_t pid, struct wire_message *request, struct wire_message *answer);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t examiner_now_ms(void);

#endif

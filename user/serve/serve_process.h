/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The process that a client wants watched: that it is the one meant, and allowed. */
#ifndef SERVE_PROCESS_H
#define SERVE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pymem_serve.h"
#include "serve/serve_access.h"

/* What /proc says of who process `pid` is. 0, -ESRCH, -errno. */
int serve_creds_read(pid_t pid, struct serve_creds *creds);

/* Has the process of this descriptor ended? */
bool serve_process_ended(int pidfd);

struct serve_process {
	pid_t pid;
	int pidfd; /* the caller closes it */
	uint64_t start_ticks;
};

/* Finds process `pid` for `peer`, and checks that it may be watched. `start_ticks` as the
 * request has it. `process` is filled in only if PYMEM_SERVE_OK; otherwise `why` is. */
enum pymem_serve_status serve_process_open(const struct serve_peer *peer, pid_t pid,
					   uint64_t start_ticks, struct serve_process *process,
					   char *why, size_t size);

/* May `peer` go on watching it, after an exec? */
bool serve_process_still_allowed(const struct serve_peer *peer,
				 const struct serve_process *process);

#endif

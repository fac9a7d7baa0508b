/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The process that a client wants to watch: it must be the right one, and the client must be
 * allowed to. */
#ifndef SERVE_PROCESS_H
#define SERVE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pymem_serve.h"
#include "serve/serve_access.h"

/* Fills `creds` with what /proc says of process `pid`. 0, -ESRCH or -errno. */
int serve_creds_read(pid_t pid, struct serve_creds *creds);

/* True if the process of this pidfd has ended. */
bool serve_process_ended(int pidfd);

struct serve_process {
	pid_t pid;
	int pidfd; /* the caller closes it */
	uint64_t start_ticks;
};

/* Finds process `pid` for `peer` and checks that it may be watched. `start_ticks` is that of the
 * request; 0: any. Returns PYMEM_SERVE_OK and fills in `process`; or another status, with a message
 * in `why` (`size` bytes). */
enum pymem_serve_status serve_process_open(const struct serve_peer *peer, pid_t pid,
					   uint64_t start_ticks, struct serve_process *process,
					   char *why, size_t size);

/* True if `peer` may still watch the process after an exec. */
bool serve_process_still_allowed(const struct serve_peer *peer,
				 const struct serve_process *process);

#endif

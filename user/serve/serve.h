/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The server behind `pymem-bpf serve`. */
#ifndef SERVE_H
#define SERVE_H

#include <stdbool.h>

struct serve_options {
	const char *socket; /* path to listen at */
	int fd;		    /* >= 0: serve only the client at the other end of it */
	unsigned max_clients, max_per_user;
	unsigned max_processes; /* watched for each user, children included */
	int verbosity; /* -1: errors only; 0: begin and end; 1: clients too; 2: libbpf too */
};

#define SERVE_MAX_CLIENTS  256
#define SERVE_MAX_PER_USER 64

/* Serves until SIGTERM, SIGINT or SIGHUP, or until the client of `fd` is gone. Failures are
 * explained on stderr. Returns an exit status (exit_status.h). */
int serve_run(const struct serve_options *options);

#endif

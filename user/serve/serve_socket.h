/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where clients connect, and who they are. */
#ifndef SERVE_SOCKET_H
#define SERVE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "serve/serve_access.h"

struct serve_listener {
	int fd;
	const char *path; /* ours to remove; NULL if systemd made it */
	dev_t dev;	  /* of the file at `path` */
	ino_t ino;
};

/* Listens at `path`, or takes the socket that systemd passed (LISTEN_FDS). A file left by a
 * server that is dead is replaced; anything else is left alone. 0, or -errno and a sentence
 * in `why`. serve_listener_close() closes it and removes the file, if it is still the same. */
int serve_listener_open(struct serve_listener *listener, const char *path, char *why, size_t size);
void serve_listener_close(struct serve_listener *listener);

/* Is `fd` a connected socket of the kind we speak over? Makes it ours: non-blocking, closed on
 * exec. 0 or -errno. */
int serve_socket_adopt(int fd);

/* Closes a connection so that the other end can still read what it was sent. */
void serve_socket_end(int fd);

/* Fills `peer` with who is at the other end of `fd`. A descriptor of that process (pidfd_open(2)),
 * the caller closes it; -ESRCH: it has ended; -errno. */
int serve_peer_read(int fd, struct serve_peer *peer);

#endif

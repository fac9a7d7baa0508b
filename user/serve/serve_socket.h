/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The socket to which clients connect, and the users that connect. */
#ifndef SERVE_SOCKET_H
#define SERVE_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "serve/serve_access.h"

struct serve_listener {
	int fd;
	const char *path; /* the file that we remove; NULL: systemd made it */
	dev_t dev;	  /* of the file at `path` */
	ino_t ino;
};

/* Listens at `path`, or takes the socket that systemd passed (LISTEN_FDS). The file of a dead
 * server is replaced; any other file is left alone. 0, or -errno with a sentence in `why`.
 * serve_listener_close() closes it, and removes the file if that is still the same. */
int serve_listener_open(struct serve_listener *listener, const char *path, char *why, size_t size);
void serve_listener_close(struct serve_listener *listener);

/* Checks that `fd` is a connected socket of the right kind, and makes it non-blocking and closed on
 * exec. 0 or -errno. */
int serve_socket_adopt(int fd);

/* Closes a connection so that the other end can still read what it was sent. */
void serve_socket_end(int fd);

/* Fills `peer` with the user at the other end of `fd`. Returns a pidfd of that process, which the
 * caller closes; -ESRCH: it has ended; or -errno. */
int serve_peer_read(int fd, struct serve_peer *peer);

#endif

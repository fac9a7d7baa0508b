/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process that is watched, and the connections that share its counter block. */
#ifndef SERVE_WATCHED_H
#define SERVE_WATCHED_H

#include <stdbool.h>

#include "serve/serve_private.h"

/* The most users (with groups and capabilities) who may get the same counter block. */
#define WATCHED_PEERS 8

struct watched {
	struct watched *next;
	struct watch watch;
	pid_t pid;
	uint64_t start_ticks;
	unsigned slots; /* bit N: slot N of the counter block is in use */
	struct serve_peer peers[WATCHED_PEERS];
	unsigned peer_count;
	unsigned images; /* as counted last */
};

/* Lets c watch c->process, with the counter block that exists or with a new one. Sets c->watched
 * and c->slot. 0; -EUSERS: too many share it; or an error of watch_begin(). */
int watched_join(struct client *c);

/* c does not watch any longer. With its last client the counter block ends. */
void watched_leave(struct client *c);

/* Ends watches that are not allowed any longer, after an exec or because of too many children. 0,
 * or -errno: children can't be counted. */
int watched_look_after(struct server *server);

/* Frees one counter block that has ended. False: there is none. */
bool watched_sweep(struct server *server);

/* Frees all records. Their counter blocks belong to the session. */
void watched_free(struct server *server);

#endif

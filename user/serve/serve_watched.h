/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process that is watched, and the connections that share its block. */
#ifndef SERVE_WATCHED_H
#define SERVE_WATCHED_H

#include <stdbool.h>

#include "serve/serve_private.h"

/* Users, with their groups and capabilities, who may have got one block. */
#define WATCHED_PEERS 8

struct watched {
	struct watched *next;
	struct watch watch;
	pid_t pid;
	uint64_t start_ticks;
	unsigned slots; /* bit N: slot N of the block is a client's */
	struct serve_peer peers[WATCHED_PEERS];
	unsigned peer_count;
	unsigned images; /* when last counted */
};

/* Has c watch c->process, on the block that is there or a new one: c->watched, c->slot. 0,
 * -EUSERS: too many share it; or as watch_begin(). */
int watched_join(struct client *c);

/* c watches no longer. With the last client the block ends. */
void watched_leave(struct client *c);

/* Ends what may be watched no longer, after an exec or for having too many children. 0 or
 * -errno: children can't be counted. */
int watched_look_after(struct server *server);

/* Lets go one block that has ended. False: there is none. */
bool watched_sweep(struct server *server);

/* Frees all records; their blocks are the session's. */
void watched_free(struct server *server);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What serve.c (the loop), serve_client.c (one connection) and serve_watched.c (what is
 * watched) share. */
#ifndef SERVE_PRIVATE_H
#define SERVE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/serve.h"
#include "serve/serve_limits.h"
#include "serve/serve_process.h"
#include "serve/serve_quota.h"
#include "serve/serve_socket.h"
#include "kernel/session.h"
#include "os/loop.h"
#include "serve/watch.h"

/* So long nothing must have been watched before the event sources are detached: to attach
 * costs the host more than to have them stay a little. */
#define SERVER_LINGER_NS 2000000000ULL

/* How often processes that are watched are looked after. */
#define SERVER_CHECK_NS 1000000000ULL

/* Images (processes, by fork and exec) that one watch may add up. */
#define SERVER_MAX_IMAGES 1024

struct client;
struct watched;

struct client {
	struct server *server;
	struct client *next;
	int fd;	   /* connection; -1 once it is closed */
	int pidfd; /* of the process at its other end */
	struct serve_peer peer;
	size_t user;		      /* in server.limits */
	bool watching;		      /* since TRACK, until UNTRACK */
	struct serve_process process; /* then; pidfd -1 once it has ended */
	struct watched *watched;      /* likewise; then NULL */
	unsigned slot;		      /* on its block */
	struct loop_fd socket;
	struct loop_fd other_end, target; /* the ends of those processes */
	struct loop_timer pause;	  /* runs while it is not read from */
};

struct server {
	struct serve_options options;
	struct loop *loop;
	struct session *session;
	struct serve_limits limits;
	struct serve_quota quota;
	struct serve_listener listener;
	struct client *clients;
	struct watched *watched; /* processes */
	struct watched *ended;	 /* whose blocks are to be let go */
	bool attached;
	struct loop_fd on_listener;
	struct loop_timer accept; /* runs while no connection is accepted */
	struct loop_timer check;  /* looks after what is watched, while attached */
	struct loop_timer detach; /* unless something is watched by then */
	struct loop_timer sweep;  /* frees what was closed, once nobody is about it */
};

/* CLOCK_MONOTONIC. */
uint64_t server_now(void);

/* Attaches the event sources, unless they are. 0 or -errno. */
int server_attach(struct server *server);
/* Something that was to be watched, or was, is not: it may have been the last. */
void server_linger(struct server *server);
/* A client was closed, or a block has ended: it is freed as soon as the loop comes to it. */
void server_sweep_soon(struct server *server);

/* Says something about the server, unless -q is given. */
__attribute__((format(printf, 2, 3))) void server_say(const struct server *server,
						      const char *format, ...);

/* Says what happens to a client, if -v is given. */
__attribute__((format(printf, 2, 3))) void client_log(const struct client *client,
						      const char *format, ...);

/* Takes over the connection `fd`. NULL: refused, and closed. */
struct client *client_new(struct server *server, int fd);
/* Ends it and what it watches; freed by client_free() once no function that has it runs. */
void client_close(struct client *client, const char *why);
void client_free(struct client *client);

/* The process watched has ended, or may be watched no longer. */
void client_end_watch(struct client *client, const char *why);

#endif

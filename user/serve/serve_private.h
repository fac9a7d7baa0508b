/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What serve.c (the loop), serve_client.c (one connection) and serve_watched.c (watched processes)
 * share. */
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

/* The event sources stay attached for so long after the last process was watched: attaching costs
 * the host more than leaving them for a moment. */
#define SERVER_LINGER_NS 2000000000ULL

/* How often watched processes are checked. */
#define SERVER_CHECK_NS 1000000000ULL

/* The most images (processes, by fork and exec) that one watch adds up. */
#define SERVER_MAX_IMAGES 1024

struct client;
struct watched;

struct client {
	struct server *server;
	struct client *next;
	int fd;	   /* the connection; -1: closed */
	int pidfd; /* of the process at its other end */
	struct serve_peer peer;
	size_t user;		      /* its index in server.limits */
	bool watching;		      /* from TRACK until UNTRACK */
	struct serve_process process; /* while watching; its pidfd is -1 after it has ended */
	struct watched *watched;      /* while watching and the process lives; else NULL */
	unsigned slot;		      /* its place for peaks in the counter block */
	struct loop_fd socket;
	struct loop_fd other_end, target; /* report the ends of these processes */
	struct loop_timer pause;	  /* runs while the client is not read from */
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
	struct watched *ended;	 /* their counter blocks are to be freed */
	bool attached;
	struct loop_fd on_listener;
	struct loop_timer accept; /* runs while no connection is accepted */
	struct loop_timer check;  /* checks what is watched, while attached */
	struct loop_timer detach; /* detaches if nothing is watched by then */
	struct loop_timer sweep;  /* frees closed clients when no function uses them */
};

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t server_now(void);

/* Attaches the event sources if they are not attached. 0 or -errno. */
int server_attach(struct server *server);
/* A process is not watched any more, or could not be: detaches later if it was the last. */
void server_linger(struct server *server);
/* A client was closed or a counter block has ended: it is freed when the loop comes to it. */
void server_sweep_soon(struct server *server);

/* Prints a message about the server, unless -q is given. */
__attribute__((format(printf, 2, 3))) void server_say(const struct server *server,
						      const char *format, ...);

/* Prints a message about a client, if -v is given. */
__attribute__((format(printf, 2, 3))) void client_log(const struct client *client,
						      const char *format, ...);

/* A new client, which owns the connection `fd`. NULL: it was refused, and `fd` is closed. */
struct client *client_new(struct server *server, int fd);
/* Ends the client and what it watches. client_free() frees it once no function uses it. */
void client_close(struct client *client, const char *why);
void client_free(struct client *client);

/* Ends what the client watches: the process has ended, or may not be watched any longer. */
void client_end_watch(struct client *client, const char *why);

#endif

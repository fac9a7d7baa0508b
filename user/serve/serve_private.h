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

/* What an event of the loop is about; its address is the event's data. */
struct event_source {
	enum { EVENT_LISTENER, EVENT_SIGNAL, EVENT_SOCKET, EVENT_PEER, EVENT_TARGET } kind;
	struct client *client;
};

struct client {
	struct server *server;
	struct client *next;
	int fd;	   /* connection; -1 once it is closed */
	int pidfd; /* of the process at its other end */
	bool paused;
	uint64_t resume_ns; /* while paused */
	struct serve_peer peer;
	size_t user;		      /* in server.limits */
	bool watching;		      /* since TRACK, until UNTRACK */
	struct serve_process process; /* then; pidfd -1 once it has ended */
	struct watched *watched;      /* likewise; then NULL */
	unsigned slot;		      /* on its page */
	struct event_source socket, other_end, target;
};

struct server {
	struct serve_options options;
	struct session *session;
	struct serve_limits limits;
	struct serve_quota quota;
	struct serve_listener listener;
	struct client *clients;
	int epoll, signals;
	struct watched *watched; /* processes */
	struct watched *ended;	 /* whose pages are to be let go */
	bool attached;
	bool stop;
	bool swept;	    /* a client was closed: it is to be freed */
	uint64_t detach_ns; /* when to detach, if nothing is watched by then */
	uint64_t check_ns;  /* when to look after what is watched */
	uint64_t accept_ns; /* no connection is accepted before; 0: now */
	struct event_source on_listener, on_signal;
};

/* CLOCK_MONOTONIC. */
uint64_t server_now(void);

/* Adds a descriptor to the loop, or removes it. 0 or -errno. */
int server_watch_fd(struct server *server, int fd, struct event_source *source);
void server_forget_fd(struct server *server, int fd);

/* Says something about the server, unless -q is given. */
__attribute__((format(printf, 2, 3))) void server_say(const struct server *server,
						      const char *format, ...);

/* Says what happens to a client, if -v is given. */
__attribute__((format(printf, 2, 3))) void client_log(const struct client *client,
						      const char *format, ...);

/* Takes over the connection `fd`. NULL: refused, and closed. */
struct client *client_new(struct server *server, int fd);
/* Ends it and what it watches; freed by client_free() once no event can be about it. */
void client_close(struct client *client, const char *why);
void client_free(struct client *client);

/* A message is there, or, if it has hung up, perhaps only the end. */
void client_readable(struct client *client, bool hung_up);
/* Its time is up: it may go on. */
void client_resume(struct client *client);
/* The process watched has ended, or may be watched no longer. */
void client_end_watch(struct client *client, const char *why);

#endif

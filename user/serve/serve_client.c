/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One connection: its requests, and what it watches.
 *
 * Nothing here waits for a client. A request is answered at once. If the client does not read and
 * there is no room for the answer, the connection is closed. A user who asks too much is not read
 * from for a while: its messages wait in its own socket.
 *
 * Invariant: client_close() releases all that a client holds (a place, descriptors, a counter
 * block, tracked processes). A connection ends in no other way. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "render/render.h"
#include "serve/serve_private.h"
#include "serve/serve_request.h"
#include "serve/serve_watched.h"

void client_log(const struct client *client, const char *format, ...)
{
	char text[512];
	va_list args;

	if (client->server->options.verbosity < 1)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "pymem-bpf serve: client pid %d, uid %u: ", client->peer.pid,
		client->peer.uid);
	/* It may contain a name that a process chose. */
	text_print(stderr, text, 0, false);
	fputc('\n', stderr);
}

/* Sends `reply`, with the descriptor `attached` unless that is -1. 0 or -errno. */
static int send_reply(int fd, const struct pymem_serve_reply *reply, int attached)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	struct iovec part = {(void *)(uintptr_t)reply, sizeof(*reply)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;
	ssize_t n;

	if (attached >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &attached, sizeof(int));
	}
	do {
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Answers. False: the client did not take the answer and was closed. */
static bool answer(struct client *c, unsigned op, enum pymem_serve_status status,
		   const char *message)
{
	struct pymem_serve_reply reply;
	int err;

	serve_reply_fill(&reply, op, status, message);
	if (status != PYMEM_SERVE_OK)
		client_log(c, "refused: %s", reply.message);
	err = send_reply(c->fd, &reply, -1);
	if (!err)
		return true;
	client_close(c, err == -EAGAIN ? "does not read its answers" : strerror(-err));
	return false;
}

static void refuse_connection(int fd, enum pymem_serve_status status, const char *message)
{
	struct pymem_serve_reply reply;

	serve_reply_fill(&reply, 0, status, message);
	send_reply(fd, &reply, -1);
	serve_socket_end(fd);
}

/* --- events --- */

static void readable(struct client *c, bool hung_up);

static void on_socket(void *arg, uint32_t events)
{
	struct client *c = arg;

	/* This event may have been reported before the client was paused. */
	if (events & EPOLLIN && !c->pause.loop)
		readable(c, events & EPOLLHUP);
	else if (events & (EPOLLHUP | EPOLLERR))
		client_close(c, "hung up");
}

static void on_other_end(void *arg, uint32_t events)
{
	(void)events;
	client_close(arg, "its process has ended");
}

static void on_target(void *arg, uint32_t events)
{
	(void)events;
	client_end_watch(arg, "has ended");
}

/* --- begin and end --- */

/* Takes a place and the descriptors. 0 or -errno. */
static int client_join(struct client *c)
{
	struct server *s = c->server;
	int err;

	c->pidfd = serve_peer_read(c->fd, &c->peer);
	if (c->pidfd < 0)
		return c->pidfd;
	err = serve_limits_join(&s->limits, c->peer.account, server_now(), &c->user);
	if (err)
		goto close_pidfd;
	err = loop_add(s->loop, &c->socket, c->fd, EPOLLIN, on_socket, c);
	if (err)
		goto leave;
	err = loop_add(s->loop, &c->other_end, c->pidfd, EPOLLIN, on_other_end, c);
	if (err)
		goto forget;
	return 0;
forget:
	loop_remove(&c->socket);
leave:
	serve_limits_leave(&s->limits, c->user);
close_pidfd:
	close(c->pidfd);
	return err;
}

struct client *client_new(struct server *server, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	char message[160];
	int err;

	if (!c) {
		close(fd);
		return NULL;
	}
	c->server = server;
	c->fd = fd;
	c->process.pidfd = -1;
	err = client_join(c);
	if (!err) {
		c->next = server->clients;
		server->clients = c;
		client_log(c, "connected");
		return c;
	}
	if (err == -EUSERS)
		snprintf(message, sizeof(message),
			 "too many connections of user %u (%u); close some, or have the server "
			 "started with a higher --max-per-user",
			 c->peer.account, server->options.max_per_user);
	else if (err == -ENOSPC)
		snprintf(message, sizeof(message),
			 "too many connections (of %u, %u are kept for root and %u for users who "
			 "have none); have the server started with a higher --max-clients",
			 server->options.max_clients, server->limits.for_root,
			 server->limits.for_first);
	else
		snprintf(message, sizeof(message), "who connected can't be told: %s",
			 strerror(-err));
	client_log(c, "refused: %s", message);
	refuse_connection(fd,
			  err == -EUSERS || err == -ENOSPC ? PYMEM_SERVE_LIMIT : PYMEM_SERVE_FAILED,
			  message);
	free(c);
	return NULL;
}

/* Stops watching; `watching` stays true until UNTRACK. */
static void stop_watching(struct client *c)
{
	if (!c->watched)
		return;
	watched_leave(c);
	loop_remove(&c->target);
	close(c->process.pidfd);
	c->process.pidfd = -1;
	server_linger(c->server);
}

void client_close(struct client *c, const char *why)
{
	if (c->fd < 0)
		return;
	client_log(c, "closed: %s", why);
	stop_watching(c);
	loop_remove(&c->socket);
	loop_remove(&c->other_end);
	loop_timer_stop(&c->pause);
	serve_socket_end(c->fd);
	close(c->pidfd);
	c->fd = c->pidfd = -1;
	serve_limits_leave(&c->server->limits, c->user);
	server_sweep_soon(c->server);
}

void client_free(struct client *c)
{
	free(c);
}

void client_end_watch(struct client *c, const char *why)
{
	if (!c->watched)
		return;
	client_log(c, "pid %d: %s", c->process.pid, why);
	stop_watching(c);
}

/* Says which quota is full, and what to do. */
static const char *quota_text(struct client *c, char *text, size_t size)
{
	int payer = serve_quota_payer(&c->server->quota, c->peer.account);

	if (payer > 0 && serve_quota_is_full(&c->server->quota, payer))
		snprintf(text, size,
			 "user %u has %u processes watched, children included, as many as a user "
			 "may; "
			 "end some, or have the server started with a higher --max-processes",
			 c->peer.account, c->server->options.max_processes);
	else
		snprintf(text, size,
			 "all users together have %u processes watched, as many as they may: try "
			 "later",
			 SERVE_USERS_IMAGES);
	return text;
}

/* Answers a TRACK of c->process that has failed. */
static void refuse_watch(struct client *c, int err)
{
	char why[208], quota[160];

	if (c->process.pidfd >= 0)
		close(c->process.pidfd);
	c->process.pidfd = -1;
	server_linger(c->server);
	snprintf(why, sizeof(why), "pid %d: %s", c->process.pid,
		 err == -ESRCH	  ? "has ended"
		 : err == -EUSERS ? "is watched already, over as many connections as may share it"
		 : err == -EBUSY  ? "shares its memory with a process that is watched already"
		 : err == -EDQUOT ? quota_text(c, quota, sizeof(quota))
		 : err == -ENOSPC ? "the server watches as many processes as it can; try later"
				  : strerror(-err));
	answer(c, PYMEM_SERVE_TRACK,
	       err == -ESRCH					    ? PYMEM_SERVE_NO_PROCESS
	       : err == -EBUSY					    ? PYMEM_SERVE_STATE
	       : err == -ENOSPC || err == -EUSERS || err == -EDQUOT ? PYMEM_SERVE_LIMIT
								    : PYMEM_SERVE_FAILED,
	       why);
}

/* Watches c->process and answers. */
static void begin_watch(struct client *c)
{
	struct server *s = c->server;
	struct pymem_serve_reply reply;
	int err = server_attach(s), fd;

	if (!err)
		err = watched_join(c);
	if (err) {
		refuse_watch(c, err);
		return;
	}
	err = loop_add(s->loop, &c->target, c->process.pidfd, EPOLLIN, on_target, c);
	fd = err ? err : session_block_fd(s->session, c->watched->watch.number);
	if (fd < 0) {
		stop_watching(c);
		refuse_watch(c, fd);
		return;
	}
	serve_reply_fill(&reply, PYMEM_SERVE_TRACK, PYMEM_SERVE_OK, NULL);
	reply.block_bytes = PYMEM_BLOCK_BYTES;
	reply.pid = c->process.pid;
	reply.slot = c->slot;
	c->watching = true;
	client_log(c, "watches pid %d", c->process.pid);
	err = send_reply(c->fd, &reply, fd);
	close(fd);
	if (err)
		client_close(c, strerror(-err));
}

static void track(struct client *c, const struct pymem_serve_request *request)
{
	pid_t pid = request->pid ? request->pid : c->peer.pid;
	enum pymem_serve_status status;
	char why[160] = "";

	if (c->watching) {
		snprintf(why, sizeof(why), "this connection watches pid %d already: UNTRACK first",
			 c->process.pid);
		answer(c, PYMEM_SERVE_TRACK, PYMEM_SERVE_STATE, why);
		return;
	}
	serve_limits_charge(&c->server->limits, c->user, SERVE_COST_TRACK);
	status = serve_process_open(&c->peer, pid, request->start_ticks, &c->process, why,
				    sizeof(why));
	if (status != PYMEM_SERVE_OK) {
		answer(c, PYMEM_SERVE_TRACK, status, why);
		return;
	}
	/* The client has ended since it sent this: another process may have its PID. */
	if (!request->pid && serve_process_ended(c->pidfd)) {
		close(c->process.pidfd);
		c->process.pidfd = -1;
		client_close(c, "has ended");
		return;
	}
	begin_watch(c);
}

static void reset(struct client *c)
{
	char why[96];
	int err;

	if (!c->watching) {
		answer(c, PYMEM_SERVE_RESET, PYMEM_SERVE_STATE, "nothing is watched: TRACK first");
	} else if (!c->watched) {
		snprintf(why, sizeof(why), "pid %d: has ended", c->process.pid);
		answer(c, PYMEM_SERVE_RESET, PYMEM_SERVE_NO_PROCESS, why);
	} else {
		err = watch_reset(&c->watched->watch, c->slot);
		answer(c, PYMEM_SERVE_RESET, err ? PYMEM_SERVE_FAILED : PYMEM_SERVE_OK,
		       err ? strerror(-err) : NULL);
	}
}

static void untrack(struct client *c)
{
	if (!c->watching) {
		answer(c, PYMEM_SERVE_UNTRACK, PYMEM_SERVE_STATE,
		       "nothing is watched: TRACK first");
		return;
	}
	stop_watching(c);
	c->watching = false;
	answer(c, PYMEM_SERVE_UNTRACK, PYMEM_SERVE_OK, NULL);
}

static void handle(struct client *c, const void *bytes, size_t size)
{
	struct pymem_serve_request request;
	enum pymem_serve_status status = serve_request_read(bytes, size, &request);

	if (status != PYMEM_SERVE_OK) {
		if (answer(c, 0, status, NULL))
			client_close(c, serve_status_text(status));
		return;
	}
	switch (request.op) {
	case PYMEM_SERVE_HELLO:
		answer(c, PYMEM_SERVE_HELLO, PYMEM_SERVE_OK, NULL);
		break;
	case PYMEM_SERVE_TRACK:
		track(c, &request);
		break;
	case PYMEM_SERVE_RESET:
		reset(c);
		break;
	case PYMEM_SERVE_UNTRACK:
		untrack(c);
		break;
	}
}

static void resume(void *arg)
{
	struct client *c = arg;
	int err = loop_change(&c->socket, EPOLLIN);

	if (err)
		client_close(c, strerror(-err));
}

/* Stops reading from the client for a while; its messages wait in its socket. */
static void pause_for(struct client *c, uint64_t wait_ns)
{
	client_log(c, "asks too often: held back");
	loop_change(&c->socket, 0);
	loop_timer_start(c->server->loop, &c->pause, wait_ns, 0, resume, c);
}

/* Reads a message. If the client has hung up, there may be none. */
static void readable(struct client *c, bool hung_up)
{
	char bytes[sizeof(struct pymem_serve_request)];
	uint64_t now = server_now(), wait;
	ssize_t n;

	wait = serve_limits_wait(&c->server->limits, c->user, now);
	if (wait) {
		pause_for(c, wait);
		return;
	}
	n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		client_close(c, strerror(errno));
		return;
	}
	if (n == 0 && hung_up) {
		client_close(c, "hung up");
		return;
	}
	serve_limits_charge(&c->server->limits, c->user, SERVE_COST_REQUEST);
	/* With MSG_TRUNC, n is the whole length of the message. 0 is an empty message, or the end
	 * from a client that still reads. Either is answered, and the connection is closed. */
	handle(c, bytes, (size_t)n);
	serve_limits_took(&c->server->limits, c->user, now, server_now());
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: every user wants figures of their own processes, and the BPF side that has them needs
 * root. So a server that is root loads it once. Each client gets the one counter block about its
 * own process (pymem_block.h). Reading that costs the server nothing.
 *
 * There is one thread with one loop (loop.h), which never waits for anything else. The programs are
 * attached only while something is watched. When a connection ends, all that it holds is released
 * (serve_client.c). When this process ends, all is released, however it ends. */
#include "serve/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit_status.h"
#include "os/confine.h"
#include "os/signals.h"
#include "serve/serve_private.h"
#include "serve/serve_watched.h"

#define ACCEPTS_AT_ONCE 16
#define ACCEPT_PAUSE_NS 100000000ULL
#define FDS_PER_CLIENT	8 /* connection, two processes, counter block, reply, and some to spare */
#define FDS_OF_OUR_OWN	128

uint64_t server_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void server_say(const struct server *server, const char *format, ...)
{
	va_list args;

	if (server->options.verbosity < 0)
		return;
	fputs("pymem-bpf serve: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* --- connections --- */

static void accept_clients(void *arg, uint32_t events);

static void accept_again(void *arg)
{
	struct server *server = arg;

	if (loop_add(server->loop, &server->on_listener, server->listener.fd, EPOLLIN,
		     accept_clients, server))
		loop_timer_start(server->loop, &server->accept, ACCEPT_PAUSE_NS, 0, accept_again,
				 server);
}

static void accept_clients(void *arg, uint32_t events)
{
	struct server *server = arg;
	int i, fd;

	(void)events;
	for (i = 0; i < ACCEPTS_AT_ONCE; i++) {
		fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			client_new(server, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* Stops accepting for a while: else this would fail, and be printed, again
			 * and again. */
			server_say(server, "no connection can be accepted: %s", strerror(errno));
			loop_remove(&server->on_listener);
			loop_timer_start(server->loop, &server->accept, ACCEPT_PAUSE_NS, 0,
					 accept_again, server);
		}
		return;
	}
}

/* --- what is watched --- */

static void say_quota(uid_t account, unsigned refused, void *arg)
{
	const struct server *server = arg;

	server_say(
		server,
		"user %u has met the quota of processes watched at one time, %u of each user and "
		"%u of all: %u were not counted; --max-processes raises it",
		account, server->options.max_processes, SERVE_USERS_IMAGES, refused);
}

static void look_after(void *arg)
{
	struct server *server = arg;
	int err;

	if (!server->watched)
		return;
	err = watched_look_after(server);
	serve_quota_tell(&server->quota, server_now(), say_quota, server);
	if (err)
		server_say(server, "children can't be counted: %s", strerror(-err));
}

int server_attach(struct server *server)
{
	int err = server->attached ? 0 : session_attach(server->session);

	if (err || server->attached)
		return err;
	server->attached = true;
	loop_timer_start(server->loop, &server->check, 0, SERVER_CHECK_NS, look_after, server);
	return 0;
}

static void detach(void *arg)
{
	struct server *server = arg;

	if (!server->attached || server->watched)
		return;
	session_detach(server->session);
	server->attached = false;
	loop_timer_stop(&server->check);
}

void server_linger(struct server *server)
{
	loop_timer_start(server->loop, &server->detach, SERVER_LINGER_NS, 0, detach, server);
}

/* --- what is over --- */

static void free_clients(struct server *server)
{
	struct client **link = &server->clients, *c;

	while ((c = *link)) {
		if (c->fd >= 0) {
			link = &c->next;
			continue;
		}
		*link = c->next;
		client_free(c);
	}
}

/* Frees closed clients, and one counter block. That takes long, so the loop handles descriptors
 * before the next one. */
static void sweep(void *arg)
{
	struct server *server = arg;

	free_clients(server);
	/* The private helper exists for one client. */
	if (server->options.fd >= 0 && !server->clients)
		loop_stop(server->loop);
	if (watched_sweep(server))
		server_sweep_soon(server);
}

void server_sweep_soon(struct server *server)
{
	loop_timer_start(server->loop, &server->sweep, 0, 0, sweep, server);
}

/* --- begin and end --- */

static void on_signal(void *arg, const struct signalfd_siginfo *info)
{
	struct server *server = arg;

	server_say(server, "ends: %s", strsignal((int)info->ssi_signo));
	loop_stop(server->loop);
}

/* The loop takes signals. The private helper shares a terminal with its client. Ctrl-C is meant for
 * the client; the helper ends when the client has. */
static int open_signals(struct server *server)
{
	bool helper = server->options.fd >= 0;
	int err = loop_take_signal(server->loop, SIGTERM, on_signal, server);

	if (helper) {
		signal(SIGINT, SIG_IGN);
		signal(SIGQUIT, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
	} else {
		err = err ?: loop_take_signal(server->loop, SIGINT, on_signal, server);
		/* nohup(1): go on when the terminal is gone. */
		if (!signals_hangup_ignored())
			err = err ?: loop_take_signal(server->loop, SIGHUP, on_signal, server);
	}
	signal(SIGPIPE, SIG_IGN);
	return err;
}

static int raise_descriptor_limit(const struct server *server)
{
	rlim_t wanted = (rlim_t)server->options.max_clients * FDS_PER_CLIENT + FDS_OF_OUR_OWN;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	if (limit.rlim_cur >= wanted)
		return 0;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	if (!setrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	fprintf(stderr,
		"pymem-bpf serve: %u clients need %llu descriptors, of which this process may not "
		"have so many; give fewer --max-clients\n",
		server->options.max_clients, (unsigned long long)wanted);
	return -EMFILE;
}

static int open_session(struct server *server)
{
	struct session_options options = {
		.follow_children = true,
		.max_stacks = 64,
		.max_images = SERVE_ALL_IMAGES,
		.payer_images = server->options.max_processes,
		.all_payers_images = SERVE_USERS_IMAGES,
		.ring_bytes = 64 * 1024,
		.count_only = true,
		.verbosity = server->options.verbosity > 1 ? server->options.verbosity - 1 : 0,
	};
	char why[512] = "";
	int err;

	server->session = session_new(&options, why, sizeof(why));
	if (!server->session) {
		fprintf(stderr, "pymem-bpf: %s\n", *why ? why : strerror(errno));
		fputs("pymem-bpf check lists what is needed.\n", stderr);
		return -ENOTSUP;
	}
	server->quota.payers = session_payers(server->session);
	server->quota.user_images = server->options.max_processes;
	if (!server->quota.payers) {
		fputs("pymem-bpf serve: the BPF programs have no variable payers\n", stderr);
		return -ENOENT;
	}
	/* Tried now, so that a failure is not found by the first client. */
	err = session_attach(server->session);
	if (err)
		fprintf(stderr, "pymem-bpf: the event sources can't be attached: %s\n",
			strerror(-err));
	else
		session_detach(server->session);
	return err;
}

/* Opens the listening socket, or adopts the one client of --fd. 0, or an exit status; the failure
 * is explained on stderr. */
static int open_clients(struct server *server)
{
	char why[256] = "";
	int err;

	if (server->options.fd >= 0) {
		err = serve_socket_adopt(server->options.fd);
		if (err) {
			fprintf(stderr,
				"pymem-bpf serve: --fd %d: no connected SOCK_SEQPACKET unix socket "
				"(%s)\n",
				server->options.fd, strerror(-err));
			return EXIT_USAGE;
		}
		return client_new(server, server->options.fd) ? 0 : EXIT_FAILED;
	}
	err = serve_listener_open(&server->listener, server->options.socket, why, sizeof(why));
	if (!err)
		err = loop_add(server->loop, &server->on_listener, server->listener.fd, EPOLLIN,
			       accept_clients, server);
	if (err) {
		fprintf(stderr, "pymem-bpf serve: %s\n", *why ? why : strerror(-err));
		return EXIT_FAILED;
	}
	if (server->listener.path)
		server_say(server, "listening at %s", server->listener.path);
	else
		server_say(server, "listening at the socket passed by systemd");
	return 0;
}

static int server_open(struct server *server)
{
	const struct serve_options *o = &server->options;
	int err;

	if (raise_descriptor_limit(server))
		return EXIT_FAILED;
	err = serve_limits_init(&server->limits, o->max_clients, o->max_per_user);
	if (!err) {
		server->loop = loop_new();
		err = server->loop ? open_signals(server) : -errno;
	}
	if (err) {
		fprintf(stderr, "pymem-bpf serve: %s\n", strerror(-err));
		return EXIT_FAILED;
	}
	if (open_session(server))
		return EXIT_ENVIRONMENT;
	/* Nothing that a client controls has been read by now. */
	return open_clients(server)
		       ?: confine_or_say(CONFINE_LOOK | CONFINE_UNLINK, "serve", o->verbosity);
}

static void server_close(struct server *server)
{
	struct client *c;

	/* First, so that no new connections come. */
	serve_listener_close(&server->listener);
	for (c = server->clients; c; c = c->next)
		client_close(c, "the server ends");
	free_clients(server);
	watched_free(server);
	session_free(server->session);
	serve_limits_fini(&server->limits);
	loop_free(server->loop);
}

int serve_run(const struct serve_options *options)
{
	struct server server = {
		.options = *options,
		.listener.fd = -1,
	};
	int status, err;

	if (options->fd >= 0)
		server.options.max_clients = server.options.max_per_user = 1;
	status = server_open(&server);
	if (!status) {
		err = loop_run(server.loop);
		if (err) {
			fprintf(stderr, "pymem-bpf serve: %s\n", strerror(-err));
			status = EXIT_FAILED;
		}
	}
	server_close(&server);
	return status;
}

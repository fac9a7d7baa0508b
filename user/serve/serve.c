/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: what the kernel side needs root for is of use to every user, about processes of
 * their own. A server that is root loads it once, and gives each client the one page that is
 * about the client's process (pymem_page.h); what is read there costs the server nothing.
 *
 * One thread, one epoll loop; it waits for nothing but the loop. The programs are attached
 * only while something is watched. Everything that a connection holds goes with it
 * (serve_client.c), and everything at all goes with this process, however it ends.
 */
#include "serve/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit_status.h"
#include "os/confine.h"
#include "serve/serve_private.h"
#include "serve/serve_watched.h"

#define EVENTS_AT_ONCE	64
#define ACCEPTS_AT_ONCE 16
#define ACCEPT_PAUSE_NS 100000000ULL
#define FDS_PER_CLIENT	8 /* connection, two processes, page, reply; and to spare */
#define FDS_OF_OUR_OWN	128

uint64_t server_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int server_watch_fd(struct server *server, int fd, struct event_source *source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

void server_forget_fd(struct server *server, int fd)
{
	epoll_ctl(server->epoll, EPOLL_CTL_DEL, fd, NULL);
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

static void accept_clients(struct server *server)
{
	int i, fd;

	for (i = 0; i < ACCEPTS_AT_ONCE; i++) {
		fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			client_new(server, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* It would be said again at once. */
			server_say(server, "no connection can be accepted: %s", strerror(errno));
			server->accept_ns = server_now() + ACCEPT_PAUSE_NS;
			server_forget_fd(server, server->listener.fd);
		}
		return;
	}
}

static void say_quota(uid_t account, unsigned refused, void *arg)
{
	const struct server *server = arg;

	server_say(
		server,
		"user %u has met the quota of processes watched at one time, %u of each user and "
		"%u of all: %u were not counted; --max-processes raises it",
		account, server->options.max_processes, SERVE_USERS_IMAGES, refused);
}

static void look_after(struct server *server)
{
	int err = watched_look_after(server);

	serve_quota_tell(&server->quota, server_now(), say_quota, server);

	if (err)
		server_say(server, "children can't be counted: %s", strerror(-err));
}

static void sweep(struct server *server)
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
	server->swept = false;
	/* The private helper is there for one. */
	if (server->options.fd >= 0 && !server->clients)
		server->stop = true;
}

/* --- the loop --- */

static void on_signal(struct server *server)
{
	struct signalfd_siginfo info;

	if (read(server->signals, &info, sizeof(info)) != sizeof(info))
		return;
	server_say(server, "ends: %s", strsignal((int)info.ssi_signo));
	server->stop = true;
}

static void dispatch(struct server *server, const struct epoll_event *event)
{
	struct event_source *source = event->data.ptr;
	struct client *c = source->client;

	if (c && c->fd < 0)
		return; /* closed by an earlier event of this batch */
	switch (source->kind) {
	case EVENT_LISTENER:
		accept_clients(server);
		break;
	case EVENT_SIGNAL:
		on_signal(server);
		break;
	case EVENT_SOCKET:
		if (event->events & EPOLLIN && !c->paused)
			client_readable(c, event->events & EPOLLHUP);
		else if (event->events & (EPOLLHUP | EPOLLERR))
			client_close(c, "hung up");
		break;
	case EVENT_PEER:
		client_close(c, "its process has ended");
		break;
	case EVENT_TARGET:
		client_end_watch(c, "has ended");
		break;
	}
}

/* Does what is due, and says for how long nothing more is: milliseconds, -1 for ever. */
static int timers(struct server *server)
{
	uint64_t now = server_now(), next = UINT64_MAX;
	struct client *c;

	if (server->watched) {
		if (now >= server->check_ns) {
			look_after(server);
			server->check_ns = now + SERVER_CHECK_NS;
		}
		if (server->watched)
			next = server->check_ns;
	}
	if (server->attached && !server->watched) {
		if (now >= server->detach_ns) {
			session_detach(server->session);
			server->attached = false;
		} else if (server->detach_ns < next) {
			next = server->detach_ns;
		}
	}
	if (server->accept_ns && now >= server->accept_ns) {
		server->accept_ns = 0;
		if (server_watch_fd(server, server->listener.fd, &server->on_listener))
			server->accept_ns = now + ACCEPT_PAUSE_NS;
	}
	if (server->accept_ns && server->accept_ns < next)
		next = server->accept_ns;
	for (c = server->clients; c; c = c->next) {
		if (c->paused && now >= c->resume_ns)
			client_resume(c);
		else if (c->paused && c->resume_ns < next)
			next = c->resume_ns;
	}
	if (server->ended)
		return 0;
	if (next == UINT64_MAX)
		return -1;
	return (int)((next - now) / 1000000 + 1);
}

static int loop(struct server *server)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int n, i;

	while (!server->stop) {
		n = epoll_wait(server->epoll, events, EVENTS_AT_ONCE, timers(server));
		if (n < 0 && errno != EINTR)
			return -errno;
		for (i = 0; i < n; i++)
			dispatch(server, &events[i]);
		if (server->swept)
			sweep(server);
		watched_sweep(server);
	}
	return 0;
}

/* --- begin and end --- */

/* Signals come through the loop. The private helper shares a terminal with its client:
 * Ctrl-C is meant for the client, whose end it notices. */
static int open_signals(struct server *server)
{
	bool helper = server->options.fd >= 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (helper) {
		signal(SIGINT, SIG_IGN);
		signal(SIGQUIT, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
	} else {
		sigaddset(&set, SIGINT);
		sigaddset(&set, SIGHUP);
	}
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return server->signals < 0 ? -errno : 0;
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
	/* That they attach is found out now, not by the first client. */
	err = session_attach(server->session);
	if (err)
		fprintf(stderr, "pymem-bpf: the event sources can't be attached: %s\n",
			strerror(-err));
	else
		session_detach(server->session);
	return err;
}

/* 0, or an exit status. */
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
		err = server_watch_fd(server, server->listener.fd, &server->on_listener);
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
	if (!err)
		err = open_signals(server);
	if (!err) {
		server->epoll = epoll_create1(EPOLL_CLOEXEC);
		err = server->epoll < 0 ? -errno : 0;
	}
	if (err) {
		fprintf(stderr, "pymem-bpf serve: %s\n", strerror(-err));
		return EXIT_FAILED;
	}
	if (open_session(server))
		return EXIT_ENVIRONMENT;
	err = server_watch_fd(server, server->signals, &server->on_signal);
	if (err) {
		fprintf(stderr, "pymem-bpf serve: %s\n", strerror(-err));
		return EXIT_FAILED;
	}
	/* Nothing of a client's has been looked at by now. */
	return open_clients(server)
		       ?: confine_or_say(CONFINE_LOOK | CONFINE_UNLINK, "serve", o->verbosity);
}

static void server_close(struct server *server)
{
	struct client *c;

	/* No new ones first. */
	serve_listener_close(&server->listener);
	for (c = server->clients; c; c = c->next)
		client_close(c, "the server ends");
	sweep(server);
	watched_free(server);
	session_free(server->session);
	serve_limits_fini(&server->limits);
	if (server->epoll >= 0)
		close(server->epoll);
	if (server->signals >= 0)
		close(server->signals);
}

int serve_run(const struct serve_options *options)
{
	struct server server = {
		.options = *options,
		.listener.fd = -1,
		.epoll = -1,
		.signals = -1,
		.on_listener = {EVENT_LISTENER, NULL},
		.on_signal = {EVENT_SIGNAL, NULL},
	};
	int status, err;

	if (options->fd >= 0)
		server.options.max_clients = server.options.max_per_user = 1;
	status = server_open(&server);
	if (!status) {
		err = loop(&server);
		if (err) {
			fprintf(stderr, "pymem-bpf serve: %s\n", strerror(-err));
			status = EXIT_FAILED;
		}
	}
	server_close(&server);
	return status;
}

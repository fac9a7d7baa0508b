/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: any bytes as what a client sends to the agent's metrics, and as the value of
 * seconds=. Whatever comes, the connection is closed, and what was answered is an answer. A profile
 * is begun only for a number of seconds within its bounds. */
#include <errno.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/metrics_http_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MOST (48 << 10) /* what a socket takes without a reader */
#define WAIT_NS	   (20 * NS)
#define END	   "\r\n\r\n"

struct server {
	struct metrics_listener listener;
	struct metrics_http *http;
	struct loop *loop;
	struct pprof_ops pprof;
	char path[64];
	struct loop_fd client;
	struct loop_timer guard;
	char answer[4096];
	size_t used;
	bool closed;
};

static int make_text(void *arg, bool plain, char **text, size_t *size)
{
	(void)arg;
	*text = strdup(plain ? "\n" : "# EOF\n");
	*size = *text ? strlen(*text) : 0;
	return *text ? 0 : -ENOMEM;
}

/* Nobody waits here: it would take a second. */
static int begin(void *arg, unsigned place)
{
	(void)arg;
	if (place >= PPROF_PLACES)
		abort();
	return -EBUSY;
}

static int kept(void *arg, char **profile, size_t *size)
{
	(void)arg;
	*profile = strdup("kept");
	*size = strlen("kept");
	return *profile ? 0 : -ENOMEM;
}

static struct server server;

static void remove_socket(void)
{
	unlink(server.path + strlen("unix:"));
}

static struct server *serve(void)
{
	struct metrics_access access = {.listen = server.path};
	char why[512];

	if (server.http)
		return &server;
	snprintf(server.path, sizeof(server.path), "unix:/tmp/pymem-fuzz-%d.sock", getpid());
	server.loop = loop_new();
	server.pprof = (struct pprof_ops){.arg = &server, .begin = begin, .kept = kept};
	if (!server.loop || metrics_listener_open(&server.listener, &access, why, sizeof(why)))
		abort();
	if (atexit(remove_socket))
		abort();
	server.http = metrics_http_new(&server.listener, make_text, &server.pprof, &server);
	if (!server.http || metrics_http_watch(server.http, server.loop))
		abort();
	return &server;
}

static void on_late(void *arg)
{
	(void)arg;
	abort();
}

static void on_answer(void *arg, uint32_t events)
{
	struct server *s = arg;
	char more[1024];
	ssize_t got = s->used < sizeof(s->answer) - 1
			      ? recv(s->client.fd, s->answer + s->used,
				     sizeof(s->answer) - 1 - s->used, MSG_DONTWAIT)
			      : recv(s->client.fd, more, sizeof(more), MSG_DONTWAIT);

	(void)events;
	if (got > 0) {
		s->used += s->used < sizeof(s->answer) - 1 ? (size_t)got : 0;
		return;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	s->closed = true;
	loop_stop(s->loop);
}

static void converse(struct server *s, const uint8_t *data, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, s->path + strlen("unix:"));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		abort();
	s->used = 0;
	s->closed = false;
	if (size && send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
		abort();
	/* A head that has no end is waited for, for 2 s. */
	if (send(fd, END, strlen(END), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)strlen(END))
		abort();
	shutdown(fd, SHUT_WR);
	if (loop_add(s->loop, &s->client, fd, EPOLLIN, on_answer, s))
		abort();
	loop_timer_start(s->loop, &s->guard, WAIT_NS, 0, on_late, s);
	if (loop_run(s->loop) || !s->closed)
		abort();
	loop_timer_stop(&s->guard);
	loop_remove(&s->client);
	close(fd);
	s->answer[s->used] = '\0';
	if (s->used && strncmp(s->answer, "HTTP/1.", strlen("HTTP/1.")) != 0)
		abort();
}

static void check_seconds(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), again[32];
	unsigned seconds;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	seconds = pprof_http_seconds(text);
	if (seconds > PPROF_SECONDS_MOST)
		abort();
	snprintf(again, sizeof(again), "%u", seconds);
	/* It is that number, with zeros before it or without. */
	if (seconds && strcmp(text + strspn(text, "0"), again) != 0)
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_seconds(data, size);
	if (size <= BYTES_MOST)
		converse(serve(), data, size);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/metrics_http.c: a client in a process of its own asks a server in a loop. The text is made
 * once, however many ask; who is slow is dropped; and a server ends while clients are connected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/metrics_http.h"

#define MS   1000000ULL
#define GET  "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
#define TEXT "figures\n# EOF\n"

struct given {
	char folder[32], listen[64];
	struct metrics_listener listener;
	struct metrics_http *http;
	struct loop *loop;
	unsigned made;
	int error; /* of making it */
	pid_t client;
	int status; /* of the client */
	struct loop_timer tick;
};

static int make_text(void *arg, struct metrics_texts *texts)
{
	struct given *g = arg;

	g->made++;
	if (g->error)
		return g->error;
	texts->open = strdup(TEXT);
	texts->plain = strdup("plain " TEXT);
	texts->open_size = strlen(TEXT);
	texts->plain_size = strlen("plain " TEXT);
	return texts->open && texts->plain ? 0 : -ENOMEM;
}

static int setup(void **state)
{
	struct given *g = calloc(1, sizeof(*g));
	const struct metrics_access access = {.listen = g ? g->listen : NULL};
	char why[512];

	if (!g)
		return -1;
	*state = g;
	strcpy(g->folder, "/tmp/pymem-http-XXXXXX");
	if (!mkdtemp(g->folder))
		return -1;
	snprintf(g->listen, sizeof(g->listen), "unix:%s/s", g->folder);
	g->loop = loop_new();
	if (!g->loop || metrics_listener_open(&g->listener, &access, why, sizeof(why)))
		return -1;
	g->http = metrics_http_new(&g->listener, make_text, g);
	return g->http ? metrics_http_watch(g->http, g->loop) : -1;
}

static int teardown(void **state)
{
	struct given *g = *state;
	int err;

	metrics_http_free(g->http);
	metrics_listener_close(&g->listener);
	loop_free(g->loop);
	err = rmdir(g->folder);
	free(g);
	return err;
}

/* --- clients --- */

static int connected(const struct given *g)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, g->listen + strlen("unix:"));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		_exit(100);
	return fd;
}

/* Sends the words and reads all of the answer. */
static void ask(const struct given *g, const char *words, char answer[4096])
{
	int fd = connected(g);
	size_t used = 0;
	ssize_t got;

	if (send(fd, words, strlen(words), MSG_NOSIGNAL) < 0)
		_exit(101);
	while ((got = recv(fd, answer + used, 4095 - used, 0)) > 0)
		used += (size_t)got;
	answer[used] = '\0';
	close(fd);
}

static bool answers(const struct given *g, const char *words, const char *begin, const char *part)
{
	char answer[4096];

	ask(g, words, answer);
	if (!strncmp(answer, begin, strlen(begin)) && strstr(answer, part))
		return true;
	fprintf(stderr, "%s: %s\n", words, answer);
	return false;
}

static void on_tick(void *arg)
{
	struct given *g = arg;

	if (waitpid(g->client, &g->status, WNOHANG) == g->client)
		loop_stop(g->loop);
}

/* Runs the client, which returns an exit status, and the loop until it has ended. */
static int served(struct given *g, int (*client)(const struct given *g))
{
	g->client = fork();
	assert_true(g->client >= 0);
	if (!g->client)
		_exit(client(g));
	loop_timer_start(g->loop, &g->tick, MS, 5 * MS, on_tick, g);
	assert_int_equal(loop_run(g->loop), 0);
	loop_timer_stop(&g->tick);
	return WIFEXITED(g->status) ? WEXITSTATUS(g->status) : -1;
}

static int client_of_all(const struct given *g)
{
	for (int i = 0; i < 40; i++)
		if (!answers(g, GET, "HTTP/1.1 200 OK", TEXT))
			return 1;
	if (!answers(g, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n",
		     "HTTP/1.1 200 OK", "plain " TEXT))
		return 2;
	if (!answers(g, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK",
		     "openmetrics-text; version=1.0.0; charset=utf-8"))
		return 3;
	if (!answers(g, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.", "at /metrics"))
		return 4;
	if (!answers(g, "GET /../etc HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404", "/metrics"))
		return 5;
	if (!answers(g, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789",
		     "HTTP/1.1 405", "Allow: GET, HEAD"))
		return 6;
	return 0;
}

static void all(void **state)
{
	struct given *g = *state;
	struct metrics_http_counts counts;

	assert_int_equal(served(g, client_of_all), 0);
	counts = metrics_http_counts(g->http);
	assert_int_equal(counts.answered, 42);
	assert_int_equal(counts.refused, 2);
	assert_int_equal(counts.renderings, g->made);
	/* On a busy machine it may take some seconds. */
	assert_in_range(g->made, 1, 20);
}

static int client_of_errors(const struct given *g)
{
	return answers(g, GET, "HTTP/1.1 503", "can't be read") ? 0 : 1;
}

static void errors(void **state)
{
	struct given *g = *state;

	g->error = -ENOMEM;
	assert_int_equal(served(g, client_of_errors), 0);
	assert_int_equal(g->made, 1);
}

/* More than there are places for: each is closed, and then somebody is served. */
static int client_of_slowness(const struct given *g)
{
	int fds[METRICS_HTTP_CONNECTIONS + 8];
	char byte;

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		fds[i] = connected(g);
		if (send(fds[i], "GET /me", 7, MSG_NOSIGNAL) != 7)
			return 1;
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (recv(fds[i], &byte, 1, 0) > 0)
			return 2;
	return answers(g, GET, "HTTP/1.1 200 OK", TEXT) ? 0 : 3;
}

static void slowness(void **state)
{
	struct given *g = *state;

	assert_int_equal(served(g, client_of_slowness), 0);
	assert_int_equal(metrics_http_counts(g->http).dropped, METRICS_HTTP_CONNECTIONS + 8);
}

/* Connections are open, of which some have asked, when the server ends. */
static int client_that_stays(const struct given *g)
{
	for (int i = 0; i < 10; i++) {
		int fd = connected(g);

		if (i % 2 && send(fd, GET, strlen(GET), MSG_NOSIGNAL) < 0)
			return 1;
	}
	return 0;
}

static void ends(void **state)
{
	struct given *g = *state;

	/* The client's own end closes them; the server has not seen all of that yet. */
	assert_int_equal(served(g, client_that_stays), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all, setup, teardown),
		cmocka_unit_test_setup_teardown(errors, setup, teardown),
		cmocka_unit_test_setup_teardown(slowness, setup, teardown),
		cmocka_unit_test_setup_teardown(ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A server of the agent's metrics in a loop, its clients, and profiles that are none. To be
 * included after cmocka.h. */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/metrics_http_private.h"

#define MS   1000000ULL
#define GET  "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
#define TEXT "figures\n# EOF\n"

struct given {
	char folder[32], listen[64];
	struct metrics_listener listener;
	struct metrics_http *http;
	struct loop *loop;
	unsigned made, made_plain;
	int error; /* of making it */
	pid_t client;
	int status; /* of the client */
	struct loop_timer tick;
	struct pprof_ops pprof;
	bool open[PPROF_PLACES];
	unsigned begun, ended, cancelled, kept;
	int begin_error, end_error;
	unsigned took_ms; /* what is done for each between its begin and its end */
	unsigned end_ms;  /* that the end of one takes */
	size_t more;	  /* bytes, behind what a profile has otherwise */
};

static int make_text(void *arg, bool plain, char **text, size_t *size)
{
	struct given *g = arg;

	g->made++;
	g->made_plain += plain;
	if (g->error)
		return g->error;
	*text = strdup(plain ? "plain " TEXT : TEXT);
	*size = *text ? strlen(*text) : 0;
	return *text ? 0 : -ENOMEM;
}

/* --- profiles --- */

static int begin(void *arg, unsigned place)
{
	struct given *g = arg;

	assert_in_range(place, 0, PPROF_PLACES - 1);
	assert_false(g->open[place]);
	g->begun++;
	g->open[place] = !g->begin_error;
	return g->begin_error;
}

static int end(void *arg, unsigned place, char **profile, size_t *size)
{
	struct given *g = arg;

	assert_true(g->open[place]);
	g->open[place] = false;
	g->ended++;
	usleep(g->end_ms * 1000);
	if (g->end_error)
		return g->end_error;
	*size = strlen("a profile") + g->more;
	*profile = calloc(1, *size + 1);
	if (!*profile)
		return -ENOMEM;
	strcpy(*profile, "a profile");
	return 0;
}

static void cancel(void *arg, unsigned place)
{
	struct given *g = arg;

	assert_true(g->open[place]);
	g->open[place] = false;
	g->cancelled++;
}

/* So much for each that has ended. */
static uint64_t took_ns(void *arg)
{
	const struct given *g = arg;

	return g->ended * g->took_ms * 1000000ULL;
}

static int kept(void *arg, char **profile, size_t *size)
{
	struct given *g = arg;

	g->kept++;
	*profile = strdup("what is kept");
	*size = strlen("what is kept");
	return *profile ? 0 : -ENOMEM;
}

static int setup_with(void **state, bool pprof)
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
	g->pprof = (struct pprof_ops){.arg = g,
				      .begin = begin,
				      .end = end,
				      .cancel = cancel,
				      .kept = kept,
				      .took_ns = took_ns};
	g->http = metrics_http_new(&g->listener, make_text, pprof ? &g->pprof : NULL, g);
	return g->http ? metrics_http_watch(g->http, g->loop) : -1;
}

static inline int setup(void **state)
{
	return setup_with(state, false);
}

static inline int setup_pprof(void **state)
{
	return setup_with(state, true);
}

static int teardown(void **state)
{
	struct given *g = *state;
	int err;

	metrics_http_free(g->http);
	metrics_listener_close(&g->listener);
	loop_free(g->loop);
	for (size_t i = 0; i < PPROF_PLACES; i++)
		assert_false(g->open[i]);
	assert_int_equal(g->begun, g->ended + g->cancelled);
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

#endif

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

#include "http_fixture.h"

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

static int client_of_forms(const struct given *g)
{
	static const char plain[] = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n"
				    "Accept: text/plain\r\n\r\n";

	for (int i = 0; i < 3; i++)
		if (!answers(g, plain, "HTTP/1.1 200 OK", "plain " TEXT))
			return 1;
	return 0;
}

/* A form of the text that nobody asks for is not made. */
static void forms(void **state)
{
	struct given *g = *state;

	assert_int_equal(served(g, client_of_forms), 0);
	assert_in_range(g->made_plain, 1, 3);
	assert_int_equal(g->made, g->made_plain);
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
		cmocka_unit_test_setup_teardown(forms, setup, teardown),
		cmocka_unit_test_setup_teardown(errors, setup, teardown),
		cmocka_unit_test_setup_teardown(slowness, setup, teardown),
		cmocka_unit_test_setup_teardown(ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

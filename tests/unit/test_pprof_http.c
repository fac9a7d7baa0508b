/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/pprof_http.c: who asks for a profile of some seconds waits, and others don't; waiting is
 * bounded; who goes away gives the place back; and a server ends while clients wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <time.h>

#include "http_fixture.h"

/* --- who asks for a profile --- */

#define RSS(query) "GET /debug/pprof/rss" query " HTTP/1.1\r\nHost: x\r\n\r\n"
#define MANY	   "HTTP/1.1 429 "

static int client_without(const struct given *g)
{
	return answers(g, RSS("?seconds=1"), "HTTP/1.1 404", "with --pprof\n") ? 0 : 1;
}

static void not_served(void **state)
{
	struct given *g = *state;

	assert_int_equal(served(g, client_without), 0);
	assert_int_equal(g->begun, 0);
}

static int client_of_profiles(const struct given *g)
{
	static const char *const wrong[] = {
		RSS("?seconds=0"),	    RSS("?seconds=61"),	    RSS("?seconds=100"),
		RSS("?seconds=-1"),	    RSS("?seconds="),	    RSS("?seconds=1.5"),
		RSS("?seconds=1e1"),	    RSS("?seconds=%31%00"), RSS("?seconds=+5"),
		RSS("?seconds=%205"),	    RSS("?seconds=0x10"),   RSS("?a=1&seconds=x&seconds=1"),
		RSS("?seconds=4294967297"),
	};
	struct timespec before, after;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (!answers(g, wrong[i], "HTTP/1.1 400", "a number from 1 to 60\n"))
			return 1;
	if (!answers(g, "HEAD /debug/pprof/rss HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405",
		     "Allow: GET\r\n") ||
	    !answers(g, "DELETE /debug/pprof/kept HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405",
		     "Allow: GET\r\n"))
		return 2;
	if (!answers(g, "GET /debug/pprof/heap HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404",
		     "rss and kept") ||
	    !answers(g, "GET /debug/pprof/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200",
		     "seconds=30"))
		return 3;
	if (!answers(g, "GET /debug/pprof/kept HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200",
		     "what is kept") ||
	    !answers(g, "GET /debug/pprof/kept HTTP/1.1\r\nHost: x\r\n\r\n", MANY,
		     "Retry-After: 1\r\n"))
		return 4;
	sleep(1);
	clock_gettime(CLOCK_MONOTONIC, &before);
	if (!answers(g, RSS("?x&seconds=2&seconds=9"), "HTTP/1.1 200 OK",
		     "application/octet-stream\r\n"))
		return 5;
	clock_gettime(CLOCK_MONOTONIC, &after);
	if (after.tv_sec - before.tv_sec < 1 || after.tv_sec - before.tv_sec > 60)
		return 6;
	/* A body is read, and is not looked at. */
	if (!answers(g,
		     "GET /debug/pprof/rss?seconds=1 HTTP/1.1\r\nHost: x\r\n"
		     "Content-Length: 9\r\n\r\n123456789",
		     "HTTP/1.1 200 OK", "a profile"))
		return 7;
	return 0;
}

static void profiles(void **state)
{
	struct given *g = *state;

	assert_int_equal(served(g, client_of_profiles), 0);
	assert_int_equal(g->kept, 1);
	assert_int_equal(g->ended, 2);
	assert_int_equal(metrics_http_counts(g->http).profiles, 3);
	assert_int_equal(metrics_http_counts(g->http).answered, 3);
	assert_int_equal(metrics_http_counts(g->http).refused, 17);
}

/* All places are taken; meanwhile others get what they ask for. */
static int client_of_crowds(const struct given *g)
{
	int fds[PPROF_PLACES];
	char answer[4096];
	size_t used;
	ssize_t got;

	for (size_t i = 0; i < PPROF_PLACES; i++) {
		fds[i] = connected(g);
		if (send(fds[i], RSS("?seconds=3"), strlen(RSS("?seconds=3")), MSG_NOSIGNAL) < 0)
			return 1;
	}
	/* They may not have been read yet. */
	for (int i = 0; i < 100; i++) {
		ask(g, RSS("?seconds=1"), answer);
		if (!strncmp(answer, MANY, strlen(MANY)))
			break;
	}
	if (strncmp(answer, MANY, strlen(MANY)) != 0 || !strstr(answer, "Retry-After: ") ||
	    !strstr(answer, "as many wait as may wait"))
		return 2;
	if (!answers(g, GET, "HTTP/1.1 200 OK", TEXT))
		return 3;
	for (size_t i = 0; i < PPROF_PLACES; i++) {
		for (used = 0; (got = recv(fds[i], answer + used, 4095 - used, 0)) > 0;)
			used += (size_t)got;
		answer[used] = '\0';
		if (!strstr(answer, "a profile"))
			return 4;
	}
	return 0;
}

static void crowds(void **state)
{
	struct given *g = *state;

	assert_int_equal(served(g, client_of_crowds), 0);
	assert_int_equal(metrics_http_counts(g->http).dropped, 0);
}

/* Reads all that comes. Returns the number of bytes. */
static size_t drain(int fd)
{
	static char bytes[1 << 16];
	size_t size = 0;
	ssize_t got;

	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		size += (size_t)got;
	return size;
}

#define LARGE ((size_t)16 << 20) /* more than sockets hold */

/* Who has a profile and does not take it keeps the place: memory is that of so many. */
static int client_of_unread(const struct given *g)
{
	int fds[PPROF_PLACES];

	for (size_t i = 0; i < PPROF_PLACES; i++) {
		fds[i] = connected(g);
		if (send(fds[i], RSS("?seconds=1"), strlen(RSS("?seconds=1")), MSG_NOSIGNAL) < 0)
			return 1;
	}
	sleep(3);
	if (!answers(g, RSS("?seconds=1"), MANY, "as many wait as may wait") ||
	    !answers(g, "GET /debug/pprof/kept HTTP/1.1\r\nHost: x\r\n\r\n", MANY,
		     "as many wait as may wait"))
		return 2;
	for (size_t i = 0; i < PPROF_PLACES; i++)
		if (drain(fds[i]) < LARGE)
			return 3;
	/* Now there is room. */
	sleep(1);
	return answers(g, RSS("?seconds=1"), "HTTP/1.1 200 OK", "a profile") ? 0 : 4;
}

static void unread(void **state)
{
	struct given *g = *state;

	g->more = LARGE;
	assert_int_equal(served(g, client_of_unread), 0);
	assert_int_equal(metrics_http_counts(g->http).dropped, 0);
	assert_int_equal(g->begun, PPROF_PLACES + 1);
	assert_int_equal(g->kept, 0);
}

/* What is done while somebody waits is a part of the time, too: others wait for nine times that. */
static int client_between(const struct given *g)
{
	if (!answers(g, RSS("?seconds=1"), "HTTP/1.1 200 OK", "a profile") ||
	    !answers(g, RSS("?seconds=1"), MANY, "the last profile took long\n"))
		return 1;
	sleep(3);
	return answers(g, RSS("?seconds=1"), "HTTP/1.1 200 OK", "a profile") ? 0 : 2;
}

static void between(void **state)
{
	struct given *g = *state;

	g->took_ms = 250;
	assert_int_equal(served(g, client_between), 0);
	assert_true(metrics_http_counts(g->http).profile_seconds >= 0.25);
}

/* Who goes away gives its place to others. */
static int client_that_goes(const struct given *g)
{
	char answer[4096];

	for (size_t i = 0; i < PPROF_PLACES; i++) {
		int fd = connected(g);

		if (send(fd, RSS("?seconds=60"), strlen(RSS("?seconds=60")), MSG_NOSIGNAL) < 0)
			return 1;
		usleep(100000);
		close(fd);
	}
	for (int i = 0; i < 100; i++) {
		ask(g, RSS("?seconds=1"), answer);
		if (strstr(answer, "a profile"))
			return 0;
		usleep(100000);
	}
	return 2;
}

static void gone(void **state)
{
	struct given *g = *state;

	assert_int_equal(served(g, client_that_goes), 0);
	assert_true(g->ended >= 1);
}

/* One that takes long is followed by a pause; what fails is told. */
static int client_of_long_ones(const struct given *g)
{
	if (!answers(g, RSS("?seconds=1"), "HTTP/1.1 200 OK", "a profile"))
		return 1;
	return answers(g, RSS("?seconds=1"), MANY, "the last profile took long") ? 0 : 2;
}

static void long_ones(void **state)
{
	struct given *g = *state;

	g->end_ms = 700; /* then it rests for 6.3 s */
	assert_int_equal(served(g, client_of_long_ones), 0);
	assert_true(metrics_http_counts(g->http).profile_seconds > 0.6);
}

static int client_of_failures(const struct given *g)
{
	return answers(g, RSS("?seconds=1"), "HTTP/1.1 503", "can't be read") ? 0 : 1;
}

static void failures(void **state)
{
	struct given *g = *state;

	g->end_error = -ENOMEM;
	assert_int_equal(served(g, client_of_failures), 0);
	assert_int_equal(g->ended, 1);
	g->begin_error = -EIO;
	assert_int_equal(served(g, client_of_failures), 0);
	g->begun = 1; /* the other was not */
	assert_int_equal(metrics_http_counts(g->http).profiles, 0);
}

static void on_stop(void *arg)
{
	struct given *g = arg;

	loop_stop(g->loop);
}

/* The server ends while clients wait, of which one has gone and one has sent half of a request. */
static void ends_before(void **state)
{
	struct given *g = *state;
	int waits = connected(g), leaves = connected(g), half = connected(g);
	char answer[64];

	assert_true(send(waits, RSS("?seconds=60"), strlen(RSS("?seconds=60")), 0) > 0);
	assert_true(send(leaves, RSS("?seconds=60"), strlen(RSS("?seconds=60")), 0) > 0);
	assert_true(send(half, RSS("?sec"), 12, 0) > 0);
	loop_timer_start(g->loop, &g->tick, 100 * MS, 0, on_stop, g);
	assert_int_equal(loop_run(g->loop), 0);
	assert_int_equal(g->begun, 2);
	close(leaves);
	metrics_http_free(g->http);
	g->http = NULL;
	assert_int_equal(g->cancelled, 2);
	assert_int_equal(recv(waits, answer, sizeof(answer), 0), 0);
	close(waits);
	close(half);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(not_served, setup, teardown),
		cmocka_unit_test_setup_teardown(profiles, setup_pprof, teardown),
		cmocka_unit_test_setup_teardown(crowds, setup_pprof, teardown),
		cmocka_unit_test_setup_teardown(unread, setup_pprof, teardown),
		cmocka_unit_test_setup_teardown(between, setup_pprof, teardown),
		cmocka_unit_test_setup_teardown(gone, setup_pprof, teardown),
		cmocka_unit_test_setup_teardown(long_ones, setup_pprof, teardown),
		cmocka_unit_test_setup_teardown(failures, setup_pprof, teardown),
		cmocka_unit_test_setup_teardown(ends_before, setup_pprof, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

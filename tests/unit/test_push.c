/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* agent/push_exchange, push_try, push: requests arrive whole however they are taken; what a server
 * does wrong ends the try and nothing else; what waits is bounded; what changes is told once. */
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
#include <sys/wait.h>
#include <unistd.h>

#include "agent/push.h"
#include "base/clock.h"
#include "push_server.h"

#define OK   "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 0\r\n\r\n"
#define PAGE "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n"
#define BUSY "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull"
#define MANY "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
#define LIMIT                                          \
	"HTTP/1.1 429 x\r\nContent-Length: 48\r\n\r\n" \
	"Maximum active series limit exceeded (5000/5000)"
#define WRONG	     "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad"
#define NS	     1000000000ULL
#define GUARD	     (20 * NS)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct given {
	struct loop *loop;
	struct served server;
	struct loop_timer guard;
	struct push_target target;
	struct push *push;
	char said[4096]; /* a line each */
	unsigned bad;
	/* of one exchange */
	int result, status;
	char why[PUSH_WHY];
	bool done;
	size_t stop_at; /* requests that were sent, refused or failed */
	struct loop_timer look;
};

static int setup(void **state)
{
	struct given *g = calloc(1, sizeof(*g));

	*state = g;
	g->loop = g ? loop_new() : NULL;
	g->server.fd = g->server.client = -1;
	return g->loop ? 0 : -1;
}

static int teardown(void **state)
{
	struct given *g = *state;

	push_free(g->push);
	if (g->server.request)
		served_end(&g->server);
	loop_free(g->loop);
	free(g);
	return 0;
}

static void on_late(void *arg)
{
	(void)arg;
	fail_msg("nothing happens");
}

static void run(struct given *g)
{
	loop_timer_start(g->loop, &g->guard, GUARD, 0, on_late, g);
	assert_int_equal(loop_run(g->loop), 0);
	loop_timer_stop(&g->guard);
}

/* --- one exchange --- */

static void on_exchanged(void *arg, int err, const struct http_reply *reply, const char *why)
{
	struct given *g = arg;

	assert_false(g->done);
	g->done = true;
	g->result = err;
	g->status = (int)reply->status;
	snprintf(g->why, sizeof(g->why), "%s", why ?: "");
	loop_stop(g->loop);
}

/* Sends `size` bytes over a socketpair with buffers that are small. */
static void exchange(struct given *g, const char *answer, size_t size, size_t piece, bool early,
		     bool byte_wise)
{
	const char *answers[] = {answer};
	char head[64], *body = malloc(size + 1);
	struct push_exchange x = {.fd = -1};
	struct push_request request = {.head = head, .body = body, .body_size = size};
	int pair[2], small = 4096;

	assert_non_null(body);
	for (size_t i = 0; i < size; i++)
		body[i] = (char)('a' + i % 23);
	body[size] = '\0';
	snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", size);
	request.head_size = strlen(head);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	served_begin(&g->server, g->loop, answers, 1);
	g->server.piece = piece;
	g->server.early = early;
	g->server.byte_wise = byte_wise;
	served_take(&g->server, pair[1]);
	g->done = false;
	assert_int_equal(push_exchange_begin(&x, g->loop, pair[0], &request, on_exchanged, g), 0);
	assert_false(g->done);
	run(g);
	assert_int_equal(x.fd, -1);
	if (!early && answer) {
		assert_int_equal(g->server.used, strlen(head) + size);
		assert_memory_equal(g->server.request, head, strlen(head));
		assert_string_equal(g->server.request + strlen(head), body);
	}
	served_end(&g->server);
	g->server.request = NULL;
	g->server.fd = -1;
	free(body);
}

static void exchanges(void **state)
{
	struct given *g = *state;

	exchange(g, OK, 0, 0, false, false);
	assert_int_equal(g->result, 0);
	assert_int_equal(g->status, 200);
	/* It is taken in pieces, and the answer comes byte by byte. */
	exchange(g, OK, 300000, 1000, false, true);
	assert_int_equal(g->result, 0);
	assert_int_equal(g->status, 200);
	/* Interim answers, and an end without a length. */
	exchange(g, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 x\r\n\r\nwhy", 10, 0, false, true);
	assert_int_equal(g->result, 0);
	assert_int_equal(g->status, 500);
	/* An answer before all was taken, of which the rest never will be. */
	exchange(g, "HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n", 1000000, 100, true, false);
	assert_int_equal(g->result, 0);
	assert_int_equal(g->status, 413);
}

static void failures(void **state)
{
	struct given *g = *state;

	exchange(g, "", 10, 0, false, false);
	assert_int_equal(g->result, -ECONNRESET);
	assert_string_equal(g->why, "it closed the connection without an answer");
	exchange(g, "HTTP/1.1 200 OK\r\nA: b", 10, 0, false, false);
	assert_int_equal(g->result, -EPROTO);
	assert_string_equal(g->why, "its answer is not HTTP");
	exchange(g, "220 mail.example.org ESMTP\r\n", 10, 0, false, false);
	assert_int_equal(g->result, -EPROTO);
	/* Half of it is taken, and the connection closed. */
	exchange(g, "", 1000000, 100, true, false);
	assert_int_not_equal(g->result, 0);
}

/* Sends to one who has said something, without taking anything, and has gone. */
static void answered_early(struct given *g, const char *answer)
{
	static char body[100000];
	struct push_exchange x = {.fd = -1};
	const struct push_request request = {.head = "POST / HTTP/1.1\r\n\r\n",
					     .head_size = 19,
					     .body = body,
					     .body_size = sizeof(body)};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(send(pair[1], answer, strlen(answer), MSG_NOSIGNAL), strlen(answer));
	close(pair[1]);
	g->done = false;
	assert_int_equal(push_exchange_begin(&x, g->loop, pair[0], &request, on_exchanged, g), 0);
	run(g);
	assert_int_equal(x.fd, -1);
}

/* An answer that needs more than one look is read to its end though nothing can be sent. */
static void early_answers(void **state)
{
	struct given *g = *state;
	char answer[12000] = "HTTP/1.1 413 x\r\n";

	while (strlen(answer) < 9000)
		strcat(answer, "X-Header: and so on, and so on, and so on, and so on\r\n");
	strcat(answer, "Content-Length: 10000\r\n\r\ntoo large");
	answered_early(g, answer);
	assert_int_equal(g->result, 0);
	assert_int_equal(g->status, 413);
	answered_early(g, "HTTP/1.1 413 x\r\n");
	assert_int_not_equal(g->result, 0);
	answered_early(g, "HTTP/1.1 401 x\r\n\r\n");
	assert_int_equal(g->result, 0);
	assert_int_equal(g->status, 401);
}

static void endless_head(void **state)
{
	char *head = malloc(HTTP_REPLY_HEAD + 100);

	assert_non_null(head);
	strcpy(head, "HTTP/1.1 200 OK\r\n");
	while (strlen(head) <= HTTP_REPLY_HEAD)
		strcat(head, "X-Header: and so on, and so on, and so on, and so on\r\n");
	exchange(*state, head, 10, 0, false, false);
	assert_int_equal(((struct given *)*state)->result, -EMSGSIZE);
	free(head);
}

/* --- a server, and what waits --- */

static void say(void *arg, bool bad, const char *words)
{
	struct given *g = arg;
	size_t used = strlen(g->said);

	g->bad += bad;
	snprintf(g->said + used, sizeof(g->said) - used, "%s\n", words);
}

static void point_at(struct given *g, const char *host, unsigned port)
{
	char url[64], why[256];
	const struct push_access access = {.url = url};

	snprintf(url, sizeof(url), "http://%s:%u", host, port);
	assert_int_equal(push_target_open(&g->target, &access, why, sizeof(why)), 0);
}

static void begin(struct given *g, const char *const *answers, size_t count)
{
	const struct resolver none = {-1, -1};

	served_listen(&g->server, g->loop, answers, count);
	point_at(g, "127.0.0.1", g->server.port);
	g->push = push_new(&g->target, &none, say, g);
	assert_non_null(g->push);
}

static void add_of(struct given *g, char letter, size_t size, int64_t began)
{
	uint8_t *body = malloc(size);

	assert_non_null(body);
	memset(body, letter, size);
	push_add(g->push, body, size, began);
}

static void add(struct given *g, char letter, size_t size)
{
	add_of(g, letter, size, push_now());
}

static size_t done_of(const struct given *g)
{
	struct push_counts c = push_counts(g->push);

	return c.sent + c.failed + c.dropped[PUSH_DROP_REFUSED];
}

static void on_look(void *arg)
{
	struct given *g = arg;

	if (done_of(g) >= g->stop_at)
		loop_stop(g->loop);
}

static void run_until(struct given *g, size_t done)
{
	g->stop_at = done;
	loop_timer_start(g->loop, &g->look, MS, MS, on_look, g);
	run(g);
	loop_timer_stop(&g->look);
}

static void sends(void **state)
{
	static const char *const answers[] = {OK};
	struct given *g = *state;
	struct push_counts c;

	begin(g, answers, 1);
	for (char letter = 'a'; letter < 'f'; letter++)
		add(g, letter, 100);
	push_watch(g->push, g->loop);
	run_until(g, 5);
	c = push_counts(g->push);
	assert_int_equal(c.sent, 5);
	assert_int_equal(c.bytes, 500);
	assert_int_equal(c.waiting, 0);
	/* The last one that came is the last one that was added. */
	assert_non_null(strstr(g->server.request, "\r\n\r\neeeee"));
	assert_non_null(strstr(g->said, " takes profiles\n"));
	assert_int_equal(g->bad, 0);
	assert_null(strchr(strchr(g->said, '\n') + 1, '\n'));
}

/* It is told once, and again when it changes. */
static void fails_and_recovers(void **state)
{
	static const char *const answers[] = {BUSY, BUSY, OK, WRONG, WRONG, OK};
	struct given *g = *state;
	struct push_counts c;
	uint64_t began = clock_ns(CLOCK_MONOTONIC);

	begin(g, answers, COUNT(answers));
	for (int i = 0; i < 4; i++)
		add(g, 'a', 10);
	push_watch(g->push, g->loop);
	run_until(g, 6);
	/* Two back-offs, of half of what they are at least. */
	assert_true(clock_ns(CLOCK_MONOTONIC) - began >= 3 * NS / 2);
	c = push_counts(g->push);
	assert_int_equal(c.sent, 2);
	assert_int_equal(c.failed, 2);
	assert_int_equal(c.dropped[PUSH_DROP_REFUSED], 2);
	assert_int_equal(g->bad, 4);
	assert_non_null(strstr(g->said, "which is tried again: 503 Service Unavailable: full\n"));
	assert_non_null(strstr(g->said, " takes profiles again; 0 were dropped meanwhile\n"));
	assert_non_null(strstr(g->said, " refuses profiles, which are dropped: 400 Bad Request: "
					"bad\n"));
	assert_non_null(strstr(g->said, " takes profiles again; 2 were dropped meanwhile\n"));
}

/* A journal with a line for each try would be full of them. */
static void alternates(void **state)
{
	static const char *const answers[] = {OK, MANY, OK, MANY, OK, MANY, OK, MANY, OK};
	struct given *g = *state;
	struct push_counts c;

	begin(g, answers, COUNT(answers));
	for (int i = 0; i < 5; i++)
		add(g, 'a', 10);
	push_watch(g->push, g->loop);
	run_until(g, COUNT(answers));
	c = push_counts(g->push);
	assert_int_equal(c.sent, 5);
	assert_int_equal(c.failed, 4);
	if (g->bad > 2)
		fail_msg("%s", g->said);
	assert_non_null(strstr(g->said, ": 429 Too Many Requests\n"));
	/* Another server is another story. */
	point_at(g, "127.0.0.1", 1);
	push_set_target(g->push, &g->target);
	add(g, 'a', 10);
	run_until(g, COUNT(answers) + 1);
	assert_non_null(strstr(g->said, ": Connection refused\n"));
}

/* Nor with one for each that is dropped, if one is taken now and then. */
static void overflows(void **state)
{
	static const char *const answers[] = {OK};
	struct given *g = *state;

	begin(g, answers, 1);
	push_watch(g->push, g->loop);
	for (size_t round = 1; round <= 3; round++) {
		for (int i = 0; i < PUSH_WAITING + 5; i++)
			add(g, 'a', 10);
		run_until(g, round * PUSH_WAITING);
		/* What comes while it does not run waits. */
		assert_int_equal(push_counts(g->push).waiting, 0);
	}
	assert_true(push_counts(g->push).dropped[PUSH_DROP_FULL] >= 10);
	assert_int_equal(g->bad, 1);
}

/* What can't be taken, however long it waits, does not hold others up. */
static void is_busy_for_ever(void **state)
{
	static const char *const answers[] = {MANY, MANY, MANY, OK, LIMIT, OK};
	struct given *g = *state;
	struct push_counts c;

	begin(g, answers, COUNT(answers));
	add(g, 'a', 10);
	add(g, 'b', 10);
	add(g, 'c', 10);
	add(g, 'd', 10);
	push_watch(g->push, g->loop);
	run_until(g, COUNT(answers));
	c = push_counts(g->push);
	assert_int_equal(c.sent, 2);
	assert_int_equal(c.failed, 2);
	assert_int_equal(c.dropped[PUSH_DROP_REFUSED], 2);
	assert_non_null(strstr(g->said, " refuses profiles, which are dropped: 429 Too Many "
					"Requests"));
	assert_non_null(strstr(g->server.request, "\r\n\r\nddd"));
}

/* The page of a proxy, or of what else listens there. */
static void is_no_pyroscope(void **state)
{
	static const char *const answers[] = {PAGE, OK};
	struct given *g = *state;
	struct push_counts c;

	begin(g, answers, COUNT(answers));
	add(g, 'a', 10);
	add(g, 'b', 10);
	push_watch(g->push, g->loop);
	run_until(g, 2);
	c = push_counts(g->push);
	assert_int_equal(c.sent, 1);
	assert_int_equal(c.dropped[PUSH_DROP_REFUSED], 1);
	assert_non_null(strstr(g->said, " refuses profiles, which are dropped: 200: its answer is "
					"not a Pyroscope's\n"));
}

static void is_gone(void **state)
{
	static const char *const answers[] = {OK};
	struct given *g = *state;

	begin(g, answers, 1);
	/* Nobody listens there any more. */
	served_end(&g->server);
	g->server.request = NULL;
	add(g, 'a', 10);
	push_watch(g->push, g->loop);
	run_until(g, 1);
	assert_non_null(strstr(g->said, ": Connection refused\n"));
	assert_int_equal(push_counts(g->push).waiting, 1);
}

static void needs_names(void **state)
{
	static const char *const answers[] = {OK};
	struct given *g = *state;

	begin(g, answers, 1);
	point_at(g, "profiles.example.org", 80);
	push_set_target(g->push, &g->target);
	add(g, 'a', 10);
	push_watch(g->push, g->loop);
	run_until(g, 1);
	assert_non_null(strstr(g->said, "the process that looks up names has ended"));
	/* Another target is tried at once. */
	point_at(g, "localhost", g->server.port);
	push_set_target(g->push, &g->target);
	run_until(g, 2);
	assert_int_equal(push_counts(g->push).sent, 1);
}

/* Settings that are read again and are the same: what is sent is not sent again, and a wait goes
 * on. */
static void is_told_the_same(void **state)
{
	static const char *const answers[] = {BUSY, OK};
	struct given *g = *state;
	uint64_t began;

	begin(g, answers, COUNT(answers));
	add(g, 'a', 300000);
	push_watch(g->push, g->loop);
	for (int i = 0; i < 3; i++) {
		point_at(g, "127.0.0.1", g->server.port);
		push_set_target(g->push, &g->target);
		assert_null(g->target.shown);
	}
	run_until(g, 1);
	began = clock_ns(CLOCK_MONOTONIC);
	point_at(g, "127.0.0.1", g->server.port);
	push_set_target(g->push, &g->target);
	run_until(g, 2);
	assert_true(clock_ns(CLOCK_MONOTONIC) - began >= NS / 4);
	assert_int_equal(g->server.requests, 2);
	assert_int_equal(push_counts(g->push).failed, 1);
}

static void on_stop(void *arg)
{
	loop_stop(arg);
}

static void run_for(struct given *g, uint64_t ns)
{
	loop_timer_start(g->loop, &g->look, ns, 0, on_stop, g->loop);
	run(g);
	loop_timer_stop(&g->look);
}

/* A helper whose answers are those of this test, at the other end of a socket. */
static void begin_with_helper(struct given *g, int *helper)
{
	static const char *const answers[] = {OK};
	struct resolver resolver = {.pid = INT32_MAX};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	resolver.fd = pair[0];
	*helper = pair[1];
	served_listen(&g->server, g->loop, answers, 1);
	point_at(g, "profiles.example.org", g->server.port);
	g->push = push_new(&g->target, &resolver, say, g);
	assert_non_null(g->push);
	push_watch(g->push, g->loop);
}

static void answer_of(int helper, uint32_t number, int family)
{
	const unsigned char loopback[] = {127, 0, 0, 1};
	struct resolver_answer answer = {.number = number, .count = 1, .list[0].family = family};

	memcpy(answer.list[0].number, loopback, sizeof(loopback));
	assert_int_equal(send(helper, &answer, sizeof(answer), 0), sizeof(answer));
}

/* What comes after a try was over, which takes 10 s, is no answer to the question of the next one.
 */
static void drains_answers(void **state)
{
	struct given *g = *state;
	int helper;

	begin_with_helper(g, &helper);
	assert_true(push_counts(g->push).names);
	add(g, 'a', 10);
	run_until(g, 1);
	assert_non_null(strstr(g->said, ": its name was not looked up within 10 s\n"));
	answer_of(helper, 1, AF_INET6);
	answer_of(helper, 7, AF_INET6);
	run_for(g, 3 * NS / 2);
	assert_int_equal(push_counts(g->push).failed, 1);
	answer_of(helper, 2, AF_INET);
	run_until(g, 2);
	assert_int_equal(push_counts(g->push).sent, 1);
	close(helper);
}

/* One that somebody has taken over does not make others read what is no address. */
static void helper_is_wrong(void **state)
{
	struct given *g = *state;
	int helper;

	begin_with_helper(g, &helper);
	add(g, 'a', 10);
	run_for(g, NS / 5);
	answer_of(helper, 1, AF_UNIX);
	run_until(g, 1);
	assert_int_equal(push_counts(g->push).failed, 1);
	assert_non_null(strstr(g->said, PUSH_NO_NAMES));
	close(helper);
}

/* That is said once, also if the server has an address. */
static void helper_ends(void **state)
{
	struct given *g = *state;
	int helper;

	begin_with_helper(g, &helper);
	point_at(g, "127.0.0.1", g->server.port);
	push_set_target(g->push, &g->target);
	close(helper);
	assert_false(push_counts(g->push).names);
	add(g, 'a', 10);
	add(g, 'b', 10);
	run_until(g, 2);
	assert_int_equal(push_counts(g->push).sent, 2);
	assert_int_equal(g->bad, 1);
	assert_non_null(strstr(g->said, PUSH_NO_NAMES "\n"));
}

static void is_bounded(void **state)
{
	static const char *const answers[] = {OK};
	struct given *g = *state;
	struct push_counts c;

	begin(g, answers, 1);
	for (int i = 0; i < PUSH_WAITING + 5; i++)
		add(g, (char)('A' + i), 10);
	c = push_counts(g->push);
	assert_int_equal(c.waiting, PUSH_WAITING);
	assert_int_equal(c.dropped[PUSH_DROP_FULL], 5);
	assert_non_null(strstr(g->said, "drops profiles for http://127.0.0.1:"));
	assert_int_equal(g->bad, 1);
	/* By size. */
	add(g, 'x', PUSH_BYTES - 20);
	c = push_counts(g->push);
	assert_int_equal(c.waiting, 3);
	assert_int_equal(c.dropped[PUSH_DROP_FULL], 5 + PUSH_WAITING - 2);
	add(g, 'y', PUSH_BYTES);
	assert_int_equal(push_counts(g->push).waiting, 1);
	assert_int_equal(g->bad, 1);
}

/* The one that is sent stays. */
static void keeps_what_is_sent(void **state)
{
	static const char *const answers[] = {OK};
	struct given *g = *state;
	struct push_counts c;

	begin(g, answers, 1);
	add(g, 'a', 10);
	push_watch(g->push, g->loop);
	for (int i = 0; i < PUSH_WAITING + 5; i++)
		add(g, 'b', 10);
	add(g, 'c', PUSH_BYTES);
	c = push_counts(g->push);
	assert_int_equal(c.waiting, 1);
	assert_int_equal(c.dropped[PUSH_DROP_FULL], PUSH_WAITING + 5 + 1);
	run_until(g, 1);
	assert_non_null(strstr(g->server.request, "\r\n\r\naaa"));
}

/* Nothing is sent for longer than it may take. */
static void finishes(void **state)
{
	static const char *const silent[] = {NULL};
	struct given *g = *state;
	struct push_counts c;
	uint64_t began = clock_ns(CLOCK_MONOTONIC);

	/* The server is in a loop that does not run any more: it takes nothing. */
	begin(g, silent, 1);
	add(g, 'a', 10);
	add(g, 'b', 10);
	push_watch(g->push, g->loop);
	push_finish(g->push, NS / 5);
	assert_in_range(clock_ns(CLOCK_MONOTONIC) - began, NS / 5, 10 * NS);
	c = push_counts(g->push);
	assert_int_equal(c.dropped[PUSH_DROP_ENDED], 2);
	assert_int_equal(c.waiting, 0);
	assert_non_null(strstr(g->said, "ends with 2 profiles that were not pushed to "));
}

/* Takes one request at a listening socket, answers it, and writes the body's first letter. */
static void take_one(int fd, int out)
{
	char request[4096] = "";
	size_t used = 0;
	int client = accept(fd, NULL, NULL);
	const char *body = NULL;

	while (client >= 0 && used < sizeof(request) - 1 && (!body || strlen(body) < 10)) {
		ssize_t got = recv(client, request + used, sizeof(request) - 1 - used, 0);

		if (got <= 0)
			break;
		used += (size_t)got;
		body = strstr(request, "\r\n\r\n");
		body = body ? body + 4 : NULL;
	}
	if (body && write(out, body, 1) == 1)
		send(client, OK, strlen(OK), MSG_NOSIGNAL);
	close(client);
}

/* At the end the latest is sent first, then the others. It needs a server that is another process.
 */
static void the_latest_first(void **state)
{
	static const char *const answers[] = {OK};
	struct given *g = *state;
	char order[8] = "";
	int pipes[2], status;
	pid_t pid;

	begin(g, answers, 1);
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		alarm(60);
		for (int i = 0; i < 3; i++)
			take_one(g->server.fd, pipes[1]);
		_exit(0);
	}
	close(pipes[1]);
	for (char letter = 'a'; letter < 'd'; letter++)
		add(g, letter, 10);
	push_finish(g->push, 20 * NS);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(pipes[0], order, sizeof(order) - 1), 3);
	assert_string_equal(order, "cba");
	assert_int_equal(push_counts(g->push).sent, 3);
	close(pipes[0]);
}

/* What a Pyroscope would refuse, since it began an hour ago, is not sent. */
static void is_too_old(void **state)
{
	static const char *const answers[] = {OK};
	struct given *g = *state;
	struct push_counts c;

	begin(g, answers, 1);
	add_of(g, 'a', 10, push_now() - (int64_t)PUSH_OLD_NS - 1);
	add_of(g, 'b', 10, push_now() - (int64_t)PUSH_OLD_NS - 1);
	add_of(g, 'c', 10, push_now() - (int64_t)(PUSH_OLD_NS - 60 * NS));
	push_watch(g->push, g->loop);
	run_until(g, 1);
	c = push_counts(g->push);
	assert_int_equal(c.sent, 1);
	assert_int_equal(c.dropped[PUSH_DROP_OLD], 2);
	assert_string_equal(push_drop_name(PUSH_DROP_OLD), "old");
	assert_int_equal(g->server.requests, 1);
	assert_non_null(strstr(g->server.request, "\r\n\r\nccc"));
	assert_int_equal(g->bad, 1);
	assert_non_null(strstr(g->said, " that began 55 minutes ago\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_too_old, setup, teardown),
		cmocka_unit_test_setup_teardown(exchanges, setup, teardown),
		cmocka_unit_test_setup_teardown(failures, setup, teardown),
		cmocka_unit_test_setup_teardown(early_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(endless_head, setup, teardown),
		cmocka_unit_test_setup_teardown(sends, setup, teardown),
		cmocka_unit_test_setup_teardown(fails_and_recovers, setup, teardown),
		cmocka_unit_test_setup_teardown(is_busy_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(alternates, setup, teardown),
		cmocka_unit_test_setup_teardown(overflows, setup, teardown),
		cmocka_unit_test_setup_teardown(is_no_pyroscope, setup, teardown),
		cmocka_unit_test_setup_teardown(is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(needs_names, setup, teardown),
		cmocka_unit_test_setup_teardown(is_told_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(drains_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(helper_is_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(helper_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_what_is_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(finishes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_latest_first, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

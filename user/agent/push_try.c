/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "agent/push_try.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/given_file.h"

#define STALE_MOST 16 /* answers: there is one for each question */

static void connect_next(struct push_try *t);

void push_try_init(struct push_try *t, const struct resolver *resolver)
{
	*t = (struct push_try){.resolver = resolver, .fd = -1, .exchange.fd = -1};
}

void push_try_stop(struct push_try *t)
{
	loop_timer_stop(&t->deadline);
	loop_timer_stop(&t->give_up);
	loop_remove(&t->answers);
	loop_remove(&t->connecting);
	push_exchange_stop(&t->exchange);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	given_file_wipe(t->head);
	t->head = NULL;
}

void push_try_forget(struct push_try *t)
{
	t->waits = false;
}

/* `why` may be in `t`. */
static void finish(struct push_try *t, int err, const struct http_reply *reply, const char *why)
{
	char kept[PUSH_WHY];

	snprintf(kept, sizeof(kept), "%s", why ?: "");
	push_try_stop(t);
	t->done(t->arg, err, reply, kept);
}

static void fail(struct push_try *t, int err, const char *why)
{
	const struct http_reply none = {.retry_after = -1};

	finish(t, err, &none, why);
}

static void on_deadline(void *arg)
{
	struct push_try *t = arg;
	char why[PUSH_WHY];

	snprintf(why, sizeof(why), "%s within %llu s",
		 t->exchange.fd >= 0 ? "no answer"
		 : t->fd >= 0	     ? "no connection"
				     : "its name was not looked up",
		 PUSH_TRY_NS / 1000000000);
	fail(t, -ETIMEDOUT, why);
}

/* --- connecting --- */

static void on_exchanged(void *arg, int err, const struct http_reply *reply, const char *why)
{
	finish(arg, err, reply, why);
}

static void talk(struct push_try *t)
{
	int fd = t->fd, err;

	loop_timer_stop(&t->give_up);
	loop_remove(&t->connecting);
	t->fd = -1;
	err = push_exchange_begin(&t->exchange, t->loop, fd, &t->request, on_exchanged, t);
	if (err)
		fail(t, err, strerror(-err));
}

/* Of several addresses, the first one says most: others may be of a kind that the host has not. */
static void note(struct push_try *t, int err)
{
	if (!*t->why)
		snprintf(t->why, sizeof(t->why), "%s", strerror(-err));
}

/* This address is none. */
static void pass_over(struct push_try *t, int err)
{
	loop_timer_stop(&t->give_up);
	loop_remove(&t->connecting);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	note(t, err);
	connect_next(t);
}

static void on_connected(void *arg, uint32_t events)
{
	struct push_try *t = arg;
	int err = 0;
	socklen_t size = sizeof(err);

	(void)events;
	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &err, &size))
		err = errno;
	if (err)
		pass_over(t, -err);
	else
		talk(t);
}

static void on_give_up(void *arg)
{
	pass_over(arg, -ETIMEDOUT);
}

/* Returns its size. */
static socklen_t socket_address(const struct net_address *number, uint16_t port,
				struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof(*address));
	address->ss_family = (sa_family_t)number->family;
	if (number->family == AF_INET) {
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, number->number, sizeof(v4->sin_addr));
		return sizeof(*v4);
	}
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, number->number, sizeof(v6->sin6_addr));
	return sizeof(*v6);
}

static int connect_to(struct push_try *t, const struct net_address *number)
{
	struct sockaddr_storage address;
	socklen_t size = socket_address(number, t->target->url.port, &address);
	int err;

	t->fd = socket(number->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd < 0)
		return -errno;
	if (connect(t->fd, (struct sockaddr *)&address, size) && errno != EINPROGRESS)
		return -errno;
	err = loop_add(t->loop, &t->connecting, t->fd, EPOLLOUT, on_connected, t);
	if (!err && t->next < t->addresses.count)
		loop_timer_start(t->loop, &t->give_up, PUSH_CONNECT_NS, 0, on_give_up, t);
	return err;
}

static void connect_next(struct push_try *t)
{
	while (t->next < t->addresses.count) {
		int err = connect_to(t, &t->addresses.list[t->next++]);

		if (!err)
			return;
		if (t->fd >= 0)
			close(t->fd);
		t->fd = -1;
		note(t, err);
	}
	fail(t, -ECONNREFUSED, t->why);
}

/* --- names --- */

static void add(struct push_try *t, int family, const void *number, size_t size)
{
	struct net_address *address = &t->addresses.list[t->addresses.count++];

	address->family = family;
	memcpy(address->number, number, size);
}

/* True: they are known without asking. */
static bool has_addresses(struct push_try *t)
{
	const struct push_url *url = &t->target->url;
	const struct in_addr v4 = {.s_addr = htonl(INADDR_LOOPBACK)};

	t->addresses = (struct resolver_answer){};
	t->next = 0;
	if (url->family == AF_INET)
		add(t, AF_INET, &url->address.v4, sizeof(url->address.v4));
	else if (url->family == AF_INET6)
		add(t, AF_INET6, &url->address.v6, sizeof(url->address.v6));
	else if (url->loopback) {
		add(t, AF_INET, &v4, sizeof(v4));
		add(t, AF_INET6, &in6addr_loopback, sizeof(in6addr_loopback));
	}
	return t->addresses.count;
}

static void on_answer(void *arg, uint32_t events)
{
	struct push_try *t = arg;
	int err;

	(void)events;
	err = resolver_take(t->resolver, &t->addresses);
	/* There may be one to an earlier question. */
	if (err == -EAGAIN || (!err && t->addresses.number != t->asked))
		return;
	loop_remove(&t->answers);
	t->waits = false;
	if (err)
		fail(t, err, PUSH_NO_NAMES);
	else if (t->addresses.error || !t->addresses.count)
		fail(t, -EHOSTUNREACH,
		     t->addresses.error == -EAGAIN ? "no name server answers"
						   : "there is no such host");
	else
		connect_next(t);
}

/* What came after the try that asked was over is of then. */
static void drain(struct push_try *t)
{
	struct resolver_answer old;

	for (int i = 0; i < STALE_MOST && !resolver_take(t->resolver, &old); i++)
		if (old.number == t->asked)
			t->waits = false;
}

/* Of a try before this one, an answer may still come. */
static int ask(struct push_try *t)
{
	int err = 0;

	drain(t);
	if (!t->waits)
		err = resolver_ask(t->resolver, ++t->asked, t->target->url.looked_up);
	t->waits = !err;
	return err ?: loop_add(t->loop, &t->answers, t->resolver->fd, EPOLLIN, on_answer, t);
}

static void on_begin(void *arg)
{
	struct push_try *t = arg;
	int err;

	loop_timer_start(t->loop, &t->deadline, PUSH_TRY_NS, 0, on_deadline, t);
	if (has_addresses(t)) {
		connect_next(t);
		return;
	}
	err = ask(t);
	if (err)
		fail(t, err, err == -EPIPE ? PUSH_NO_NAMES : strerror(-err));
}

int push_try_begin(struct push_try *t, struct loop *loop, const struct push_target *target,
		   const void *body, size_t size, push_exchange_fn *done, void *arg)
{
	t->head = push_target_head(target, size);
	if (!t->head)
		return -ENOMEM;
	t->loop = loop;
	t->target = target;
	t->done = done;
	t->arg = arg;
	*t->why = '\0';
	t->request = (struct push_request){
		.head = t->head,
		.head_size = strlen(t->head),
		.body = body,
		.body_size = size,
		.trust = target->trust,
		.host = target->url.host,
		.named = !target->url.family,
	};
	loop_timer_start(loop, &t->deadline, 0, 0, on_begin, t);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A server of profiles in the same loop as what is tested: it accepts at a loopback address, takes
 * requests as slowly as it is told, and answers what it is told. To be included after cmocka.h. */
#ifndef PUSH_SERVER_H
#define PUSH_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/loop.h"

#define SERVED_MOST ((size_t)2 << 20)
#define MS	    1000000ULL

struct served {
	struct loop *loop;
	int fd, client; /* -1: none */
	uint16_t port;
	struct loop_fd accepts, reads;
	struct loop_timer slow;
	/* What it does */
	const char *const *answers; /* one for each request, the last one for all others; NULL: it
				       says nothing */
	size_t answer_count;
	size_t piece;	/* bytes that it reads at a time; 0: all */
	bool early;	/* answers before it has read the body */
	bool byte_wise; /* sends one byte at a time */
	/* What happened */
	char *request; /* the last one */
	size_t used, requests;
	const char *rest; /* of the answer */
};

static inline void served_leave(struct served *s)
{
	loop_timer_stop(&s->slow);
	loop_remove(&s->reads);
	if (s->client >= 0)
		close(s->client);
	s->client = -1;
}

/* All of the request, whose length is in its head. */
static inline bool served_is_whole(const struct served *s)
{
	const char *end = memmem(s->request, s->used, "\r\n\r\n", 4), *length;

	if (!end)
		return false;
	if (s->early)
		return true;
	length = strstr(s->request, "Content-Length: ");
	assert_non_null(length);
	return s->used >= (size_t)(end + 4 - s->request) + strtoul(length + 16, NULL, 10);
}

static inline void served_answer(void *arg)
{
	struct served *s = arg;
	size_t size = s->rest ? strlen(s->rest) : 0;

	if (!size) {
		served_leave(s);
		return;
	}
	if (s->byte_wise)
		size = 1;
	assert_int_equal(send(s->client, s->rest, size, MSG_NOSIGNAL), size);
	s->rest += size;
	loop_timer_start(s->loop, &s->slow, MS / 10, 0, served_answer, s);
}

static inline void served_read(void *arg, uint32_t events)
{
	struct served *s = arg;
	size_t room = SERVED_MOST - s->used;
	ssize_t got = recv(s->client, s->request + s->used,
			   s->piece && s->piece < room ? s->piece : room, MSG_DONTWAIT);
	size_t index;

	(void)events;
	if (got <= 0) {
		served_leave(s);
		return;
	}
	s->used += (size_t)got;
	s->request[s->used] = '\0';
	if (!served_is_whole(s))
		return;
	index = s->requests < s->answer_count ? s->requests : s->answer_count - 1;
	s->requests++;
	loop_remove(&s->reads);
	s->rest = s->answers[index];
	/* One that says nothing keeps the connection. */
	if (s->rest)
		served_answer(s);
}

static inline void served_take(struct served *s, int fd)
{
	served_leave(s);
	s->client = fd;
	s->used = 0;
	assert_int_equal(loop_add(s->loop, &s->reads, fd, EPOLLIN, served_read, s), 0);
}

static inline void served_accept(void *arg, uint32_t events)
{
	struct served *s = arg;
	int fd = accept(s->fd, NULL, NULL);

	(void)events;
	assert_true(fd >= 0);
	served_take(s, fd);
}

/* Without listening. */
static inline void served_begin(struct served *s, struct loop *loop, const char *const *answers,
				size_t count)
{
	*s = (struct served){
		.loop = loop, .fd = -1, .client = -1, .answers = answers, .answer_count = count};
	s->request = calloc(1, SERVED_MOST + 1);
	assert_non_null(s->request);
}

static inline void served_listen(struct served *s, struct loop *loop, const char *const *answers,
				 size_t count)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);

	served_begin(s, loop, answers, count);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &size), 0);
	s->port = ntohs(address.sin_port);
	assert_int_equal(loop_add(loop, &s->accepts, s->fd, EPOLLIN, served_accept, s), 0);
}

static inline void served_end(struct served *s)
{
	served_leave(s);
	loop_remove(&s->accepts);
	if (s->fd >= 0)
		close(s->fd);
	free(s->request);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One request and its answer on a connection, in a loop, with TLS or without. */
#ifndef PUSH_EXCHANGE_H
#define PUSH_EXCHANGE_H

#include <gnutls/gnutls.h>

#include "agent/http_reply.h"
#include "os/loop.h"

#define PUSH_WHY 320 /* bytes of a sentence */

struct push_request { /* what is sent; it must stay until the exchange is over */
	const char *head;
	const void *body;
	size_t head_size, body_size;
	/* NULL: without TLS. Else the server's certificate must be of one of these authorities, for
	 * `host`, a name or an address, and for servers, if it says what for. */
	gnutls_certificate_credentials_t trust;
	const char *host;
	bool named; /* it is a name */
};

/* `err` 0: `reply` has an answer. Else -errno, and `why` is a sentence. Both end with the call. */
typedef void push_exchange_fn(void *arg, int err, const struct http_reply *reply, const char *why);

struct push_exchange { /* private; {.fd = -1} is one that does not run */
	int fd;
	struct loop_fd io;
	const struct push_request *request;
	gnutls_session_t tls;		   /* NULL: none */
	gnutls_typed_vdata_st expected[2]; /* of the server's certificate */
	bool shaken;			   /* hands were */
	size_t sent;			   /* of head and body together */
	struct http_reply reply;
	push_exchange_fn *done;
	void *arg;
};

/* Begins to talk over `fd`, a connected socket that does not block, and closes it at the end. Calls
 * `done` once, never from here. There is no time limit: that is the caller's. 0 or -errno; then
 * `done` is not called, and `fd` is closed. */
int push_exchange_begin(struct push_exchange *exchange, struct loop *loop, int fd,
			const struct push_request *request, push_exchange_fn *done, void *arg);
/* Gives it up: `done` is not called any more. Does nothing if it does not run. */
void push_exchange_stop(struct push_exchange *exchange);

#endif

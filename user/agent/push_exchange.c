/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How it goes: each time the socket is ready, step() does what can be done without waiting.
 *
 *   hands are shaken (TLS) ──► head and body are sent ──► the answer is read ──► done
 *                                     └── an answer may come before all is sent, such as 413
 *
 * The server's certificate is verified within the handshake: nothing is sent to another one. */
#include "agent/push_exchange.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define PIECE	   4096		/* bytes that are read at a time */
#define AT_ONCE	   (256u << 10) /* bytes that are sent before others have their turn */

void push_exchange_stop(struct push_exchange *x)
{
	loop_remove(&x->io);
	if (x->tls)
		gnutls_deinit(x->tls);
	if (x->fd >= 0)
		close(x->fd);
	x->tls = NULL;
	x->fd = -1;
}

/* The callback may begin another one at once. */
static void finish(struct push_exchange *x, int err, const char *why)
{
	const struct http_reply reply = x->reply;

	push_exchange_stop(x);
	x->done(x->arg, err, &reply, why);
}

static void wait_for(struct push_exchange *x, uint32_t events)
{
	int err = loop_change(&x->io, events);

	if (err)
		finish(x, err, strerror(-err));
}

/* --- TLS --- */

static bool is_for_later(int result)
{
	return result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED;
}

static void fail_tls(struct push_exchange *x, int result)
{
	unsigned status = gnutls_session_get_verify_cert_status(x->tls);
	gnutls_datum_t text = {};
	char why[PUSH_WHY];

	if (result == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
	    !gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0))
		snprintf(why, sizeof(why), "TLS: %s", text.data);
	else
		snprintf(why, sizeof(why), "TLS: %s", gnutls_strerror(result));
	gnutls_free(text.data);
	/* Each sentence of the library has a blank behind it. */
	while (*why && why[strlen(why) - 1] == ' ')
		why[strlen(why) - 1] = '\0';
	finish(x, -EPROTO, why);
}

/* True: it is done. */
static bool shake_hands(struct push_exchange *x)
{
	int result = gnutls_handshake(x->tls);

	if (result >= 0) {
		x->shaken = true;
		return true;
	}
	if (is_for_later(result))
		wait_for(x, gnutls_record_get_direction(x->tls) ? EPOLLOUT : EPOLLIN);
	/* Names that the server does not know, and the like. */
	else if (gnutls_error_is_fatal(result))
		fail_tls(x, result);
	return false;
}

static int begin_tls(struct push_exchange *x)
{
	const struct push_request *r = x->request;
	int result = gnutls_init(&x->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

	if (result < 0) {
		x->tls = NULL;
		return -ENOMEM;
	}
	result = gnutls_priority_set_direct(x->tls, PRIORITIES, NULL);
	if (result >= 0)
		result = gnutls_credentials_set(x->tls, GNUTLS_CRD_CERTIFICATE, r->trust);
	if (result >= 0 && r->named)
		result = gnutls_server_name_set(x->tls, GNUTLS_NAME_DNS, r->host, strlen(r->host));
	if (result < 0)
		return result == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
	x->expected[0] = (gnutls_typed_vdata_st){.type = GNUTLS_DT_DNS_HOSTNAME,
						 .data = (unsigned char *)r->host};
	x->expected[1] = (gnutls_typed_vdata_st){.type = GNUTLS_DT_KEY_PURPOSE_OID,
						 .data = (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER};
	gnutls_session_set_verify_cert2(x->tls, x->expected, 2, 0);
	gnutls_transport_set_int(x->tls, x->fd);
	return 0;
}

/* --- bytes --- */

/* Bytes; -EAGAIN; -errno; -EPROTO: of TLS, whose error is then in `*tls`. */
static ssize_t put(struct push_exchange *x, const void *bytes, size_t size, int *tls)
{
	ssize_t sent = x->tls ? gnutls_record_send(x->tls, bytes, size)
			      : send(x->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent >= 0)
		return sent;
	if (!x->tls)
		return errno == EINTR ? -EAGAIN : -errno;
	*tls = (int)sent;
	return is_for_later((int)sent) ? -EAGAIN : -EPROTO;
}

/* The same; 0: the end. */
static ssize_t get(struct push_exchange *x, char *bytes, size_t size, int *tls)
{
	ssize_t got = x->tls ? gnutls_record_recv(x->tls, bytes, size)
			     : recv(x->fd, bytes, size, MSG_DONTWAIT);

	if (got >= 0)
		return got;
	if (!x->tls)
		return errno == EINTR ? -EAGAIN : -errno;
	/* Many servers end without a word: what an answer needs has come before, or is missing. */
	if (got == GNUTLS_E_PREMATURE_TERMINATION)
		return 0;
	*tls = (int)got;
	return is_for_later((int)got) || !gnutls_error_is_fatal((int)got) ? -EAGAIN : -EPROTO;
}

static void fail(struct push_exchange *x, int err, int tls)
{
	if (tls)
		fail_tls(x, tls);
	else
		finish(x, err,
		       err == -EPROTO	    ? "its answer is not HTTP"
		       : err == -EMSGSIZE   ? "the head of its answer has no end"
		       : err == -ECONNRESET ? "it closed the connection without an answer"
					    : strerror(-err));
}

/* --- steps --- */

/* Reads what is there. 0: there is nothing now; 1: something was; -1: it is over. */
static int read_some(struct push_exchange *x)
{
	char piece[PIECE];
	int tls = 0, result;
	ssize_t got = get(x, piece, sizeof(piece), &tls);

	if (got == -EAGAIN)
		return 0;
	/* Who has answered, and ends then without taking the rest, has answered. */
	if (got < 0 && x->reply.state == HTTP_REPLY_SAYS) {
		finish(x, 0, NULL);
		return -1;
	}
	if (got < 0) {
		fail(x, (int)got, tls);
		return -1;
	}
	result = got ? http_reply_take(&x->reply, piece, (size_t)got, time(NULL))
		     : http_reply_end(&x->reply);
	if (result < 0)
		fail(x, result, 0);
	else if (result || !got)
		finish(x, 0, NULL);
	return result || !got ? -1 : 1;
}

/* It takes no more, and may have said why: all that is there is read. */
static void end_sending(struct push_exchange *x, int err, int tls)
{
	int result;

	do
		result = read_some(x);
	while (result > 0);
	if (result < 0)
		return;
	if (x->reply.state == HTTP_REPLY_SAYS)
		finish(x, 0, NULL);
	else
		fail(x, err, tls);
}

/* Sends some. 1: all is sent; 0: later; -errno. */
static int send_some(struct push_exchange *x, int *tls)
{
	const struct push_request *r = x->request;
	size_t limit = x->sent + AT_ONCE;

	while (x->sent < r->head_size + r->body_size && x->sent < limit) {
		bool head = x->sent < r->head_size;
		size_t at = head ? x->sent : x->sent - r->head_size;
		ssize_t sent = put(x, (const char *)(head ? r->head : r->body) + at,
				   (head ? r->head_size : r->body_size) - at, tls);

		if (sent == -EAGAIN)
			return 0;
		if (sent < 0)
			return (int)sent;
		x->sent += (size_t)sent;
	}
	return x->sent == r->head_size + r->body_size;
}

/* TLS may hold bytes that the socket has no longer. */
static bool has_more(const struct push_exchange *x)
{
	return x->tls && gnutls_record_check_pending(x->tls);
}

static void on_ready(void *arg, uint32_t events)
{
	struct push_exchange *x = arg;
	int tls = 0, sent;

	if (x->tls && !x->shaken && !shake_hands(x))
		return;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		do {
			if (read_some(x) < 0)
				return;
		} while (has_more(x));
	}
	sent = send_some(x, &tls);
	if (sent >= 0) {
		wait_for(x, sent ? EPOLLIN : EPOLLIN | EPOLLOUT);
		return;
	}
	end_sending(x, sent, tls);
}

int push_exchange_begin(struct push_exchange *x, struct loop *loop, int fd,
			const struct push_request *request, push_exchange_fn *done, void *arg)
{
	int err = 0;

	*x = (struct push_exchange){
		.fd = fd, .request = request, .done = done, .arg = arg, .reply.retry_after = -1};
	if (request->trust)
		err = begin_tls(x);
	err = err ?: loop_add(loop, &x->io, fd, EPOLLIN | EPOLLOUT, on_ready, x);
	if (err)
		push_exchange_stop(x);
	return err;
}

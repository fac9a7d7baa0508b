/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads what a server answers to one request, on a connection that is not used again: the status,
 * when to come again, and the beginning of what it says. Pure: nothing is read but the bytes. */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_REPLY_HEAD (16u << 10) /* bytes of all heads of an answer at most */
#define HTTP_REPLY_LINE 1024u	    /* bytes of a line that is looked at; others may be longer */
#define HTTP_REPLY_TEXT 512u	    /* bytes of a body that are kept */
#define HTTP_REPLY_BODY (64u << 10) /* bytes of a body that are read at most */

struct http_reply { /* {} is one that has not begun; private, but for the first three, and `proto`
		     */
	unsigned status;		/* 100 to 599; 0: not known yet */
	int64_t retry_after;		/* seconds; -1: nothing was said, or nothing is known yet */
	char text[HTTP_REPLY_TEXT + 1]; /* of the body of an error; "": it has none */
	size_t text_used;
	enum { HTTP_REPLY_STATUS, HTTP_REPLY_FIELDS, HTTP_REPLY_SAYS, HTTP_REPLY_OVER } state;
	char line[HTTP_REPLY_LINE];
	size_t line_used; /* may be more than there is room for */
	size_t head_used, body_used;
	uint64_t body_size; /* Content-Length; UINT64_MAX: until the end */
	bool chunked;
	bool proto; /* Content-Type is application/proto: so do those answer who read protobuf */
	bool any;   /* a byte has come */
};

/* Takes the next bytes, in parts of any size; `now`: seconds since the epoch, for a date. 1: all
 * that is wanted is there; 0: go on. -EPROTO: it is no answer of HTTP/1. -EMSGSIZE: its head is
 * longer than HTTP_REPLY_HEAD. After anything but 0 it takes no more. */
int http_reply_take(struct http_reply *reply, const char *bytes, size_t size, int64_t now);
/* The server has closed the connection. 0: what came is an answer; -EPROTO: it is none, or its head
 * has no end; -ECONNRESET: nothing came. */
int http_reply_end(struct http_reply *reply);

/* Seconds of a Retry-After, a number or a date of RFC 9110; -1: it is neither. A time that has
 * passed is 0. */
int64_t http_reply_retry_after(const char *text, int64_t now);

/* Writes what the server says of an error in one line, "503 Service Unavailable: no ingester",
 * escaped and cut at `size`. A server may repeat what it was sent: if there is a part of `secret`
 * (NULL: there is none) in it, what it says is left out. */
void http_reply_words(const struct http_reply *reply, const char *secret, char *words, size_t size);

#endif

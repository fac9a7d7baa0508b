/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: anybody can send anything over the socket. All of it is checked here, before anything
 * else looks at it.
 *
 * Invariants: only fields that were checked are used. Magic and version come first: so a client of
 * another version is told that, whatever its records look like. Left out: whether the request is
 * allowed, or makes sense now. */
#include "serve/serve_request.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "render/render.h"

/* The beginning of a request in every version. */
struct header {
	uint32_t magic;
	uint16_t version;
	uint16_t op;
};

enum pymem_serve_status serve_request_read(const void *bytes, size_t size,
					   struct pymem_serve_request *request)
{
	struct pymem_serve_request r;
	struct header header;

	if (size < sizeof(header))
		return PYMEM_SERVE_BAD_REQUEST;
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != PYMEM_SERVE_MAGIC)
		return PYMEM_SERVE_BAD_REQUEST;
	if (header.version != PYMEM_SERVE_VERSION)
		return PYMEM_SERVE_BAD_VERSION;
	if (size != sizeof(r))
		return PYMEM_SERVE_BAD_REQUEST;
	memcpy(&r, bytes, sizeof(r));
	if (r.op < PYMEM_SERVE_HELLO || r.op > PYMEM_SERVE_UNTRACK || r.flags || r.pad)
		return PYMEM_SERVE_BAD_REQUEST;
	*request = r;
	return PYMEM_SERVE_OK;
}

const char *serve_status_text(enum pymem_serve_status status)
{
	switch (status) {
	case PYMEM_SERVE_OK:
		return "done";
	case PYMEM_SERVE_BAD_REQUEST:
		return "this is no request: its size, magic, operation or flags are wrong";
	case PYMEM_SERVE_BAD_VERSION:
		return "another version of the protocol: client and server must be of one release";
	case PYMEM_SERVE_NOT_PERMITTED:
		return "not permitted";
	case PYMEM_SERVE_NO_PROCESS:
		return "no such process";
	case PYMEM_SERVE_LIMIT:
		return "too many connections";
	case PYMEM_SERVE_STATE:
		return "not now";
	case PYMEM_SERVE_FAILED:
		break;
	}
	return "failed";
}

void serve_reply_fill(struct pymem_serve_reply *reply, unsigned op, enum pymem_serve_status status,
		      const char *message)
{
	memset(reply, 0, sizeof(*reply));
	reply->magic = PYMEM_SERVE_MAGIC;
	reply->version = PYMEM_SERVE_VERSION;
	reply->op = op;
	reply->status = status;
	snprintf(reply->program, sizeof(reply->program), "%s", PYMEM_VERSION);
	if (status == PYMEM_SERVE_OK)
		return;
	/* Messages contain names that processes chose, and are printed on terminals. */
	text_escape(reply->message, sizeof(reply->message),
		    message && *message ? message : serve_status_text(status));
}

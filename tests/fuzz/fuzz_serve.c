/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: any bytes as a request to the server, and as /proc/PID/status. A request that
 * is accepted has a known operation, and zeros where nothing belongs. An answer ends with a NUL and
 * has no control characters. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/serve_access.h"
#include "serve/serve_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const void *bytes, size_t size)
{
	struct pymem_serve_request r;
	enum pymem_serve_status status = serve_request_read(bytes, size, &r);

	if (status == PYMEM_SERVE_OK) {
		if (size != sizeof(r) || memcmp(&r, bytes, size) || r.magic != PYMEM_SERVE_MAGIC ||
		    r.version != PYMEM_SERVE_VERSION || r.op < PYMEM_SERVE_HELLO ||
		    r.op > PYMEM_SERVE_UNTRACK || r.flags || r.pad)
			abort();
	} else if (status != PYMEM_SERVE_BAD_REQUEST && status != PYMEM_SERVE_BAD_VERSION) {
		abort();
	}
}

static void check_reply(const char *message)
{
	struct pymem_serve_reply reply;
	const char *c;

	serve_reply_fill(&reply, 1, PYMEM_SERVE_FAILED, message);
	if (!memchr(reply.message, '\0', sizeof(reply.message)) || !*reply.message)
		abort();
	for (c = reply.message; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct serve_peer peer = {.uid = 1000, .gid = 1000};
	struct serve_creds creds = {.owner = 1000};
	/* An exact copy, so that the sanitizer sees a read beyond the end. */
	char *copy = malloc(size + 1);
	int err;

	if (!copy)
		abort();
	memcpy(copy + 1, data, size);
	check_request(copy + 1, size);
	err = serve_creds_parse(copy + 1, size, &creds);
	if (err && err != -EBADMSG)
		abort();
	if (!err && !serve_access_refusal(&peer, &creds) &&
	    (creds.uids[1] != peer.uid || creds.permitted))
		abort();
	memmove(copy, copy + 1, size);
	copy[size] = '\0';
	check_reply(copy);
	free(copy);
	return 0;
}

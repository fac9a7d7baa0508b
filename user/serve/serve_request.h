/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests and replies of `pymem-bpf serve`, as bytes. Pure: no socket, no clock. */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "pymem_serve.h"

/* Reads the message of `size` bytes at `bytes`, which need not be aligned. PYMEM_SERVE_OK:
 * `request` is filled in. PYMEM_SERVE_BAD_REQUEST or _BAD_VERSION: the caller answers and closes
 * the connection. */
enum pymem_serve_status serve_request_read(const void *bytes, size_t size,
					   struct pymem_serve_request *request);

/* Fills `reply` to an operation, except for what TRACK adds. `message` may be NULL; it is cut to
 * fit, and its control characters are escaped. */
void serve_reply_fill(struct pymem_serve_reply *reply, unsigned op, enum pymem_serve_status status,
		      const char *message);

/* What a status means: for logs, and if there is no other message. A constant text, never NULL. */
const char *serve_status_text(enum pymem_serve_status status);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests and replies of `pymem-bpf serve`, as bytes. Pure: no socket, no clock. */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "pymem_serve.h"

/* Reads the message of `size` bytes at `bytes`, which need not be aligned. Only after
 * PYMEM_SERVE_OK is `request` filled in; otherwise PYMEM_SERVE_BAD_REQUEST or _BAD_VERSION,
 * after whose answer the connection is to be closed. */
enum pymem_serve_status serve_request_read(const void *bytes, size_t size,
					   struct pymem_serve_request *request);

/* Fills `reply` to an operation: everything but what TRACK adds. `message`, which may be
 * NULL, is cut to fit and its control characters are replaced. */
void serve_reply_fill(struct pymem_serve_reply *reply, unsigned op, enum pymem_serve_status status,
		      const char *message);

/* What a status means, for logs and as the message where there is none; never NULL. */
const char *serve_status_text(enum pymem_serve_status status);

#endif

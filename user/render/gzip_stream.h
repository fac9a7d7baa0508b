/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Compresses what a renderer writes, piece by piece, into a stream (RFC 1952). The same bytes give
 * the same output: it has no name and no time in it. */
#ifndef GZIP_STREAM_H
#define GZIP_STREAM_H

#include <stddef.h>
#include <stdio.h>
#include <zlib.h>

struct gzip_stream {
	FILE *out;
	z_stream z;
};

/* `out` must outlive the stream. 0 or -ENOMEM. gzip_end() frees what it takes, in any case. */
int gzip_begin(struct gzip_stream *stream, FILE *out);
/* A failure of `out` shows when that is flushed. 0, or -errno of the compression. */
int gzip_write(struct gzip_stream *stream, const void *data, size_t size);
/* Writes what is left. To be called once. 0, or -errno as above. */
int gzip_end(struct gzip_stream *stream);

#endif

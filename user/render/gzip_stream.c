/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "render/gzip_stream.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define GZIP_HEAD 16 /* beside the bits of the window: zlib writes gzip's head and sum */

int gzip_begin(struct gzip_stream *stream, FILE *out)
{
	memset(stream, 0, sizeof(*stream));
	stream->out = out;
	return deflateInit2(&stream->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + GZIP_HEAD,
			    MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK
		       ? 0
		       : -ENOMEM;
}

static int compress_all(struct gzip_stream *stream, int flush)
{
	unsigned char piece[16384];
	int status;

	do {
		stream->z.next_out = piece;
		stream->z.avail_out = sizeof(piece);
		status = deflate(&stream->z, flush);
		if (status == Z_STREAM_ERROR)
			return -EINVAL;
		fwrite(piece, 1, sizeof(piece) - stream->z.avail_out, stream->out);
	} while (!stream->z.avail_out);
	return 0;
}

int gzip_write(struct gzip_stream *stream, const void *data, size_t size)
{
	if (size > UINT_MAX)
		return -E2BIG;
	stream->z.next_in = (unsigned char *)data;
	stream->z.avail_in = (unsigned)size;
	return compress_all(stream, Z_NO_FLUSH);
}

int gzip_end(struct gzip_stream *stream)
{
	int err;

	stream->z.next_in = NULL;
	stream->z.avail_in = 0;
	err = compress_all(stream, Z_FINISH);
	deflateEnd(&stream->z);
	return err;
}

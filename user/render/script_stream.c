/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: names are the target's to choose, and "</script>" in one would end the data of a page.
 * The filter is below all that writes JSON, so no writer can forget it. */
#include "render/script_stream.h"

#include <string.h>

#define BUFFER_BYTES (64 * 1024)

static const char *escape_of(char c)
{
	switch (c) {
	case '<':
		return "\\u003c";
	case '>':
		return "\\u003e";
	case '&':
		return "\\u0026";
	default:
		return NULL;
	}
}

static ssize_t write_escaped(void *cookie, const char *data, size_t size)
{
	FILE *out = cookie;
	size_t from = 0, i;

	for (i = 0; i < size; i++) {
		const char *escape = escape_of(data[i]);

		if (!escape)
			continue;
		fwrite(data + from, 1, i - from, out);
		fputs(escape, out);
		from = i + 1;
	}
	fwrite(data + from, 1, size - from, out);
	/* As fopencookie(3) wants it: 0 is a failure. */
	return ferror(out) ? 0 : (ssize_t)size;
}

FILE *script_stream_open(FILE *out)
{
	FILE *stream = fopencookie(out, "w", (cookie_io_functions_t){.write = write_escaped});

	/* Without room for a larger buffer it has a smaller one. */
	if (stream)
		setvbuf(stream, NULL, _IOFBF, BUFFER_BYTES);
	return stream;
}

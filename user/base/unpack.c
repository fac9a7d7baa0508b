/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

void *unpack(const void *packed, size_t packed_size, size_t size)
{
	uLongf length = size;
	void *data = malloc(size);
	int status;

	if (!data) {
		errno = ENOMEM;
		return NULL;
	}
	status = uncompress(data, &length, packed, packed_size);
	if (status == Z_OK && length == size)
		return data;
	free(data);
	errno = status == Z_MEM_ERROR ? ENOMEM : EBADMSG;
	return NULL;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: messages of the ring buffer to user/track/store.c; their strings, lengths and
 * tables come from another process. What was taken is asked for in between, and all of it at the
 * end. Input: records of (bytes, message). A message is filled with zeros to the least size of its
 * kind. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

#include "python/py_layouts.h"
#include "track/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void give(struct store *store, const struct py_layout *layout, const uint8_t *data,
		 size_t size, size_t filled)
{
	/* An exact copy, so that the sanitizer sees a read beyond the end. */
	uint8_t *message = calloc(1, filled ? filled : 1);
	int err;

	if (!message)
		abort();
	memcpy(message, data, size);
	err = store_add(store, message, filled);
	if (err && err != -EINVAL && err != -ENOSPC)
		abort();
	/* Addresses come from the message; they are read in this process, whatever is there. */
	if (!err && *(uint32_t *)message == PYMEM_MSG_CODE)
		store_complete(store, (void *)message, layout, getpid());
	free(message);
}

static void ask(struct store *store, const struct py_layout *layout)
{
	struct store_code *code, *next;

	HASH_ITER(hh, store->codes, code, next)
	{
		struct pymem_msg_frame frame = {.code = code->key.code,
						.fingerprint = code->key.fingerprint};

		if (store_code(store, code->key.proc, &frame, layout, 0) != code ||
		    !code->code.file || !code->code.function)
			abort();
		for (int lasti = -3; lasti < 40; lasti++)
			if (store_line(store, code, lasti, NULL) <= 0)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct py_layout layout;
	struct store store;
	unsigned minor;

	if (size < 1)
		return 0;
	minor = 6 + *data++ % 7;
	size--;
	if (py_layout_from_table(3, minor, &layout))
		abort();
	store_init(&store);
	while (size >= 3) {
		size_t given = data[0], filled = given + (data[1] | data[2] << 8) % 10500;

		data += 3;
		size -= 3;
		if (given > size)
			given = size;
		if (filled < given)
			filled = given;
		give(&store, &layout, data, given, filled);
		/* As a live report does between two messages. */
		if (size & 1)
			ask(&store, &layout);
		data += given;
		size -= given;
	}
	ask(&store, &layout);
	store_fini(&store);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: packed rows and facts of a recording (user/record/amounts.c, facts.c). What is
 * read as rows is packed again, and must be the same when it is read again. Input: a byte for the
 * choice, then what is packed. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "record/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rows(const uint8_t *data, size_t size)
{
	struct amounts_reader reader = {.at = data, .end = data + size}, again;
	struct amounts_buffer buffer = {};
	struct amounts first, second;
	uint64_t id, flags, id_again, flags_again;

	while (amounts_next(&reader, &id, &flags, &first)) {
		buffer.size = 0;
		amounts_put(&buffer, id, flags, &first);
		if (buffer.failed)
			abort();
		again = (struct amounts_reader){buffer.bytes, buffer.bytes + buffer.size, false};
		if (!amounts_next(&again, &id_again, &flags_again, &second) || id != id_again ||
		    flags != flags_again || memcmp(&first, &second, sizeof(first)) != 0 ||
		    amounts_next(&again, &id, &flags, &second) || again.failed)
			abort();
		for (int kind = 0; kind < AMOUNTS_KINDS; kind++) {
			amounts_change((enum amounts_kind)kind, &second, &second, &first);
			amounts_add((enum amounts_kind)kind, &second, &first);
		}
	}
	if (!reader.failed && reader.at != reader.end)
		abort();
	free(buffer.bytes);
}

static void facts(const uint8_t *data, size_t size)
{
	const struct counts_unwatched *unwatched;
	const struct counts_skip *skip;
	struct facts facts;
	int err = facts_unpack(&facts, data, size);

	if (err && err != -EINVAL)
		abort();
	for (unwatched = facts.unwatched; unwatched; unwatched = unwatched->next)
		if (unwatched->named > COUNTS_UNWATCHED_NAMED ||
		    unwatched->named > unwatched->count)
			abort();
	for (skip = facts.skips; skip; skip = skip->next)
		if (strnlen(skip->reason, sizeof(skip->reason)) == sizeof(skip->reason) ||
		    strnlen(skip->comm, sizeof(skip->comm)) == sizeof(skip->comm))
			abort();
	facts_free(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (!size)
		return 0;
	/* An exact copy, so that the sanitizer sees a read beyond the end. */
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data + 1, size - 1);
	(data[0] & 1 ? facts : rows)(copy, size - 1);
	free(copy);
	return 0;
}

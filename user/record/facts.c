/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "record/facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPS_MOST    65536 /* of a file that may be hostile */
#define NOTES_MOST    4096
#define FACTS_NUMBERS 20 /* single ones; append only */

/* --- pack --- */

static void put_string(struct amounts_buffer *buffer, const char *text)
{
	amounts_put_bytes(buffer, text, strlen(text));
}

static void put_note(const char *text, void *arg)
{
	amounts_put_number(arg, 1);
	put_string(arg, text);
}

static void put_skips(struct amounts_buffer *buffer, const struct counts_skip *skip)
{
	for (; skip; skip = skip->next) {
		amounts_put_number(buffer, 1);
		amounts_put_number(buffer, (uint64_t)skip->pid);
		put_string(buffer, skip->comm);
		put_string(buffer, skip->reason);
	}
	amounts_put_number(buffer, 0);
}

static void put_unwatched(struct amounts_buffer *buffer, const struct counts_unwatched *u)
{
	for (; u; u = u->next) {
		amounts_put_number(buffer, 1);
		amounts_put_number(buffer, (uint64_t)u->parent);
		amounts_put_number(buffer, u->count);
		amounts_put_number(buffer, u->more | u->late << 1);
		amounts_put_number(buffer, u->named);
		for (size_t i = 0; i < u->named; i++)
			amounts_put_number(buffer, (uint64_t)u->pids[i]);
	}
	amounts_put_number(buffer, 0);
}

void facts_pack(struct amounts_buffer *buffer, const struct counts *counts,
		const struct counts_facts *facts)
{
	const uint64_t numbers[] = {
		facts->dropped_images,
		facts->dropped_messages,
		facts->unexamined,
		facts->unseen,
		(uint64_t)-facts->copies_error,
		facts->malformed,
		facts->refused,
		facts->image_bytes,
		facts->all_bytes,
		facts->no_memory,
		facts->more_skips,
		facts->skips_most,
		facts->no_faults,
		facts->no_copies,
		facts->stalls,
		facts->cache,
		facts->huge_page_bytes,
		facts->extras,
		facts->kernel,
		facts->functions,
	};
	size_t i;

	amounts_put_number(buffer, sizeof(numbers) / sizeof(numbers[0]));
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		amounts_put_number(buffer, numbers[i]);
	amounts_put_number(buffer, PYMEM_LINE_MISS_COUNT);
	for (i = 0; i < PYMEM_LINE_MISS_COUNT; i++)
		amounts_put_number(buffer, facts->line_misses[i]);
	amounts_put_number(buffer, COUNTS_GAP_COUNT);
	for (i = 0; i < COUNTS_GAP_COUNT; i++)
		amounts_put_number(buffer, facts->gaps ? facts->gaps[i] : 0);
	for (i = 0; i < COUNTS_COMMS_MAX; i++) {
		const char *comm = facts->unexamined_comms ? facts->unexamined_comms[i] : "";

		amounts_put_bytes(buffer, comm, strnlen(comm, 16));
	}
	put_skips(buffer, facts->skips);
	put_unwatched(buffer, facts->unwatched);
	for (i = 0; i < FACTS_NOTES; i++) {
		counts->ops->each_note(counts->self, (enum counts_note)i, put_note, buffer);
		amounts_put_number(buffer, 0);
	}
}

/* --- unpack --- */

/* Reads numbers into `into`; a newer file may have more of them. */
static void get_numbers(struct amounts_reader *reader, uint64_t *into, size_t count)
{
	uint64_t there = amounts_next_number(reader);

	for (uint64_t i = 0; i < there && !reader->failed; i++) {
		uint64_t number = amounts_next_number(reader);

		if (i < count)
			into[i] = number;
	}
}

/* Reads a text of at most `room` - 1 bytes, up to a NUL. */
static void get_string(struct amounts_reader *reader, char *text, size_t room)
{
	size_t size;
	const char *bytes = amounts_next_bytes(reader, &size);

	if (size >= room)
		size = room - 1;
	size = bytes ? strnlen(bytes, size) : 0;
	if (size)
		memcpy(text, bytes, size);
	text[size] = '\0';
}

static int get_skips(struct amounts_reader *reader, struct facts *f)
{
	struct counts_skip **end = &f->skips;

	for (unsigned i = 0; amounts_next_number(reader) && i < SKIPS_MOST; i++) {
		*end = calloc(1, sizeof(**end));
		if (!*end)
			return -ENOMEM;
		(*end)->pid = (pid_t)amounts_next_number(reader);
		get_string(reader, (*end)->comm, sizeof((*end)->comm));
		get_string(reader, (*end)->reason, sizeof((*end)->reason));
		end = &(*end)->next;
	}
	return 0;
}

static int get_unwatched(struct amounts_reader *reader, struct facts *f)
{
	struct counts_unwatched **end = &f->unwatched;
	uint64_t flags, named;

	for (unsigned i = 0; amounts_next_number(reader) && i < SKIPS_MOST; i++) {
		*end = calloc(1, sizeof(**end));
		if (!*end)
			return -ENOMEM;
		(*end)->parent = (pid_t)amounts_next_number(reader);
		(*end)->count = amounts_next_number(reader);
		flags = amounts_next_number(reader);
		(*end)->more = flags & 1;
		(*end)->late = flags & 2;
		named = amounts_next_number(reader);
		for (uint64_t k = 0; k < named && !reader->failed; k++) {
			pid_t pid = (pid_t)amounts_next_number(reader);

			if (k < COUNTS_UNWATCHED_NAMED)
				(*end)->pids[(*end)->named++] = pid;
		}
		if ((*end)->count < (*end)->named)
			(*end)->count = (*end)->named;
		end = &(*end)->next;
	}
	return 0;
}

static int get_notes(struct amounts_reader *reader, struct fact_note **end)
{
	for (unsigned i = 0; amounts_next_number(reader) && i < NOTES_MOST; i++) {
		size_t size;
		const char *bytes = amounts_next_bytes(reader, &size);

		if (!bytes)
			return 0;
		*end = calloc(1, sizeof(**end) + size + 1);
		if (!*end)
			return -ENOMEM;
		memcpy((*end)->text, bytes, size);
		end = &(*end)->next;
	}
	return 0;
}

static void point(struct facts *f, const uint64_t *numbers, const uint64_t *misses)
{
	f->facts = (struct counts_facts){
		.dropped_images = numbers[0],
		.dropped_messages = numbers[1],
		.unexamined = (unsigned)numbers[2],
		.unseen = (unsigned)numbers[3],
		.copies_error = -(int)(numbers[4] & 0xfff),
		.malformed = numbers[5],
		.refused = numbers[6],
		.image_bytes = numbers[7],
		.all_bytes = numbers[8],
		.no_memory = numbers[9],
		.more_skips = numbers[10],
		.skips_most = (unsigned)numbers[11],
		.no_faults = numbers[12] != 0,
		.no_copies = numbers[13] != 0,
		.stalls = numbers[14] != 0,
		.cache = numbers[15] != 0,
		.huge_page_bytes = numbers[16],
		.extras = (unsigned)numbers[17],
		.kernel = numbers[18] != 0,
		.functions = numbers[19] != 0,
		.unexamined_comms = f->comms,
		.gaps = f->gaps,
		.skips = f->skips,
		.unwatched = f->unwatched,
	};
	memcpy(f->facts.line_misses, misses, sizeof(f->facts.line_misses));
}

int facts_unpack(struct facts *f, const void *bytes, size_t size)
{
	/* Nothing is a NULL: no bytes of it exist. */
	const unsigned char *at = bytes ?: "";
	struct amounts_reader reader = {.at = at, .end = at + (bytes ? size : 0)};
	uint64_t numbers[FACTS_NUMBERS] = {}, misses[PYMEM_LINE_MISS_COUNT] = {};
	int err, i;

	*f = (struct facts){};
	get_numbers(&reader, numbers, FACTS_NUMBERS);
	get_numbers(&reader, misses, PYMEM_LINE_MISS_COUNT);
	get_numbers(&reader, f->gaps, COUNTS_GAP_COUNT);
	for (i = 0; i < COUNTS_COMMS_MAX; i++)
		get_string(&reader, f->comms[i], sizeof(f->comms[i]));
	err = get_skips(&reader, f) ?: get_unwatched(&reader, f);
	for (i = 0; i < FACTS_NOTES && !err; i++)
		err = get_notes(&reader, &f->notes[i]);
	point(f, numbers, misses);
	return err ?: reader.failed ? -EINVAL : 0;
}

void facts_free(struct facts *f)
{
	while (f->skips) {
		struct counts_skip *next = f->skips->next;

		free(f->skips);
		f->skips = next;
	}
	while (f->unwatched) {
		struct counts_unwatched *next = f->unwatched->next;

		free(f->unwatched);
		f->unwatched = next;
	}
	for (int i = 0; i < FACTS_NOTES; i++) {
		while (f->notes[i]) {
			struct fact_note *next = f->notes[i]->next;

			free(f->notes[i]);
			f->notes[i] = next;
		}
	}
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: between two reads, the memory at an address may become another object. The BPF side
 * tells code objects apart by a fingerprint. The same one is computed here: what is read between
 * two equal fingerprints belongs to that code object.
 *
 * Left out: a table that is replaced and restored between the two. user/track/store.c reads it
 * twice for that. */
#include "python/py_fingerprint.h"

#include <string.h>

#include "pymem_fingerprint.h"

struct memory {
	const struct py_layout *py;
	py_memory_fn read;
	void *arg;
};

static uint64_t word_at(const unsigned char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

static uint64_t hash_groups(uint64_t hash, const unsigned char *at, size_t groups)
{
	uint64_t h[4] = {hash, MIX1, MIX2, ~hash};
	int i;

	if (!groups)
		return hash;
	for (; groups; groups--, at += PYMEM_GROUP_BYTES)
		for (i = 0; i < 4; i++)
			h[i] = mix(h[i], word_at(at + 8 * i));
	return mix(mix(mix(h[0], h[1]), h[2]), h[3]);
}

static uint64_t hash_bytes(uint64_t hash, const unsigned char *at, size_t count)
{
	size_t groups = count / PYMEM_GROUP_BYTES;
	unsigned char rest[8] = {0};

	hash = hash_groups(hash, at, groups);
	at += groups * PYMEM_GROUP_BYTES;
	for (count %= PYMEM_GROUP_BYTES; count >= 8; count -= 8, at += 8)
		hash = mix(hash, word_at(at));
	if (count) {
		memcpy(rest, at, count);
		hash = mix(hash, word_at(rest));
	}
	return hash ? hash : 1;
}

/* Reads the beginning of the str at `address`, as far as it is hashed, into `head`. Returns the
 * number of bytes; 0: unreadable. */
static size_t read_text(const struct memory *m, uint64_t address, unsigned char *head)
{
	size_t room = 4096 - (address & 4095);

	if (m->read(m->arg, address, head, PYMEM_TEXT_ROOM))
		return PYMEM_TEXT_ROOM;
	/* The next page may not be mapped: read only what lies in this one. */
	room &= ~(size_t)7;
	return room >= 48 && room < PYMEM_TEXT_ROOM && m->read(m->arg, address, head, room) ? room
											    : 0;
}

static uint64_t hash_text(const struct memory *m, uint64_t address, uint64_t hash)
{
	unsigned char head[PYMEM_TEXT_ROOM], tail[PYMEM_TEXT_TAIL];
	size_t room = read_text(m, address, head), start;
	uint64_t bytes;
	uint32_t state;

	if (!room)
		return 0;
	memcpy(&state, head + m->py->unicode_state, sizeof(state));
	bytes = word_at(head + m->py->unicode_length) * (state >> m->py->unicode_kind_shift & 7);
	start = state >> m->py->unicode_ascii_shift & 1 ? m->py->unicode_ascii_size
							: m->py->unicode_compact_size;
	if (start >= room)
		return 0;
	hash = mix(hash, bytes);
	if (bytes <= room - start)
		return hash_bytes(hash, head + start, bytes);
	if (room < PYMEM_TEXT_ROOM)
		return 0;
	hash = hash_bytes(hash, head + start, room - start);
	if (!m->read(m->arg, address + start + bytes - sizeof(tail), tail, sizeof(tail)))
		return 0;
	return hash_bytes(hash, tail, sizeof(tail));
}

static uint64_t hash_samples(const struct memory *m, uint64_t data, uint64_t size, uint64_t hash)
{
	unsigned char samples[PYMEM_SAMPLES][PYMEM_SAMPLE_BYTES];
	uint32_t i;

	for (i = 0; i < PYMEM_SAMPLES; i++)
		if (!m->read(m->arg, data + sample_offset(size, i), samples[i], sizeof(samples[i])))
			return 0;
	return hash_bytes(hash, samples[0], sizeof(samples));
}

static uint64_t hash_table(const struct memory *m, uint64_t address, bool numbered, uint64_t hash)
{
	unsigned char bytes[PYMEM_TABLE_WHOLE];
	uint64_t size, data = address + m->py->bytes_data;
	size_t count;

	if (!m->read(m->arg, address + m->py->bytes_size, &size, sizeof(size)) || size > INT32_MAX)
		return 0;
	hash = mix(hash, size);
	count = size > sizeof(bytes) ? sizeof(bytes) / 2 : size;
	if (!m->read(m->arg, data, bytes, count))
		return 0;
	hash = hash_bytes(hash, bytes, count);
	if (size <= sizeof(bytes))
		return hash;
	if (!m->read(m->arg, data + size - count, bytes, count))
		return 0;
	hash = hash_bytes(hash, bytes, count);
	return numbered ? hash : hash_samples(m, data, size, hash);
}

/* A pointer in the code object. 0: unreadable, since no pointer to an object is 0. */
static uint64_t read_field(const struct memory *m, uint64_t code, uint16_t offset)
{
	uint64_t value;

	return m->read(m->arg, code + offset, &value, sizeof(value)) ? value : 0;
}

static bool read_number(const struct memory *m, uint64_t address, uint32_t *number)
{
	return m->read(m->arg, address, number, sizeof(*number));
}

uint64_t py_fingerprint(const struct py_layout *py, uint64_t code, py_memory_fn read, void *arg)
{
	const struct memory m = {py, read, arg};
	uint64_t file = read_field(&m, code, py->code_filename), hash;
	uint64_t name = read_field(&m, code, py->code_name);
	uint64_t table = read_field(&m, code, py->code_linetable);
	uint32_t line, version = 0;

	if (!file || !name || !table || !read_number(&m, code + py->code_firstlineno, &line))
		return 0;
	if (py->code_version != PY_NONE &&
	    !read_number(&m, code + py->code_firstlineno + py->code_version, &version))
		return 0;
	hash = mix(mix(mix(MIX2, file), name), table);
	hash = mix(hash, (uint64_t)version << 32 | line);
	hash = hash_text(&m, file, hash);
	if (hash)
		hash = hash_text(&m, name, hash);
	if (hash)
		hash = hash_table(&m, table, version != 0, hash);
	return hash ? hash | 1 : 0;
}

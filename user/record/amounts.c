/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers are written as base-128 varints, signed ones as zigzag (as protobuf does it), so the
 * format is the same on all architectures. A row is: identifier, flags, a mask of the fields that
 * are not 0, and these. */
#include "record/amounts.h"

#include <stdlib.h>
#include <string.h>

#define VARINT_MOST 10 /* bytes of a number */

static const uint64_t maxima[AMOUNTS_KINDS] = {
	[AMOUNTS_STACKS] = 1ull << STACK_PEAK,
	[AMOUNTS_RUNS] = 1ull << RUN_USAGE | 1ull << RUN_PEAK,
};

static bool is_maximum(enum amounts_kind kind, int field)
{
	return maxima[kind] >> field & 1;
}

/* --- fields --- */

/* The fields of stalls of that kind: how many, how long. */
static int stalls_field(int stall)
{
	return stall < STALLS_AT_FIRST ? STACK_STALLS + stall
				       : STACK_LATER + 2 * (stall - STALLS_AT_FIRST);
}

static int stall_ns_field(int stall)
{
	return stall < STALLS_AT_FIRST ? STACK_STALL_NS + stall : stalls_field(stall) + 1;
}

void amounts_of_stack(struct amounts *amounts, const struct pymem_counters *counters,
		      const struct pymem_vmcalls *vmcalls)
{
	int64_t *at = amounts->at;
	int i;

	memset(amounts, 0, sizeof(*amounts));
	at[STACK_ANON] = counters->pages[PYMEM_ANON];
	at[STACK_FILE] = counters->pages[PYMEM_FILE];
	at[STACK_SHMEM] = counters->pages[PYMEM_SHMEM];
	at[STACK_SWAP] = counters->pages[PYMEM_SWAP];
	at[STACK_GROWN] = (int64_t)counters->grown_pages;
	at[STACK_FREED] = (int64_t)counters->freed_pages;
	at[STACK_PEAK] = (int64_t)counters->peak_pages;
	at[STACK_MINOR] = (int64_t)counters->minor_faults;
	at[STACK_MAJOR] = (int64_t)counters->major_faults;
	at[STACK_COW] = (int64_t)counters->cow_faults;
	for (i = 0; vmcalls && i < PYMEM_VMCALL_COUNT; i++) {
		at[STACK_CALLS + i] = (int64_t)vmcalls->calls[i];
		at[STACK_BYTES + i] = vmcalls->bytes[i];
	}
	for (i = 0; vmcalls && i < PYMEM_STALL_COUNT; i++) {
		at[stalls_field(i)] = (int64_t)vmcalls->stalls[i];
		at[stall_ns_field(i)] = (int64_t)vmcalls->stall_ns[i];
	}
	for (i = 0; vmcalls && i < PYMEM_EXTRA_COUNT; i++)
		at[STACK_EXTRAS + i] = (int64_t)vmcalls->extras[i];
	at[STACK_RECLAIMED] = vmcalls ? (int64_t)vmcalls->reclaimed_pages : 0;
}

void amounts_to_stack(const struct amounts *amounts, struct pymem_counters *counters,
		      struct pymem_vmcalls *vmcalls)
{
	const int64_t *at = amounts->at;
	int i;

	*counters = (struct pymem_counters){
		.pages = {[PYMEM_ANON] = at[STACK_ANON],
			  [PYMEM_FILE] = at[STACK_FILE],
			  [PYMEM_SHMEM] = at[STACK_SHMEM],
			  [PYMEM_SWAP] = at[STACK_SWAP]},
		.grown_pages = (uint64_t)at[STACK_GROWN],
		.freed_pages = (uint64_t)at[STACK_FREED],
		.peak_pages = (uint64_t)at[STACK_PEAK],
		.minor_faults = (uint64_t)at[STACK_MINOR],
		.major_faults = (uint64_t)at[STACK_MAJOR],
		.cow_faults = (uint64_t)at[STACK_COW],
	};
	*vmcalls = (struct pymem_vmcalls){.reclaimed_pages = (uint64_t)at[STACK_RECLAIMED]};
	for (i = 0; i < PYMEM_VMCALL_COUNT; i++) {
		vmcalls->calls[i] = (uint64_t)at[STACK_CALLS + i];
		vmcalls->bytes[i] = at[STACK_BYTES + i];
	}
	for (i = 0; i < PYMEM_STALL_COUNT; i++) {
		vmcalls->stalls[i] = (uint64_t)at[stalls_field(i)];
		vmcalls->stall_ns[i] = (uint64_t)at[stall_ns_field(i)];
	}
	for (i = 0; i < PYMEM_EXTRA_COUNT; i++)
		vmcalls->extras[i] = (uint64_t)at[STACK_EXTRAS + i];
}

void amounts_of_kernel(struct amounts *amounts, const struct pymem_kernel *sums)
{
	memset(amounts, 0, sizeof(*amounts));
	for (int i = 0; i < PYMEM_KERNEL_COUNT; i++) {
		amounts->at[KERNEL_BYTES + i] = sums->bytes[i];
		amounts->at[KERNEL_GONE + i] = (int64_t)sums->gone[i];
		amounts->at[KERNEL_OBJECTS + i] = (int64_t)sums->objects[i];
	}
	amounts->at[KERNEL_UNKNOWN] = (int64_t)sums->unknown;
}

void amounts_to_kernel(const struct amounts *amounts, struct pymem_kernel *sums)
{
	*sums = (struct pymem_kernel){.unknown = (uint64_t)amounts->at[KERNEL_UNKNOWN]};
	for (int i = 0; i < PYMEM_KERNEL_COUNT; i++) {
		sums->bytes[i] = amounts->at[KERNEL_BYTES + i];
		sums->gone[i] = (uint64_t)amounts->at[KERNEL_GONE + i];
		sums->objects[i] = (uint64_t)amounts->at[KERNEL_OBJECTS + i];
	}
}

void amounts_of_run(struct amounts *amounts, const struct pymem_line *run)
{
	int64_t *at = amounts->at;

	memset(amounts, 0, sizeof(*amounts));
	at[RUN_RUNS] = (int64_t)run->runs;
	at[RUN_PAGES] = run->pages;
	at[RUN_ONCE] = run->once_pages;
	at[RUN_ROW] = run->row_pages;
	at[RUN_GC] = run->gc_pages;
	at[RUN_COLLECTIONS] = (int64_t)run->collections;
	at[RUN_USAGE] = (int64_t)run->usage_pages;
	at[RUN_PEAK] = (int64_t)run->peak_pages;
}

void amounts_to_run(const struct amounts *amounts, struct pymem_line *run)
{
	const int64_t *at = amounts->at;

	*run = (struct pymem_line){
		.runs = (uint64_t)at[RUN_RUNS],
		.pages = at[RUN_PAGES],
		.once_pages = at[RUN_ONCE],
		.row_pages = at[RUN_ROW],
		.gc_pages = at[RUN_GC],
		.collections = (uint64_t)at[RUN_COLLECTIONS],
		.usage_pages = (uint64_t)at[RUN_USAGE],
		.peak_pages = (uint64_t)at[RUN_PEAK],
	};
}

void amounts_of_record(struct amounts *amounts, const struct pymem_proc *record)
{
	int64_t *at = amounts->at;
	int i;

	memset(amounts, 0, sizeof(*amounts));
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		at[RECORD_LOST + i] = record->lost_pages[i];
	at[RECORD_TRUNCATED] = (int64_t)record->truncated;
	at[RECORD_LOST_FAULTS] = (int64_t)record->lost_faults;
	at[RECORD_UNWATCHED] = (int64_t)record->unwatched_writes;
	at[RECORD_THREADS] = record->threads;
	at[RECORD_LOST_STALLS] = (int64_t)record->lost_stalls;
	at[RECORD_LOST_STALL_NS] = (int64_t)record->lost_stall_ns;
	at[RECORD_CACHED_UNKEPT] = (int64_t)record->cached_unkept;
	for (i = 0; i < PYMEM_EXTRA_COUNT; i++)
		at[RECORD_EXTRAS + i] = (int64_t)record->lost_extras[i];
	for (i = 0; i < PYMEM_TABLE_COUNT; i++) {
		at[RECORD_HELD + i] = record->places[i].held;
		at[RECORD_REFUSED + i] = record->places[i].refused;
		at[RECORD_DENIED + i] = record->places[i].denied;
	}
}

void amounts_to_record(const struct amounts *amounts, struct pymem_proc *record)
{
	const int64_t *at = amounts->at;
	int i;

	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		record->lost_pages[i] = at[RECORD_LOST + i];
	record->truncated = (uint64_t)at[RECORD_TRUNCATED];
	record->lost_faults = (uint64_t)at[RECORD_LOST_FAULTS];
	record->unwatched_writes = (uint64_t)at[RECORD_UNWATCHED];
	record->threads = (uint32_t)at[RECORD_THREADS];
	record->lost_stalls = (uint64_t)at[RECORD_LOST_STALLS];
	record->lost_stall_ns = (uint64_t)at[RECORD_LOST_STALL_NS];
	record->cached_unkept = (uint64_t)at[RECORD_CACHED_UNKEPT];
	for (i = 0; i < PYMEM_EXTRA_COUNT; i++)
		record->lost_extras[i] = (uint64_t)at[RECORD_EXTRAS + i];
	for (i = 0; i < PYMEM_TABLE_COUNT; i++) {
		record->places[i].held = (uint32_t)at[RECORD_HELD + i];
		record->places[i].refused = (uint32_t)at[RECORD_REFUSED + i];
		record->places[i].denied = (uint32_t)at[RECORD_DENIED + i];
	}
}

/* --- sums --- */

/* Overflow wraps: the figures of a file may be anything. */
static int64_t plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

void amounts_add(enum amounts_kind kind, struct amounts *amounts, const struct amounts *more)
{
	for (int i = 0; i < AMOUNTS_FIELDS; i++) {
		int64_t *at = &amounts->at[i];

		if (!is_maximum(kind, i))
			*at = plus(*at, more->at[i]);
		else if (more->at[i] > *at)
			*at = more->at[i];
	}
}

void amounts_change(enum amounts_kind kind, struct amounts *change, const struct amounts *before,
		    const struct amounts *now)
{
	for (int i = 0; i < AMOUNTS_FIELDS; i++) {
		if (!is_maximum(kind, i))
			change->at[i] = (int64_t)((uint64_t)now->at[i] - (uint64_t)before->at[i]);
		else
			change->at[i] = now->at[i] > before->at[i] ? now->at[i] : 0;
	}
}

void amounts_drop_maxima(enum amounts_kind kind, struct amounts *amounts)
{
	for (int i = 0; i < AMOUNTS_FIELDS; i++)
		if (is_maximum(kind, i))
			amounts->at[i] = 0;
}

bool amounts_none(const struct amounts *amounts)
{
	for (int i = 0; i < AMOUNTS_FIELDS; i++)
		if (amounts->at[i])
			return false;
	return true;
}

static bool rises(int field)
{
	return field == STACK_GROWN || field == STACK_FREED || field == STACK_MINOR ||
	       field == STACK_MAJOR || field == STACK_COW ||
	       (field >= STACK_CALLS && field < STACK_BYTES) ||
	       (field >= STACK_STALLS && field < STACK_FIELDS);
}

bool amounts_fall(const struct amounts *before, const struct amounts *now)
{
	for (int i = 0; i < STACK_FIELDS; i++)
		if (rises(i) && now->at[i] < before->at[i])
			return true;
	return false;
}

void amounts_raise(struct amounts *amounts)
{
	for (int i = 0; i < STACK_FIELDS; i++)
		if (rises(i) && amounts->at[i] < 0)
			amounts->at[i] = 0;
}

/* --- packed --- */

static bool has_room(struct amounts_buffer *buffer, size_t bytes)
{
	size_t room = buffer->room;
	unsigned char *larger;

	if (buffer->failed)
		return false;
	if (room - buffer->size >= bytes)
		return true;
	while (room - buffer->size < bytes)
		room = room ? room * 2 : 256;
	larger = realloc(buffer->bytes, room);
	if (!larger) {
		buffer->failed = true;
		return false;
	}
	buffer->bytes = larger;
	buffer->room = room;
	return true;
}

void amounts_put_number(struct amounts_buffer *buffer, uint64_t number)
{
	if (!has_room(buffer, VARINT_MOST))
		return;
	for (; number >= 0x80; number >>= 7)
		buffer->bytes[buffer->size++] = (unsigned char)(number | 0x80);
	buffer->bytes[buffer->size++] = (unsigned char)number;
}

void amounts_put_all(struct amounts_buffer *buffer, const void *bytes, size_t size)
{
	if (!size || !has_room(buffer, size))
		return;
	memcpy(buffer->bytes + buffer->size, bytes, size);
	buffer->size += size;
}

void amounts_put_bytes(struct amounts_buffer *buffer, const void *bytes, size_t size)
{
	amounts_put_number(buffer, size);
	amounts_put_all(buffer, bytes, size);
}

void amounts_put(struct amounts_buffer *buffer, uint64_t id, uint64_t flags,
		 const struct amounts *amounts)
{
	uint64_t mask = 0;
	int i;

	for (i = 0; i < AMOUNTS_FIELDS; i++)
		mask |= (uint64_t)(amounts->at[i] != 0) << i;
	amounts_put_number(buffer, id);
	amounts_put_number(buffer, flags);
	amounts_put_number(buffer, mask);
	for (i = 0; i < AMOUNTS_FIELDS; i++) {
		uint64_t value = (uint64_t)amounts->at[i];

		if (value)
			amounts_put_number(buffer, value << 1 ^ (amounts->at[i] < 0 ? ~0ull : 0));
	}
}

void amounts_put_part(struct amounts_buffer *buffer, uint32_t image, enum amounts_kind kind,
		      const struct amounts_buffer *rows)
{
	buffer->failed |= rows->failed;
	amounts_put_number(buffer, image);
	amounts_put_number(buffer, kind);
	amounts_put_bytes(buffer, rows->bytes, rows->size);
}

uint64_t amounts_next_number(struct amounts_reader *reader)
{
	uint64_t number = 0;

	for (int i = 0; i < VARINT_MOST && reader->at < reader->end; i++) {
		unsigned char byte = *reader->at++;

		number |= (uint64_t)(byte & 0x7f) << 7 * i;
		if (!(byte & 0x80))
			return number;
	}
	reader->failed = true;
	reader->at = reader->end;
	return 0;
}

const void *amounts_next_bytes(struct amounts_reader *reader, size_t *size)
{
	uint64_t bytes = amounts_next_number(reader);
	const void *at = reader->at;

	*size = 0;
	if (reader->failed || bytes > (size_t)(reader->end - reader->at)) {
		reader->failed = true;
		return NULL;
	}
	reader->at += bytes;
	*size = bytes;
	return at;
}

bool amounts_next(struct amounts_reader *reader, uint64_t *id, uint64_t *flags,
		  struct amounts *amounts)
{
	uint64_t mask;

	if (reader->at == reader->end)
		return false;
	memset(amounts, 0, sizeof(*amounts));
	*id = amounts_next_number(reader);
	*flags = amounts_next_number(reader);
	mask = amounts_next_number(reader);
	for (int i = 0; i < 64 && !reader->failed; i++) {
		uint64_t value;

		if (!(mask >> i & 1))
			continue;
		value = amounts_next_number(reader);
		/* Fields beyond are those of a later version. */
		if (i < AMOUNTS_FIELDS)
			amounts->at[i] = (int64_t)(value >> 1 ^ (value & 1 ? ~0ull : 0));
	}
	return !reader->failed;
}

bool amounts_next_part(struct amounts_reader *reader, struct amounts_part *part)
{
	size_t size;

	if (reader->at == reader->end)
		return false;
	part->image = amounts_next_number(reader);
	part->kind = amounts_next_number(reader);
	part->rows = (struct amounts_reader){.at = amounts_next_bytes(reader, &size)};
	if (reader->failed)
		return false;
	part->rows.end = part->rows.at + size;
	return true;
}

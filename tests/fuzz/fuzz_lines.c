/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: the three kinds of line tables, each compared with a second decoder.
 *
 * The second decoder is slow, and written from the descriptions of the formats (CPython's
 * Objects/lnotab_notes.txt, PEP 626, Objects/locations.md). It first turns the whole table into
 * ranges of code with their lines. Both ends of a range are looked up, and what follows it; inside
 * a range nothing changes. Each look-up of the first decoder reads the table from its start. So
 * only some ranges of a long table are looked up, others with each input. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "python/py_code.h"

#define RANGES_MAX 4096
#define LOOKED_UP  64
#define NO_LINE	   INT64_MIN

struct range {
	int64_t end; /* it begins where the one before ends */
	int64_t line;
};

struct ranges {
	struct range list[RANGES_MAX];
	size_t count;
};

struct header {
	uint8_t kind;
	int32_t first_line, offset;
} __attribute__((packed));

static void add(struct ranges *r, int64_t bytes, int64_t line)
{
	int64_t start = r->count ? r->list[r->count - 1].end : 0;

	if (r->count == RANGES_MAX)
		abort();
	r->list[r->count++] = (struct range){start + bytes, line};
}

static void lay_out_lnotab(struct ranges *r, int64_t line, const uint8_t *table, size_t size)
{
	for (; size >= 2; table += 2, size -= 2) {
		add(r, table[0], line);
		line += table[1] < 128 ? table[1] : table[1] - 256;
	}
	add(r, INT64_MAX / 2, line);
}

static void lay_out_linetable(struct ranges *r, int64_t line, const uint8_t *table, size_t size)
{
	for (; size >= 2; table += 2, size -= 2) {
		if (table[1] == 128) {
			add(r, table[0], NO_LINE);
			continue;
		}
		line += table[1] < 128 ? table[1] : table[1] - 256;
		add(r, table[0], line);
	}
}

/* Reads the signed number at the start of an entry. False: it does not end there, or has more
 * digits than a line number can have. */
static bool signed_number(const uint8_t *bytes, size_t size, int64_t *number)
{
	uint64_t sum = 0, weight = 1;

	for (size_t i = 0; i < size && i < 6; i++, weight *= 64) {
		sum += (bytes[i] % 64) * weight;
		if (bytes[i] < 64) {
			*number = sum % 2 ? -(int64_t)(sum / 2) : (int64_t)(sum / 2);
			return true;
		}
	}
	return false;
}

static void lay_out_locations(struct ranges *r, int64_t line, const uint8_t *table, size_t size)
{
	while (size && table[0] >= 128) {
		unsigned kind = table[0] / 8 % 16;
		size_t entry = 1;
		int64_t change = 0;

		while (entry < size && table[entry] < 128)
			entry++;
		if ((kind == 13 || kind == 14) && !signed_number(table + 1, entry - 1, &change))
			return;
		if (kind == 11)
			change = 1;
		if (kind == 12)
			change = 2;
		line += change;
		add(r, (table[0] % 8 + 1) * 2, kind == 15 ? NO_LINE : line);
		table += entry;
		size -= entry;
	}
}

static int look_up(const struct ranges *r, int64_t first_line, int64_t offset)
{
	int64_t line = first_line;

	if (offset < -2)
		return -ENODATA;
	if (offset >= 0) {
		size_t i = 0;

		while (i < r->count && r->list[i].end <= offset)
			i++;
		if (i == r->count)
			return -ENODATA;
		line = r->list[i].line;
		if (line == NO_LINE)
			return 0;
	}
	return line < 0 || line > INT_MAX ? -ENODATA : (int)line;
}

static void compare(const struct py_code *code, const struct ranges *r, int offset)
{
	if (py_code_line(code, offset) != look_up(r, code->first_line, offset))
		abort();
}

static void compare_ranges(const struct py_code *code, const struct ranges *r, uint32_t seed)
{
	size_t step = 1 + r->count / LOOKED_UP;

	for (int offset = -3; offset <= 2; offset++)
		compare(code, r, offset);
	for (size_t i = seed % step; i < r->count; i += step) {
		int64_t start = i ? r->list[i - 1].end : 0, end = r->list[i].end;

		if (end > INT_MAX)
			end = INT_MAX;
		compare(code, r, (int)start);
		compare(code, r, (int)(end - 1));
		compare(code, r, (int)end);
	}
	/* The end of all code, whatever was left out. */
	if (r->count && r->list[r->count - 1].end < INT_MAX) {
		compare(code, r, (int)r->list[r->count - 1].end - 1);
		compare(code, r, (int)r->list[r->count - 1].end);
	}
}

/* A table that is cut anywhere gives the same line or none. */
static void check_cut(struct py_code code, const struct header *header)
{
	int whole = py_code_line(&code, header->offset), part;
	size_t size = code.linetable_len * header->kind / 256;
	unsigned char *copy = malloc(size);

	if (size && !copy)
		abort();
	if (size)
		memcpy(copy, code.linetable, size);
	code.linetable = copy;
	code.linetable_len = size;
	code.truncated = 1;
	part = py_code_line(&code, header->offset);
	if (part != whole && part != -ENODATA)
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t flags[] = {PY_LINES_LNOTAB, PY_LINES_LINETABLE, PY_LINES_LOCATIONS};
	static void (*const lay_out[])(struct ranges *, int64_t, const uint8_t *, size_t) = {
		lay_out_lnotab, lay_out_linetable, lay_out_locations};
	static struct ranges ranges;
	struct header header;
	struct py_code code = {0};

	if (size < sizeof(header) || size > RANGES_MAX)
		return 0;
	memcpy(&header, data, sizeof(header));
	data += sizeof(header);
	size -= sizeof(header);
	code.first_line = header.first_line;
	code.line_flags = flags[header.kind % 3];
	/* An exact copy, so that the sanitizer sees a read beyond the end. */
	code.linetable = malloc(size ? size : 1);
	if (!code.linetable)
		abort();
	memcpy(code.linetable, data, size);
	code.linetable_len = size;
	ranges.count = 0;
	lay_out[header.kind % 3](&ranges, header.first_line, data, size);
	compare(&code, &ranges, header.offset);
	compare_ranges(&code, &ranges, (uint32_t)header.first_line);
	check_cut(code, &header);
	free(code.linetable);
	return 0;
}

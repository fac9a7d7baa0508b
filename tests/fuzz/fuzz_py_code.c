/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: the decoders of line tables and of str objects.
 *
 * Beyond memory safety: a line is greater than 0, 0, or -ENODATA, and the same with and without
 * marks. A truncated table never gives another line than the whole one. Decoded text is UTF-8 of
 * bounded size and ends with a NUL. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "python/py_code.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct header {
	uint8_t choice, cut;
	int32_t first_line, lasti;
} __attribute__((packed));

static void fuzz_lines(const struct header *header, const uint8_t *data, size_t size)
{
	static const uint32_t flags[] = {PY_LINES_LNOTAB, PY_LINES_LINETABLE, PY_LINES_LOCATIONS,
					 0};
	struct py_code code = {
		.first_line = header->first_line,
		.line_flags = flags[header->choice % 4],
		.linetable = (unsigned char *)data,
		.linetable_len = size,
	};
	int whole = py_code_line(&code, header->lasti), part;
	struct py_code marked = code;
	unsigned char *copy;

	REQUIRE(whole >= 0 || whole == -ENODATA);
	REQUIRE(!py_code_index(&marked));
	REQUIRE(py_code_line(&marked, header->lasti) == whole);
	REQUIRE(!py_code_in_prologue(&marked, header->lasti) || whole == 0);
	free(marked.marks);
	code.truncated = 1;
	code.linetable_len = size * header->cut / 256;
	copy = malloc(code.linetable_len + 1);
	REQUIRE(copy);
	/* Shifted by one, so that the sanitizer sees a read of the byte behind the end. */
	memcpy(copy + 1, data, code.linetable_len);
	code.linetable = copy + 1;
	part = py_code_line(&code, header->lasti);
	REQUIRE(part == whole || part == -ENODATA);
	free(copy);
}

/* A long table: the input again and again, so that it has marks. */
static void fuzz_marks(const struct header *header, const uint8_t *data, size_t size)
{
	size_t room = 3 * PY_CODE_MARK_BYTES + header->cut, at;
	struct header far = *header;
	unsigned char *table;

	if (!size)
		return;
	table = malloc(room);
	REQUIRE(table);
	for (at = 0; at < room; at++)
		table[at] = data[at % size];
	far.lasti = header->lasti & 0x1ffff;
	fuzz_lines(&far, table, room);
	free(table);
}

static void require_utf8(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	while (*c) {
		int more = *c < 0x80 ? 0 : *c >> 5 == 6 ? 1 : *c >> 4 == 14 ? 2 : 3;

		REQUIRE(*c < 0x80 || (*c >= 0xc2 && *c <= 0xf4));
		for (c++; more; more--)
			REQUIRE(*c++ >> 6 == 2);
	}
}

static void fuzz_text(const struct header *header, const uint8_t *data, size_t size)
{
	unsigned kind = header->choice >> 2 & 7;
	size_t length = header->cut < 0xf0 ? header->cut : SIZE_MAX - header->cut;
	char *text = py_unicode_decode(data, size, length, kind);

	if (kind != 1 && kind != 2 && kind != 4) {
		REQUIRE(!text);
		return;
	}
	REQUIRE(text && strlen(text) <= 4 * (size / kind + 1));
	require_utf8(text);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header header;

	if (size < sizeof(header))
		return 0;
	memcpy(&header, data, sizeof(header));
	fuzz_lines(&header, data + sizeof(header), size - sizeof(header));
	fuzz_marks(&header, data + sizeof(header), size - sizeof(header));
	fuzz_text(&header, data + sizeof(header), size - sizeof(header));
	return 0;
}

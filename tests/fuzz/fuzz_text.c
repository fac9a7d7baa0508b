/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: what lies between a target's strings and a terminal.
 *
 * Beyond memory safety: the output has no control byte. Escaping it again does not change it, so it
 * is valid UTF-8 and harmless. Its columns are those returned and never too many. Its bytes are
 * bounded by its columns. The same text as a source that declares an encoding: it becomes at most
 * three times as long, and what is ASCII in it stays. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "os/source_encoding.h"
#include "render/render.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct header {
	uint8_t columns, indent, column, keep_end;
};

static char *printed(const char *text, unsigned columns, bool keep_end, unsigned *used)
{
	char *buffer = NULL;
	size_t size;
	FILE *out = open_memstream(&buffer, &size);

	REQUIRE(out);
	*used = text_print(out, text, columns, keep_end);
	REQUIRE(fclose(out) == 0);
	REQUIRE(strlen(buffer) == size);
	return buffer;
}

static void check_print(const char *text, unsigned columns, bool keep_end)
{
	unsigned used, again;
	char *once = printed(text, columns, keep_end, &used);
	char *twice = printed(once, 0, false, &again);
	size_t i;

	for (i = 0; once[i]; i++)
		REQUIRE((unsigned char)once[i] >= 0x20 && once[i] != 0x7f);
	REQUIRE(strcmp(once, twice) == 0);
	REQUIRE(used == again && used == text_columns(once));
	REQUIRE(!columns || used <= columns);
	/* A character has at most 4 bytes, and 4 marks of 4 bytes. */
	REQUIRE(strlen(once) <= 20 * (size_t)used);
	if (!columns)
		REQUIRE(used == text_columns(text));
	free(once);
	free(twice);
}

static void check_wrap(const char *text, const struct header *header)
{
	unsigned columns = header->columns, indent = header->indent % 40, used;
	char *buffer = NULL, *rest, *line;
	size_t size;
	FILE *out = open_memstream(&buffer, &size);

	REQUIRE(out);
	used = text_wrap(out, text, header->column % 40, columns, indent);
	REQUIRE(fclose(out) == 0);
	REQUIRE(strlen(buffer) == size);
	if (columns > 80)
		REQUIRE(used <= columns);
	rest = buffer;
	while ((line = strsep(&rest, "\n"))) {
		if (columns > 80)
			REQUIRE(text_columns(line) <= columns);
		for (; *line; line++)
			REQUIRE((unsigned char)*line >= 0x20 && *line != 0x7f);
	}
	free(buffer);
}

static void check_source(const char *text, size_t length, uint8_t choice)
{
	static const char *const names[] = {
		"cp932", "euc_jp",    "cp949",	"gb18030", "cp950",
		"johab", "big5hkscs", "cp1252", "latin-1", "utf-8",
	};
	char *source;
	size_t size;
	int begin = asprintf(&source, "# coding: %s\n", names[choice % 10]);

	REQUIRE(begin > 0);
	size = (size_t)begin + length;
	source = realloc(source, size);
	REQUIRE(source);
	memcpy(source + begin, text, length);
	REQUIRE(source_to_utf8(&source, &size) == 0);
	REQUIRE(size >= (size_t)begin && size <= (size_t)begin + 3 * length);
	for (size_t i = 0, at = (size_t)begin; i < length; i++) {
		if ((unsigned char)text[i] >= 0x80)
			break;
		REQUIRE(source[at++] == text[i]);
	}
	free(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header header;
	char *text;

	if (size < sizeof(header))
		return 0;
	memcpy(&header, data, sizeof(header));
	data += sizeof(header);
	size -= sizeof(header);
	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check_print(text, header.columns, header.keep_end & 1);
	check_print(text, 0, false);
	check_wrap(text, &header);
	check_source(text, size, header.column);
	free(text);
	return 0;
}

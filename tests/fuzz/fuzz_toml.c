/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libFuzzer target: the agent's config file as a TOML document (user/base/toml.c).
 *
 * Beyond memory safety: names are bare keys, and each is there once. Texts are what their types
 * say. Values are in the order and at the places where they are in the document. What was read and
 * is written again, all strings with escapes, is read as the same. What is refused has a place in
 * the document, and a sentence that a terminal can have. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/toml.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char bare[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

/* The byte at a place; columns are characters. */
static uint8_t byte_at(const uint8_t *data, size_t size, unsigned line, unsigned column)
{
	size_t i = 0;

	for (; line > 1; i++) {
		REQUIRE(i < size);
		line -= data[i] == '\n';
	}
	for (; column > 1; column--)
		do
			REQUIRE(i < size && data[i++] != '\n');
		while (i < size && (data[i] & 0xc0) == 0x80);
	return i < size ? data[i] : '\0';
}

static void check_value(const struct toml_value *value, uint8_t first)
{
	const char *text = value->text;
	char *end;

	if (value->type == TOML_STRING) {
		REQUIRE(first == '"' || first == '\'');
	} else if (value->type == TOML_BOOLEAN) {
		REQUIRE(!strcmp(text, first == 't' ? "true" : "false"));
	} else {
		REQUIRE(strchr("+-0123456789", first));
		REQUIRE(strspn(text, "-.+eE0123456789") == strlen(text) && *text != '+');
		errno = 0;
		if (value->type == TOML_INTEGER)
			strtoll(text, &end, 10);
		else
			REQUIRE(!isnan(strtod(text, &end)));
		REQUIRE(!*end && end > text && (value->type == TOML_FLOAT || !errno));
	}
}

static void check(const struct toml *t, const uint8_t *data, size_t size)
{
	size_t values = 0;

	REQUIRE(t->count <= TOML_ENTRIES && t->value_count <= TOML_VALUES);
	for (size_t i = 0; i < t->count; i++) {
		const struct toml_entry *entry = &t->entries[i];

		REQUIRE(*entry->name && !entry->name[strspn(entry->name, bare)]);
		REQUIRE(byte_at(data, size, entry->line, entry->column) == (uint8_t)*entry->name);
		REQUIRE(entry->first == values && (entry->is_array || entry->count == 1));
		values += entry->count;
		for (size_t j = 0; j < i; j++)
			REQUIRE(strcmp(entry->name, t->entries[j].name) != 0);
	}
	REQUIRE(values == t->value_count);
	for (size_t i = 0; i < values; i++)
		check_value(&t->values[i],
			    byte_at(data, size, t->values[i].line, t->values[i].column));
}

/* --- again --- */

static void write_value(FILE *out, const struct toml_value *value)
{
	if (value->type != TOML_STRING) {
		fputs(value->text, out);
		return;
	}
	fputc('"', out);
	for (const char *c = value->text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '"' || *c == '\\')
			fprintf(out, "\\u%04X", (unsigned)*c);
		else
			fputc(*c, out);
	fputc('"', out);
}

static char *written(const struct toml *t, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	REQUIRE(out);
	for (size_t i = 0; i < t->count; i++) {
		const struct toml_entry *entry = &t->entries[i];

		fprintf(out, "%s=%s", entry->name, entry->is_array ? "[" : "");
		for (size_t j = 0; j < entry->count; j++) {
			fputs(j ? "," : "", out);
			write_value(out, &t->values[entry->first + j]);
		}
		fputs(entry->is_array ? "]\n" : "\n", out);
	}
	REQUIRE(fclose(out) == 0);
	return text;
}

static void check_again(const struct toml *t)
{
	struct toml_error why;
	struct toml again;
	size_t size;
	char *text = written(t, &size);

	REQUIRE(!toml_parse(&again, text, size, &why));
	REQUIRE(again.count == t->count && again.value_count == t->value_count);
	for (size_t i = 0; i < t->count; i++)
		REQUIRE(!strcmp(again.entries[i].name, t->entries[i].name) &&
			again.entries[i].is_array == t->entries[i].is_array &&
			again.entries[i].count == t->entries[i].count);
	for (size_t i = 0; i < t->value_count; i++)
		REQUIRE(again.values[i].type == t->values[i].type &&
			!strcmp(again.values[i].text, t->values[i].text));
	toml_fini(&again);
	free(text);
}

static void check_error(const struct toml_error *why, const uint8_t *data, size_t size)
{
	char escaped[4 * sizeof(why->what)];

	REQUIRE(why->line >= 1 && why->column >= 1);
	byte_at(data, size, why->line, why->column);
	REQUIRE(strlen(why->what) > 8 && strlen(why->what) < sizeof(why->what) - 1);
	text_escape(escaped, sizeof(escaped), why->what);
	REQUIRE(!strcmp(escaped, why->what));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct toml_error why;
	struct toml t;
	int err = toml_parse(&t, (const char *)data, size, &why);

	if (err) {
		REQUIRE(err == -EINVAL && !t.count && !t.memory);
		check_error(&why, data, size);
		return 0;
	}
	check(&t, data, size);
	check_again(&t);
	toml_fini(&t);
	return 0;
}

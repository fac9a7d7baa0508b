/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the TOML reader (user/base/toml.c) reads of documents, for a comparison with another reader
 * (tests/unit/toml_compare.py).
 *
 *   toml-dump < DOCUMENTS
 *
 * Each document comes as its size in bytes, of 4 bytes, little-endian, and its bytes. Of each, one
 * line of JSON is printed: {"entries": [[NAME, VALUES]]}, of which VALUES are one [TYPE, TEXT,
 * LINE, COLUMN] or an array of them; or {"line": N, "column": N, "what": TEXT}. Built with
 * sanitizers. */
#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/toml.h"

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "toml-dump: %s\n", what);
	exit(1);
}

static json_t *value_json(const struct toml_value *value)
{
	static const char *const types[] = {
		[TOML_STRING] = "string",
		[TOML_INTEGER] = "integer",
		[TOML_FLOAT] = "float",
		[TOML_BOOLEAN] = "boolean",
	};

	return json_pack("[s, o, i, i]", types[value->type], json_text(value->text),
			 (int)value->line, (int)value->column);
}

static json_t *entry_json(const struct toml *toml, const struct toml_entry *entry)
{
	const struct toml_value *values = toml->values + entry->first;
	json_t *array;

	if (!entry->is_array)
		return json_pack("[s, o]", entry->name, value_json(values));
	array = json_array();
	for (size_t i = 0; i < entry->count; i++)
		json_array_append_new(array, value_json(&values[i]));
	return json_pack("[s, o]", entry->name, array);
}

static json_t *document_json(const char *bytes, size_t size)
{
	struct toml_error why;
	struct toml toml = {};
	json_t *entries;
	int err = toml_parse(&toml, bytes, size, &why);

	if (err == -EINVAL)
		return json_pack("{s: i, s: i, s: o}", "line", (int)why.line, "column",
				 (int)why.column, "what", json_text(why.what));
	if (err)
		fail(strerror(-err));
	entries = json_array();
	for (size_t i = 0; i < toml.count; i++)
		json_array_append_new(entries, entry_json(&toml, &toml.entries[i]));
	toml_fini(&toml);
	return json_pack("{s: o}", "entries", entries);
}

int main(void)
{
	uint32_t size;

	while (fread(&size, sizeof(size), 1, stdin) == 1) {
		/* As many bytes as there are, so that a sanitizer sees a read behind them. */
		char *bytes = malloc(le32toh(size));
		json_t *json;

		size = le32toh(size);
		if ((size && !bytes) || fread(bytes, 1, size, stdin) != size)
			fail("a document is cut short");
		json = document_json(bytes, size);
		if (!json || json_write(stdout, json, JSON_COMPACT) || putchar('\n') == EOF)
			fail("a result can't be written");
		json_decref(json);
		free(bytes);
	}
	if (ferror(stdin) || fflush(stdout))
		fail("the documents can't be read, or the results can't be written");
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "model/heap_brief.h"

#include <stdio.h>

#include "base/json_text.h"

static json_t *cut(const char *text)
{
	char part[HEAP_BRIEF_TEXT + 1];

	snprintf(part, sizeof(part), "%s", text ?: "");
	return json_text(part);
}

static json_t *count(uint64_t number)
{
	return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

static json_t *holders_value(const struct heap_look *look)
{
	json_t *array = json_array();
	int err = array ? 0 : -1;

	for (size_t i = 0; i < look->holder_count && i < HEAP_BRIEF_ROWS && !err; i++) {
		const struct heap_holder_row *row = &look->holders[i];

		err = json_array_append_new(
			array, json_pack("{s:o, s:o, s:o, s:o}", "path", cut(row->path), "type",
					 cut(row->type), "entries",
					 row->has_entries ? count(row->entries) : json_null(),
					 "retained_bytes", count(row->retained_bytes)));
	}
	if (!err)
		return array;
	json_decref(array);
	return NULL;
}

static json_t *types_value(const struct heap_look *look)
{
	json_t *array = json_array();
	int err = array ? 0 : -1;

	for (size_t i = 0; i < look->type_count && i < HEAP_BRIEF_ROWS && !err; i++) {
		const struct heap_type_row *row = &look->types[i];

		err = json_array_append_new(
			array, json_pack("{s:o, s:o, s:o}", "type", cut(row->type), "objects",
					 count(row->objects), "bytes", count(row->bytes)));
	}
	if (!err)
		return array;
	json_decref(array);
	return NULL;
}

json_t *heap_brief_value(const struct heap_look *look)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "rss_bytes", count(look->rss_bytes),
			 "holders", holders_value(look), "holders_in_all",
			 count(look->holder_count), "types", types_value(look), "types_in_all",
			 count(look->type_count));
}

/* --- what may come from anybody --- */

static bool is_count(const json_t *object, const char *name, bool or_null)
{
	const json_t *value = json_object_get(object, name);

	return (or_null && json_is_null(value)) ||
	       (json_is_integer(value) && json_integer_value(value) >= 0);
}

static bool is_text(const json_t *object, const char *name)
{
	return json_is_string(json_object_get(object, name));
}

static bool is_holder(const json_t *row)
{
	return is_text(row, "path") && is_text(row, "type") && is_count(row, "entries", true) &&
	       is_count(row, "retained_bytes", false);
}

static bool is_type(const json_t *row)
{
	return is_text(row, "type") && is_count(row, "objects", false) &&
	       is_count(row, "bytes", false);
}

static bool are_rows(const json_t *array, bool (*is_row)(const json_t *row))
{
	size_t rows = json_array_size(array);

	if (!json_is_array(array) || rows > HEAP_BRIEF_ROWS)
		return false;
	for (size_t i = 0; i < rows; i++)
		if (!is_row(json_array_get(array, i)))
			return false;
	return true;
}

bool heap_brief_is_one(const json_t *value)
{
	return is_count(value, "rss_bytes", false) && is_count(value, "holders_in_all", false) &&
	       is_count(value, "types_in_all", false) &&
	       are_rows(json_object_get(value, "holders"), is_holder) &&
	       are_rows(json_object_get(value, "types"), is_type);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The document may come from anybody: what is printed is checked before, and escaped. */
#include "cli/oom_extras.h"

#include "base/text.h"
#include "model/heap_brief.h"
#include "model/model.h"
#include "render/render_parts.h"

#define LINES_MOST   10
#define NAME_COLUMNS 60
#define SIZE_COLUMNS 13 /* and two spaces */

static json_int_t number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool is_number(const json_t *object, const char *name)
{
	return json_is_integer(json_object_get(object, name));
}

/* --- what is good --- */

static bool is_line(const json_t *row)
{
	return text_of(row, "file") && text_of(row, "function") && is_number(row, "line") &&
	       number_of(row, "line") >= 0 && number_of(row, "line") <= INT32_MAX &&
	       is_number(row, "increment_bytes");
}

static bool are_lines_good(const json_t *document)
{
	const json_t *lines = json_object_get(document, "lines");
	size_t count = json_array_size(lines);

	if (!lines)
		return true;
	if (!json_is_array(lines) || count > LINES_MOST ||
	    !is_number(document, "other_lines_bytes") || !is_number(document, "no_line_bytes"))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!is_line(json_array_get(lines, i)))
			return false;
	return true;
}

bool oom_extras_are_good(const json_t *document)
{
	const json_t *heap = json_object_get(document, "heap");

	if (!are_lines_good(document))
		return false;
	if (!heap || json_is_null(heap))
		return true;
	return heap_brief_is_one(heap) && json_is_number(json_object_get(heap, "age_s"));
}

/* --- as text --- */

static void put_size(FILE *out, int64_t bytes, bool sign)
{
	char amount[40];

	parts_size(amount, sizeof(amount), bytes, sign);
	fprintf(out, "%*s  ", SIZE_COLUMNS, amount);
}

static void put_rest(FILE *out, int64_t bytes, const char *what)
{
	if (!bytes)
		return;
	put_size(out, bytes, true);
	fprintf(out, "%s\n", what);
}

static unsigned room_of(unsigned width)
{
	return width > SIZE_COLUMNS + 22 ? width - SIZE_COLUMNS - 2 : width ? 20 : 0;
}

static void print_lines(FILE *out, const json_t *document, unsigned width)
{
	const json_t *lines = json_object_get(document, "lines");

	if (!lines)
		return;
	fputs("\nWhat its lines changed RSS by\n", out);
	for (size_t i = 0; i < json_array_size(lines); i++) {
		const json_t *row = json_array_get(lines, i);
		const struct model_location at = {.file = text_of(row, "file"),
						  .function = text_of(row, "function"),
						  .line = (int)number_of(row, "line")};

		put_size(out, number_of(row, "increment_bytes"), true);
		parts_place(out, &at, room_of(width));
		fputc('\n', out);
	}
	put_rest(out, number_of(document, "other_lines_bytes"), "other lines");
	put_rest(out, number_of(document, "no_line_bytes"), "no line");
}

static void print_age(FILE *out, double seconds)
{
	if (seconds >= 120)
		fprintf(out, "%.0f min", seconds / 60);
	else
		fprintf(out, "%.1f s", seconds);
}

static void print_more(FILE *out, const json_t *heap, const char *rows, const char *all)
{
	json_int_t more =
		number_of(heap, all) - (json_int_t)json_array_size(json_object_get(heap, rows));

	if (more > 0)
		fprintf(out, "%*s  and %" JSON_INTEGER_FORMAT " more %s\n", SIZE_COLUMNS, "", more,
			rows);
}

static void print_rows(FILE *out, const json_t *heap, unsigned width)
{
	const json_t *holders = json_object_get(heap, "holders");
	const json_t *types = json_object_get(heap, "types");

	for (size_t i = 0; i < json_array_size(holders); i++) {
		const json_t *row = json_array_get(holders, i);

		put_size(out, number_of(row, "retained_bytes"), false);
		text_print(out, text_of(row, "path"), room_of(width) > 24 ? room_of(width) - 22 : 0,
			   false);
		fputs("  ", out);
		text_print(out, text_of(row, "type"), 20, false);
		fputc('\n', out);
	}
	print_more(out, heap, "holders", "holders_in_all");
	for (size_t i = 0; i < json_array_size(types) && !json_array_size(holders); i++) {
		const json_t *row = json_array_get(types, i);

		put_size(out, number_of(row, "bytes"), false);
		text_print(out, text_of(row, "type"), NAME_COLUMNS, false);
		fputc('\n', out);
	}
}

static void print_heap(FILE *out, const json_t *heap, unsigned width)
{
	char rss[40];

	if (!heap || json_is_null(heap))
		return;
	parts_size(rss, sizeof(rss), number_of(heap, "rss_bytes"), false);
	fprintf(out, "\nWhat kept memory in the last look at its heap, ");
	print_age(out, json_number_value(json_object_get(heap, "age_s")));
	fprintf(out, " before, at RSS %s\n", rss);
	print_rows(out, heap, width);
}

void oom_extras_print(FILE *out, const json_t *document, unsigned width)
{
	print_lines(out, document, width);
	print_heap(out, json_object_get(document, "heap"), width);
}

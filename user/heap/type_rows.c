/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/type_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap/survey.h"

struct tally {
	uint64_t objects, bytes;
};

/* The type that a block's bytes count for: its own, or its owner's; TYPE_NONE. */
static int32_t type_of(const struct heap_blocks *blocks, const struct heap_graph *graph,
		       uint32_t block)
{
	int32_t type = heap_blocks_type(blocks, block);
	uint32_t owner;

	if (type >= 0)
		return type;
	if (type != BLOCK_BUFFER || !graph)
		return TYPE_NONE;
	owner = heap_graph_owner(graph, block);
	if (owner == BLOCK_NONE)
		return TYPE_NONE;
	type = heap_blocks_type(blocks, owner);
	return type >= 0 ? type : TYPE_NONE;
}

static void tally_blocks(const struct heap_blocks *blocks, const struct heap_graph *graph,
			 struct tally *tallies)
{
	uint32_t count = heap_blocks_count(blocks);
	int32_t type;

	for (uint32_t block = 0; block < count; block++) {
		type = type_of(blocks, graph, block);
		if (type == TYPE_NONE)
			continue;
		tallies[type].objects += heap_blocks_type(blocks, block) >= 0;
		tallies[type].bytes += heap_blocks_size(blocks, block);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct heap_type_row *x = a, *y = b;

	return strcmp(x->type, y->type);
}

/* Makes one row of all that have one name. Rows must be in order of name. Returns their new number.
 */
static size_t merge_names(struct heap_type_row *rows, size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		if (!used || strcmp(rows[used - 1].type, rows[i].type)) {
			rows[used++] = rows[i];
			continue;
		}
		rows[used - 1].objects += rows[i].objects;
		rows[used - 1].bytes += rows[i].bytes;
		free(rows[i].type);
	}
	return used;
}

void heap_type_rows_free(struct heap_type_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(rows[i].type);
	free(rows);
}

static int rows_of(const struct heap_types *types, const struct tally *tallies,
		   struct heap_type_row *rows, size_t *count)
{
	uint32_t known = heap_types_count(types);

	*count = 0;
	for (uint32_t i = 0; i < known; i++) {
		if (!tallies[i].objects)
			continue;
		rows[*count] = (struct heap_type_row){
			.type = strdup(heap_types_get(types, (int32_t)i)->name),
			.objects = tallies[i].objects,
			.bytes = tallies[i].bytes,
		};
		if (!rows[*count].type)
			return -ENOMEM;
		++*count;
	}
	if (*count)
		qsort(rows, *count, sizeof(*rows), by_name);
	*count = merge_names(rows, *count);
	return 0;
}

int heap_type_rows_make(const struct heap_types *types, const struct heap_blocks *blocks,
			const struct heap_graph *graph, struct heap_type_row **rows, size_t *count)
{
	uint32_t known = heap_types_count(types);
	struct tally *tallies = calloc(known + 1, sizeof(*tallies));
	int err = -ENOMEM;

	*count = 0;
	*rows = calloc(known + 1, sizeof(**rows));
	if (tallies && *rows) {
		tally_blocks(blocks, graph, tallies);
		err = rows_of(types, tallies, *rows, count);
	}
	if (err) {
		heap_type_rows_free(*rows, *count);
		*rows = NULL;
		*count = 0;
	}
	free(tallies);
	return err;
}

int heap_type_rows_of_survey(const struct heap_types *types, const struct survey_row *found,
			     size_t found_count, struct heap_type_row **rows, size_t *count)
{
	struct tally *tallies = calloc(heap_types_count(types) + 1, sizeof(*tallies));
	int err = -ENOMEM;

	*count = 0;
	*rows = calloc(heap_types_count(types) + 1, sizeof(**rows));
	for (size_t i = 0; tallies && i < found_count; i++)
		tallies[found[i].type] = (struct tally){found[i].objects, found[i].bytes};
	if (tallies && *rows)
		err = rows_of(types, tallies, *rows, count);
	if (err) {
		heap_type_rows_free(*rows, *count);
		*rows = NULL;
		*count = 0;
	}
	free(tallies);
	return err;
}

/* Makes the row of a type that has no objects any more. */
static int add_gone(struct heap_type_row *row, const struct heap_type_row *past)
{
	*row = (struct heap_type_row){
		.type = strdup(past->type),
		.objects_grown = -(int64_t)past->objects,
		.bytes_grown = -(int64_t)past->bytes,
	};
	return row->type ? 0 : -ENOMEM;
}

int heap_type_rows_compare(struct heap_type_row **rows, size_t *count,
			   const struct heap_type_row *past, size_t past_count)
{
	struct heap_type_row *more = reallocarray(*rows, *count + past_count + 1, sizeof(**rows));
	size_t have = *count, at = 0;
	int order, err = 0;

	if (!more)
		return -ENOMEM;
	*rows = more;
	for (size_t i = 0; i < have; i++) {
		more[i].objects_grown = (int64_t)more[i].objects;
		more[i].bytes_grown = (int64_t)more[i].bytes;
	}
	for (size_t i = 0; i < past_count && !err; i++) {
		order = 1;
		while (at < have && (order = strcmp(more[at].type, past[i].type)) < 0)
			at++;
		if (at < have && !order) {
			more[at].objects_grown -= (int64_t)past[i].objects;
			more[at].bytes_grown -= (int64_t)past[i].bytes;
			continue;
		}
		err = add_gone(&more[*count], &past[i]);
		*count += !err;
	}
	return err;
}

static int by_bytes(const void *a, const void *b)
{
	const struct heap_type_row *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->type, y->type);
}

static int by_growth(const void *a, const void *b)
{
	const struct heap_type_row *x = a, *y = b;

	if (x->bytes_grown != y->bytes_grown)
		return x->bytes_grown < y->bytes_grown ? 1 : -1;
	return by_bytes(a, b);
}

void heap_type_rows_sort(struct heap_type_row *rows, size_t count, bool growth)
{
	if (count)
		qsort(rows, count, sizeof(*rows), growth ? by_growth : by_bytes);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Holders are compared by path and type. Several may have the same ones, such as what C code holds:
 * the largest is compared with the largest, and so on.
 *
 * In two looks of one run of `heap` a holder is known by its address. Here it is not, and a look
 * does not list all: the figures of one that is not listed are known to lie between 0 and a
 * bound. */
#include "record/look_growth.h"

#include <stdlib.h>
#include <string.h>

#include "heap/type_rows.h"

static int by_name(const struct heap_holder_row *x, const struct heap_holder_row *y)
{
	int order = strcmp(x->path, y->path);

	return order ?: strcmp(x->type, y->type);
}

static int by_name_and_size(const void *a, const void *b)
{
	const struct heap_holder_row *x = a, *y = b;
	int order = by_name(x, y);

	return order
		       ?: (x->retained_bytes < y->retained_bytes) -
				  (x->retained_bytes > y->retained_bytes);
}

static int by_type(const void *a, const void *b)
{
	const struct heap_type_row *x = a, *y = b;

	return strcmp(x->type, y->type);
}

/* The bytes that a holder has at most if the look does not list it. */
static uint64_t most_unlisted(const struct heap_look *look)
{
	uint64_t most = heap_balance_live(&look->balance) / HEAP_LOOK_LEAST_PART;
	uint64_t least = UINT64_MAX;

	if (most < HEAP_LOOK_LEAST_BYTES)
		most = HEAP_LOOK_LEAST_BYTES;
	if (look->holder_count < HEAP_LOOK_HOLDERS)
		return most;
	for (size_t i = 0; i < look->holder_count; i++)
		if (look->holders[i].retained_bytes < least)
			least = look->holders[i].retained_bytes;
	return least > most ? least : most;
}

/* A holder of the last look that the first one does not list. It is new if it had less than half of
 * what it has now, and no look in between has it. */
static void compare_unlisted(struct heap_holder_row *row, bool was_between, uint64_t most)
{
	uint64_t before = most < row->retained_bytes ? most : row->retained_bytes;

	row->grown_bytes = (int64_t)(row->retained_bytes - before);
	row->is_new = !was_between && most <= row->retained_bytes / 2;
	if (row->is_new)
		row->entries_grown = (int64_t)row->entries;
	else
		row->has_entries = false; /* how many have come is not known */
}

static void compare_listed(struct heap_holder_row *row, const struct heap_holder_row *past)
{
	row->grown_bytes = (int64_t)row->retained_bytes - (int64_t)past->retained_bytes;
	row->has_entries &= past->has_entries;
	row->entries_grown = (int64_t)row->entries - (int64_t)past->entries;
}

/* A position in the rows of a look, which are sorted by name and size. */
struct cursor {
	const struct heap_look *look; /* NULL: there are no rows */
	size_t at;
};

/* The next row with that name; it is passed. NULL: there is none. */
static const struct heap_holder_row *next_of_name(struct cursor *c,
						  const struct heap_holder_row *row)
{
	int order = -1;

	while (c->look && c->at < c->look->holder_count &&
	       (order = by_name(&c->look->holders[c->at], row)) < 0)
		c->at++;
	return order ? NULL : &c->look->holders[c->at++];
}

/* Returns how many holders the first look does not list, though they may have been there. */
static size_t compare_holders(struct heap_look *last, const struct heap_look *first,
			      const struct heap_look *before)
{
	struct cursor in_first = {first, 0}, in_before = {before, 0};
	uint64_t most = most_unlisted(first);
	size_t unlisted = 0;

	for (size_t i = 0; i < last->holder_count; i++) {
		struct heap_holder_row *row = &last->holders[i];
		const struct heap_holder_row *past = next_of_name(&in_first, row),
					     *between = next_of_name(&in_before, row);

		if (past)
			compare_listed(row, past);
		else
			compare_unlisted(row, between, most);
		unlisted += !past;
	}
	return unlisted;
}

static void sort_by_name(struct heap_look *look)
{
	if (look && look->holder_count)
		qsort(look->holders, look->holder_count, sizeof(*look->holders), by_name_and_size);
	if (look && look->type_count)
		qsort(look->types, look->type_count, sizeof(*look->types), by_type);
}

/* 0 or -ENOMEM. */
static int say_unlisted(struct heap_look *last, const struct heap_look *first, size_t unlisted)
{
	if (!unlisted)
		return 0;
	return heap_look_say(
		&last->notes,
		"%zu of the holders %s not in the first look, which lists what retains "
		"%.1f KiB or more: growth is what is shown, or up to that much more",
		unlisted, unlisted == 1 ? "is" : "are", (double)most_unlisted(first) / 1024);
}

int look_growth(struct heap_look *last, struct heap_look *first, struct heap_look *before,
		double seconds)
{
	int err;

	last->seconds = seconds;
	last->rss_first_bytes = first->rss_bytes;
	last->balance_first = first->balance;
	last->garbage_grown = (int64_t)last->garbage_bytes - (int64_t)first->garbage_bytes;
	sort_by_name(first);
	sort_by_name(before);
	sort_by_name(last);
	err = say_unlisted(last, first, compare_holders(last, first, before));
	err = err
		      ?: heap_type_rows_compare(&last->types, &last->type_count, first->types,
						first->type_count);
	heap_type_rows_sort(last->types, last->type_count, true);
	return err ?: heap_look_sort_holders(last);
}

int look_sort(struct heap_look *look)
{
	heap_type_rows_sort(look->types, look->type_count, false);
	return heap_look_sort_holders(look);
}

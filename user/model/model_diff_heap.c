/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: which line grew says where memory was allocated, not what keeps it. The looks of both
 * sides do.
 *
 * The rows of all looks of a program are put into one list, sorted by name, side and look. What has
 * one name then stands together, and becomes one row. */
#include "model/model_diff_heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"

#define SUM_MOST (1ll << 60) /* figures are made up by targets: a sum stays below that */

/* The last look at a process. */
struct last {
	const struct model_process *process;
	const struct heap_times_look *look;
	UT_hash_handle hh;
};

/* A row of a look. */
struct piece {
	const char *path, *type;
	int side;
	size_t look; /* number of the look in its side */
	int64_t bytes, number;
};

struct looks {
	const struct heap_times *times[MODEL_DIFF_SIDES];
	struct last *last[MODEL_DIFF_SIDES];
	/* Those of one program. */
	const struct heap_times_look **list[MODEL_DIFF_SIDES];
	size_t count[MODEL_DIFF_SIDES], room[MODEL_DIFF_SIDES];
};

static int64_t add(int64_t sum, uint64_t more)
{
	return more < (uint64_t)(SUM_MOST - sum) ? sum + (int64_t)more : SUM_MOST;
}

/* --- the looks of a program --- */

static int find_last(struct looks *looks, int side)
{
	const struct heap_times *times = looks->times[side];
	struct last *last;

	for (size_t i = 0; i < times->look_count; i++) {
		const struct heap_times_look *look = &times->looks[i];

		HASH_FIND_PTR(looks->last[side], &look->process, last);
		if (last) {
			last->look = look;
			continue;
		}
		last = calloc(1, sizeof(*last));
		if (!last)
			return -ENOMEM;
		last->process = look->process;
		last->look = look;
		if (HASH_INSERT(looks->last[side], process, last)) {
			free(last);
			return -ENOMEM;
		}
	}
	return 0;
}

static int take_looks(struct looks *looks, const struct model_diff_program *program, int side,
		      struct model_diff_heap_side *found)
{
	const struct heap_times_look *look;
	struct last *last;

	looks->count[side] = 0;
	for (size_t i = 0; i < program->side[side].processes; i++) {
		HASH_FIND_PTR(looks->last[side], &program->side[side].all[i], last);
		if (!last)
			continue;
		if (!ARRAY_HAS_ROOM(looks->list[side], looks->count[side], looks->room[side]))
			return -ENOMEM;
		look = looks->list[side][looks->count[side]++] = last->look;
		if (!found->looks || look->time < found->first)
			found->first = look->time;
		if (!found->looks || look->time > found->last)
			found->last = look->time;
		found->looks++;
		found->types_only += look->types_only;
	}
	return 0;
}

static void looks_fini(struct looks *looks)
{
	struct last *last, *next;

	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		HASH_ITER(hh, looks->last[side], last, next)
		{
			HASH_DEL(looks->last[side], last);
			free(last);
		}
		free(looks->list[side]);
	}
}

/* --- their rows --- */

static size_t row_count(const struct heap_times_look *look, bool holders)
{
	return holders ? look->holder_count : look->type_count;
}

static struct piece piece_of(const struct looks *looks, int side, size_t number, size_t row,
			     bool holders)
{
	const struct heap_times_look *look = looks->list[side][number];
	char *const *names = looks->times[side]->names;
	struct piece piece = {.side = side, .look = number};

	if (holders) {
		piece.path = names[look->holders[row].path];
		piece.type = names[look->holders[row].type];
		piece.bytes = add(0, look->holders[row].retained_bytes);
		piece.number = look->holders[row].entries < 0
				       ? -1
				       : add(0, (uint64_t)look->holders[row].entries);
		return piece;
	}
	piece.type = names[look->types[row].type];
	piece.bytes = add(0, look->types[row].bytes);
	piece.number = add(0, look->types[row].objects);
	return piece;
}

/* The rows of all looks, in a new array. NULL: out of memory. */
static struct piece *take_pieces(const struct looks *looks, bool holders, size_t *count)
{
	size_t room = 1;
	struct piece *pieces;

	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		for (size_t i = 0; i < looks->count[side]; i++)
			room += row_count(looks->list[side][i], holders);
	pieces = calloc(room, sizeof(*pieces));
	*count = 0;
	for (int side = 0; pieces && side < MODEL_DIFF_SIDES; side++)
		for (size_t i = 0; i < looks->count[side]; i++)
			for (size_t row = 0; row < row_count(looks->list[side][i], holders); row++)
				pieces[(*count)++] = piece_of(looks, side, i, row, holders);
	return pieces;
}

static int compare_names(const char *path, const char *type, const char *other_path,
			 const char *other_type)
{
	int order = path && other_path ? strcmp(path, other_path) : 0;

	return order ?: strcmp(type, other_type);
}

static int compare_pieces(const void *left, const void *right)
{
	const struct piece *a = left, *b = right;
	int order = compare_names(a->path, a->type, b->path, b->type);

	if (!order)
		order = a->side - b->side;
	return order ?: (a->look > b->look) - (a->look < b->look);
}

static bool same_name(const struct piece *a, const struct piece *b)
{
	return !compare_names(a->path, a->type, b->path, b->type);
}

/* Whether rows of the look may have been left out. */
static bool was_cut(const struct heap_times_look *look, bool holders)
{
	return row_count(look, holders) == HEAP_TIMES_ROWS;
}

/* The most that a row has which was left out. */
static uint64_t cut_most(const struct heap_times_look *look, bool holders)
{
	return holders ? look->holders[HEAP_TIMES_ROWS - 1].retained_bytes
		       : look->types[HEAP_TIMES_ROWS - 1].bytes;
}

/* --- one row of the diff --- */

/* Adds up the pieces of one name and one side. */
static void add_side(struct model_diff_kept_side *kept, const struct piece *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		kept->looks += !i || pieces[i].look != pieces[i - 1].look;
		kept->least_bytes = add(kept->least_bytes, (uint64_t)pieces[i].bytes);
		if (pieces[i].number < 0 || kept->number < 0)
			kept->number = -1;
		else
			kept->number = add(kept->number, (uint64_t)pieces[i].number);
	}
}

/* Adds what looks that don't have it may have left out. The pieces are sorted by look. */
static void add_unsure(struct model_diff_kept_side *kept, const struct looks *looks, int side,
		       bool holders, const struct piece *pieces, size_t count)
{
	size_t at = 0;

	kept->most_bytes = kept->least_bytes;
	for (size_t i = 0; i < looks->count[side]; i++) {
		while (at < count && pieces[at].look < i)
			at++;
		if ((at < count && pieces[at].look == i) || !was_cut(looks->list[side][i], holders))
			continue;
		kept->unsure++;
		kept->number = -1;
		kept->most_bytes = add(kept->most_bytes, cut_most(looks->list[side][i], holders));
	}
}

static struct model_diff_kept make_row(const struct looks *looks, bool holders,
				       const struct piece *pieces, size_t count)
{
	struct model_diff_kept row = {.path = pieces->path, .type = pieces->type};
	struct model_diff_kept_side *a = &row.side[MODEL_DIFF_A], *b = &row.side[MODEL_DIFF_B];
	size_t of_a = 0;

	while (of_a < count && pieces[of_a].side == MODEL_DIFF_A)
		of_a++;
	add_side(a, pieces, of_a);
	add_side(b, pieces + of_a, count - of_a);
	add_unsure(a, looks, MODEL_DIFF_A, holders, pieces, of_a);
	add_unsure(b, looks, MODEL_DIFF_B, holders, pieces + of_a, count - of_a);
	row.least_bytes = b->least_bytes - a->most_bytes;
	row.most_bytes = b->most_bytes - a->least_bytes;
	row.sure_bytes = row.least_bytes > 0  ? row.least_bytes
			 : row.most_bytes < 0 ? row.most_bytes
					      : 0;
	return row;
}

static int compare_rows(const void *left, const void *right)
{
	const struct model_diff_kept *a = left, *b = right;
	int64_t x = llabs(a->sure_bytes), y = llabs(b->sure_bytes);

	if (x == y) {
		x = a->side[0].most_bytes + a->side[1].most_bytes;
		y = b->side[0].most_bytes + b->side[1].most_bytes;
	}
	return (x < y) - (x > y) ?: compare_names(a->path, a->type, b->path, b->type);
}

/* Returns the rows, sorted, in a new array. NULL: out of memory. */
static struct model_diff_kept *make_rows(const struct looks *looks, bool holders, size_t *count)
{
	size_t pieces_count, i, next;
	struct piece *pieces = take_pieces(looks, holders, &pieces_count);
	struct model_diff_kept *rows = pieces ? calloc(pieces_count + 1, sizeof(*rows)) : NULL;

	*count = 0;
	if (rows) {
		qsort(pieces, pieces_count, sizeof(*pieces), compare_pieces);
		for (i = 0; i < pieces_count; i = next) {
			for (next = i + 1;
			     next < pieces_count && same_name(&pieces[i], &pieces[next]); next++)
				;
			rows[(*count)++] = make_row(looks, holders, &pieces[i], next - i);
		}
		qsort(rows, *count, sizeof(*rows), compare_rows);
	}
	free(pieces);
	return rows;
}

/* --- a program --- */

static void find_comparable(struct model_diff_heap *heap, const struct model_diff_program *program)
{
	size_t looks = 0, types_only = 0;
	bool known = true;

	for (int side = 0; side < MODEL_DIFF_SIDES; side++) {
		known = known && (heap->side[side].looks || !program->side[side].processes);
		looks += heap->side[side].looks;
		types_only += heap->side[side].types_only;
	}
	heap->has_holders = known && !types_only;
	heap->has_types = known && (!types_only || types_only == looks);
}

static int compare_heaps(struct looks *looks, struct model_diff_program *program)
{
	struct model_diff_heap *heap = calloc(1, sizeof(*heap));
	int err = heap ? 0 : -ENOMEM;

	for (int side = 0; side < MODEL_DIFF_SIDES && !err; side++)
		err = take_looks(looks, program, side, &heap->side[side]);
	if (err || (!looks->count[0] && !looks->count[1])) {
		free(heap);
		return err;
	}
	program->heap = heap;
	find_comparable(heap, program);
	if (heap->has_holders) {
		heap->holders = make_rows(looks, true, &heap->holder_count);
		err = heap->holders ? 0 : -ENOMEM;
	}
	if (heap->has_types && !err) {
		heap->types = make_rows(looks, false, &heap->type_count);
		err = heap->types ? 0 : -ENOMEM;
	}
	return err;
}

int model_diff_take_heaps(struct model_diff *diff, const struct heap_times *a,
			  const struct heap_times *b)
{
	struct looks looks = {.times = {a, b}};
	int err = 0;

	if (!a->look_count || !b->look_count)
		return 0;
	for (int side = 0; side < MODEL_DIFF_SIDES && !err; side++)
		err = find_last(&looks, side);
	for (size_t i = 0; i < diff->program_count && !err; i++)
		err = compare_heaps(&looks, &diff->programs[i]);
	looks_fini(&looks);
	return err;
}

void model_diff_heap_free(struct model_diff_heap *heap)
{
	if (!heap)
		return;
	free(heap->holders);
	free(heap->types);
	free(heap);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* On a live screen, what is shown stays where it is, and the screen is as full as it can be.
 *
 * A row moves up only if it is clearly larger than the one above, so that two that grow together do
 * not change places each second. What fits is found by drawing: first rows of all programs with
 * their paths, then without paths, then fewer rows, then fewer programs. */
#include "render/render_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_MOST    256 /* rows of a program whose order is kept */
#define MEMBERS_MOST 4	 /* processes of a program that are listed */

/* --- the order --- */

static uint64_t mix(uint64_t hash, uint64_t more)
{
	hash = (hash ^ more) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

static uint64_t key_of_program(const struct answer *a)
{
	return mix(1, a->process->id);
}

/* Names are the same pointers as long as the model lives. */
static uint64_t key_of_row(const struct answer *a, const struct model_line *line)
{
	uint64_t key = mix(key_of_program(a), (uintptr_t)line->location->file);

	key = mix(key, (uintptr_t)line->location->function);
	return mix(key, (unsigned)line->location->line);
}

struct item {
	uint64_t key;
	int64_t value; /* by which it was sorted */
	size_t from;   /* its index before */
	size_t rank;   /* its index in the last drawing; SIZE_MAX: none */
};

static size_t rank_of(const struct render_memory *memory, uint64_t key)
{
	size_t i;

	for (i = 0; i < memory->count; i++)
		if (memory->keys[i] == key)
			return i;
	return SIZE_MAX;
}

static int by_rank(const void *left, const void *right)
{
	const struct item *a = left, *b = right;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return (a->from > b->from) - (a->from < b->from);
}

static bool passes(const struct item *below, const struct item *above)
{
	return below->value > above->value + above->value / 4 + 2 * ANSWER_LEAST;
}

/* Puts the items in the order of the last drawing, but moves up those that are clearly larger than
 * others. New ones come last and move up from there. */
static void settle(struct item *items, size_t count, const struct render_memory *memory)
{
	struct item moved;
	size_t i, at;

	for (i = 0; i < count; i++)
		items[i].rank = rank_of(memory, items[i].key);
	qsort(items, count, sizeof(*items), by_rank);
	for (i = 1; i < count; i++) {
		moved = items[i];
		for (at = i; at && passes(&moved, &items[at - 1]); at--)
			items[at] = items[at - 1];
		items[at] = moved;
	}
}

static void remember(struct render_memory *memory, uint64_t key)
{
	if (memory->count < RENDER_MEMORY)
		memory->keys[memory->count++] = key;
}

/* Keeps the order of the program's rows. If memory runs out, they keep the order that they have
 * now. */
static void keep_rows(struct answer *a, const struct render_memory *old, struct render_memory *new)
{
	size_t count = a->row_count < KEPT_MOST ? a->row_count : KEPT_MOST, i;
	struct model_line *rows = calloc(count + 1, sizeof(*rows));
	struct item *items = calloc(count + 1, sizeof(*items));

	for (i = 0; rows && items && i < count; i++) {
		rows[i] = a->rows[i];
		items[i] =
			(struct item){.key = key_of_row(a, &rows[i]),
				      .value = llabs(model_sort_value(&rows[i], a->options->sort)),
				      .from = i};
	}
	if (rows && items) {
		settle(items, count, old);
		for (i = 0; i < count; i++) {
			a->rows[i] = rows[items[i].from];
			remember(new, items[i].key);
		}
	}
	free(rows);
	free(items);
}

void answer_keep_order(struct answer *answers, size_t count, struct render_memory *memory)
{
	struct answer *copy = calloc(count + 1, sizeof(*copy));
	struct item *items = calloc(count + 1, sizeof(*items));
	struct render_memory *new = calloc(1, sizeof(*new));
	size_t i;

	if (copy && items && new) {
		for (i = 0; i < count; i++) {
			copy[i] = answers[i];
			items[i] = (struct item){.key = key_of_program(&answers[i]),
						 .value = llabs(answers[i].change),
						 .from = i};
		}
		settle(items, count, memory);
		for (i = 0; i < count; i++)
			answers[i] = copy[items[i].from];
		for (i = 0; i < count && new->count < RENDER_MEMORY / 2; i++)
			remember(new, items[i].key);
		for (i = 0; i < count; i++)
			keep_rows(&answers[i], memory, new);
		*memory = *new;
	}
	free(copy);
	free(items);
	free(new);
}

/* --- the room --- */

/* How many rows of text the programs take; without `room`, what comes after all programs. Or
 * -ENOMEM. */
static ssize_t height_of(struct answer *answers, size_t count, size_t programs,
			 const struct answer_room *room)
{
	char *text = NULL, *at;
	ssize_t height = 0;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int err = 0;

	if (!out)
		return -ENOMEM;
	if (room) {
		err = answer_all(out, answers, count, programs, room);
	} else {
		parts_gathered(out, answers->model, answers->options);
		parts_tail(out, answers->model, answers->options);
	}
	if (fclose(out))
		err = -ENOMEM;
	for (at = text; !err && (at = strchr(at, '\n')); at++)
		height++;
	free(text);
	return err ?: height;
}

/* How many rows of text programs may take. Notes may take a third of the screen, and are cut there.
 * Or -ENOMEM. */
static ssize_t rows_for_programs(struct answer *answers)
{
	size_t all = answers->options->height;
	ssize_t notes = height_of(answers, 0, 0, NULL);

	if (notes < 0)
		return notes;
	return (ssize_t)(all - ((size_t)notes < all / 3 ? (size_t)notes : all / 3));
}

/* Finds by bisection the most, up to `most`, with which all fits into `wanted` rows; 0 if not even
 * 1 does. Sets `*what`, which is a field of `room` or is `programs`. 0 or -ENOMEM. */
static int most_that_fits(struct answer *answers, size_t count, const size_t *programs,
			  const struct answer_room *room, ssize_t wanted, size_t *what, size_t most)
{
	size_t low = 0, high = most;
	ssize_t height;

	while (low < high) {
		*what = low + (high - low + 1) / 2;
		height = height_of(answers, count, *programs, room);
		if (height < 0)
			return (int)height;
		if (height <= wanted)
			low = *what;
		else
			high = *what - 1;
	}
	*what = low;
	return 0;
}

static size_t most_rows(const struct answer *answers, size_t count, size_t top)
{
	size_t most = 0, i, nodes;

	for (i = 0; i < count; i++) {
		nodes = answers[i].options->tree ? answers[i].process->node_count
						 : answers[i].row_count;
		most = most < nodes ? nodes : most;
	}
	return most < top ? most : top;
}

int answer_fit(struct answer *answers, size_t count, struct answer_room *room, size_t *programs)
{
	size_t most = most_rows(answers, count, room->rows);
	ssize_t height, wanted;
	int err;

	if (room->processes > MEMBERS_MOST)
		room->processes = MEMBERS_MOST;
	*programs = count;
	if (!count)
		return 0;
	wanted = rows_for_programs(answers);
	height = height_of(answers, count, count, room);
	if (height < 0 || wanted < 0)
		return -ENOMEM;
	if (height <= wanted)
		return 0;
	room->paths = false;
	err = most_that_fits(answers, count, programs, room, wanted, &room->rows, most);
	if (err || room->rows)
		return err;
	/* One row of each program, without its processes, and as many programs as there is room
	 * for. */
	room->rows = most ? 1 : 0;
	room->processes = 0;
	return most_that_fits(answers, count, programs, room, wanted, programs, count);
}

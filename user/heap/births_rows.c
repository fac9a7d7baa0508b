/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds which lines filled which holder: joins the samples with the dominators of the second
 * census. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "heap/births_keeper.h"
#include "heap/births_results.h"
#include "heap/graph_private.h"
#include "heap/object_read.h"

#define STEPS_MAX 100000 /* up the tree of dominators: a linked list may be as long */
#define NO_HOLDER SIZE_MAX

/* A sample whose holder is known. */
struct held {
	size_t holder;
	const struct birth_line *line; /* of a write: the innermost; else see births_keeper.h */
	const char *type;
	uint32_t stack;
	unsigned from; /* index of `line` in the stack */
	uint64_t count;
	bool is_entry; /* of the holder; else something that an entry keeps */
	bool is_write;
};

struct joining {
	const struct births_results *results;
	const struct heap_graph *graph;
	const struct heap_blocks *blocks;
	const struct heap_types *types;
	const struct holder *holders;
	size_t holder_count;
	struct keeper_names *names; /* by holder */
	struct held *held;
	size_t held_count, held_room;
	uint64_t *totals; /* by holder */
	struct heap_birth_row *rows;
	size_t row_count, row_room;
};

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Is the block the holder itself, or one of the blocks that lie in two containers? */
static bool is_of(const struct holder *holder, uint32_t block)
{
	if (!holder->members)
		return holder->block == block;
	return bsearch(&block, holder->members, holder->entries, sizeof(block), by_number) != NULL;
}

static size_t holder_of_block(const struct joining *j, uint32_t block)
{
	for (size_t i = 0; i < j->holder_count; i++)
		if (is_of(&j->holders[i], block))
			return i;
	return NO_HOLDER;
}

static bool is_at(const struct joining *j, const struct holder *holder, uint64_t object)
{
	if (!holder->members)
		return holder->object == object;
	for (int i = 0; i < 2; i++) {
		uint32_t part = holder->parts[i].block;

		if (part != BLOCK_NONE && heap_blocks_object(j->blocks, part) == object)
			return true;
	}
	return false;
}

/* The holder that the container at `object` is, or is a part of. There may be several, as what it
 * shares with another container is a row of its own: the one that grew most is taken. */
static size_t holder_at(const struct joining *j, uint64_t object)
{
	size_t found = NO_HOLDER;

	for (size_t i = 0; i < j->holder_count && object; i++) {
		if (is_at(j, &j->holders[i], object) &&
		    (found == NO_HOLDER ||
		     j->holders[i].grown_bytes > j->holders[found].grown_bytes))
			found = i;
	}
	return found;
}

/* The holder nearest above the block in the tree of dominators, or the block itself. *is_entry: no
 * other object is between them. */
static size_t holder_of(const struct joining *j, uint32_t block, bool *is_entry)
{
	unsigned objects = 0;

	for (unsigned i = 0; i < STEPS_MAX && block != BLOCK_NONE; i++) {
		size_t holder = holder_of_block(j, block);

		if (holder != NO_HOLDER) {
			/* Of a holder that is what two containers share, a member was found. */
			*is_entry = objects == (j->holders[holder].members ? 0 : 1);
			return holder;
		}
		objects += heap_blocks_type(j->blocks, block) >= 0;
		block = heap_graph_dominator(j->graph, block);
	}
	return NO_HOLDER;
}

/* Is the object of the sample there in the census, with its type? */
static bool is_there(const struct joining *j, const struct birth_sample *sample, uint32_t block,
		     const char **type_name)
{
	const struct heap_type *type;
	int32_t index;

	if (block == BLOCK_NONE || heap_blocks_object(j->blocks, block) != sample->object)
		return false;
	index = heap_blocks_type(j->blocks, block);
	type = index >= 0 ? heap_types_get(j->types, index) : NULL;
	if (!type || type->addr != sample->type)
		return false;
	*type_name = type->name;
	return true;
}

/* The container that a sample is of. A place may have led to several, one after another: the one
 * that the census found there counts. */
static uint64_t container_of_sample(const struct joining *j, const struct birth_sample *sample)
{
	return sample->by_slot ? object_word(&j->graph->view, sample->object) : sample->object;
}

static int join_sample(struct joining *j, const struct birth_sample *sample)
{
	const struct birth_stack *stack = &j->results->stacks[sample->stack];
	struct held held = {.holder = NO_HOLDER, .type = "", .stack = sample->stack};
	uint32_t block;

	if (!stack->depth || sample->change <= 0)
		return 0;
	if (sample->type) {
		block = heap_blocks_find_addr(j->blocks, sample->object);
		if (is_there(j, sample, block, &held.type))
			held.holder = holder_of(j, block, &held.is_entry);
	} else {
		held.is_entry = held.is_write = true;
		held.holder = holder_at(j, container_of_sample(j, sample));
	}
	if (held.holder == NO_HOLDER)
		return 0;
	if (!ARRAY_HAS_ROOM(j->held, j->held_count, j->held_room))
		return -ENOMEM;
	held.from = sample->type ? keeper_find(&j->names[held.holder], stack) : 0;
	held.line = &stack->lines[held.from];
	held.count = (uint64_t)sample->change;
	j->held[j->held_count++] = held;
	j->totals[held.holder] += held.count;
	return 0;
}

static int compare_lines(const struct held *a, const struct held *b)
{
	int order = a->holder < b->holder ? -1 : a->holder > b->holder;

	order = order ?: strcmp(a->line->file, b->line->file);
	order = order ?: (a->line->line > b->line->line) - (a->line->line < b->line->line);
	return order ?: strcmp(a->line->function, b->line->function);
}

static int by_line(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return compare_lines(x, y) ?: strcmp(x->type, y->type)
	       ?: (x->stack > y->stack) - (x->stack < y->stack);
}

/* --- rows --- */

static char *line_text(const struct birth_line *line)
{
	char *text;

	return asprintf(&text, "%s:%d %s", line->file, line->line, line->function) < 0 ? NULL
										       : text;
}

/* The stack from line `from` on, and the innermost line if that is another one. */
static int fill_stack(struct heap_birth_row *row, const struct birth_stack *stack, unsigned from)
{
	row->stack = calloc(stack->depth - from + 1, sizeof(*row->stack));
	if (!row->stack)
		return -ENOMEM;
	for (unsigned i = from; i < stack->depth; i++) {
		row->stack[i - from] = line_text(&stack->lines[i]);
		if (!row->stack[i - from])
			return -ENOMEM;
	}
	if (from)
		row->made = line_text(&stack->lines[0]);
	return from && !row->made ? -ENOMEM : 0;
}

static int fill_row(struct joining *j, const struct held *held, uint64_t count, uint64_t entries,
		    struct heap_birth_row *row)
{
	row->holder = strdup(j->holders[held->holder].path);
	row->file = strdup(held->line->file);
	row->function = strdup(held->line->function);
	row->type = strdup(held->type);
	row->line = held->line->line;
	row->method = held->is_write ? "watch" : "burst";
	row->entries = entries;
	row->insertions = count;
	row->share = (double)count / (double)j->totals[held->holder];
	if (!row->holder || !row->file || !row->function || !row->type)
		return -ENOMEM;
	return fill_stack(row, &j->results->stacks[held->stack], held->from);
}

/* Adds one row for held[begin] up to, not including, held[end], which are all of one line. Its type
 * and its stack are the pair with most insertions. */
static int add_row(struct joining *j, size_t begin, size_t end)
{
	uint64_t count = 0, entries = 0, of_stack = 0, most = 0;
	const struct held *frequent = &j->held[begin];
	struct heap_birth_row *row;

	for (size_t i = begin; i < end; i++) {
		const struct held *held = &j->held[i];

		count += held->count;
		entries += held->is_entry ? held->count : 0;
		if (i == begin || held->stack != held[-1].stack ||
		    strcmp(held->type, held[-1].type))
			of_stack = 0;
		of_stack += held->count;
		if (of_stack > most) {
			most = of_stack;
			frequent = held;
		}
	}
	if (!ARRAY_HAS_ROOM(j->rows, j->row_count, j->row_room))
		return -ENOMEM;
	row = &j->rows[j->row_count++];
	memset(row, 0, sizeof(*row));
	return fill_row(j, frequent, count, entries, row);
}

static int make_rows(struct joining *j)
{
	int err = 0;

	if (!j->held_count)
		return 0;
	qsort(j->held, j->held_count, sizeof(*j->held), by_line);
	for (size_t begin = 0, end; begin < j->held_count && !err; begin = end) {
		for (end = begin + 1; end < j->held_count; end++)
			if (compare_lines(&j->held[begin], &j->held[end]))
				break;
		err = add_row(j, begin, end);
	}
	return err;
}

/* Rows of one holder stay together. Among them the line comes first that has most insertions, or
 * made most of the holder's entries: what these keep may be made anywhere. */
static int by_insertions(const void *a, const void *b)
{
	const struct heap_birth_row *x = a, *y = b;

	return strcmp(x->holder, y->holder)
		       ?: (x->entries < y->entries) - (x->entries > y->entries)
		       ?: (x->insertions < y->insertions) - (x->insertions > y->insertions);
}

int births_results_rows(const struct births_results *results, const struct heap_graph *graph,
			const struct heap_blocks *blocks, const struct heap_types *types,
			const struct holder *holders, size_t holder_count,
			struct heap_birth_row **rows, size_t *count)
{
	struct joining j = {.results = results,
			    .graph = graph,
			    .blocks = blocks,
			    .types = types,
			    .holders = holders,
			    .holder_count = holder_count};
	int err = 0;

	j.totals = calloc(holder_count + 1, sizeof(*j.totals));
	j.names = calloc(holder_count + 1, sizeof(*j.names));
	if (!j.totals || !j.names)
		err = -ENOMEM;
	for (size_t i = 0; i < holder_count && !err; i++)
		keeper_names_of(holders[i].path, &j.names[i]);
	for (size_t i = 0; i < results->sample_count && !err; i++)
		err = join_sample(&j, &results->samples[i]);
	if (!err)
		err = make_rows(&j);
	free(j.held);
	free(j.names);
	free(j.totals);
	if (err) {
		heap_birth_rows_free(j.rows, j.row_count);
		return err;
	}
	if (j.row_count)
		qsort(j.rows, j.row_count, sizeof(*j.rows), by_insertions);
	*rows = j.rows;
	*count = j.row_count;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the holders share. */
#ifndef HEAP_HOLDERS_PRIVATE_H
#define HEAP_HOLDERS_PRIVATE_H

#include "heap/holders.h"
#include "heap/names.h"

/* The blocks that retain much, as a tree of dominators. */
struct picks {
	const struct heap_graph *graph;
	uint64_t least; /* bytes: blocks that retain less are not among them */
	/* In order of block. `below` is the index of the first pick that this one dominates,
	 * `beside` that of the next one with the same dominator; PICK_NONE: there is none. */
	struct pick {
		uint32_t block, below, beside;
		int64_t growth; /* of retained bytes, where that is known; else 0 */
	} * list;
	uint32_t count;
	uint32_t top; /* index of the first pick that none dominates */
	/* Those worth a row. */
	uint32_t *rows; /* indices in list[] */
	size_t row_count, row_room;
};

#define PICK_NONE UINT32_MAX

/* *growth: bytes by which what `block` retains has grown. False: it was not there before. */
typedef bool pick_growth_fn(const void *arg, uint32_t block, int64_t *growth);

/* Finds the rows. With `growth`, entries that make most of a row's growth are rows, too. 0,
 * -ENOMEM. picks_fini() frees what is in *picks. */
int picks_init(struct picks *picks, const struct heap_graph *graph, pick_growth_fn *growth,
	       const void *arg);
void picks_fini(struct picks *picks);

/* Is it a block that a person does not think of: a buffer, a __dict__, a cell? */
bool picks_is_passed_over(const struct heap_graph *graph, uint32_t block);

/* Is it an object whose type is made to hold others? */
bool picks_is_container(const struct heap_view *view, uint32_t block);

/* How many entries a container has. False: it is none. */
bool picks_entries(const struct heap_view *view, uint32_t block, uint64_t *entries);

/* Fills holders[count] for blocks[count]. 0; -ENOMEM: the caller frees what has been filled in. */
int holders_fill(const struct heap_graph *graph, const uint32_t *blocks, size_t count,
		 struct holder *holders);

/* Blocks that lie in two holders, gathered by these two. */
struct both;

/* Finds the pairs of holders that have `row_least` bytes in common; *both is NULL if there is none.
 * A block that retains `least` bytes has a row of its own, unless it is one of many in a pair. 0,
 * -ENOMEM. */
int both_find(const struct heap_graph *graph, uint64_t least, uint64_t row_least,
	      struct both **both);
/* Takes those blocks out of the list for which a pair's row stands. */
void both_take_out(struct both *both, uint32_t *blocks, size_t *count);
/* Appends a holder for each pair, growing *holders: `object` is 0, `entries` the number of blocks.
 * 0, -ENOMEM. */
int both_add(struct both *both, struct holder **holders, size_t *count);
void both_free(struct both *both);

/* The largest retained bytes first. */
void holders_sort_blocks(const struct heap_graph *graph, uint32_t *blocks, size_t count);
void holders_sort(struct holder *holders, size_t count);

/* As heap_holders_find(), but pairs come in addition to the `most` rows, and need only a `part`-th
 * of the bytes that others need for a row. */
int holders_find_uncut(struct heap_graph *graph, size_t most, unsigned part,
		       struct holder **holders, size_t *count);

/* Frees the holders from number `most` on. */
void holders_cut(struct holder *holders, size_t *count, size_t most);

/* Fills shared_by of the holders that no single holder dominates. 0, -ENOMEM. */
int holders_find_sharers(const struct heap_graph *graph, struct holder *holders, size_t count,
			 struct step_budget *budget);

#endif

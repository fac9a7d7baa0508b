/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the holders share. */
#ifndef HEAP_HOLDERS_PRIVATE_H
#define HEAP_HOLDERS_PRIVATE_H

#include "heap/holders.h"
#include "heap/names.h"

/* Blocks that retain much, and which of them dominates which. */
struct picks {
	const struct heap_graph *graph;
	uint64_t least; /* bytes: who retains less is not looked at */
	/* In order of block; `below` and `beside` are indices of the first that it dominates and of
	 * the next one of the same dominator, PICK_NONE: none. */
	struct pick {
		uint32_t block, below, beside;
		int64_t growth; /* of retained bytes, where that is known; else 0 */
	} * list;
	uint32_t count;
	uint32_t top; /* the first that is dominated by none */
	/* Those worth a row. */
	uint32_t *rows; /* indices in list[] */
	size_t row_count, row_room;
};

#define PICK_NONE UINT32_MAX

/* By how much what `block` retains has grown. False: nothing is known of it. */
typedef bool pick_growth_fn(const void *arg, uint32_t block, int64_t *growth);

/* Finds rows; with `growth` also those that it lies in that others have grown. 0, -ENOMEM. */
int picks_init(struct picks *picks, const struct heap_graph *graph, pick_growth_fn *growth,
	       const void *arg);
void picks_fini(struct picks *picks);

/* Is it what a person does not think of as a thing: a buffer, a __dict__, a cell? */
bool picks_is_passed_over(const struct heap_graph *graph, uint32_t block);

/* Is it one of the types whose business is to hold others? */
bool picks_is_container(const struct heap_view *view, uint32_t block);

/* How many entries a container has. False: it is none. */
bool picks_entries(const struct heap_view *view, uint32_t block, uint64_t *entries);

/* Fills holders[count], of blocks[count]. 0, -ENOMEM: what is filled in is to be freed. */
int holders_fill(const struct heap_graph *graph, const uint32_t *blocks, size_t count,
		 struct holder *holders);

/* What lies in two holders, gathered by these two. */
struct both;

/* Finds the pairs of holders that have `row_least` bytes in common; *both is NULL if there is none.
 * What retains `least` bytes has a row of its own, unless it is one of many in a pair. 0, -ENOMEM.
 */
int both_find(const struct heap_graph *graph, uint64_t least, uint64_t row_least,
	      struct both **both);
/* Takes the blocks out of the list for which a pair's row stands. */
void both_take_out(struct both *both, uint32_t *blocks, size_t *count);
/* Appends a holder for each pair, with room for it in *holders. `object` of it is 0, `entries` how
 * many blocks. 0, -ENOMEM. */
int both_add(struct both *both, struct holder **holders, size_t *count);
void both_free(struct both *both);

/* The largest retained bytes first. */
void holders_sort_blocks(const struct heap_graph *graph, uint32_t *blocks, size_t count);
void holders_sort(struct holder *holders, size_t count);

/* As heap_holders_find(), but what lies in two holders comes beside the `most`, from a `part`-th of
 * the bytes on that others need for a row. */
int holders_find_uncut(struct heap_graph *graph, size_t most, unsigned part,
		       struct holder **holders, size_t *count);

/* Frees those from `most` on. */
void holders_cut(struct holder *holders, size_t *count, size_t most);

/* Fills shared_by of those that no single holder dominates. 0, -ENOMEM. */
int holders_find_sharers(const struct heap_graph *graph, struct holder *holders, size_t count,
			 struct step_budget *budget);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rows of types: how much there is of each, by name. Several types of one name are one row. */
#ifndef HEAP_TYPE_ROWS_H
#define HEAP_TYPE_ROWS_H

#include "heap/graph.h"
#include "model/heap_look.h"

/* Makes rows with the objects and bytes of each type, in order of name. Buffers count with the
 * object that owns them; without a graph (NULL) they do not count. heap_type_rows_free() frees
 * *rows. 0 or -ENOMEM. */
int heap_type_rows_make(const struct heap_types *types, const struct heap_blocks *blocks,
			const struct heap_graph *graph, struct heap_type_row **rows, size_t *count);
/* The same from a survey, where buffers do not count. */
struct survey_row;
int heap_type_rows_of_survey(const struct heap_types *types, const struct survey_row *found,
			     size_t found_count, struct heap_type_row **rows, size_t *count);
void heap_type_rows_free(struct heap_type_row *rows, size_t count);

/* Fills in growth since `past`, the rows of an earlier census; both are in order of name. A type
 * that has no objects any more becomes a row. 0 or -ENOMEM. */
int heap_type_rows_compare(struct heap_type_row **rows, size_t *count,
			   const struct heap_type_row *past, size_t past_count);

/* Sorts rows, largest first; with `growth`, by growth. */
void heap_type_rows_sort(struct heap_type_row *rows, size_t count, bool growth);

#endif

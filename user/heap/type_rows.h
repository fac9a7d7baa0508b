/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How much there is of each type, by name: several types of one name are one row. */
#ifndef HEAP_TYPE_ROWS_H
#define HEAP_TYPE_ROWS_H

#include "heap/graph.h"
#include "model/heap_look.h"

/* Objects and bytes of each type, buffers counted with the object that owns them (`graph` may be
 * NULL: then they are not), in order of name. 0 or -ENOMEM; heap_type_rows_free() frees *rows. */
int heap_type_rows_make(const struct heap_types *types, const struct heap_blocks *blocks,
			const struct heap_graph *graph, struct heap_type_row **rows, size_t *count);
/* The same of a survey, which knows no owner of a buffer. */
struct survey_row;
int heap_type_rows_of_survey(const struct heap_types *types, const struct survey_row *found,
			     size_t found_count, struct heap_type_row **rows, size_t *count);
void heap_type_rows_free(struct heap_type_row *rows, size_t count);

/* Fills in what has grown since `past`, rows of an earlier census in order of name, as `*rows` are;
 * what was there and is not any more becomes a row. 0 or -ENOMEM. */
int heap_type_rows_compare(struct heap_type_row **rows, size_t *count,
			   const struct heap_type_row *past, size_t past_count);

/* Largest first; with `growth`, largest growth first. */
void heap_type_rows_sort(struct heap_type_row *rows, size_t count, bool growth);

#endif

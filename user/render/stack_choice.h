/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A bounded number of the stacks of a model: the largest ones. All others are added up, so sums
 * hold. */
#ifndef STACK_CHOICE_H
#define STACK_CHOICE_H

#include "render/stack_rows.h"

#define STACK_ROW_REST "(other)"

struct stack_choice { /* private, but for `left_out` */
	const struct model *model;
	bool resident;	       /* rows have what is resident, and nothing else */
	int64_t least;	       /* rows of more are chosen */
	size_t equal;	       /* and so many of just that */
	size_t left_out;       /* rows that were not chosen; to be read at any time */
	struct stack_row rest; /* of processes of which no row was chosen */
	/* of the process whose rows come now */
	struct stack_row here;
	bool any; /* a row of it was chosen */
	stack_row_fn *fn;
	void *arg;
};

/* Chooses `most` rows of the model: those by which RSS changed most, or (`resident`) of which most
 * is resident. With `resident`, amounts below zero become 0, and RSS of a process of which it is
 * not known is one row. 0; -ENOMEM; -EINVAL: the model keeps no trees. */
int stack_choice_make(struct stack_choice *choice, const struct model *model, size_t most,
		      bool resident);
/* As stack_rows_of() and stack_rows_unfolded() (`process` NULL), of the rows that were chosen. The
 * others of a process that has such rows are one more, STACK_ROW_REST. To be called once for each
 * process of the model, in its order. */
int stack_choice_rows_of(struct stack_choice *choice, const struct model_process *process,
			 stack_row_fn *fn, void *arg);
/* The others of all other processes, as one row of none. To be called last. */
int stack_choice_rest(struct stack_choice *choice, stack_row_fn *fn, void *arg);

#endif

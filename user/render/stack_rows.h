/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What formats of stacks share: all stacks of a model with their figures, one after the other, and
 * numbers for their places.
 *
 * Invariant: for each metric, the sum over the rows of a process is what the report has of it. What
 * belongs to no line is a row with a text in place of frames, so nothing is left out:
 *   RENDER_GROWN - RENDER_FREED = RENDER_NET = change of RSS;
 *   RENDER_RESIDENT = RSS at the end, of processes of which it is known. */
#ifndef STACK_ROWS_H
#define STACK_ROWS_H

#include "render/render.h"

struct stack_row {
	const struct model_process *process; /* NULL: ended ones that are in no other */
	size_t node;			     /* in process->nodes; 0: it has no frames */
	const struct model_location *thread; /* that ran it; NULL: unknown, or not told */
	const char *instead;		 /* stands for frames; a constant. NULL: they are there */
	bool truncated;			 /* the outermost frames are missing */
	int64_t amounts[RENDER_METRICS]; /* by enum render_metric */
};

/* Stand for frames that are missing, and for amounts below zero in formats that have none. */
#define STACK_ROW_TRUNCATED "[callers not kept]"
#define STACK_ROW_BELOW	    "[freed on balance]"
/* Stand for what belongs to no line. */
#define STACK_ROW_NOT_KEPT "[stacks not kept]"
#define STACK_ROW_FAULTS   "[unattributed: page faults]"
#define STACK_ROW_BEFORE   "[resident before]"
#define STACK_ROW_UNKNOWN  "[resident, unknown]"
extern const char *const stack_row_losses[PYMEM_LOSS_COUNT];

/* The names of metrics: those of --metric. And whether the model has it. */
extern const char *const stack_metric_names[RENDER_METRICS];
bool stack_metric_known(const struct model *model, enum render_metric metric);
/* In what it is measured: "bytes", "count", "nanoseconds". */
const char *stack_metric_unit(enum render_metric metric);

/* Anything but 0 ends the walk, which returns it. */
typedef int stack_row_fn(const struct stack_row *row, void *arg);

/* Calls fn(row, arg) for each row of the process, or of a sum in model.folded, whose callers are
 * missing; of ended processes that are in neither. Stacks come in the order of a walk through the
 * tree of calls. Rows whose amounts are all 0 do not come. 0, what
 * `fn` returned, or -EINVAL: the model keeps no trees. */
int stack_rows_of(const struct model *model, const struct model_process *process, stack_row_fn *fn,
		  void *arg);
int stack_rows_unfolded(const struct model *model, stack_row_fn *fn, void *arg);
/* All rows of the model, process by process. */
int stack_rows(const struct model *model, stack_row_fn *fn, void *arg);

/* The row's frames, innermost first. Returns their number, at most PYMEM_MAX_FRAMES. */
unsigned stack_row_frames(const struct stack_row *row,
			  const struct model_location *frames[PYMEM_MAX_FRAMES]);

/* Writes the name of the row's process, escaped: "api.py (4711)"; "api.py (31 ended
 * processes)"; "31 ended processes". */
#define STACK_ROW_NAME 512
void stack_row_process(char name[STACK_ROW_NAME], const struct model *model,
		       const struct model_process *process);

/* Writes the name of a thread, escaped: "thread 4711 (worker)"; "other threads". */
#define STACK_ROW_THREAD 128
void stack_row_thread(char text[STACK_ROW_THREAD], const struct model_location *thread);

/* Writes a name that a target chose, escaped. If it is too long, its end is missing. */
#define STACK_ROW_TEXT 1024
void stack_row_text(char text[STACK_ROW_TEXT], const char *name);

/* Numbers for places, from 0 on in the order in which they are asked for. A place is a file, a
 * line and a function. Zero at first; places_free() frees it. */
struct places {
	struct place *table;
	size_t count;
};
/* The number of the place. `*is_new`: it was not asked for before. -ENOMEM. */
ssize_t place_number(struct places *places, const struct model_location *location, bool *is_new);
/* The same for something else that is known by its address. */
ssize_t place_number_of(struct places *places, const void *thing, bool *is_new);
/* The same for two places, one in each side of a diff. One may be NULL. */
ssize_t place_number_of_both(struct places *places, const struct model_location *const at[2],
			     bool *is_new);
void places_free(struct places *places);

#endif

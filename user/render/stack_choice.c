/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: who collects profiles of a host every few seconds wants its largest stacks, and a text
 * of a bounded size. What is left out must not be missing from sums.
 *
 * The rows are walked through twice: for the size from which on they are chosen, and to pass them
 * on. */
#include "render/stack_choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct weights {
	struct stack_choice *choice;
	int64_t *list;
	size_t count, room;
};

static int64_t size_of(int64_t amount)
{
	return amount < 0 ? -amount : amount;
}

static int64_t weight_of(const struct stack_choice *c, const struct stack_row *row)
{
	static const enum render_metric metrics[] = {RENDER_GROWN, RENDER_FREED, RENDER_COPIED,
						     RENDER_FAULTS};
	int64_t most = size_of(row->amounts[RENDER_NET]);

	if (c->resident)
		return row->amounts[RENDER_RESIDENT];
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		if (size_of(row->amounts[metrics[i]]) > most)
			most = size_of(row->amounts[metrics[i]]);
	return most;
}

/* Leaves what is resident. False: nothing is. */
static bool reduce(const struct stack_choice *c, struct stack_row *row)
{
	int64_t resident = row->amounts[RENDER_RESIDENT];

	if (!c->resident)
		return true;
	memset(row->amounts, 0, sizeof(row->amounts));
	row->amounts[RENDER_RESIDENT] = resident > 0 ? resident : 0;
	return resident > 0;
}

/* All rows of a process, as the choice has them. */
static int walk(const struct stack_choice *c, const struct model_process *process, stack_row_fn *fn,
		void *arg)
{
	struct stack_row unknown = {.process = process, .instead = STACK_ROW_UNKNOWN};

	if (!process)
		return stack_rows_unfolded(c->model, fn, arg);
	if (!c->resident || process->resident_known || process->exited)
		return stack_rows_of(c->model, process, fn, arg);
	unknown.amounts[RENDER_RESIDENT] = process->rss_end_bytes;
	return fn(&unknown, arg);
}

/* --- choosing --- */

static int add_weight(const struct stack_row *given, void *arg)
{
	struct weights *w = arg;
	struct stack_row row = *given;

	if (!reduce(w->choice, &row))
		return 0;
	if (!ARRAY_HAS_ROOM(w->list, w->count, w->room))
		return -ENOMEM;
	w->list[w->count++] = weight_of(w->choice, &row);
	return 0;
}

static int by_weight(const void *one, const void *other)
{
	const int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;

	return a > b ? -1 : a < b;
}

int stack_choice_make(struct stack_choice *c, const struct model *model, size_t most, bool resident)
{
	struct weights w = {.choice = c};
	int err = 0;

	*c = (struct stack_choice){
		.model = model, .resident = resident, .least = -1, .rest.instead = STACK_ROW_REST};
	for (size_t i = 0; i < model_row_count(model) && !err; i++)
		err = walk(c, model_row(model, i), add_weight, &w);
	if (!err && !resident)
		err = walk(c, NULL, add_weight, &w);
	if (!err && w.count > most) {
		qsort(w.list, w.count, sizeof(*w.list), by_weight);
		/* Of 0 rows, none is larger than the largest. */
		c->least = w.list[most ? most - 1 : 0];
		for (size_t i = 0; i < most; i++)
			c->equal += w.list[i] == c->least;
		c->left_out = w.count - most;
	}
	free(w.list);
	return err;
}

/* --- passing on --- */

static void add(struct stack_row *to, const struct stack_row *row)
{
	for (int i = 1; i < RENDER_METRICS; i++)
		to->amounts[i] += row->amounts[i];
}

static int pass(const struct stack_row *given, void *arg)
{
	struct stack_choice *c = arg;
	struct stack_row row = *given;
	int64_t weight;

	if (!reduce(c, &row))
		return 0;
	weight = weight_of(c, &row);
	if (weight < c->least || (weight == c->least && !c->equal)) {
		add(&c->here, &row);
		return 0;
	}
	c->equal -= weight == c->least;
	c->any = true;
	return c->fn(&row, c->arg);
}

static int pass_rest(const struct stack_row *rest, stack_row_fn *fn, void *arg)
{
	for (int i = 1; i < RENDER_METRICS; i++)
		if (rest->amounts[i])
			return fn(rest, arg);
	return 0;
}

int stack_choice_rows_of(struct stack_choice *c, const struct model_process *process,
			 stack_row_fn *fn, void *arg)
{
	int err;

	c->here = (struct stack_row){.process = process, .instead = STACK_ROW_REST};
	c->any = false;
	c->fn = fn;
	c->arg = arg;
	err = walk(c, process, pass, c);
	if (err)
		return err;
	if (c->any)
		return pass_rest(&c->here, fn, arg);
	add(&c->rest, &c->here);
	return 0;
}

int stack_choice_rest(struct stack_choice *c, stack_row_fn *fn, void *arg)
{
	return pass_rest(&c->rest, fn, arg);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: whole stacks of a host, of which most have ended. Their trees of calls are what is kept
 * of them, within limits. A node with figures of its own is a stack. Of processes beyond
 * the limits there is a sum of each program, with its lines. Those that are not even there are one
 * sum: two rows, for what was charged and what was lost.
 *
 * A lost amount is known only as a balance. If it is positive it counts as grown, else as freed. */
#include "render/stack_rows.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "model/program.h"

/* --- rows --- */

const char *const stack_row_losses[PYMEM_LOSS_COUNT] = {
#define LOSS_FRAME(id, name, text) "[unattributed: " name "]",
	PYMEM_LOSSES(LOSS_FRAME)
#undef LOSS_FRAME
};

const char *const stack_metric_names[RENDER_METRICS] = {
	[RENDER_GROWN] = "grown",
	[RENDER_FREED] = "freed",
	[RENDER_NET] = "net",
	[RENDER_COPIED] = "copied",
	[RENDER_FAULTS] = "faults",
	[RENDER_RESIDENT] = "resident",
	[RENDER_STALLED] = "stalled",
	[RENDER_CACHED] = "cached",
	[RENDER_KERNEL] = "kernel",
	[RENDER_HUGE] = "huge",
	[RENDER_SWAPPED_IN] = "swapped",
	[RENDER_SWAP_WAIT] = "swap-wait",
};

static bool resident_known(const struct model *model)
{
	for (size_t i = 0; i < model->process_count; i++)
		if (model->processes[i]->resident_known)
			return true;
	return false;
}

bool stack_metric_known(const struct model *model, enum render_metric metric)
{
	switch (metric) {
	case RENDER_COPIED:
		return !model->faults_unknown && !model->copies_unknown;
	case RENDER_FAULTS:
		return !model->faults_unknown;
	case RENDER_RESIDENT:
		return resident_known(model);
	case RENDER_STALLED:
		return model->stalls_known;
	case RENDER_CACHED:
		return model->cache_known;
	case RENDER_KERNEL:
		return model->kernel_known;
	case RENDER_HUGE:
		return model->extras & PYMEM_EXTRA_HUGE;
	case RENDER_SWAPPED_IN:
	case RENDER_SWAP_WAIT:
		return model->extras & PYMEM_EXTRA_WAITS;
	case RENDER_GROWN:
	case RENDER_FREED:
	case RENDER_NET:
	case RENDER_METRICS:
		break;
	}
	return true;
}

/* The option that has the metric counted. */
static const char *metric_option(enum render_metric metric)
{
	switch (metric) {
	case RENDER_RESIDENT:
		return "--touched";
	case RENDER_STALLED:
		return "--events reclaim";
	case RENDER_CACHED:
		return "--events cache";
	case RENDER_KERNEL:
		return "--events kernel";
	case RENDER_HUGE:
		return "--events huge";
	case RENDER_SWAPPED_IN:
	case RENDER_SWAP_WAIT:
		return "--events swap";
	default:
		return "--events faults,copies";
	}
}

bool render_metric_missing(const struct model *model, enum render_metric metric, bool recorded,
			   char *why, size_t size)
{
	const char *name = stack_metric_names[metric];

	if (!metric || stack_metric_known(model, metric))
		return false;
	if (metric == RENDER_RESIDENT)
		snprintf(why, size,
			 "--metric %s: it is known of no process; those that have ended have no "
			 "resident memory",
			 name);
	else if (recorded)
		snprintf(why, size,
			 "--metric %s: this was not counted: record with %s, on a kernel that "
			 "tells of it (pymem-bpf check)",
			 name, metric_option(metric));
	else
		snprintf(why, size,
			 "--metric %s: this kernel does not tell of it (pymem-bpf check)", name);
	return true;
}

const char *stack_metric_unit(enum render_metric metric)
{
	if (metric == RENDER_STALLED || metric == RENDER_SWAP_WAIT)
		return "nanoseconds";
	return metric == RENDER_FAULTS ? "count" : "bytes";
}

static bool is_empty(const struct stack_row *row)
{
	for (int i = 1; i < RENDER_METRICS; i++)
		if (row->amounts[i])
			return false;
	return true;
}

static int pass_on(const struct stack_row *row, stack_row_fn *fn, void *arg)
{
	return is_empty(row) ? 0 : fn(row, arg);
}

static int pass_balance(const struct model_process *process, const char *instead, int64_t bytes,
			stack_row_fn *fn, void *arg)
{
	struct stack_row row = {.process = process, .instead = instead};

	row.amounts[RENDER_GROWN] = bytes > 0 ? bytes : 0;
	row.amounts[RENDER_FREED] = bytes < 0 ? -bytes : 0;
	row.amounts[RENDER_NET] = bytes;
	return pass_on(&row, fn, arg);
}

static int pass_lost(const struct model_process *process, const int64_t *lost_bytes,
		     stack_row_fn *fn, void *arg)
{
	int i, err = 0;

	for (i = 0; i < PYMEM_LOSS_COUNT && !err; i++)
		err = pass_balance(process, stack_row_losses[i], lost_bytes[i], fn, arg);
	return err;
}

/* What no line has of figures that are counted only if they are asked for. */
static int pass_lost_events(const struct model *model, const struct model_process *process,
			    stack_row_fn *fn, void *arg)
{
	struct stack_row huge = {.process = process, .instead = "[unattributed: huge pages]"};
	struct stack_row swap = {.process = process, .instead = "[unattributed: swap]"};
	int err = 0;

	for (int i = 0; i < PYMEM_LOSS_COUNT && !err; i++) {
		struct stack_row row = {.process = process, .instead = stack_row_losses[i]};

		row.amounts[RENDER_CACHED] = (int64_t)process->cached_lost_bytes[i];
		row.amounts[RENDER_KERNEL] = process->kernel_lost_bytes[i];
		err = pass_on(&row, fn, arg);
	}
	huge.amounts[RENDER_HUGE] = (int64_t)model_huge_bytes(model, process->lost_extras);
	swap.amounts[RENDER_SWAPPED_IN] = (int64_t)process->lost_extras[PYMEM_EXTRA_SWAPPED_IN];
	swap.amounts[RENDER_SWAP_WAIT] = (int64_t)process->lost_extras[PYMEM_EXTRA_SWAPIN_NS];
	return err ?: pass_on(&huge, fn, arg) ?: pass_on(&swap, fn, arg);
}

/* What is resident and no line touched first. */
static int pass_untouched(const struct model_process *process, stack_row_fn *fn, void *arg)
{
	struct stack_row before = {.process = process, .instead = STACK_ROW_BEFORE};
	struct stack_row unknown = {.process = process, .instead = STACK_ROW_UNKNOWN};

	if (!process->resident_known)
		return 0;
	before.amounts[RENDER_RESIDENT] = process->resident_before_bytes;
	unknown.amounts[RENDER_RESIDENT] = process->resident_unknown_bytes;
	return pass_on(&before, fn, arg) ?: pass_on(&unknown, fn, arg);
}

static int pass_node(const struct model *model, const struct model_process *process, size_t at,
		     const struct model_location *thread, stack_row_fn *fn, void *arg)
{
	const struct model_node_events *events = model_node_events(process, at);
	const struct model_node *node = &process->nodes[at];
	struct stack_row row = {
		.process = process, .node = at, .thread = thread, .truncated = node->truncated};

	row.amounts[RENDER_GROWN] = node->grown_bytes;
	row.amounts[RENDER_FREED] = node->freed_bytes;
	row.amounts[RENDER_NET] = node->own_bytes;
	row.amounts[RENDER_COPIED] = node->cow_faults * model->page_size;
	row.amounts[RENDER_FAULTS] = node->faults;
	row.amounts[RENDER_RESIDENT] = node->resident_bytes;
	row.amounts[RENDER_STALLED] = (int64_t)node->stalled_ns;
	if (events) {
		row.amounts[RENDER_CACHED] = (int64_t)events->cached_bytes;
		row.amounts[RENDER_KERNEL] = events->kernel_bytes;
		row.amounts[RENDER_HUGE] = (int64_t)(events->huge_pages * model->huge_page_bytes +
						     events->collapse_filled_bytes);
		row.amounts[RENDER_SWAPPED_IN] = (int64_t)events->swapped_in_bytes;
		row.amounts[RENDER_SWAP_WAIT] = (int64_t)events->swap_wait_ns;
	}
	return pass_on(&row, fn, arg);
}

/* The thread that a node below the root is; NULL: it is a line. */
static const struct model_location *thread_of(const struct model_node *node)
{
	return node->location->thread ? node->location : NULL;
}

int stack_rows_of(const struct model *model, const struct model_process *process, stack_row_fn *fn,
		  void *arg)
{
	struct stack_row faults = {.process = process, .instead = STACK_ROW_FAULTS};
	struct stack_row stalls = {.process = process, .instead = "[unattributed: stalls]"};
	const struct model_location *thread = NULL;
	size_t node;
	int err = 0;

	if (!process->nodes)
		return -EINVAL;
	for (node = model_next_node(process->nodes, 0); node && !err;
	     node = model_next_node(process->nodes, node)) {
		if (!process->nodes[node].parent)
			thread = thread_of(&process->nodes[node]);
		err = pass_node(model, process, node, thread, fn, arg);
	}
	faults.amounts[RENDER_FAULTS] = process->lost_faults;
	if (!err)
		err = pass_lost(process, process->lost_bytes, fn, arg);
	stalls.amounts[RENDER_STALLED] = (int64_t)process->lost_stall_ns;
	if (!err)
		err = pass_on(&faults, fn, arg) ?: pass_on(&stalls, fn, arg);
	if (!err)
		err = pass_lost_events(model, process, fn, arg);
	return err ?: pass_untouched(process, fn, arg);
}

int stack_rows_unfolded(const struct model *model, stack_row_fn *fn, void *arg)
{
	const struct model_gathered *gathered = &model->unfolded;

	return pass_balance(NULL, STACK_ROW_NOT_KEPT, gathered->charged_bytes, fn, arg)
		       ?: pass_lost(NULL, gathered->lost_bytes, fn, arg);
}

int stack_rows(const struct model *model, stack_row_fn *fn, void *arg)
{
	size_t i;
	int err = 0;

	for (i = 0; i < model_row_count(model) && !err; i++)
		err = stack_rows_of(model, model_row(model, i), fn, arg);
	return err ?: stack_rows_unfolded(model, fn, arg);
}

unsigned stack_row_frames(const struct stack_row *row,
			  const struct model_location *frames[PYMEM_MAX_FRAMES])
{
	unsigned depth = 0;
	size_t node;

	for (node = row->node; node && depth < PYMEM_MAX_FRAMES;
	     node = row->process->nodes[node].parent)
		if (!row->process->nodes[node].location->thread)
			frames[depth++] = row->process->nodes[node].location;
	return depth;
}

/* --- texts --- */

void stack_row_text(char text[STACK_ROW_TEXT], const char *name)
{
	text_escape(text, STACK_ROW_TEXT, name);
}

void stack_row_thread(char text[STACK_ROW_THREAD], const struct model_location *thread)
{
	char name[STACK_ROW_THREAD - 32];

	text_escape(name, sizeof(name), thread->function);
	if (!thread->line)
		snprintf(text, STACK_ROW_THREAD, "other threads");
	else if (*name)
		snprintf(text, STACK_ROW_THREAD, "thread %d (%s)", thread->line, name);
	else
		snprintf(text, STACK_ROW_THREAD, "thread %d", thread->line);
}

void stack_row_process(char name[STACK_ROW_NAME], const struct model *model,
		       const struct model_process *process)
{
	char plain[128], escaped[STACK_ROW_NAME - 64];
	struct program program;

	if (!process) {
		snprintf(name, STACK_ROW_NAME, "%llu ended processes",
			 (unsigned long long)model->unfolded.processes);
		return;
	}
	program_parse(&program, process->cmdline, process->comm);
	program_name(&program, plain, sizeof(plain));
	text_escape(escaped, sizeof(escaped), plain);
	if (process->folded)
		snprintf(name, STACK_ROW_NAME, "%s (%llu ended process%s)", escaped,
			 (unsigned long long)process->folded, process->folded == 1 ? "" : "es");
	else
		snprintf(name, STACK_ROW_NAME, "%s (%d)", escaped, process->pid);
}

/* --- places --- */

struct place {
	/* Names are kept once, so equal ones have one address. A target can't choose addresses, so
	 * it can't make them collide. */
	struct place_key {
		const void *file; /* NULL: no place, but what `function` points to */
		const void *function;
		intptr_t line; /* as wide as the others: no bytes in between */
	} key;
	size_t number;
	UT_hash_handle hh;
};

static ssize_t number_of(struct places *places, const struct place_key *key, bool *is_new)
{
	struct place *place;

	HASH_FIND(hh, places->table, key, sizeof(*key), place);
	*is_new = !place;
	if (place)
		return place->number;
	place = calloc(1, sizeof(*place));
	if (!place)
		return -ENOMEM;
	place->key = *key;
	place->number = places->count;
	if (HASH_INSERT(places->table, key, place)) {
		free(place);
		return -ENOMEM;
	}
	return places->count++;
}

ssize_t place_number(struct places *places, const struct model_location *location, bool *is_new)
{
	struct place_key key = {location->file, location->function, location->line};

	/* Code may have a thread's name, and no file. */
	if (location->thread)
		return place_number_of(places, location, is_new);
	return number_of(places, &key, is_new);
}

ssize_t place_number_of(struct places *places, const void *thing, bool *is_new)
{
	struct place_key key = {NULL, thing, 0};

	return number_of(places, &key, is_new);
}

ssize_t place_number_of_both(struct places *places, const struct model_location *const at[2],
			     bool *is_new)
{
	struct place_key key = {at[0], at[1], -1};

	return number_of(places, &key, is_new);
}

void places_free(struct places *places)
{
	struct place *place, *next;

	HASH_ITER(hh, places->table, place, next)
	{
		HASH_DEL(places->table, place);
		free(place);
	}
	places->count = 0;
}

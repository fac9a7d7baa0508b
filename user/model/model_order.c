/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The order of processes and lines: what tells a reader most comes first. Equal figures always come
 * in the same order. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int64_t model_sort_value(const struct model_line *line, enum model_sort sort)
{
	switch (sort) {
	case MODEL_SORT_TOTAL:
		return line->total_bytes;
	case MODEL_SORT_PEAK:
		return line->peak_bytes;
	case MODEL_SORT_GROWN:
		return line->grown_bytes;
	case MODEL_SORT_FREED:
		return line->freed_bytes;
	case MODEL_SORT_COW:
		return line->cow_faults;
	case MODEL_SORT_RESIDENT:
		return line->resident_bytes;
	case MODEL_SORT_STALLED:
		return (int64_t)line->stalled_ns;
	case MODEL_SORT_CACHED:
		return (int64_t)line->cached.bytes;
	case MODEL_SORT_KERNEL:
		return model_line_kernel_bytes(line);
	case MODEL_SORT_HUGE:
		return (int64_t)(line->extras[PYMEM_EXTRA_HUGE_PAGES] +
				 line->extras[PYMEM_EXTRA_COLLAPSES]);
	case MODEL_SORT_SWAPPED:
		return (int64_t)line->extras[PYMEM_EXTRA_SWAPPED_IN];
	case MODEL_SORT_INCREMENT:
		break;
	}
	/* By size: a line that frees much matters as much as one that grows much. */
	return line->increment_bytes < 0 ? -line->increment_bytes : line->increment_bytes;
}

/* Equal figures are ordered by what tells a reader most, then by place: so the order is always the
 * same. */
static int compare_lines(const void *left, const void *right, void *arg)
{
	const struct model_line *a = left, *b = right;
	enum model_sort sort = *(enum model_sort *)arg;
	int64_t difference[] = {
		model_sort_value(a, sort) - model_sort_value(b, sort),
		a->increment_bytes - b->increment_bytes,
		(int64_t)(a->cow_faults - b->cow_faults),
		a->total_bytes - b->total_bytes,
		(int64_t)(a->grown_bytes - b->grown_bytes),
	};
	size_t i;
	int order;

	for (i = 0; i < sizeof(difference) / sizeof(difference[0]); i++) {
		if (difference[i])
			return difference[i] > 0 ? -1 : 1;
	}
	order = strcmp(a->location->file, b->location->file);
	if (!order)
		order = (a->location->line > b->location->line) -
			(a->location->line < b->location->line);
	return order ? order : strcmp(a->location->function, b->location->function);
}

void model_sort_lines(struct model_process *process, enum model_sort sort)
{
	if (process->line_count)
		qsort_r(process->lines, process->line_count, sizeof(*process->lines), compare_lines,
			&sort);
}

struct rank {
	struct model_process *process;
	int64_t value, change;
};

static int64_t size_of(int64_t change)
{
	return change < 0 && change != INT64_MIN ? -change : change;
}

static struct rank rank_of(struct model_process *process, enum model_sort sort)
{
	struct rank rank = {process, 0, 0};
	int64_t change;
	size_t i;

	if (!__builtin_sub_overflow(process->rss_end_bytes, process->rss_start_bytes, &change))
		rank.change = size_of(change);
	if (sort == MODEL_SORT_INCREMENT || sort == MODEL_SORT_TOTAL)
		rank.value = rank.change;
	else if (sort == MODEL_SORT_PEAK)
		rank.value = process->rss_peak_bytes;
	else
		for (i = 0; i < process->line_count; i++)
			rank.value += model_sort_value(&process->lines[i], sort);
	return rank;
}

/* Equal processes are ordered by PID, which is mostly the order in which they began. Images of one
 * process are ordered by the RSS with which they began. */
static int compare_ranks(const void *left, const void *right)
{
	const struct rank *a = left, *b = right;
	const struct model_process *p = a->process, *q = b->process;
	/* A recording may have any numbers: no differences, which overflow. */
	const int orders[] = {
		(a->value < b->value) - (a->value > b->value),
		(a->change < b->change) - (a->change > b->change),
		(p->pid > q->pid) - (p->pid < q->pid),
		(p->rss_start_bytes > q->rss_start_bytes) -
			(p->rss_start_bytes < q->rss_start_bytes),
		(p->rss_end_bytes > q->rss_end_bytes) - (p->rss_end_bytes < q->rss_end_bytes),
	};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (orders[i])
			return orders[i];
	}
	return 0;
}

int model_sort_processes(struct model *model, enum model_sort sort)
{
	struct rank *ranks = calloc(model->process_count + 1, sizeof(*ranks));
	size_t i;

	if (!ranks)
		return -ENOMEM;
	for (i = 0; i < model->process_count; i++)
		ranks[i] = rank_of(model->processes[i], sort);
	qsort(ranks, model->process_count, sizeof(*ranks), compare_ranks);
	for (i = 0; i < model->process_count; i++)
		model->processes[i] = ranks[i].process;
	free(ranks);
	return 0;
}

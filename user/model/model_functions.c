/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the exact engine counted of functions, by the place where each begins: a function that is
 * defined again and again (in a loop, in another function) has as many code objects, and one row.
 *
 * What functions changed themselves, and what was changed in none of them, add up to the change of
 * the process's RSS. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void keep_larger(int64_t *most, int64_t more)
{
	if (*most < more)
		*most = more;
}

static void add_calls(struct model_function *function, const struct runs *calls, int64_t page)
{
	const struct pymem_line *counted = &calls->counted;

	function->calls += counted->runs;
	function->total_bytes += counted->once_pages * page;
	function->self_bytes += counted->row_pages * page;
	function->gc_bytes += counted->gc_pages * page;
	function->collections += counted->collections;
	keep_larger(&function->peak_bytes, (int64_t)counted->peak_pages * page);
	keep_larger(&function->return_bytes, (int64_t)counted->usage_pages * page);
	keep_larger(&function->peak_before_bytes, (int64_t)calls->peak_before_pages * page);
	keep_larger(&function->return_before_bytes, (int64_t)calls->usage_before_pages * page);
}

/* As of a line (model_lines.c): what was as high before is not known of a part. A function that has
 * not returned yet has no RSS at its return. */
static void settle(struct model_function *function)
{
	if (function->peak_bytes < function->peak_before_bytes || !function->peak_bytes)
		function->peak_bytes = -1;
	if (function->return_bytes < function->return_before_bytes || !function->return_bytes)
		function->return_bytes = -1;
}

static int by_location(const void *left, const void *right)
{
	const struct model_location *a = ((const struct runs *)left)->location;
	const struct model_location *b = ((const struct runs *)right)->location;

	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

/* What functions changed themselves comes first, then what they did with their callees; the last
 * keys make the order the same each time. */
static int by_size(const void *left, const void *right)
{
	const struct model_function *a = left, *b = right;
	int64_t one = llabs(a->self_bytes), other = llabs(b->self_bytes);
	int order;

	if (one == other) {
		one = llabs(a->total_bytes);
		other = llabs(b->total_bytes);
	}
	if (one == other) {
		one = (int64_t)a->calls;
		other = (int64_t)b->calls;
	}
	if (one != other)
		return one < other ? 1 : -1;
	order = strcmp(a->location->file, b->location->file);
	if (!order)
		order = (a->location->line > b->location->line) -
			(a->location->line < b->location->line);
	return order ? order : strcmp(a->location->function, b->location->function);
}

static void sort(struct model_process *process)
{
	if (process->function_count)
		qsort(process->functions, process->function_count, sizeof(*process->functions),
		      by_size);
}

/* The counted functions of the process, in the order of their locations' addresses. The caller
 * frees them. NULL: out of memory. */
static struct runs *take_calls(const struct process *p, size_t *count)
{
	struct runs *calls = calloc(p->run_count + 1, sizeof(*calls));

	*count = 0;
	for (size_t i = 0; calls && i < p->run_count; i++)
		if (p->runs[i].function)
			calls[(*count)++] = p->runs[i];
	if (calls)
		qsort(calls, *count, sizeof(*calls), by_location);
	return calls;
}

int model_compute_functions(const struct book *book, struct model_process *process)
{
	struct model_function *function = NULL;
	size_t count, i;
	struct runs *calls;

	free(process->functions);
	process->functions = NULL;
	process->function_count = 0;
	if (!process->functions_counted)
		return 0;
	calls = take_calls(process_of(process), &count);
	if (calls)
		process->functions = calloc(count + 1, sizeof(*process->functions));
	if (!process->functions) {
		free(calls);
		return -ENOMEM;
	}
	for (i = 0; i < count; i++) {
		if (!i || calls[i].location != calls[i - 1].location) {
			function = &process->functions[process->function_count++];
			function->location = calls[i].location;
		}
		add_calls(function, &calls[i], (int64_t)book->pub.page_size);
	}
	free(calls);
	for (i = 0; i < process->function_count; i++)
		settle(&process->functions[i]);
	sort(process);
	return 0;
}

int64_t model_outside_bytes(const struct model_process *process)
{
	int64_t bytes = process->rss_end_bytes - process->rss_start_bytes;

	for (size_t i = 0; i < process->function_count; i++)
		bytes -= process->functions[i].self_bytes;
	return bytes;
}

static int by_place(const void *left, const void *right)
{
	const struct model_location *a = ((const struct model_function *)left)->location;
	const struct model_location *b = ((const struct model_function *)right)->location;

	return ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

/* Of several processes: a figure that is unknown of one may have been higher there. */
static int64_t highest(int64_t a, int64_t b)
{
	if (a < 0 || b < 0)
		return -1;
	return a > b ? a : b;
}

static void add_function(struct model_function *sum, const struct model_function *more)
{
	sum->calls += more->calls;
	sum->total_bytes += more->total_bytes;
	sum->self_bytes += more->self_bytes;
	sum->gc_bytes += more->gc_bytes;
	sum->collections += more->collections;
	sum->peak_bytes = highest(sum->peak_bytes, more->peak_bytes);
	sum->return_bytes = highest(sum->return_bytes, more->return_bytes);
}

int model_sum_functions(struct model_process *sum, struct model_process *const *processes,
			size_t count)
{
	struct model_function *all;
	size_t most = 0, used = 0, i;

	for (i = 0; i < count; i++)
		most += processes[i]->function_count;
	all = calloc(most + 1, sizeof(*all));
	sum->functions = all;
	sum->function_count = 0;
	if (!all)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		sum->functions_counted |= processes[i]->functions_counted;
		for (size_t j = 0; j < processes[i]->function_count; j++)
			all[used++] = processes[i]->functions[j];
	}
	qsort(all, used, sizeof(*all), by_place);
	for (i = 0; i < used; i++) {
		size_t last = sum->function_count;

		if (last && all[last - 1].location == all[i].location)
			add_function(&all[last - 1], &all[i]);
		else
			all[sum->function_count++] = all[i];
	}
	sort(sum);
	return 0;
}

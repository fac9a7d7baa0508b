/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "heap/births_results.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Insertions of one sample, at most. The sum of all that fit in a file stays below 2^62. */
#define CHANGE_MOST (1ll << 40)
#define ERRNO_MOST  4095
#define MS_MOST	    1e12

struct reading {
	const char *at;
	size_t left;
};

static const void *take(struct reading *r, size_t size)
{
	const void *at = r->at;

	if (size > r->left)
		return NULL;
	r->at += size;
	r->left -= size;
	return at;
}

static int take_line(struct reading *r, struct birth_line *line)
{
	struct births_line_header header;
	const void *head = take(r, sizeof(header));
	const void *file, *function, *names;
	size_t names_bytes;

	if (!head)
		return -EINVAL;
	memcpy(&header, head, sizeof(header));
	names_bytes = header.names * sizeof(*line->names);
	file = take(r, header.file_bytes);
	function = take(r, header.function_bytes);
	names = take(r, names_bytes);
	if (!file || !function || !names || header.line < 0 || header.names > BIRTH_NAMES)
		return -EINVAL;
	line->line = header.line;
	line->file = strndup(file, header.file_bytes);
	line->function = strndup(function, header.function_bytes);
	line->names = malloc(names_bytes + 1);
	if (!line->file || !line->function || !line->names)
		return -ENOMEM;
	memcpy(line->names, names, names_bytes);
	line->name_count = header.names;
	return 0;
}

static int take_stack(struct reading *r, struct birth_stack *stack)
{
	struct births_stack_header head;
	const void *at = take(r, sizeof(head));
	int err = 0;

	if (!at)
		return -EINVAL;
	memcpy(&head, at, sizeof(head));
	if (head.depth > BIRTH_FRAMES)
		return -EINVAL;
	stack->depth = head.depth;
	for (unsigned i = 0; i < stack->depth && !err; i++)
		err = take_line(r, &stack->lines[i]);
	return err;
}

/* A stack is small in a file and large in memory. So the array grows as stacks are read: a count
 * alone can't make it large. */
static int take_stacks(struct births_results *results, struct reading *r, uint32_t count)
{
	uint32_t room = 0;
	int err = 0;

	if (count > r->left / sizeof(struct births_stack_header) || count > BIRTHS_STACKS_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < count && !err; i++) {
		if (i == room) {
			struct birth_stack *more;

			room = room ? room + room / 2 : 64;
			more = realloc(results->stacks, room * sizeof(*more));
			if (!more)
				return -ENOMEM;
			results->stacks = more;
		}
		memset(&results->stacks[i], 0, sizeof(results->stacks[i]));
		results->stack_count++;
		err = take_stack(r, &results->stacks[i]);
	}
	return err;
}

static int take_samples(struct births_results *results, struct reading *r, uint32_t count)
{
	const void *at = take(r, (size_t)count * sizeof(*results->samples));

	if (!at)
		return -EINVAL;
	results->samples = calloc((size_t)count + 1, sizeof(*results->samples));
	if (!results->samples)
		return -ENOMEM;
	memcpy(results->samples, at, (size_t)count * sizeof(*results->samples));
	results->sample_count = count;
	for (uint32_t i = 0; i < count; i++) {
		const struct birth_sample *sample = &results->samples[i];

		if (sample->stack >= results->stack_count || sample->change < 0 ||
		    sample->change > CHANGE_MOST)
			return -EINVAL;
	}
	return 0;
}

static bool is_time(double ms)
{
	return isfinite(ms) && ms >= 0 && ms <= MS_MOST;
}

/* The byte of `watched` may have any value in the file, so it is not read as a bool before it is
 * checked. */
static bool are_figures(const struct births_figures *figures)
{
	unsigned char watched;

	memcpy(&watched, (const char *)figures + offsetof(struct births_figures, watched), 1);
	return watched <= 1 && figures->watch_error <= 0 && figures->watch_error >= -ERRNO_MOST &&
	       isfinite(figures->watched_part) && figures->watched_part >= 0 &&
	       figures->watched_part <= 1 && is_time(figures->stopped_ms) &&
	       is_time(figures->longest_stop_ms) && is_time(figures->probed_ms);
}

int births_results_read(struct births_results *results, const void *file, size_t size)
{
	struct reading r = {file, size};
	struct births_header header;
	const void *head = take(&r, sizeof(header));
	int err;

	if (!head || size > BIRTHS_RESULTS_MAX)
		return -EINVAL;
	memcpy(&header, head, sizeof(header));
	if (header.magic != BIRTHS_MAGIC || header.error > 0 || header.error < -ERRNO_MOST ||
	    !are_figures(&header.figures))
		return -EINVAL;
	results->figures = header.figures;
	err = take_stacks(results, &r, header.stacks);
	if (!err)
		err = take_samples(results, &r, header.samples);
	return err ? err : header.error;
}

void births_results_fini(struct births_results *results)
{
	for (uint32_t i = 0; i < results->stack_count; i++) {
		for (unsigned k = 0; k < BIRTH_FRAMES; k++) {
			free(results->stacks[i].lines[k].file);
			free(results->stacks[i].lines[k].function);
			free(results->stacks[i].lines[k].names);
		}
	}
	free(results->stacks);
	free(results->samples);
	*results = (struct births_results){0};
}

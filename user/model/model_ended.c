/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes that have ended. Their stacks are freed; their lines stay for all later reports.
 *
 * A host that is watched for days has no end of them, so their memory is limited: the processes
 * that changed least are gathered into one sum, and those that a signal ended after all others. All
 * amounts still add up. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Rough memory of a process, including what the caller keeps for it; of a line, including its
 * location and names. */
#define PROCESS_BYTES  768
#define LINE_BYTES     (sizeof(struct model_line) + 128)
#define NODE_BYTES     (sizeof(struct model_node) + 32)
#define FUNCTION_BYTES (sizeof(struct model_function) + 128)

static size_t bytes_of(const struct model_process *process)
{
	size_t bytes = PROCESS_BYTES + process->line_count * LINE_BYTES, i;

	for (i = 0; i < process->line_count; i++)
		bytes += process->lines[i].kernel ? sizeof(*process->lines[i].kernel) + 16 : 0;
	bytes += process_of(process)->hop_count * sizeof(struct model_hop);
	bytes += process->node_count * NODE_BYTES;
	bytes += process->node_event_count * sizeof(struct model_node_events);
	bytes += process->function_count * FUNCTION_BYTES;
	for (i = 0; i < process->cached_file_count; i++)
		bytes += sizeof(struct model_cached_file) + sizeof(void *) + 32 +
			 (process->cached_files[i]->path ? strlen(process->cached_files[i]->path)
							 : 0);
	for (i = 0; process->death && i < process->death->count; i++)
		bytes += sizeof(process->death->threads[i]) +
			 process->death->threads[i].facts.depth * sizeof(void *) + 32;
	for (i = 0; process->cmdline[i]; i++)
		bytes += strlen(process->cmdline[i]) + 32;
	return bytes;
}

/* The lines don't change any more: give back the memory that they don't need. */
static void shrink(struct model_process *process)
{
	struct model_line *lines = NULL;

	if (process->line_count)
		lines = reallocarray(process->lines, process->line_count, sizeof(*lines));
	if (lines)
		process->lines = lines;
}

static void hide_frozen(struct model *model)
{
	size_t i, count = 0;

	for (i = 0; i < model->process_count; i++) {
		if (!process_of(model->processes[i])->frozen)
			model->processes[count++] = model->processes[i];
	}
	model->process_count = count;
}

static int show_frozen(struct book *book)
{
	struct model *model = &book->pub;
	size_t i;

	for (i = 0; i < book->frozen_count; i++) {
		if (!ARRAY_HAS_ROOM(model->processes, model->process_count, book->process_room))
			return -ENOMEM;
		model->processes[model->process_count++] = book->frozen[i];
	}
	return 0;
}

int model_compute(struct model *model)
{
	hide_frozen(model);
	return model_compute_lines(model) ?: show_frozen(book_of(model));
}

int model_freeze(struct model *model)
{
	struct book *book = book_of(model);
	struct model_process *process;
	size_t i;
	int err;

	hide_frozen(model);
	err = model_compute_lines(model);
	for (i = 0; i < model->process_count && !err; i++) {
		process = model->processes[i];
		if (!ARRAY_HAS_ROOM(book->frozen, book->frozen_count, book->frozen_room)) {
			err = -ENOMEM;
			break;
		}
		model_stacks_free(process);
		shrink(process);
		process_of(process)->frozen = true;
		book->frozen[book->frozen_count++] = process;
		book->frozen_bytes += bytes_of(process);
	}
	/* Those that could not be frozen stay; the frozen ones before them are removed. */
	memmove(model->processes, model->processes + i,
		(model->process_count - i) * sizeof(struct model_process *));
	model->process_count -= i;
	return err;
}

static int64_t size_of_change(const struct model_process *process)
{
	int64_t change = process->rss_end_bytes - process->rss_start_bytes;

	return change < 0 ? -change : change;
}

/* Those that have said last words first; then the largest first. */
static int compare(const void *left, const void *right)
{
	const struct model_process *one = *(struct model_process *const *)left;
	const struct model_process *other = *(struct model_process *const *)right;
	int64_t a = size_of_change(one), b = size_of_change(other);

	if (!one->death != !other->death)
		return one->death ? -1 : 1;
	return (a < b) - (a > b);
}

static void gather_process(struct model_gathered *gathered, const struct model_process *process)
{
	int i;

	gathered->processes++;
	gathered->change_bytes += process->rss_end_bytes - process->rss_start_bytes;
	gathered->charged_bytes += process->charged_bytes;
	for (i = 0; i < PYMEM_LOSS_COUNT; i++)
		gathered->lost_bytes[i] += process->lost_bytes[i];
}

int model_gather_ended(struct model *model, size_t limit,
		       void (*gone)(const struct model_process *process, void *arg), void *arg)
{
	struct book *book = book_of(model);
	struct model_process *process;

	if (book->frozen_bytes <= limit || model->process_count)
		return 0;
	qsort(book->frozen, book->frozen_count, sizeof(struct model_process *), compare);
	/* Free a quarter more than necessary, so that this does not happen at each end of a
	 * process. */
	while (book->frozen_count && book->frozen_bytes > limit / 4 * 3) {
		process = book->frozen[--book->frozen_count];
		book->frozen_bytes -= bytes_of(process);
		gather_process(&model->gathered, process);
		gone(process, arg);
		model_process_free(process);
	}
	return model_book_collect(book);
}

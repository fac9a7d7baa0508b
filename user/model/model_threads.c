/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What each thread has of a process's stacks.
 *
 * Lines are of all threads, so they and the paths to them are computed from the stacks as if
 * threads were not told: a report says of a line the same with and without them. The amounts of a
 * thread are kept beside, once more, for the tree of calls alone.
 *
 * A TID may be used again within a process. If the second thread has the first one's name, nothing
 * that a person sees tells them apart: they are one. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>

void model_parts_free(struct process *process)
{
	free(process->parts);
	free(process->part_table.slots);
	process->parts = NULL;
	process->part_count = process->part_room = 0;
	process->part_table = (struct table){0};
}

/* The part of stack `index` that the thread has, added if it is new. NULL: out of memory. The
 * pointer is valid until the next call. */
static struct part *take_part(const struct book *book, struct process *process, size_t index,
			      const struct model_location *thread)
{
	uint64_t hash = model_hash_pointer(book, book->seed ^ index, thread), cursor = hash;
	size_t at;

	while (model_table_next(&process->part_table, hash, &cursor, &at))
		if (process->parts[at].stack == index && process->parts[at].thread == thread)
			return &process->parts[at];
	if (!ARRAY_HAS_ROOM(process->parts, process->part_count, process->part_room) ||
	    model_table_add(&process->part_table, hash, process->part_count) != 0)
		return NULL;
	process->parts[process->part_count] = (struct part){.stack = index, .thread = thread};
	return &process->parts[process->part_count++];
}

uint64_t model_stalled_ns(const struct pymem_vmcalls *vmcalls)
{
	uint64_t sum = 0;

	for (int i = 0; vmcalls && i < PYMEM_STALL_COUNT; i++)
		sum += vmcalls->stall_ns[i];
	return sum;
}

int model_add_part(struct model *model, struct model_process *pub,
		   const struct model_location *thread, const struct model_location *const *frames,
		   unsigned depth, bool truncated, const struct pymem_counters *counters,
		   const struct pymem_vmcalls *vmcalls, uint64_t resident_pages)
{
	struct process *process = process_of(pub);
	struct book *book = book_of(model);
	struct part *part;
	ssize_t index;

	if (!model->trees_kept || !model->threads_told)
		return 0;
	if (!depth)
		return -EINVAL;
	index = model_take_stack(book, process, frames, depth);
	if (index < 0)
		return (int)index;
	part = take_part(book, process, (size_t)index, thread);
	if (!part)
		return -ENOMEM;
	part->truncated |= truncated;
	part->resident_pages += resident_pages;
	part->stalled_ns += model_stalled_ns(vmcalls);
	model_add_call_events(model, &part->events, vmcalls);
	if (counters)
		model_add_counters(&part->counters, counters);
	return 0;
}

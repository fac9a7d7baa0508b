/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a line was reached: the callers in the stack that changed most there.
 *
 * Frames of libraries that follow one another are one hop, and so are those of a line that calls
 * itself: what is left are the program's own lines, of which few are enough. The paths of a process
 * lie in one array, since most lines are callers only and have none. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool continues(const struct model_hop *hop, const struct model_location *location)
{
	if (!hop->location || location->library)
		return !hop->location && location->library;
	return location_of(hop->location)->line == location_of(location)->line;
}

/* Puts the callers of the stack's innermost frame into `hops`. Returns their number; `*more`
 * becomes the number of frames beyond them. */
static unsigned take_path(const struct book *book, const struct model_stack *stack,
			  struct model_hop hops[MODEL_PATH_MOST], unsigned *more)
{
	const struct model_location *location;
	bool leaf = true;
	unsigned count = 0, i;

	*more = 0;
	for (i = 0; i < stack->depth; i++) {
		if (model_is_left_out(book, stack, i))
			continue;
		location = stack->frames[i];
		if (leaf)
			leaf = false;
		else if (*more)
			++*more;
		else if (count && continues(&hops[count - 1], location))
			hops[count - 1].frames++;
		else if (count < MODEL_PATH_MOST)
			hops[count++] = (struct model_hop){location->library ? NULL : location, 1};
		else
			++*more;
	}
	return count;
}

int model_compute_paths(const struct book *book, struct model_process *pub, const size_t *heaviest)
{
	struct process *process = process_of(pub);
	struct model_hop hops[MODEL_PATH_MOST];
	size_t i, room, count = 0;
	unsigned more;

	free(process->hops);
	process->hop_count = 0;
	for (i = 0; i < pub->line_count; i++)
		if (heaviest[i])
			count += take_path(book, &pub->stacks[heaviest[i] - 1], hops, &more);
	room = count;
	process->hops = calloc(room + 1, sizeof(*process->hops));
	if (!process->hops)
		return -ENOMEM;
	for (i = 0; i < pub->line_count; i++) {
		if (!heaviest[i])
			continue;
		count = take_path(book, &pub->stacks[heaviest[i] - 1], hops, &more);
		memcpy(process->hops + process->hop_count, hops, count * sizeof(*hops));
		pub->lines[i].path = process->hops + process->hop_count;
		pub->lines[i].path_count = (unsigned)count;
		pub->lines[i].path_more = more;
		pub->lines[i].path_open = pub->stacks[heaviest[i] - 1].truncated;
		process->hop_count += count;
	}
	return 0;
}

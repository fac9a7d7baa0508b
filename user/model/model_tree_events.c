/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of a tree of calls, the figures that are counted only if they are asked for. Most trees have none
 * and most nodes of the others have none either, so they are a list beside the nodes and cost
 * nothing where they are not. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>

void model_add_call_events(const struct model *model, struct model_node_events *sum,
			   const struct pymem_vmcalls *vmcalls)
{
	uint64_t extras[PYMEM_EXTRA_COUNT] = {0};

	if (!vmcalls)
		return;
	model_add_extras(model, extras, vmcalls->extras);
	sum->huge_pages += extras[PYMEM_EXTRA_HUGE_PAGES];
	sum->collapse_filled_bytes += extras[PYMEM_EXTRA_COLLAPSE_FILLED];
	sum->swapped_in_bytes += extras[PYMEM_EXTRA_SWAPPED_IN];
	sum->swap_wait_ns += extras[PYMEM_EXTRA_SWAPIN_NS];
}

void model_add_stack_events(struct model_node_events *sum, const struct stack_extra *extra)
{
	sum->cached_bytes += extra->cached.bytes;
	if (extra->kernel)
		sum->kernel_bytes += model_kernel_bytes(extra->kernel);
}

static bool is_empty(const struct model_node_events *events)
{
	return !events->cached_bytes && !events->kernel_bytes && !events->huge_pages &&
	       !events->collapse_filled_bytes && !events->swapped_in_bytes && !events->swap_wait_ns;
}

int model_tree_add_events(struct tree *tree, size_t node, const struct model_node_events *events)
{
	if (is_empty(events))
		return 0;
	if (!ARRAY_HAS_ROOM(tree->events, tree->event_count, tree->event_room))
		return -ENOMEM;
	tree->events[tree->event_count] = *events;
	tree->events[tree->event_count++].node = node;
	return 0;
}

static int by_node(const void *left, const void *right)
{
	const struct model_node_events *a = left, *b = right;

	return (a->node > b->node) - (a->node < b->node);
}

/* Puts together what came of the same node. */
static size_t merge(struct model_node_events *list, size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		const struct model_node_events *more = &list[i];
		struct model_node_events *sum = used ? &list[used - 1] : NULL;

		if (!sum || sum->node != more->node) {
			list[used++] = *more;
			continue;
		}
		sum->cached_bytes += more->cached_bytes;
		sum->kernel_bytes += more->kernel_bytes;
		sum->huge_pages += more->huge_pages;
		sum->collapse_filled_bytes += more->collapse_filled_bytes;
		sum->swapped_in_bytes += more->swapped_in_bytes;
		sum->swap_wait_ns += more->swap_wait_ns;
	}
	return used;
}

void model_tree_keep_events(struct tree *tree, struct model_process *process)
{
	free(process->node_events);
	if (tree->event_count)
		qsort(tree->events, tree->event_count, sizeof(*tree->events), by_node);
	process->node_event_count = merge(tree->events, tree->event_count);
	process->node_events = tree->events;
}

const struct model_node_events *model_node_events(const struct model_process *process, size_t node)
{
	const struct model_node_events wanted = {.node = node};

	if (!process->node_event_count)
		return NULL;
	return bsearch(&wanted, process->node_events, process->node_event_count, sizeof(wanted),
		       by_node);
}

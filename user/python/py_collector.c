/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: whoever watches hundreds of processes can't look for the collector's counts each time.
 * So they are found once: an address, and offsets in a short piece of memory.
 *
 * CPython counts the runs of each generation in struct _gc_runtime_state, up to 3.14 in an array of
 * statistics, from 3.15 on in rings to which that has a pointer. Both stay where they are as long
 * as the interpreter lives.
 *
 * The target controls all of this: nothing is followed but the list of interpreters, up to a limit,
 * and an index is checked before it is used. */
#include "python/py_collector.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "python/py_heap_layouts.h"

#define INTERPRETERS_MAX 4096

/* Address of the main interpreter. It was made first, so it is the last of the list. 0: it can't be
 * read. */
static uint64_t main_interpreter(const struct py_process *process, const struct py_heap_layout *l,
				 py_collector_read_fn *read, void *arg)
{
	uint64_t at = process->runtime_addr + l->runtime_interp_head, found = 0, next;

	for (unsigned i = 0; i < INTERPRETERS_MAX; i++) {
		if (!read(arg, at, &next, sizeof(next)))
			return 0;
		if (!next)
			return found;
		found = next;
		at = next + process->layout.interp_next;
	}
	return 0;
}

uint64_t py_collector_state(const struct py_process *process, const struct py_heap_layout *layout,
			    py_collector_read_fn *read, void *arg)
{
	uint64_t interp;

	if (layout->runtime_gc != PY_NONE)
		return process->runtime_addr + layout->runtime_gc;
	interp = main_interpreter(process, layout, read, arg);
	return interp ? interp + layout->interp_gc : 0;
}

static void describe_array(const struct py_heap_layout *l, struct py_collector *to)
{
	for (unsigned i = 0; i < PY_GENERATIONS; i++)
		to->generations[i] = (struct py_collector_generation){
			.at = (uint16_t)(i * l->gc_stat_size + l->gc_stat_collections), .items = 1};
	to->bytes = PY_GENERATIONS * l->gc_stat_size;
}

static void describe_rings(const struct py_heap_layout *l, struct py_collector *to)
{
	to->generations[0] = (struct py_collector_generation){
		.at = (uint16_t)(l->gc_ring_young + l->gc_stat_collections),
		.items = l->gc_ring_young_items,
		.item_bytes = l->gc_stat_size,
		.index_at = (uint16_t)(l->gc_ring_young + l->gc_ring_young_index)};
	for (unsigned i = 1; i < PY_GENERATIONS; i++) {
		unsigned ring = l->gc_ring_old + (i - 1) * l->gc_ring_old_size;

		to->generations[i] = (struct py_collector_generation){
			.at = (uint16_t)(ring + l->gc_stat_collections),
			.items = l->gc_ring_old_items,
			.item_bytes = l->gc_stat_size,
			.index_at = (uint16_t)(ring + l->gc_ring_old_index)};
	}
	to->bytes = l->gc_ring_old + (PY_GENERATIONS - 1) * l->gc_ring_old_size;
}

int py_collector_find(const struct py_process *process, py_collector_read_fn *read, void *arg,
		      struct py_collector *collector)
{
	struct py_heap_layout layout;
	uint64_t state;
	int err = py_heap_layout_find(process, &layout);

	*collector = (struct py_collector){};
	if (err)
		return err;
	state = py_collector_state(process, &layout, read, arg);
	if (!state)
		return -EFAULT;
	collector->addr = state + layout.gc_stats;
	if (!(layout.flags & PY_HEAP_GC_RING)) {
		describe_array(&layout, collector);
		return 0;
	}
	describe_rings(&layout, collector);
	return read(arg, collector->addr, &collector->addr, sizeof(collector->addr)) ? 0 : -EFAULT;
}

bool py_collector_counts(const struct py_collector *collector, const unsigned char *bytes,
			 uint64_t counts[PY_GENERATIONS])
{
	for (unsigned i = 0; i < PY_GENERATIONS; i++) {
		const struct py_collector_generation *g = &collector->generations[i];
		unsigned item = g->items > 1 ? bytes[g->index_at] : 0;

		if (item >= g->items)
			return false;
		memcpy(&counts[i], bytes + g->at + item * g->item_bytes, sizeof(counts[i]));
	}
	return true;
}

void py_collector_explain(const struct py_process *process, char *text, size_t size)
{
	const char *kind = process->free_threaded || process->layout.flags & PY_FREE_THREADED
				   ? "a free-threaded "
			   : process->traces_refs ? "a Py_TRACE_REFS build of "
						  : "";

	snprintf(text, size, "where %sPython %.32s counts them is not known", kind,
		 *process->version ? process->version : "of unknown version");
}

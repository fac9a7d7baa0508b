/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Figures of gc.get_count(), gc.get_threshold(), gc.get_stats(), gc.isenabled(),
 * gc.get_freeze_count() and len(gc.garbage), from the same fields as these functions
 * (Modules/gcmodule.c, Python/gc.c). */
#include "heap/collector.h"

#define FROZEN_MAX (1ull << 28)
#define HEAD_FLAGS 3ull /* low bits of a PyGC_Head's words are flags */

struct collector {
	const struct snapshot *snapshot;
	const struct py_heap_layout *layout;
	uint64_t state; /* address of struct _gc_runtime_state */
};

static int32_t read_int(const struct collector *c, uint64_t addr)
{
	int32_t value = -1;

	snapshot_read(c->snapshot, addr, &value, sizeof(value));
	return value;
}

static uint64_t state_of(const struct snapshot *snapshot, const struct py_heap_layout *layout,
			 uint64_t runtime_addr)
{
	uint64_t interp;

	if (layout->interp_gc == PY_NONE)
		return runtime_addr + layout->runtime_gc;
	interp = snapshot_word(snapshot, runtime_addr + layout->runtime_interp_head);
	return interp ? interp + layout->interp_gc : 0;
}

/* Where the figures of a generation's collections are. From 3.15 on the last item of a ring; each
 * item has the sums since the start. */
static uint64_t stats_of(const struct collector *c, unsigned generation)
{
	const struct py_heap_layout *l = c->layout;
	uint64_t stats, ring;
	int8_t last = -1;

	if (!(l->flags & PY_HEAP_GC_RING))
		return c->state + l->gc_stats + generation * l->gc_stat_size;
	stats = snapshot_word(c->snapshot, c->state + l->gc_stats);
	ring = generation ? stats + l->gc_ring_old + (generation - 1) * l->gc_ring_old_size
			  : stats + l->gc_ring_young;
	snapshot_read(c->snapshot,
		      ring + (generation ? l->gc_ring_old_index : l->gc_ring_young_index), &last,
		      sizeof(last));
	if (!stats || last < 0 ||
	    last >= (generation ? l->gc_ring_old_items : l->gc_ring_young_items))
		return 0;
	return ring + (uint64_t)last * l->gc_stat_size;
}

static bool read_generation(const struct collector *c, unsigned number,
			    struct heap_generation *generation)
{
	const struct py_heap_layout *l = c->layout;
	uint64_t at = c->state + l->gc_generations + number * l->gc_generation_size;
	uint64_t stats = stats_of(c, number);
	int32_t count = read_int(c, at + l->gc_generation_count);
	int32_t threshold = read_int(c, at + l->gc_generation_threshold);

	if (!stats || count < 0 || threshold < 0)
		return false;
	*generation = (struct heap_generation){
		.count = (uint64_t)count,
		.threshold = (uint64_t)threshold,
		.collections = snapshot_word(c->snapshot, stats + l->gc_stat_collections),
		.collected = snapshot_word(c->snapshot, stats + l->gc_stat_collected),
		.uncollectable = snapshot_word(c->snapshot, stats + l->gc_stat_uncollectable),
	};
	return true;
}

/* Objects in the list of gc.freeze(): a circle through its head. What can't be followed ends it. */
static uint64_t count_frozen(const struct collector *c)
{
	uint64_t head = c->state + c->layout->gc_permanent + c->layout->gc_generation_head;
	uint64_t at = snapshot_word(c->snapshot, head) & ~HEAD_FLAGS, count = 0;

	while (at && at != head && count < FROZEN_MAX) {
		count++;
		at = snapshot_word(c->snapshot, at) & ~HEAD_FLAGS;
	}
	return at == head ? count : 0;
}

static uint64_t count_garbage(const struct collector *c)
{
	uint64_t list = snapshot_word(c->snapshot, c->state + c->layout->gc_garbage);

	return list ? snapshot_word(c->snapshot, list + c->layout->object_size) : 0;
}

void heap_collector_read(const struct snapshot *snapshot, const struct py_heap_layout *layout,
			 uint64_t runtime_addr, struct heap_look *look)
{
	struct collector c = {.snapshot = snapshot,
			      .layout = layout,
			      .state = state_of(snapshot, layout, runtime_addr)};
	int32_t enabled = c.state ? read_int(&c, c.state + layout->gc_enabled) : -1;

	look->gc_known = enabled == 0 || enabled == 1;
	look->gc_enabled = enabled == 1;
	look->generation_count = 0;
	for (unsigned i = 0; i < layout->gc_generation_number && i < 3 && look->gc_known; i++) {
		look->gc_known = read_generation(&c, i, &look->generations[i]);
		look->generation_count += look->gc_known;
	}
	if (!look->gc_known)
		return;
	look->gc_frozen = count_frozen(&c);
	look->gc_uncollectable = count_garbage(&c);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: objects don't show how much garbage waits, and whether the collector is on.
 *
 * CPython keeps these figures in struct _gc_runtime_state. It is read in one piece, so that the
 * figures fit each other. Generations are heads of doubly linked lists. A place is a generation if
 * its list leads to a first and a last object and back. Only this test tells where the generations
 * begin in builds of 3.13 (py_heap_layout.h: gc_generations_other).
 *
 * The target controls all of this: lists are followed in the copy only, and no further than there
 * can be objects.
 */
#include "heap/gc.h"

#include <errno.h>

#include "python/py_collector.h"

#define STATE_MAX   512	 /* bytes read of _gc_runtime_state */
#define STAT_MAX    128	 /* of one statistic */
#define LINK_FLAGS  3ull /* low bits of _gc_next and _gc_prev */
#define WORD	    8
#define NANOSECONDS 1e-9

struct collector {
	struct snapshot *snapshot;
	const struct py_heap_layout *l;
	uint64_t addr; /* of struct _gc_runtime_state */
	unsigned char state[STATE_MAX];
};

static uint64_t word_at(const unsigned char *buf, unsigned at)
{
	uint64_t word;

	memcpy(&word, buf + at, sizeof(word));
	return word;
}

static int int_at(const unsigned char *buf, unsigned at)
{
	int value;

	memcpy(&value, buf + at, sizeof(value));
	return value;
}

/* A count that the target may have spoilt: never negative. */
static uint64_t positive(int value)
{
	return value > 0 ? (uint64_t)value : 0;
}

/* --- where it is --- */

static bool read_snapshot(void *snapshot, uint64_t addr, void *to, size_t size)
{
	return snapshot_read_any(snapshot, addr, to, size);
}

/* Does the list at `head` lead to its first and its last object and back? */
static bool is_closed(struct collector *c, uint64_t head, const unsigned char *links)
{
	uint64_t next = word_at(links, 0) & ~LINK_FLAGS, prev = word_at(links, WORD) & ~LINK_FLAGS;
	uint64_t back, forth;

	return snapshot_read_any(c->snapshot, next + WORD, &back, sizeof(back)) &&
	       snapshot_read_any(c->snapshot, prev, &forth, sizeof(forth)) &&
	       (back & ~LINK_FLAGS) == head && (forth & ~LINK_FLAGS) == head;
}

static unsigned closed_lists(struct collector *c, unsigned place)
{
	unsigned closed = 0;

	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++) {
		unsigned at = place + i * c->l->gc_generation_size + c->l->gc_generation_head;

		closed += is_closed(c, c->addr + at, c->state + at);
	}
	return closed;
}

/* Offset of the generations in the state; 0: there are none. A list that changed during the copy
 * may not be closed, but what is no list never is. So the place with more closed lists is taken. */
static unsigned generations_place(struct collector *c)
{
	unsigned usual = closed_lists(c, c->l->gc_generations), other = 0;

	if (c->l->gc_generations_other != PY_NONE)
		other = closed_lists(c, c->l->gc_generations_other);
	if (!usual && !other)
		return 0;
	return other > usual ? c->l->gc_generations_other : c->l->gc_generations;
}

/* --- figures --- */

static void read_generations(struct collector *c, unsigned place, struct heap_gc *gc)
{
	const struct py_heap_layout *l = c->l;
	bool incremental = l->flags & PY_HEAP_GC_INCREMENTAL;
	unsigned visited = 0;

	if (incremental)
		visited = int_at(c->state, l->gc_visited_space) & 1;
	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++) {
		unsigned at = place + i * l->gc_generation_size;
		unsigned counted = i && visited ? HEAP_GC_GENERATIONS - i : i;
		unsigned count_at = place + counted * l->gc_generation_size;

		gc->generations[i].threshold =
			positive(int_at(c->state, at + l->gc_generation_threshold));
		gc->generations[i].count =
			positive(int_at(c->state, count_at + l->gc_generation_count));
	}
	if (incremental)
		gc->generations[HEAP_GC_GENERATIONS - 1].threshold = 0;
}

static void take_statistic(const struct py_heap_layout *l, const unsigned char *stat,
			   struct heap_generation *generation)
{
	generation->collections = word_at(stat, l->gc_stat_collections);
	generation->collected = word_at(stat, l->gc_stat_collected);
	generation->uncollectable = word_at(stat, l->gc_stat_uncollectable);
}

struct ring {
	uint64_t addr;
	unsigned items, index_at;
};

static struct ring ring_of(const struct collector *c, uint64_t rings, unsigned generation)
{
	const struct py_heap_layout *l = c->l;

	if (!generation)
		return (struct ring){rings + l->gc_ring_young, l->gc_ring_young_items,
				     l->gc_ring_young_index};
	return (struct ring){rings + l->gc_ring_old + (generation - 1) * l->gc_ring_old_size,
			     l->gc_ring_old_items, l->gc_ring_old_index};
}

static double seconds_at(const unsigned char *stat, unsigned at)
{
	double seconds;

	memcpy(&seconds, stat + at, sizeof(seconds));
	return seconds >= 0 ? seconds : 0;
}

/* Seconds that the collection of one item of a ring took; < 0: the item is empty, or being written.
 */
static double took(const struct py_heap_layout *l, const unsigned char *stat)
{
	uint64_t start = word_at(stat, l->gc_stat_start), stop = word_at(stat, l->gc_stat_stop);

	return start && stop > start ? (double)(stop - start) * NANOSECONDS : -1;
}

static int read_ring(struct collector *c, struct ring ring, struct heap_generation *generation,
		     struct heap_gc_times *times)
{
	const struct py_heap_layout *l = c->l;
	unsigned char stat[STAT_MAX];
	int8_t last;

	if (!snapshot_read_any(c->snapshot, ring.addr + ring.index_at, &last, sizeof(last)))
		return -EFAULT;
	if (last < 0 || (unsigned)last >= ring.items)
		return -EINVAL;
	for (unsigned i = 0; i < ring.items; i++) {
		double seconds;

		if (!snapshot_read_any(c->snapshot, ring.addr + i * l->gc_stat_size, stat,
				       l->gc_stat_size))
			return -EFAULT;
		seconds = took(l, stat);
		times->remembered += seconds >= 0;
		if (seconds > times->longest_seconds)
			times->longest_seconds = seconds;
		if (i != (unsigned)last)
			continue;
		take_statistic(l, stat, generation);
		times->last_seconds = seconds > 0 ? seconds : 0;
		times->candidates = word_at(stat, l->gc_stat_candidates);
		times->seconds = seconds_at(stat, l->gc_stat_duration);
	}
	return 0;
}

static int read_statistics(struct collector *c, struct heap_gc *gc)
{
	const struct py_heap_layout *l = c->l;
	uint64_t rings = word_at(c->state, l->gc_stats);

	gc->has_times = l->flags & PY_HEAP_GC_RING;
	for (unsigned i = 0; i < HEAP_GC_GENERATIONS; i++) {
		int err;

		if (!gc->has_times) {
			take_statistic(l, c->state + l->gc_stats + i * l->gc_stat_size,
				       &gc->generations[i]);
			continue;
		}
		err = read_ring(c, ring_of(c, rings, i), &gc->generations[i], &gc->times[i]);
		if (err)
			return err;
	}
	return 0;
}

/* --- lists --- */

/* Counts the objects in the list at `head`, by following it in the copy. False: it leads out of the
 * copy, is not linked both ways, or has no end. */
static bool count_list(struct collector *c, uint64_t head, uint64_t *count)
{
	uint64_t limit = snapshot_rss_bytes(c->snapshot) / (c->l->gc_head + c->l->object_head);
	uint64_t at = head, links[2];

	for (*count = 0; *count <= limit; (*count)++) {
		uint64_t before = at;

		if (!snapshot_read(c->snapshot, at, links, sizeof(links)))
			return false;
		at = links[0] & ~LINK_FLAGS;
		if (!snapshot_read(c->snapshot, at, links, sizeof(links)) ||
		    (links[1] & ~LINK_FLAGS) != before)
			return false;
		if (at == head)
			return true;
	}
	return false;
}

static uint64_t list_length(struct collector *c, uint64_t list)
{
	uint64_t length = 0;

	if (!list ||
	    !snapshot_read_any(c->snapshot, list + c->l->object_size, &length, sizeof(length)))
		return 0;
	return length <= snapshot_rss_bytes(c->snapshot) / WORD ? length : 0;
}

int heap_gc_read(struct snapshot *snapshot, const struct py_process *process,
		 const struct py_heap_layout *heap_layout, struct heap_gc *gc)
{
	struct collector c = {.snapshot = snapshot, .l = heap_layout};
	unsigned place;

	memset(gc, 0, sizeof(*gc));
	c.addr = py_collector_state(process, heap_layout, read_snapshot, snapshot);
	if (!c.addr || !snapshot_read_any(snapshot, c.addr, c.state, sizeof(c.state)))
		return -EFAULT;
	place = generations_place(&c);
	if (!place)
		return -EINVAL;
	gc->enabled = int_at(c.state, heap_layout->gc_enabled) != 0;
	gc->collecting = int_at(c.state, heap_layout->gc_collecting) != 0;
	read_generations(&c, place, gc);
	gc->garbage = list_length(&c, word_at(c.state, heap_layout->gc_garbage));
	gc->frozen_known =
		count_list(&c, c.addr + heap_layout->gc_permanent + heap_layout->gc_generation_head,
			   &gc->frozen);
	if (!gc->frozen_known)
		gc->frozen = 0;
	return read_statistics(&c, gc);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Blocks are read in order. If `release` is set, the copies of blocks that were read are released
 * while the arrays of edges grow. So memory use does not grow. */
#include "heap/edges.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/large.h"
#include "heap/marks.h"
#include "heap/references.h"

#define PARTS	   2
#define ROOM_FIRST (1u << 20)
/* Blocks of this size and more are rarely resident as a whole. */
#define LARGE_BYTES (1u << 20)
/* RELEASE_BYTES: copies are released when more than this was read. GAP_MOST: most bytes between
 * neighbouring blocks, the last of a pool and the first of the next. */
#define RELEASE_BYTES (4u << 20)
#define GAP_MOST      1024

struct part {
	const struct heap_view *view;
	const struct bodies *bodies;
	struct heap_edges *edges; /* of all blocks; a part writes `first` of its own */
	uint32_t from, to;
	/* Release copies, and the range that was read and is not released yet. */
	bool release;
	uint64_t read_from, read_to;
	struct marker marker;
	size_t frame;			 /* index of the marker's next frame */
	const struct weakrefs *weakrefs; /* of all parts */
	size_t next_weakref; /* index in `weakrefs`: those before are of earlier blocks */
	struct references references;
	size_t room;
	int err;
	pthread_t thread;
	void (*work)(struct part *part);
};

static void mark_part(struct part *part)
{
	part->marker = (struct marker){
		.view = part->view,
		.bodies = part->bodies,
	};
	part->err = marks_make(&part->marker, part->from, part->to);
}

/* The mark of a block. Must be called for blocks in ascending order. */
static uint32_t mark_for(struct part *part, uint32_t block)
{
	const struct marker *m = &part->marker;

	if (part->frame < m->frame_count && m->frames[part->frame].block == block)
		return m->frames[part->frame++].mark;
	return heap_blocks_marked(part->view->blocks, block);
}

static uint64_t most_references(const struct part *part, uint32_t block)
{
	uint64_t size = heap_blocks_size(part->view->blocks, block), start;

	if (size >= LARGE_BYTES) {
		start = heap_blocks_addr(part->view->blocks, block);
		size = snapshot_resident(part->view->snapshot, start, start + size);
	}
	return references_room(size);
}

/* The number of weak references that die with the object in `block`, which retains them. */
static size_t weakrefs_of(const struct part *part, uint32_t block)
{
	const struct weakrefs *weakrefs = part->weakrefs;
	size_t count = 0;

	while (part->next_weakref + count < weakrefs->count &&
	       weakrefs->list[part->next_weakref + count].referent == block)
		count++;
	return count;
}

static void refer_weakrefs(struct part *part, size_t count)
{
	for (; count; count--)
		part->references.targets[part->references.count++] =
			part->weakrefs->list[part->next_weakref++].block;
}

static int make_room(struct part *part, uint64_t more)
{
	size_t room = part->room ? part->room : ROOM_FIRST;
	uint32_t *targets;

	if (part->references.count + more <= part->room)
		return 0;
	while (room < part->references.count + more)
		room += room / 2;
	targets = part->room ? large_resize(part->references.targets, part->room * sizeof(*targets),
					    room * sizeof(*targets))
			     : large_new(room * sizeof(*targets));
	if (!targets)
		return -ENOMEM;
	part->references.targets = targets;
	part->room = room;
	return 0;
}

static void give_back(struct part *part)
{
	if (part->read_to - part->read_from >= snapshot_page_size(part->view->snapshot))
		snapshot_release(part->view->snapshot, part->read_from, part->read_to);
	part->read_from = part->read_to;
}

/* Notes that a block was read. Memory between two runs of blocks is not released, nor are chunks
 * that no object is known to own: the interpreter's own structures may be there. */
static void note_read(struct part *part, uint32_t block, uint32_t mark)
{
	const struct heap_blocks *blocks = part->view->blocks;
	uint64_t addr = heap_blocks_addr(blocks, block);

	if (mark_form(mark) == MARK_NONE && !heap_blocks_pooled(blocks, block) &&
	    heap_blocks_type(blocks, block) == BLOCK_BUFFER) {
		give_back(part);
		part->read_from = part->read_to = 0;
		return;
	}
	if (addr - part->read_to > GAP_MOST || part->read_to - part->read_from > RELEASE_BYTES) {
		give_back(part);
		part->read_from = addr;
	}
	part->read_to = addr + heap_blocks_size(blocks, block);
}

static void read_part(struct part *part)
{
	struct heap_edges *edges = part->edges;

	part->references = (struct references){
		.view = part->view, .bodies = part->bodies, .weakrefs = part->weakrefs};
	part->next_weakref = weakrefs_from(part->weakrefs, part->from);
	for (uint32_t block = part->from; block < part->to && !part->err; block++) {
		uint32_t mark = mark_for(part, block);
		size_t weakrefs = weakrefs_of(part, block);

		part->err = make_room(part, most_references(part, block) + weakrefs);
		if (!part->err) {
			refer_weakrefs(part, weakrefs);
			references_of(&part->references, block, mark);
		}
		if (part->references.no_memory)
			part->err = -ENOMEM;
		if (part->references.count > UINT32_MAX)
			part->err = -E2BIG;
		edges->first[block + 1] = (uint32_t)part->references.count;
		if (part->release)
			note_read(part, block, mark);
	}
	if (part->release)
		give_back(part);
}

static void *run_part(void *arg)
{
	struct part *part = arg;

	part->work(part);
	return NULL;
}

/* Runs `work` for each part, in a thread for each but the last. A part is done here if no thread
 * can be started for it. */
static void run_parts(struct part *parts, unsigned count, void (*work)(struct part *part))
{
	bool started[PARTS] = {false};

	for (unsigned i = 0; i < count; i++) {
		parts[i].work = work;
		if (i + 1 < count)
			started[i] = !pthread_create(&parts[i].thread, NULL, run_part, &parts[i]);
		if (!started[i])
			work(&parts[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		if (started[i])
			pthread_join(parts[i].thread, NULL);
	}
}

/* The dict of interned strings owns none of them, so its buffer is marked as empty. */
static void mark_interned(struct part *parts, unsigned count)
{
	const struct heap_view *view = parts[0].view;
	uint32_t block = heap_blocks_find_addr(view->blocks, marks_interned_keys(view));
	uint64_t entries = 0;

	for (unsigned i = 0; i < count; i++) {
		if (parts[i].marker.interned_entries > entries) {
			entries = parts[i].marker.interned_entries;
			block = parts[i].marker.interned;
		}
	}
	if (block != BLOCK_NONE)
		heap_blocks_mark(view->blocks, block, mark_of(MARK_EMPTY, 0));
}

/* Appends the references of `part` to those of `first`. The caller frees the references of `part`.
 * 0, -ENOMEM, or -E2BIG: too many. */
static int join(struct part *first, struct part *part)
{
	uint32_t before = (uint32_t)first->references.count;
	int err;

	if (first->references.count + part->references.count > UINT32_MAX)
		return -E2BIG;
	err = make_room(first, part->references.count);
	if (err)
		return err;
	memcpy(first->references.targets + before, part->references.targets,
	       part->references.count * sizeof(uint32_t));
	first->references.count += part->references.count;
	for (uint32_t block = part->from; block < part->to; block++)
		part->edges->first[block + 1] += before;
	return 0;
}

static unsigned parts_of(uint32_t blocks)
{
	return blocks >= ROOM_FIRST && sysconf(_SC_NPROCESSORS_ONLN) > 1 ? PARTS : 1;
}

/* Joins the weak references of all parts, and chooses those that die with another object. All marks
 * must be made before. 0 or -errno. */
static int choose_weakrefs(struct part *parts, unsigned count)
{
	struct weakrefs *all = &parts[0].marker.weakrefs;
	int err = 0;

	for (unsigned i = 1; i < count && !err; i++)
		err = weakrefs_join(all, &parts[i].marker.weakrefs);
	for (unsigned i = 0; i < count; i++)
		parts[i].weakrefs = all;
	return err ? err : weakrefs_choose(all, parts[0].view);
}

/* A dict's entry dies with the weak reference that is its key, and so does the entry's value. So
 * the value becomes a target of the weak reference. It replaces the last target, a placeholder: the
 * weak reference itself. */
static void put_weak_values(struct heap_edges *edges, const struct references *references)
{
	for (size_t i = 0; i < references->value_count; i++) {
		struct weak_value value = references->values[i];
		uint32_t last = edges->first[value.weakref + 1] - 1;

		if (edges->targets[last] == value.weakref)
			edges->targets[last] = value.value;
	}
}

static int error_of(const struct part *parts, unsigned count)
{
	int err = 0;

	for (unsigned i = 0; i < count && !err; i++)
		err = parts[i].err;
	return err;
}

static int read_all(struct part *parts, unsigned count, struct heap_edges *edges)
{
	int err;

	run_parts(parts, count, mark_part);
	mark_interned(parts, count);
	err = error_of(parts, count) ?: choose_weakrefs(parts, count);
	if (!err) {
		run_parts(parts, count, read_part);
		err = error_of(parts, count);
	}
	for (uint32_t block = 0; block < edges->blocks; block++)
		heap_blocks_unmark(parts[0].view->blocks, block);
	for (unsigned i = 0; i < count; i++)
		free(parts[i].marker.frames);
	for (unsigned i = 1; i < count; i++) {
		if (!err)
			err = join(&parts[0], &parts[i]);
		large_free(parts[i].references.targets, parts[i].room * sizeof(uint32_t));
	}
	edges->targets = parts[0].references.targets;
	edges->target_bytes = parts[0].room * sizeof(uint32_t);
	for (unsigned i = 0; i < count; i++) {
		if (!err)
			put_weak_values(edges, &parts[i].references);
		free(parts[i].references.values);
		weakrefs_fini(&parts[i].marker.weakrefs);
	}
	return err;
}

int heap_edges_collect(const struct heap_view *view, const struct bodies *bodies, bool release,
		       struct heap_edges *edges)
{
	uint32_t blocks = heap_blocks_count(view->blocks);
	unsigned count = parts_of(blocks);
	struct part parts[PARTS] = {0};
	int err;

	*edges = (struct heap_edges){.blocks = blocks};
	edges->first = large_new(((size_t)blocks + 1) * sizeof(uint32_t));
	if (!edges->first)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		parts[i] = (struct part){
			.view = view,
			.bodies = bodies,
			.edges = edges,
			.release = release,
			.from = (uint32_t)((uint64_t)blocks * i / count),
			.to = (uint32_t)((uint64_t)blocks * (i + 1) / count),
		};
	}
	err = read_all(parts, count, edges);
	if (err)
		heap_edges_fini(edges);
	return err;
}

void heap_edges_fini(struct heap_edges *edges)
{
	large_free(edges->first, ((size_t)edges->blocks + 1) * sizeof(uint32_t));
	large_free(edges->targets, edges->target_bytes);
	*edges = (struct heap_edges){0};
}

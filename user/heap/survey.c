/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The problem is in survey.h.
 *
 * First the small parts are copied for good: written data of files (static types), and malloc's
 * heaps (classes, large objects). Heads of pools are read by the thousand. Then the pools are
 * looked at in order of address, window by window: while one window is looked at, the child fills
 * the next.
 */
#include "heap/survey.h"

#include <errno.h>
#include <stdlib.h>

#include "heap/balance_private.h"

/* Written pages of a mapped file are data of a program or library, up to that size. More than that
 * is a file that the program itself works on. */
#define FILE_DATA_MAX (64ull << 20)
#define BSS_MAX	      (4ull << 20)

struct survey_work {
	struct heap_survey *survey;
	struct heap_blocks blocks; /* runs and claims, without numbers */
	struct balance_count count;
	struct survey_row *by_type; /* by index of type */
	size_t type_room;
	int32_t *types; /* of one run's blocks */
	size_t block_room;
};

/* --- one run --- */

static int make_room(struct survey_work *w, uint32_t blocks)
{
	if (blocks > w->block_room) {
		int32_t *types = realloc(w->types, blocks * sizeof(*types));

		if (!types)
			return -ENOMEM;
		w->types = types;
		w->block_room = blocks;
	}
	return 0;
}

/* Makes room for all types so far: types are found while their objects are. */
static int make_type_room(struct survey_work *w)
{
	size_t count = heap_types_count(w->survey->types), room = w->type_room;
	struct survey_row *rows;

	if (count <= room)
		return 0;
	room = 2 * count;
	rows = realloc(w->by_type, room * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (size_t i = w->type_room; i < room; i++)
		rows[i] = (struct survey_row){.type = (int32_t)i};
	w->by_type = rows;
	w->type_room = room;
	return 0;
}

static void count_blocks(struct survey_work *w, const struct heap_run *run)
{
	for (uint32_t i = 0; i < run->count; i++) {
		int32_t type = w->types[i];
		uint64_t start, end;

		if (type == BLOCK_FREE || type == BLOCK_CACHED)
			continue;
		blocks_bounds_in(&w->blocks, run, i, &start, &end);
		if (type == BLOCK_BUFFER) {
			w->survey->buffers++;
			w->survey->buffer_bytes += end - start;
			continue;
		}
		w->by_type[type].objects++;
		w->by_type[type].bytes += end - start;
	}
}

static int look_at_run(struct survey_work *w, const struct heap_run *run)
{
	int err = make_room(w, run->count);

	if (err)
		return err;
	blocks_sort_out(&w->blocks, run, w->types);
	err = make_type_room(w);
	if (err)
		return err;
	count_blocks(w, run);
	balance_add_run(&w->count, run, w->types);
	return run_add_use(run, w->types, &w->survey->pools);
}

/* --- windows over the pools --- */

/* Runs [first, next) are pools that one window holds. */
struct stretch {
	size_t first, next;
	uint64_t start, end;
};

/* The next pools from run number `from` on; empty if there are no more. */
static struct stretch next_stretch(const struct heap_blocks *b, size_t from)
{
	struct stretch s = {.first = from};
	uint64_t page = snapshot_page_size(b->snapshot);

	while (s.first < b->run_count && b->runs[s.first].kind != RUN_POOL)
		s.first++;
	s.next = s.first;
	if (s.first == b->run_count)
		return s;
	s.start = b->runs[s.first].start & ~(page - 1);
	while (s.next < b->run_count && b->runs[s.next].kind == RUN_POOL) {
		uint64_t end = (b->runs[s.next].end + page - 1) & ~(page - 1);

		if (end - s.start > SNAPSHOT_WINDOW_BYTES)
			break;
		s.end = end;
		s.next++;
	}
	return s;
}

static int begin_window(struct survey_work *w, unsigned slot, const struct stretch *s)
{
	return s->next > s->first
		       ? snapshot_window_begin(w->survey->snapshot, slot, s->start, s->end)
		       : 0;
}

static int look_at_pools(struct survey_work *w)
{
	struct stretch now = next_stretch(&w->blocks, 0), then;
	unsigned slot = 0;
	int err = begin_window(w, slot, &now);

	while (!err && now.next > now.first) {
		err = snapshot_window_await(w->survey->snapshot, slot);
		then = next_stretch(&w->blocks, now.next);
		if (!err)
			err = begin_window(w, !slot, &then);
		for (size_t i = now.first; i < now.next && !err; i++)
			err = look_at_run(w, &w->blocks.runs[i]);
		now = then;
		slot = !slot;
	}
	return err;
}

static int look_at_others(struct survey_work *w)
{
	int err = 0;

	for (size_t i = 0; i < w->blocks.run_count && !err; i++) {
		if (w->blocks.runs[i].kind != RUN_POOL)
			err = look_at_run(w, &w->blocks.runs[i]);
	}
	return err;
}

/* --- the whole --- */

/* Says that no type is at an address. Types lie in data of programs and libraries, or in malloc's
 * heaps, all of which were copied. */
static bool is_no_type(const void *arg, uint64_t addr)
{
	const struct heap_blocks *b = arg;
	unsigned page = snapshot_page(b->snapshot, addr);

	if (heap_blocks_claim(b, addr) == CLAIM_POOL)
		return true;
	return !(page & (PAGE_COPIED | PAGE_FILE)) && !b->allocators.opaque;
}

/* Copies the written data of programs and libraries, and their data without a file (.bss), which
 * lies right behind. */
static int fetch_data_of_files(struct snapshot *snapshot)
{
	uint64_t file_end = 0;
	int err = 0;

	for (size_t i = 0; i < snapshot_regions(snapshot) && !err; i++) {
		const struct region *r = snapshot_region(snapshot, i);
		uint64_t bytes = r->end - r->start;

		if (r->kind == REGION_FILE && r->resident_bytes <= FILE_DATA_MAX)
			err = snapshot_fetch(snapshot, r->start, r->end);
		else if (r->kind == REGION_ANONYMOUS && r->start == file_end)
			err = snapshot_fetch(snapshot, r->start,
					     r->start + (bytes < BSS_MAX ? bytes : BSS_MAX));
		if (r->kind == REGION_FILE)
			file_end = r->end;
	}
	return err;
}

static int by_bytes(const void *a, const void *b)
{
	const struct survey_row *x = a, *y = b;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static void finish_rows(struct survey_work *w)
{
	struct heap_survey *s = w->survey;

	for (size_t i = 0; i < w->type_room; i++) {
		if (!w->by_type[i].objects)
			continue;
		s->objects += w->by_type[i].objects;
		w->by_type[s->row_count++] = w->by_type[i];
	}
	if (s->row_count)
		qsort(w->by_type, s->row_count, sizeof(*w->by_type), by_bytes);
	s->rows = w->by_type;
	w->by_type = NULL;
}

static int look(struct survey_work *w)
{
	int err = fetch_data_of_files(w->survey->snapshot);

	if (!err)
		err = blocks_find_runs(&w->blocks);
	if (err)
		return err;
	heap_types_set_refuse(w->survey->types, is_no_type, &w->blocks);
	balance_begin(&w->count);
	err = look_at_pools(w);
	if (!err)
		err = look_at_others(w);
	if (err)
		return err;
	balance_end(&w->count);
	finish_rows(w);
	w->survey->allocators = w->blocks.allocators;
	return 0;
}

static int take(struct heap_survey *s, pid_t pid, const struct snapshot_options *options,
		const struct py_heap_layout *heap_layout, const struct py_layout *layout)
{
	struct snapshot_options later = *options;
	struct survey_work w = {.survey = s};
	int err;

	later.later = true;
	err = snapshot_take(pid, &later, &s->snapshot);
	if (err)
		return err;
	s->types = heap_types_new(s->snapshot, heap_layout, layout);
	if (!s->types)
		return -ENOMEM;
	w.blocks.snapshot = s->snapshot;
	w.blocks.layout = heap_layout;
	w.blocks.types = s->types;
	w.count.snapshot = s->snapshot;
	w.count.blocks = &w.blocks;
	w.count.balance = &s->balance;
	err = look(&w);
	blocks_fini(&w.blocks);
	free(w.by_type);
	free(w.types);
	return err;
}

int heap_survey_take(pid_t pid, const struct snapshot_options *options,
		     const struct py_heap_layout *heap_layout, const struct py_layout *layout,
		     struct heap_survey **survey)
{
	int err;

	*survey = calloc(1, sizeof(**survey));
	if (!*survey)
		return -ENOMEM;
	err = take(*survey, pid, options, heap_layout, layout);
	if (err) {
		heap_survey_free(*survey);
		*survey = NULL;
	}
	return err;
}

void heap_survey_free(struct heap_survey *s)
{
	if (!s)
		return;
	free(s->rows);
	pool_use_fini(&s->pools);
	heap_types_free(s->types);
	snapshot_free(s->snapshot);
	free(s);
}

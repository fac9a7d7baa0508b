/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the pages that a line touched first now hold what other lines have made. The census
 * knows each block and its dominators, so an object's tenant is the nearest named holder above it.
 *
 * The stacks of pages were asked for after the copy was made. Pages that came in between are not in
 * the copy. Pages that are in the copy and have gone since count as unknown.
 */
#include "heap/touched_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "heap/tenants.h"

struct touched_join {
	const struct heap_touched *touched;
	const struct snapshot *snapshot;
	const struct heap_blocks *blocks;
	const struct heap_graph *graph; /* NULL: there was not enough memory for one */
	const struct holder *holders;
	size_t holder_count;
	unsigned tenants; /* number of tenants */
	uint16_t *of;	  /* by block: its tenant plus 1; 0: not known yet */
	unsigned *same;	  /* by holder: number of the first one with its path */
	uint64_t *bytes;  /* by line and tenant */
	uint64_t *lines;  /* by line: resident bytes */
	uint64_t before, unknown;
	size_t run; /* index of the first of touched->runs that may have the next page */
};

/* --- whose a block is --- */

/* The tenant of a block: the nearest named holder above it. It is noted for all blocks on the way.
 */
static unsigned holder_above(struct touched_join *j, uint32_t block)
{
	uint32_t at = block, next;
	uint16_t found = TENANT_OBJECTS + 1;

	while (at != BLOCK_NONE && !j->of[at])
		at = heap_graph_dominator(j->graph, at);
	if (at != BLOCK_NONE)
		found = j->of[at];
	for (at = block; at != BLOCK_NONE && !j->of[at]; at = next) {
		next = heap_graph_dominator(j->graph, at);
		j->of[at] = found;
	}
	return found - 1u;
}

static unsigned tenant_of(void *arg, uint32_t block)
{
	struct touched_join *j = arg;

	if (!j->graph)
		return TENANT_OBJECTS;
	if (heap_blocks_type(j->blocks, block) == BLOCK_BUFFER &&
	    heap_graph_owner(j->graph, block) == BLOCK_NONE)
		return TENANT_C;
	return holder_above(j, block);
}

/* Makes one tenant of all holders with one path. Rows of blocks that lie in two holders have no
 * object, so they are no tenants. */
static void name_holders(struct touched_join *j)
{
	for (unsigned i = 0; i < j->holder_count; i++) {
		j->same[i] = i;
		for (unsigned k = 0; k < i && j->same[i] == i; k++)
			if (!strcmp(j->holders[k].path, j->holders[i].path))
				j->same[i] = k;
		if (j->graph && j->holders[i].object && j->holders[i].block != BLOCK_NONE)
			j->of[j->holders[i].block] = (uint16_t)(TENANT_HOLDERS + j->same[i] + 1);
	}
}

/* --- pages --- */

/* The line that touched a page first. Pages must come in order of address. */
static uint32_t line_of(struct touched_join *j, uint64_t addr)
{
	const struct heap_touched *t = j->touched;

	for (; j->run < t->run_count; j->run++) {
		const struct heap_touched_run *run = &t->runs[j->run];

		if (addr < run->start + run->pages * t->page)
			return addr >= run->start ? run->line : TOUCHED_UNKNOWN;
	}
	return TOUCHED_UNKNOWN;
}

/* The tenant of all pages of a run of the snapshot, by the rules of the balance. TENANT_HOLDERS: it
 * depends on the blocks. */
static unsigned tenant_of_run(const struct region *r, const struct snapshot_run *run)
{
	if (r->kind == REGION_SHARED)
		return TENANT_SHARED;
	if (r->kind == REGION_STACK)
		return TENANT_STACK;
	if (r->kind == REGION_FILE || r->kind == REGION_SPECIAL)
		return TENANT_FILE;
	return run->state & PAGE_FILE ? TENANT_SHARED : TENANT_HOLDERS;
}

static void join_page(struct touched_join *j, unsigned whole, uint64_t addr, uint64_t size)
{
	uint32_t line = line_of(j, addr);
	uint64_t *bytes;

	if (line >= j->touched->line_count) {
		*(line == TOUCHED_BEFORE ? &j->before : &j->unknown) += size;
		return;
	}
	bytes = j->bytes + (size_t)line * j->tenants;
	j->lines[line] += size;
	if (whole != TENANT_HOLDERS)
		bytes[whole] += size;
	else
		heap_tenants_add(j->blocks, tenant_of, j, addr, addr + size, bytes);
}

static void join_pages(struct touched_join *j)
{
	unsigned size = snapshot_page_size(j->snapshot);
	const struct region *r = NULL;
	const struct snapshot_run *runs;
	size_t count = snapshot_runs(j->snapshot, &runs);

	for (size_t i = 0; i < count; i++) {
		if (!(runs[i].state & PAGE_RESIDENT))
			continue;
		if (!r || r->end <= runs[i].start)
			r = snapshot_region_of(j->snapshot, runs[i].start);
		for (uint32_t page = 0; page < runs[i].pages; page++)
			join_page(j, tenant_of_run(r, &runs[i]),
				  runs[i].start + (uint64_t)page * size, size);
	}
}

/* --- rows --- */

static int by_bytes(const void *a, const void *b)
{
	const struct heap_now *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->what, y->what);
}

static int fill_now(const struct touched_join *j, const uint64_t *bytes,
		    struct heap_touched_row *row)
{
	size_t room = 0;

	for (unsigned i = 0; i < j->tenants; i++) {
		const char *name = heap_tenant_name(i);
		struct heap_now *now;

		if (!bytes[i])
			continue;
		if (!name)
			name = j->holders[i - TENANT_HOLDERS].path;
		if (!ARRAY_HAS_ROOM(row->now, row->now_count, room))
			return -ENOMEM;
		now = &row->now[row->now_count];
		*now = (struct heap_now){strdup(*name ? name : "other objects"), bytes[i]};
		if (!now->what)
			return -ENOMEM;
		row->now_count++;
	}
	qsort(row->now, row->now_count, sizeof(*row->now), by_bytes);
	return 0;
}

static int by_resident(const void *a, const void *b)
{
	const struct heap_touched_row *x = a, *y = b;

	if (x->resident_bytes != y->resident_bytes)
		return x->resident_bytes < y->resident_bytes ? 1 : -1;
	return strcmp(x->file, y->file) ?: (x->line > y->line) - (x->line < y->line);
}

static int fill_rows(const struct touched_join *j, struct heap_look *look)
{
	size_t count = j->touched->line_count;

	look->touched = calloc(count + 1, sizeof(*look->touched));
	if (!look->touched)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct heap_touched_line *line = &j->touched->lines[i];
		struct heap_touched_row *row = &look->touched[look->touched_count];

		if (!j->lines[i])
			continue;
		look->touched_count++;
		row->file = strdup(line->file);
		row->function = strdup(line->function);
		row->line = line->line;
		row->resident_bytes = j->lines[i];
		if (!row->file || !row->function || fill_now(j, j->bytes + i * j->tenants, row))
			return -ENOMEM;
	}
	qsort(look->touched, look->touched_count, sizeof(*look->touched), by_resident);
	look->touched_known = true;
	look->touched_before_bytes = j->before;
	look->touched_unknown_bytes = j->unknown;
	return 0;
}

int heap_touched_rows(const struct heap_touched *touched, const struct snapshot *snapshot,
		      const struct heap_blocks *blocks, const struct heap_graph *graph,
		      const struct holder *holders, size_t holder_count, struct heap_look *look)
{
	struct touched_join j = {
		.touched = touched,
		.snapshot = snapshot,
		.blocks = blocks,
		.graph = graph,
		.holders = holders,
		.holder_count = holder_count,
		.tenants = TENANT_HOLDERS + (unsigned)holder_count,
	};
	size_t lines = touched->line_count;
	int err = -ENOMEM;

	j.of = calloc((size_t)heap_blocks_count(blocks) + 1, sizeof(*j.of));
	j.same = calloc(holder_count + 1, sizeof(*j.same));
	j.bytes = calloc(lines * j.tenants + 1, sizeof(*j.bytes));
	j.lines = calloc(lines + 1, sizeof(*j.lines));
	if (j.of && j.same && j.bytes && j.lines) {
		name_holders(&j);
		join_pages(&j);
		err = fill_rows(&j, look);
	}
	free(j.of);
	free(j.same);
	free(j.bytes);
	free(j.lines);
	return err;
}

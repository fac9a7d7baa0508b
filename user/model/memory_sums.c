/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: the kernel has sums of a group, and we have changes by line of some of its processes.
 * Neither is a part of the other: a process that is not watched, or has ended, is in the sums; a
 * page that two processes share is in RSS twice. So nothing is bent until it fits: what is left
 * over is a figure of its own, with its reasons (render/render_memory.c).
 *
 * A process that has ended has given all back. What its lines did is told all the same, so the
 * opposite is in the column `ended`. Of one that began while it was watched that is what it
 * changed; of one that was there before, all that it had. Pages of files stay when processes end.
 */
#include "model/memory_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAMES(id, name, text) name,
#define TEXTS(id, name, text) text,
const char *const memory_row_names[MEMORY_ROW_COUNT] = {MEMORY_ROWS(NAMES)};
const char *const memory_row_texts[MEMORY_ROW_COUNT] = {MEMORY_ROWS(TEXTS)};
const char *const memory_part_names[MEMORY_PART_COUNT] = {MEMORY_PARTS(NAMES)};
const char *const memory_part_texts[MEMORY_PART_COUNT] = {MEMORY_PARTS(TEXTS)};
#undef NAMES
#undef TEXTS

struct place { /* what a line has changed */
	const struct model_location *location;
	int64_t bytes[MEMORY_TOTAL];
};

/* --- of a line, and of a process --- */

/* Still there, of what is accounted to the process's own group, as far as that is known. Of what
 * has gone nobody knows to which group it was accounted: both have their share in it. */
static int64_t files_there(const struct model_cache_amounts *amounts)
{
	int64_t there = model_cached_there(amounts);

	/* Read while pages come and go. */
	if (!amounts->other_bytes || !there)
		return there;
	if (amounts->other_bytes >= amounts->bytes)
		return 0;
	return (int64_t)((double)there *
			 ((double)(amounts->bytes - amounts->other_bytes) / amounts->bytes));
}

static void take_off(struct model_cache_amounts *amounts, const struct model_cache_amounts *less)
{
	amounts->bytes -= less->bytes;
	amounts->gone_bytes -= less->gone_bytes;
	amounts->unknown_bytes -= less->unknown_bytes;
	amounts->other_bytes -= less->other_bytes;
}

static void line_changes(const struct model_line *line, int64_t bytes[MEMORY_TOTAL])
{
	bytes[MEMORY_ANON] = line->anon_bytes;
	bytes[MEMORY_FILES] = files_there(&line->cached);
	bytes[MEMORY_SHMEM] = line->shmem_bytes;
	bytes[MEMORY_KERNEL] = model_line_kernel_bytes(line);
	bytes[MEMORY_OTHER] = 0;
}

/* By which kind of the kernel's memory it counts. */
static enum memory_part_id part_of(int kind)
{
	return kind == PYMEM_KERNEL_TABLES   ? MEMORY_PART_TABLES
	       : kind == PYMEM_KERNEL_STACKS ? MEMORY_PART_STACKS
					     : MEMORY_PART_OBJECTS;
}

static void add_parts(struct memory_sum *sum, const struct model_process *process)
{
	const struct pymem_kernel *kernel = &process->kernel;
	int64_t tables = process->tables_start_bytes;

	if (process->exited) {
		sum->parts[MEMORY_PART_TABLES].counted -= process->began ? 0 : tables;
		return;
	}
	for (int i = 0; i < PYMEM_KERNEL_COUNT; i++)
		sum->parts[part_of(i)].counted += kernel->bytes[i] - (int64_t)kernel->gone[i];
	sum->parts[MEMORY_PART_OBJECTS].counted -= (int64_t)kernel->unknown;
	sum->parts[MEMORY_PART_TABLES].counted += process->began ? tables : 0;
}

static void add_process(const struct model *model, struct memory_sum *sum,
			const struct model_process *process)
{
	bool began = process->began, gone = process->exited;
	int64_t all[MEMORY_TOTAL] = {0}, ended[MEMORY_TOTAL] = {0}, bytes[MEMORY_TOTAL];
	struct model_cache_amounts no_line = process->cached;
	int64_t given = process->folded_tables_bytes + (began ? process->tables_start_bytes : 0);

	all[MEMORY_ANON] = process->anon_end_bytes - process->anon_start_bytes;
	all[MEMORY_SHMEM] = process->shmem_end_bytes - process->shmem_start_bytes;
	all[MEMORY_KERNEL] = model_kernel_bytes(&process->kernel);
	if (model->kernel_known) {
		/* Page tables that a child was given by the fork are in nobody's figure. */
		all[MEMORY_KERNEL] += given;
		ended[MEMORY_KERNEL] =
			-all[MEMORY_KERNEL] - (began ? 0 : process->tables_start_bytes);
		add_parts(sum, process);
	}
	ended[MEMORY_ANON] = -all[MEMORY_ANON] - (began ? 0 : process->anon_start_bytes);
	ended[MEMORY_SHMEM] = -all[MEMORY_SHMEM] - (began ? 0 : process->shmem_start_bytes);
	for (size_t i = 0; i < process->line_count; i++) {
		line_changes(&process->lines[i], bytes);
		for (int j = 0; j < MEMORY_TOTAL; j++) {
			sum->rows[j].lines += bytes[j];
			all[j] -= bytes[j];
		}
		take_off(&no_line, &process->lines[i].cached);
		sum->swapped |= process->lines[i].swap_bytes != 0;
		if (!gone)
			sum->copied_bytes += process->lines[i].cow_faults * model->page_size;
	}
	/* A share is no difference of shares. */
	all[MEMORY_FILES] = files_there(&no_line);
	for (int j = 0; j < MEMORY_TOTAL; j++) {
		sum->rows[j].no_line += all[j];
		sum->rows[j].ended += gone ? ended[j] : 0;
	}
	sum->ended += process->folded ?: gone;
	sum->processes += !gone;
	sum->moved += !gone && process->memory_moved;
}

/* --- the kernel's figures --- */

static int64_t change_of(const struct memory_sum *sum, enum cgroup_part part)
{
	int64_t start = sum->group->start.bytes[part], end = sum->group->end.bytes[part];

	return start < 0 || end < 0 ? 0 : end - start;
}

static bool knows(const struct memory_sum *sum, enum cgroup_part part)
{
	return sum->group->start.bytes[part] >= 0 && sum->group->end.bytes[part] >= 0;
}

/* What a row has, of one reading; -1: not known. Parts may be more than their whole by what the
 * kernel's sums are wrong: then it is less than 0, which is no failure. `known` is for both
 * readings. */
static int64_t amount_of(enum memory_row_id row, const struct cgroup_stat *stat)
{
	const int64_t *b = stat->bytes;

	switch (row) {
	case MEMORY_ANON:
		return b[CGROUP_ANON];
	case MEMORY_FILES:
		return b[CGROUP_FILE] - (b[CGROUP_SHMEM] > 0 ? b[CGROUP_SHMEM] : 0);
	case MEMORY_SHMEM:
		return b[CGROUP_SHMEM];
	case MEMORY_KERNEL:
		return b[CGROUP_KERNEL];
	case MEMORY_OTHER:
		return b[CGROUP_TOTAL] - b[CGROUP_ANON] - b[CGROUP_FILE] - b[CGROUP_KERNEL];
	case MEMORY_TOTAL:
	case MEMORY_ROW_COUNT:
		break;
	}
	return b[CGROUP_TOTAL];
}

static bool row_known(const struct memory_sum *sum, enum memory_row_id row)
{
	static const enum cgroup_part needs[] = {
		[MEMORY_ANON] = CGROUP_ANON,   [MEMORY_FILES] = CGROUP_FILE,
		[MEMORY_SHMEM] = CGROUP_SHMEM, [MEMORY_KERNEL] = CGROUP_KERNEL,
		[MEMORY_TOTAL] = CGROUP_TOTAL,
	};

	if (row != MEMORY_OTHER)
		return knows(sum, needs[row]);
	return knows(sum, CGROUP_TOTAL) && knows(sum, CGROUP_ANON) && knows(sum, CGROUP_FILE) &&
	       knows(sum, CGROUP_KERNEL);
}

static void finish_row(const struct model *model, struct memory_sum *sum, enum memory_row_id id)
{
	struct memory_row *row = &sum->rows[id];

	row->counted = id == MEMORY_FILES    ? model->cache_known
		       : id == MEMORY_KERNEL ? model->kernel_known
					     : id != MEMORY_OTHER;
	row->known = row_known(sum, id);
	row->start = row->known ? amount_of(id, &sum->group->start) : -1;
	row->end = row->known ? amount_of(id, &sum->group->end) : -1;
	if (row->known)
		row->remainder = row->end - row->start - row->lines - row->no_line - row->ended;
}

static void finish_parts(struct memory_sum *sum)
{
	static const enum cgroup_part parts[] = {
		[MEMORY_PART_TABLES] = CGROUP_PAGETABLES,
		[MEMORY_PART_STACKS] = CGROUP_KERNEL_STACK,
		[MEMORY_PART_PERCPU] = CGROUP_PERCPU,
		[MEMORY_PART_MACHINES] = CGROUP_SEC_PAGETABLES,
		[MEMORY_PART_ZSWAP] = CGROUP_ZSWAP,
	};
	struct memory_part *rest = &sum->parts[MEMORY_PART_OBJECTS];

	sum->kernel_known = knows(sum, CGROUP_KERNEL);
	rest->change = change_of(sum, CGROUP_KERNEL);
	rest->known = sum->kernel_known;
	for (int i = 0; i < MEMORY_PART_OBJECTS; i++) {
		struct memory_part *part = &sum->parts[i];

		part->known = sum->kernel_known && knows(sum, parts[i]);
		if (!part->known) {
			rest->counted += part->counted;
			part->counted = 0;
			continue;
		}
		part->change = change_of(sum, parts[i]);
		part->remainder = part->change - part->counted;
		rest->change -= part->change;
	}
	if (rest->known)
		rest->remainder = rest->change - rest->counted;
}

static void finish(const struct model *model, struct memory_sum *sum)
{
	struct memory_row *total = &sum->rows[MEMORY_TOTAL];
	uint64_t first = sum->group->start.inode, last = sum->group->end.inode;
	int64_t watched = 0;

	sum->removed = first && !last;
	sum->replaced = first && last && first != last;
	for (int i = 0; i < MEMORY_TOTAL; i++) {
		total->lines += sum->rows[i].lines;
		total->no_line += sum->rows[i].no_line;
		total->ended += sum->rows[i].ended;
	}
	for (int i = 0; i < MEMORY_ROW_COUNT; i++)
		finish_row(model, sum, i);
	finish_parts(sum);
	sum->sock_bytes = sum->group->end.v1 ? 0 : change_of(sum, CGROUP_SOCK);
	for (size_t i = 0; i < model->process_count; i++) {
		const struct model_process *process = model->processes[i];

		watched += !process->exited && !process->memory_moved &&
			   process->memory_group == sum->number;
	}
	sum->others = sum->group->end.processes < 0 ? -1 : sum->group->end.processes - watched;
	if (sum->group->end.processes >= 0 && sum->others < 0)
		sum->others = 0;
}

/* --- the line that did most --- */

static int by_place(const void *left, const void *right)
{
	const struct model_location *a = ((const struct place *)left)->location;
	const struct model_location *b = ((const struct place *)right)->location;
	int order = strcmp(a->file, b->file);

	if (!order)
		order = (a->line > b->line) - (a->line < b->line);
	return order ?: strcmp(a->function, b->function);
}

static uint64_t size_of(int64_t bytes)
{
	return bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
}

static void see_place(struct memory_sum *sum, const struct place *place)
{
	int64_t all = 0;

	for (int i = 0; i <= MEMORY_TOTAL; i++) {
		struct memory_row *row = &sum->rows[i];
		int64_t bytes = i < MEMORY_TOTAL ? place->bytes[i] : all;

		all += bytes;
		if (size_of(bytes) <= size_of(row->most_bytes))
			continue;
		row->most = place->location;
		row->most_bytes = bytes;
	}
}

static bool is_in(const struct model *model, const struct model_process *process,
		  const struct model_memory_group *group)
{
	const char *path;
	size_t length = strlen(group->path);

	if (!process->memory_group || process->memory_group > model->memory_group_count)
		return false;
	path = model->memory_groups[process->memory_group - 1].path;
	if (group->start.alone)
		return !strcmp(path, group->path);
	return !strncmp(path, group->path, length) && (!path[length] || path[length] == '/');
}

/* Finds for each row the line that changed it most, in all processes together. 0 or -ENOMEM. */
static int find_most(const struct model *model, struct memory_sum *sum)
{
	size_t count = 0, used = 0;
	struct place *places;

	for (size_t i = 0; i < model_row_count(model); i++)
		if (is_in(model, model_row(model, i), sum->group))
			count += model_row(model, i)->line_count;
	places = calloc(count + 1, sizeof(*places));
	if (!places)
		return -ENOMEM;
	count = 0;
	for (size_t i = 0; i < model_row_count(model); i++) {
		const struct model_process *process = model_row(model, i);

		if (!is_in(model, process, sum->group))
			continue;
		for (size_t j = 0; j < process->line_count; j++) {
			places[count].location = process->lines[j].location;
			line_changes(&process->lines[j], places[count++].bytes);
		}
	}
	qsort(places, count, sizeof(*places), by_place);
	for (size_t i = 0; i < count; i++) {
		if (used && !by_place(&places[used - 1], &places[i]))
			for (int j = 0; j < MEMORY_TOTAL; j++)
				places[used - 1].bytes[j] += places[i].bytes[j];
		else
			places[used++] = places[i];
	}
	for (size_t i = 0; i < used; i++)
		see_place(sum, &places[i]);
	free(places);
	return 0;
}

/* --- all groups --- */

static int by_change(const void *left, const void *right)
{
	const struct memory_row *a = &((const struct memory_sum *)left)->rows[MEMORY_TOTAL];
	const struct memory_row *b = &((const struct memory_sum *)right)->rows[MEMORY_TOTAL];
	uint64_t p = size_of(a->end - a->start), q = size_of(b->end - b->start);

	if (p != q)
		return p < q ? 1 : -1;
	p = size_of(a->lines + a->no_line);
	q = size_of(b->lines + b->no_line);
	if (p != q)
		return p < q ? 1 : -1;
	return strcmp(((const struct memory_sum *)left)->group->path,
		      ((const struct memory_sum *)right)->group->path);
}

/* True if the group itself has a process in the report. */
static bool is_used(const struct model *model, size_t number)
{
	for (size_t i = 0; i < model_row_count(model); i++)
		if (model_row(model, i)->memory_group == number)
			return true;
	return false;
}

int memory_sums_make(const struct model *model, size_t shown, struct memory_sums *sums)
{
	int err = 0;

	*sums = (struct memory_sums){0};
	sums->list = calloc(model->memory_group_count + 1, sizeof(*sums->list));
	if (!sums->list)
		return -ENOMEM;
	for (size_t i = 0; i < model->memory_group_count; i++) {
		struct memory_sum *sum = &sums->list[sums->count];

		if (!is_used(model, i + 1))
			continue;
		sums->count++;
		sum->group = &model->memory_groups[i];
		sum->number = (unsigned)i + 1;
		for (size_t j = 0; j < model_row_count(model); j++)
			if (is_in(model, model_row(model, j), sum->group))
				add_process(model, sum, model_row(model, j));
		finish(model, sum);
	}
	if (sums->count)
		qsort(sums->list, sums->count, sizeof(*sums->list), by_change);
	for (size_t i = 0; i < sums->count && i < shown && !err; i++)
		err = find_most(model, &sums->list[i]);
	if (err)
		memory_sums_free(sums);
	return err;
}

void memory_sums_free(struct memory_sums *sums)
{
	free(sums->list);
	*sums = (struct memory_sums){0};
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What was brought into the page cache: by line, by file, and which line brought most of a file. */
#include "model/model_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void model_add_amounts(struct model_cache_amounts *sum, const struct model_cache_amounts *more)
{
	sum->bytes += more->bytes;
	sum->gone_bytes += more->gone_bytes;
	sum->unknown_bytes += more->unknown_bytes;
	sum->own_bytes += more->own_bytes;
	sum->other_bytes += more->other_bytes;
}

static uint64_t hash_file(const struct book *book, const char *path, bool deleted)
{
	uint64_t hash = book->seed ^ deleted;

	for (; path && *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3ull;
	return hash ^ hash >> 32;
}

static bool is_same(const struct model_cached_file *file, const char *path, bool deleted)
{
	if (file->deleted != deleted || !file->path != !path)
		return false;
	return !path || !strcmp(file->path, path);
}

/* The process's file with this path; added if it is new. SIZE_MAX: out of memory. */
static size_t file_of(const struct book *book, struct process *process, const char *path,
		      bool deleted)
{
	uint64_t hash = hash_file(book, path, deleted), cursor = hash;
	struct model_cached_file file = {.deleted = deleted};
	size_t index;

	while (model_table_next(&process->file_table, hash, &cursor, &index))
		if (is_same(&process->files[index], path, deleted))
			return index;
	if (!ARRAY_HAS_ROOM(process->files, process->file_count, process->file_room))
		return SIZE_MAX;
	file.path = path ? strdup(path) : NULL;
	if ((path && !file.path) ||
	    model_table_add(&process->file_table, hash, process->file_count)) {
		free(file.path);
		return SIZE_MAX;
	}
	process->files[process->file_count] = file;
	return process->file_count++;
}

int model_add_cached(struct model *model, struct model_process *process,
		     const struct model_location *const *frames, unsigned depth,
		     enum pymem_loss loss, const char *path, bool deleted,
		     const struct model_cache_amounts *amounts)
{
	struct process *inner = process_of(process);
	struct cached_row row = {.bytes = amounts->bytes};
	ssize_t index;

	row.file = file_of(book_of(model), inner, path, deleted);
	if (row.file == SIZE_MAX)
		return -ENOMEM;
	model_add_amounts(&process->cached, amounts);
	model_add_amounts(&inner->files[row.file].amounts, amounts);
	if (!depth) {
		process->cached_lost_bytes[loss] += amounts->bytes;
		return 0;
	}
	index = model_take_stack(book_of(model), inner, frames, depth);
	if (index < 0)
		return (int)index;
	if (!ARRAY_HAS_ROOM(inner->cached_rows, inner->cached_row_count, inner->cached_row_room))
		return -ENOMEM;
	row.stack = (size_t)index;
	inner->cached_rows[inner->cached_row_count++] = row;
	model_add_amounts(&inner->extras[index].cached, amounts);
	return 0;
}

void model_lose_cached(struct model_process *process, enum pymem_loss loss, uint64_t bytes)
{
	process->cached.bytes += bytes;
	process->cached.unknown_bytes += bytes;
	process->cached_lost_bytes[loss] += bytes;
}

int64_t model_cached_there(const struct model_cache_amounts *amounts)
{
	int64_t there = (int64_t)(amounts->bytes - amounts->gone_bytes - amounts->unknown_bytes);

	/* Read while pages come and go. */
	return there > 0 ? there : 0;
}

/* --- which line brought most of a file --- */

struct share { /* of a line in a file */
	size_t file, line;
	uint64_t bytes;
};

static int compare_shares(const void *left, const void *right)
{
	const struct share *a = left, *b = right;

	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	return (a->line > b->line) - (a->line < b->line);
}

/* The number of the line that has the stack's own figures. */
static size_t line_of(const struct book *book, const struct model_stack *stack)
{
	unsigned i = 0;

	while (model_is_left_out(book, stack, i))
		i++;
	return location_of(stack->frames[i])->line;
}

/* Gives each file the line of its largest share. `at`: by number of a line, its index plus 1. */
static void keep_largest(struct model_process *process, const struct share *shares, size_t count,
			 const size_t *at)
{
	struct model_cached_file *file;
	uint64_t bytes;
	size_t i, end;

	for (i = 0; i < count; i = end) {
		for (bytes = 0, end = i; end < count && shares[end].file == shares[i].file &&
					 shares[end].line == shares[i].line;
		     end++)
			bytes += shares[end].bytes;
		file = &process_of(process)->files[shares[i].file];
		if (bytes <= file->most_bytes || !at[shares[i].line])
			continue;
		file->most_bytes = bytes;
		file->most = process->lines[at[shares[i].line] - 1].location;
	}
}

static int compare_files(const void *left, const void *right)
{
	const struct model_cached_file *a = *(const struct model_cached_file *const *)left;
	const struct model_cached_file *b = *(const struct model_cached_file *const *)right;

	if (a->amounts.bytes != b->amounts.bytes)
		return a->amounts.bytes > b->amounts.bytes ? -1 : 1;
	if (!a->path || !b->path)
		return !a->path - !b->path;
	return strcmp(a->path, b->path);
}

/* Fills the process's list of files. 0 or -ENOMEM. */
static int list_files(struct model_process *process)
{
	struct process *inner = process_of(process);
	size_t count = inner->file_count;

	free(process->cached_files);
	process->cached_file_count = 0;
	process->cached_files = count ? calloc(count, sizeof(*process->cached_files)) : NULL;
	if (!count)
		return 0;
	if (!process->cached_files)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		process->cached_files[i] = &inner->files[i];
	process->cached_file_count = count;
	qsort(process->cached_files, count, sizeof(*process->cached_files), compare_files);
	return 0;
}

int model_compute_cached(const struct book *book, struct model_process *process)
{
	struct process *inner = process_of(process);
	size_t count = inner->cached_row_count, i;
	struct share *shares = NULL;
	size_t *at = NULL;
	int err = list_files(process);

	if (err || !count)
		return err;
	shares = reallocarray(NULL, count, sizeof(*shares));
	at = calloc(book->line_count + 1, sizeof(*at));
	if (!shares || !at) {
		err = -ENOMEM;
		goto out;
	}
	for (i = 0; i < process->line_count; i++)
		at[location_of(process->lines[i].location)->line] = i + 1;
	for (i = 0; i < inner->file_count; i++)
		inner->files[i].most_bytes = 0;
	for (i = 0; i < count; i++) {
		const struct cached_row *row = &inner->cached_rows[i];

		shares[i] = (struct share){row->file, line_of(book, &process->stacks[row->stack]),
					   row->bytes};
	}
	qsort(shares, count, sizeof(*shares), compare_shares);
	keep_largest(process, shares, count, at);
out:
	free(shares);
	free(at);
	return err;
}

void model_cached_rows_free(struct process *process)
{
	free(process->cached_rows);
	free(process->file_table.slots);
	process->cached_rows = NULL;
	process->cached_row_count = process->cached_row_room = 0;
	process->file_table = (struct table){0};
}

void model_cached_files_free(struct process *process)
{
	for (size_t i = 0; i < process->file_count; i++)
		free(process->files[i].path);
	free(process->files);
	free(process->pub.cached_files);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the processes of a program brought into the page cache of the same file, added up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_private.h"
#include "model/programs.h"

/* Equal for the same file of two processes: a path and whether it was deleted; no path comes last.
 */
static int compare_files(const struct model_cached_file *a, const struct model_cached_file *b)
{
	if (!a->path || !b->path)
		return !a->path - !b->path;
	return strcmp(a->path, b->path) ?: a->deleted - b->deleted;
}

static size_t line_number(const struct model_cached_file *file)
{
	return file->most ? location_of(file->most)->line : SIZE_MAX;
}

/* Files that are the same are next to each other, and of those, those of one line. */
static int by_file_and_line(const void *left, const void *right)
{
	const struct model_cached_file *a = *(const struct model_cached_file *const *)left;
	const struct model_cached_file *b = *(const struct model_cached_file *const *)right;
	size_t x = line_number(a), y = line_number(b);

	return compare_files(a, b) ?: (x > y) - (x < y);
}

static int by_size(const void *left, const void *right)
{
	const struct model_cached_file *a = *(const struct model_cached_file *const *)left;
	const struct model_cached_file *b = *(const struct model_cached_file *const *)right;

	if (a->amounts.bytes != b->amounts.bytes)
		return a->amounts.bytes > b->amounts.bytes ? -1 : 1;
	return compare_files(a, b);
}

/* Adds up the files from `given` on that are the same as the first one. Returns how many. */
static size_t merge_file(struct model_cached_file *file,
			 const struct model_cached_file *const *given, size_t count)
{
	uint64_t bytes = 0;
	size_t i;

	*file = (struct model_cached_file){.path = given[0]->path, .deleted = given[0]->deleted};
	for (i = 0; i < count && !compare_files(given[0], given[i]); i++) {
		model_add_amounts(&file->amounts, &given[i]->amounts);
		if (i && line_number(given[i]) != line_number(given[i - 1]))
			bytes = 0;
		bytes += given[i]->most_bytes;
		if (!given[i]->most || bytes <= file->most_bytes)
			continue;
		file->most = given[i]->most;
		file->most_bytes = bytes;
	}
	return i;
}

/* The files of all processes of the program, those that are the same side by side. */
static const struct model_cached_file **all_files(const struct model_program *program, size_t count)
{
	const struct model_cached_file **all = reallocarray(NULL, count, sizeof(const void *));
	size_t at = 0;

	for (size_t i = 0; all && i < program->count; i++)
		for (size_t j = 0; j < program->processes[i]->cached_file_count; j++)
			all[at++] = program->processes[i]->cached_files[j];
	if (all)
		qsort(all, count, sizeof(const void *), by_file_and_line);
	return all;
}

int model_sum_cached_files(struct model_program *program)
{
	struct model_process *sum = &program->sum;
	const struct model_cached_file **all;
	size_t count = 0, merged = 0, i;

	sum->cached_files = NULL;
	sum->cached_file_count = 0;
	for (i = 0; i < program->count; i++)
		count += program->processes[i]->cached_file_count;
	if (!count)
		return 0;
	all = all_files(program, count);
	program->files = reallocarray(NULL, count, sizeof(*program->files));
	if (!all || !program->files) {
		free(all);
		return -ENOMEM;
	}
	for (i = 0; i < count; merged++)
		i += merge_file(&program->files[merged], all + i, count - i);
	for (i = 0; i < merged; i++)
		all[i] = &program->files[i];
	qsort(all, merged, sizeof(const void *), by_size);
	sum->cached_files = all;
	sum->cached_file_count = merged;
	return 0;
}

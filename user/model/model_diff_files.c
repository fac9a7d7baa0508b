/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: A ran in /builds/1, B in /builds/2, and no file of the program itself has the same path.
 *
 * Of the files that are in one side only, those with the same ending ("/shop/cart.py") are looked
 * at: what stands before it is a folder of A and one of B. The two folders that explain most files
 * are taken for one another. That is a guess, which the report tells; lines still must have the
 * same function and text. */
#include "model/model_diff_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define FILES_MOST   256 /* of a side: more change nothing */
#define FOLDERS_MOST 64	 /* pairs of folders */

struct files {
	const char *list[FILES_MOST];
	size_t count;
};

struct pair {
	const char *path[MODEL_DIFF_SIDES];
	size_t length[MODEL_DIFF_SIDES]; /* of the folder, without a slash at its end */
	unsigned votes;
};

static bool is_own(const char *file)
{
	return *file == '/' && !model_library_part(file);
}

static int by_name(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool has_file(const struct diff_files *all, int side, const char *file)
{
	return all->count[side] &&
	       bsearch(&file, all->list[side], all->count[side], sizeof(*all->list[side]), by_name);
}

int model_diff_files_init(struct diff_files *all, const struct diff_unit *units, size_t count,
			  size_t pair)
{
	size_t room[MODEL_DIFF_SIDES] = {0}, i, j;
	int side;

	*all = (struct diff_files){0};
	for (i = 0; i < count; i++) {
		const struct model_process *process = &units[i].program->sum;

		side = units[i].side;
		for (j = 0; units[i].pair == pair && j < process->line_count; j++) {
			const char *file = process->lines[j].location->file;

			if (all->count[side] && all->list[side][all->count[side] - 1] == file)
				continue;
			if (!ARRAY_HAS_ROOM(all->list[side], all->count[side], room[side])) {
				model_diff_files_fini(all);
				return -ENOMEM;
			}
			all->list[side][all->count[side]++] = file;
		}
	}
	for (side = 0; side < MODEL_DIFF_SIDES; side++)
		if (all->count[side])
			qsort(all->list[side], all->count[side], sizeof(*all->list[side]), by_name);
	return 0;
}

void model_diff_files_fini(struct diff_files *all)
{
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		free(all->list[side]);
	*all = (struct diff_files){0};
}

/* Takes the own files of a side that the other one has not. */
static void take_files(struct files *files, const struct diff_files *all, int side)
{
	const char *last = "", *file;

	for (size_t i = 0; i < all->count[side] && files->count < FILES_MOST; i++) {
		file = all->list[side][i];
		if (is_own(file) && strcmp(file, last) != 0 && !has_file(all, !side, file))
			files->list[files->count++] = file;
		last = file;
	}
}

/* The length of the common ending, from a slash on; 0: there is none. */
static size_t common_ending(const char *a, const char *b)
{
	size_t one = strlen(a), other = strlen(b), i, found = 0;

	for (i = 1; i <= one && i <= other && a[one - i] == b[other - i]; i++)
		if (a[one - i] == '/')
			found = i;
	return found;
}

static void vote(struct pair *pairs, size_t *count, const char *a, const char *b)
{
	size_t ending = common_ending(a, b), i;
	struct pair found = {{a, b}, {strlen(a) - ending, strlen(b) - ending}, 1};

	if (!ending)
		return;
	for (i = 0; i < *count; i++) {
		if (pairs[i].length[0] != found.length[0] ||
		    pairs[i].length[1] != found.length[1] ||
		    strncmp(pairs[i].path[0], a, found.length[0]) != 0 ||
		    strncmp(pairs[i].path[1], b, found.length[1]) != 0)
			continue;
		pairs[i].votes++;
		return;
	}
	if (*count < FOLDERS_MOST)
		pairs[(*count)++] = found;
}

void model_diff_find_folders(struct model_diff_program *program, const struct diff_files *all)
{
	struct files files[MODEL_DIFF_SIDES] = {0};
	struct pair pairs[FOLDERS_MOST];
	const struct pair *best = NULL;
	size_t pair_count = 0, i, j;

	if (!program->side[0].processes || !program->side[1].processes)
		return;
	for (int side = 0; side < MODEL_DIFF_SIDES; side++)
		take_files(&files[side], all, side);
	for (i = 0; i < files[0].count; i++)
		for (j = 0; j < files[1].count; j++)
			vote(pairs, &pair_count, files[0].list[i], files[1].list[j]);
	/* Of those with as many votes, the shortest folders: then more of the paths is the same. */
	for (i = 0; i < pair_count; i++)
		if (!best || pairs[i].votes > best->votes ||
		    (pairs[i].votes == best->votes && pairs[i].length[0] < best->length[0]))
			best = &pairs[i];
	for (int side = 0; best && side < MODEL_DIFF_SIDES; side++) {
		program->folder[side] = best->path[side];
		program->folder_length[side] = best->length[side];
	}
}

const char *model_diff_file_key(const struct model_diff_program *program,
				const struct diff_files *all, int side, const char *file)
{
	const char *part = model_library_part(file), *folder = program->folder[side];
	size_t length = program->folder_length[side];

	if (part)
		return part;
	if (!folder || strncmp(file, folder, length) != 0 || file[length] != '/' ||
	    has_file(all, !side, file))
		return file;
	return file + length;
}

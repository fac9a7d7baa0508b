/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of model_diff share. */
#ifndef MODEL_DIFF_PRIVATE_H
#define MODEL_DIFF_PRIVATE_H

#include <sys/types.h>

#include "model/model_diff.h"

/* A program of one model on its way to its counterparts. */
struct diff_unit { /* strings are its own */
	const struct model_program *program;
	int side;
	char *name;  /* what is alike in programs of one name */
	char *what;  /* the name with its telling arguments */
	char *where; /* that with the container or service */
	size_t pair; /* index of the program in the diff; SIZE_MAX: none yet */
};

/* model_diff_match.c: gives each of the units a pair, from 0 on. `match` becomes how each pair was
 * found; the caller frees it. Returns the number of pairs, or -ENOMEM. */
ssize_t model_diff_pair(struct diff_unit *units, size_t count,
			enum model_diff_program_match **match);

/* Source texts, and how much of them may be read and compared for all of the diff: recordings may
 * be made in which each of a million lines is the end of a function of 20,000 lines. */
#define DIFF_TEXTS_MOST (1ull << 29) /* bytes, or as much work: half a second or so */
struct diff_texts {
	const struct model_diff_texts *from; /* NULL: none */
	uint64_t left;
	size_t hurried; /* lines that came when nothing was left */
};

/* model_diff_lines.c: fills program->lines from the lines of those of the units whose pair is
 * `pair`. 0 or -ENOMEM. */
int model_diff_match_lines(struct model_diff_program *program, const struct diff_unit *units,
			   size_t count, size_t pair, const struct model_diff *diff,
			   struct diff_texts *texts);

/* The same for all lines that are in stacks, with figures or without: fills program->frames, and
 * calls fn() for each line of each of the units' programs with its number there. 0, -ENOMEM, or
 * what fn() returned: anything but 0 ends it. */
typedef int diff_frame_fn(const struct model_process *sum, const struct model_location *location,
			  size_t frame, void *arg);
int model_diff_match_frames(struct model_diff_program *program, const struct diff_unit *units,
			    size_t count, size_t pair, const struct model_diff *diff,
			    struct diff_texts *texts, diff_frame_fn *fn, void *arg);

/* model_diff_stacks.c: fills program->frames, nodes and amounts, if both models keep trees. 0 or
 * -ENOMEM. */
int model_diff_merge_stacks(struct model_diff_program *program, const struct diff_unit *units,
			    size_t count, size_t pair, const struct model_diff *diff,
			    struct diff_texts *texts);

/* The files of the lines of a pair, sorted. They belong to the models. */
struct diff_files {
	const char **list[MODEL_DIFF_SIDES];
	size_t count[MODEL_DIFF_SIDES];
};

/* model_diff_files.c. model_diff_files_init(): 0, or -ENOMEM, then there is nothing to free. */
int model_diff_files_init(struct diff_files *all, const struct diff_unit *units, size_t count,
			  size_t pair);
void model_diff_files_fini(struct diff_files *all);
/* Sets program->folder if its files lie in other folders in A than in B. */
void model_diff_find_folders(struct model_diff_program *program, const struct diff_files *all);
/* The file as it is compared; a part of `file`. */
const char *model_diff_file_key(const struct model_diff_program *program,
				const struct diff_files *all, int side, const char *file);

#endif

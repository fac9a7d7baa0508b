/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes gathered by program: the workers of a service, the shards of a job. */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include "model/model.h"

struct model_program {
	/* What its processes changed together: the sum of their figures, lines and nodes; their
	 * highest peak; the command, root and the like of the first one. Of a single process it is
	 * a copy that shares all arrays with it. */
	struct model_process sum;
	/* By size of the change of RSS, largest first. If some are folded, the last one is their
	 * sum (model_process.folded). */
	struct model_process **processes;
	size_t count, room;
	uint64_t stands_for; /* how many processes these are, folded ones each */
	bool alike;	     /* all have the same command line */
	bool owns;	     /* the lines, nodes and cached_files of `sum` are its own */
	struct model_cached_file
		*files; /* that sum.cached_files points to; paths are not its own */
};

struct model_programs {
	struct model_program **list; /* sorted as model_sort_processes() sorts processes */
	size_t count;
};

/* Fills `programs`, which model_programs_free() frees. Processes are of one program if they run the
 * same script, module or command at the same place (cgroup, interpreter, root and working folder)
 * with the same rights, and if their arguments differ in options and numbers only: "worker.py
 * --shard 1" and "worker.py --shard 2" are one program, "manage.py web" and "manage.py mail" are
 * two. It is valid until the model changes. 0 or -ENOMEM; then there is nothing to free. */
int model_programs_gather(const struct model *model, enum model_sort sort,
			  struct model_programs *programs);
void model_programs_free(struct model_programs *programs);
/* programs_cache.c. Fills the sum's cached_files: what the processes brought of the same file is
 * one entry. Its line is the one with most of all that are the first of a process. 0 or -ENOMEM;
 * then model_programs_free() frees what there is. */
int model_sum_cached_files(struct model_program *program);

#endif

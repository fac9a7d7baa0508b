/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the processes of a host changed together, by program and place (a container, a service), by
 * container, by unit, by user, or each by itself. A bounded number of rows, whatever targets are
 * called; what has no row of its own is in one for all others, so that sums hold. */
#ifndef GROUP_SUMS_H
#define GROUP_SUMS_H

#include "model/death.h"
#include "model/group_place.h"
#include "model/model.h"

#define GROUP_SUMS_NAME GROUP_PLACE_NAME
#define GROUP_SUMS_REST GROUP_PLACE_REST

struct group_line_sum {
	const struct model_location *location; /* belongs to the model */
	int64_t change_bytes;
};

#define GROUP_GENERATIONS 3 /* of garbage collectors; the last one: full collections */

struct group_pss {	  /* of readings of different times */
	size_t processes; /* that run, and were read; all figures are of these */
	int64_t bytes, swap_bytes;
	double age; /* seconds since the oldest reading; -1: there is none */
};

struct group_sum {
	/* Escaped as text_escape() does, so that rows with the same names are one.
	 *
	 *                name                                  where
	 *   by program   the program's                         container or service; "": none
	 *   by process   the program's                         container or service; "": none
	 *   by container "docker:0123456789ab"                 UID of its Pod; "": none
	 *   by unit      systemd's service or scope            container that has the unit; "":
	 * none by user      UID as a number                       ""
	 *
	 * A name is "" if the processes are in no container, in no unit, or of an unknown user. */
	char name[GROUP_SUMS_NAME], where[GROUP_SUMS_NAME];
	char id[CGROUP_ID_DIGITS + 1]; /* of the container; "": none */
	bool rest; /* what has no row of its own; ended processes that are no longer kept apart */
	const struct model_process *first; /* one of its processes; NULL: it has none of its own */
	size_t processes;		   /* that run */
	int64_t rss_bytes, pss_bytes;	   /* of these; pss_bytes -1: unknown */
	int64_t swap_bytes;		   /* swapped out, of these */
	int64_t peak_bytes;		   /* the highest of one process */
	int64_t change_bytes;		   /* of RSS, of ended processes, too */
	uint64_t grown_bytes, freed_bytes; /* by lines */
	int64_t lost_bytes[PYMEM_LOSS_COUNT];
	uint64_t minor_faults, major_faults, copied_pages; /* by lines */
	uint64_t lost_faults;				   /* by no line */
	/* Processes that a signal ended, by why. Of metric_book_sums() only; else 0. */
	uint64_t killed[DEATH_CAUSES];
	/* Garbage collections by generation, as far as they were read. Likewise. */
	uint64_t collections[GROUP_GENERATIONS];
	struct group_pss pss; /* of pss_book_put() only; else zeros */
	/* change_bytes is the sum of the lines', other_lines_bytes, and lost_bytes. */
	struct group_line_sum *lines; /* by size of change, largest first */
	size_t line_count;
	int64_t other_lines_bytes;
};

struct group_sums {
	struct group_sum *list; /* by RSS, largest first; the rest is last */
	size_t count;
	struct group_line_sum *lines; /* of all */
};

/* Fills `sums`, which group_sums_free() frees: `groups` rows and one for the rest at most, each
 * with `lines` lines at most. `by` is not MODEL_BY_LINE. The model was computed. It is valid until
 * the model changes. 0 or -ENOMEM; then there is nothing to free. */
int group_sums_make(const struct model *model, enum model_by by, size_t groups, size_t lines,
		    struct group_sums *sums);

/* The same by choice. */
struct group_choice {
	enum model_by by;
	size_t groups, lines;
	/* True of groups that had rows before: they keep them until others are a quarter larger, so
	 * that two of nearly the same size don't take turns. NULL: none had. */
	bool (*had)(void *arg, const struct group_place *place);
	void *arg;
	/* What is in model->gathered is in no row: the caller has it otherwise. */
	bool without_gathered;
};
int group_sums_choose(const struct model *model, const struct group_choice *choice,
		      struct group_sums *sums);
/* The place of a row that is not the rest, by anything but process. */
void group_sum_place(const struct group_sum *sum, struct group_place *place);
/* Adds all figures of a row but its lines and other_lines_bytes to another one. */
void group_sum_add(struct group_sum *to, const struct group_sum *from);
void group_sums_free(struct group_sums *sums);

#endif

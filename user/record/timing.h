/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts share that make a timeline of a recording. */
#ifndef RECORD_TIMING_H
#define RECORD_TIMING_H

#include "record/recording_private.h"

struct change_row {
	struct change_key {
		const struct model_process *process;
		size_t node;
		uint64_t slice;
	} key;
	struct timeline_change change;
	UT_hash_handle hh;
};

struct node_row { /* a stack of an image, and its node in the model */
	struct node_row_key {
		uint32_t image, id;
	} key;
	size_t node;
	UT_hash_handle hh;
};

struct sampled { /* an image while its samples are read */
	uint32_t id;
	struct played_image *image;
	struct timeline_process *process;
	size_t next_slice; /* behind that of its last sample in the window; 0: none yet */
	UT_hash_handle hh;
};

struct timing {
	struct recording *recording;
	struct model *model;
	struct timeline *timeline;
	struct sampled *images;
	struct node_row *nodes;
	struct change_row *changes;
	size_t changes_most; /* more are refused with -E2BIG, if there is more than one slice */
	int64_t *ids;	     /* of the intervals of the window, in their order */
	double *middles;
	double since; /* where the next one begins, while they are read */
	size_t interval_count, interval_room, middle_room, mark_room, cgroup_room;
};

/* The slice of an interval, by its number. */
size_t timing_slice(const struct timing *t, int64_t interval);
/* That of a time inside the window. */
size_t timing_slice_of_time(const struct timing *t, double time);
/* An image that is in the timeline, or NULL. */
struct sampled *timing_image(struct timing *t, uint32_t id);
/* Adds a mark, and takes its text, unless its time is outside. 0 or -ENOMEM. */
int timing_mark(struct timing *t, const struct timeline_mark *mark);
/* Adds marks of collections and reclaims. After timing_add_cgroups(). 0 or -errno. */
int timing_add_counted(struct timing *t);
/* The number of slices at whose end the image had not ended. */
size_t timing_slices_of(const struct timing *t, const struct sampled *sampled);
/* Adds PSS. 0 or -errno. */
int timing_add_pss(struct timing *t);
/* Adds the control groups and the kills in them. 0 or -errno. */
int timing_add_cgroups(struct timing *t);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When the figures of a model came about: its time, cut into slices of equal length.
 *
 * Invariant: for each node of a process, the sum of its changes over all slices is what the node
 * has (model_node: grown_bytes, freed_bytes, cow_faults, faults, stalled_ns). */
#ifndef TIMELINE_H
#define TIMELINE_H

#include "model/model.h"

struct timeline_level {			 /* at the end of a slice, in bytes */
	int64_t anon, file, shmem, swap; /* all -1: the process was not there */
};

struct timeline_process {
	const struct model_process *process;
	struct timeline_level *levels; /* one for each slice */
	/* One for each slice, at its end; -1: unknown. pss_bytes NULL: unknown in all slices. */
	int64_t *pss_bytes, *peak_bytes; /* peak: since the beginning of the recording */
	int64_t *most_bytes;		 /* the highest RSS of any sample in the slice */
	int64_t peak_before_bytes;	 /* before the first slice; -1: it was not there */
	size_t cgroup;			 /* index of its control group; SIZE_MAX: unknown */
};

/* A control group: of those above it and itself, the one with the lowest limit. */
struct timeline_cgroup {
	char *path;
	int64_t *current_bytes, *limit_bytes; /* one for each slice; -1: unknown, none */
};

/* What a stack did in a slice. */
struct timeline_change {
	const struct model_process *process;
	size_t node; /* in process->nodes; 0: its frames are unknown */
	uint32_t slice;
	uint64_t grown_bytes, freed_bytes;
	uint64_t cow_faults, faults; /* minor and major */
	/* Of the stack, as in a model_line: since the beginning of the recording, if it became
	 * higher in the slice, else 0; and what it was before the first slice. */
	uint64_t peak_bytes, peak_before_bytes;
	uint64_t stalled_ns;
};

enum timeline_event {
	TIMELINE_BEGIN,	  /* the process was first seen */
	TIMELINE_END,	  /* it has ended, or runs another program */
	TIMELINE_OOM,	  /* the kernel killed a process of a control group for want of memory */
	TIMELINE_GC,	  /* the process has made full garbage collections */
	TIMELINE_RECLAIM, /* a control group was at its limit, and memory was reclaimed */
	TIMELINE_HOST_RECLAIM, /* processes had to reclaim memory of the host */
	TIMELINE_UNSEEN,       /* such marks are not known; of all the time */
};

struct timeline_mark {
	double time; /* seconds since the epoch */
	enum timeline_event event;
	const struct model_process *process; /* NULL: it is of none */
	size_t cgroup;	     /* of TIMELINE_OOM and _RECLAIM: its index; SIZE_MAX: none, unknown */
	size_t group_length; /* of _RECLAIM: of the part of its path that names the one at its limit
			      */
	uint64_t count;	     /* collections; how often a limit was reached, memory reclaimed */
	uint64_t more; /* collections of younger generations; how often it was above memory.high */
	char *text;    /* of _UNSEEN: what is not known, and why */
};

struct timeline {
	double start, end; /* seconds since the epoch */
	bool peaks_known;  /* those of changes are all there is of lines: no runs have others */
	size_t slices;
	struct timeline_process *processes;
	size_t process_count;
	struct timeline_cgroup *cgroups;
	size_t cgroup_count;
	struct timeline_change *changes; /* by process and slice */
	size_t change_count;
	struct timeline_mark *marks; /* by time */
	size_t mark_count;
};

/* True if the first `length` bytes of `name` are the path of the control group, or of one above
 * it. */
bool timeline_is_below(const struct timeline_cgroup *cgroup, const char *name, size_t length);

void timeline_free(struct timeline *timeline);

#endif

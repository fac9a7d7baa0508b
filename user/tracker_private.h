/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tracker.c (images, messages) and tracker_attach.c (which process is what) share. */
#ifndef TRACKER_PRIVATE_H
#define TRACKER_PRIVATE_H

#include "tracker.h"

/* Tracks `pid`, or marks what is tracked as identified. 0 or -errno; `*out` its image. */
int tracker_track(struct tracker *tracker, pid_t pid, const struct py_process *python,
		  uint64_t start, struct image **out);

/* The image that `pid` runs, if it is tracked; else NULL. */
struct image *tracker_live_image(struct tracker *tracker, pid_t pid);

/* Notes a process that is not profiled, once for each reason. */
void tracker_skip(struct tracker *tracker, pid_t pid, const char *comm, const char *reason);

/* Looks at what a message called attention to. */
void tracker_identify(struct tracker *tracker, pid_t pid);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tracker.c (images, messages) and tracker_attach.c (which process is what) share. */
#ifndef TRACKER_PRIVATE_H
#define TRACKER_PRIVATE_H

#include "tracker.h"

/* Tracks what `pid` runs; `*out` its image. 0 or -errno. */
int tracker_track(struct tracker *tracker, pid_t pid, uint64_t start, struct image **out);

/* From now on the stacks of `image` are walked. `python` must have been found after tracking
 * began: before, it may be what ran before an exec. 0, -ESRCH if it runs no more, -errno. */
int tracker_know(struct tracker *tracker, struct image *image, const struct py_process *python);

/* The image `id`, made if it is not known yet: what `pid` runs now. NULL: no memory. */
struct image *tracker_new_image(struct tracker *tracker, uint32_t id, pid_t pid);

/* The image that `pid` runs, if it is tracked; else NULL. */
struct image *tracker_live_image(struct tracker *tracker, pid_t pid);

/* The same, or the one that it ran last. */
struct image *tracker_newest_image(struct tracker *tracker, pid_t pid);

/* Takes the records of images that have ended; notes those whose record was dropped, the last
 * of them with `final`. 0 or -errno. */
int tracker_take_ended(struct tracker *tracker, bool final);

/* Forgets what ended before the last messages and is not for the report. */
void tracker_fold_ended(struct tracker *tracker);

void tracker_free_images(struct tracker *tracker);

/* Notes a process that is not profiled, once for each reason. */
void tracker_skip(struct tracker *tracker, pid_t pid, const char *comm, const char *reason);

/* Looks at what a message called attention to. True: it may be another thing in a moment; with
 * `last`, it is given up instead. */
bool tracker_identify(struct tracker *tracker, pid_t pid, bool last);

/* Has tracker_poll() identify `pid`. */
void tracker_queue(struct tracker *tracker, pid_t pid);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tracker.c (images, messages) and tracker_attach.c (which process is what) share. */
#ifndef TRACKER_PRIVATE_H
#define TRACKER_PRIVATE_H

#include "track/tracker.h"

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
void tracker_forget_ended(struct tracker *tracker);

void tracker_free_images(struct tracker *tracker);

/* What the image, which has ended, did was handed over: all else that is kept of it is freed, and
 * the image too unless it was asked for. */
void tracker_finish_image(struct tracker *tracker, struct image *image);

/* Does the image belong in a report? Another program that a tracked process ran does not. */
bool tracker_is_reported(const struct image *image);

/* tracker_counts.c: hands over an image, a stack with its frames, a line. What `reader` returned,
 * or -errno. */
int tracker_hand_image(const struct image *image, const struct pymem_proc *record,
		       const struct counts_reader *reader, void *arg);
int tracker_hand_stack(struct tracker *tracker, const struct pymem_stack_key *key,
		       const struct pymem_counters *counters,
		       int (*fn)(const struct counts_stack *stack, void *arg), bool vmcalls,
		       void *arg);
int tracker_hand_line(struct tracker *tracker, const struct pymem_line_key *key,
		      const struct pymem_line *counted, const struct counts_reader *reader,
		      void *arg);

/* tracker_take.c: counts_ops.take_ended. */
int tracker_take_counts(void *self, bool all, const struct counts_reader *reader, void *arg);

/* Identifies `pid` by the examiner. What that took decides when it is looked at again. As
 * examiner_identify(). */
int tracker_look(struct tracker *tracker, pid_t pid, struct py_process *python);

/* Not before this is the process to be looked at again; 0: at any time. */
uint64_t tracker_look_not_before(struct tracker *tracker, pid_t pid);
void tracker_free_looks(struct tracker *tracker);

/* Notes a process that is not profiled, once for each reason; of too many only the number. */
void tracker_skip(struct tracker *tracker, pid_t pid, const char *comm, const char *reason);

/* A tracked process, named `comm` ("": not known), ended before anybody looked at what it was. */
void tracker_count_unexamined(struct tracker *tracker, const char *comm);

enum tracker_identified {
	TRACKER_DONE,
	TRACKER_AGAIN, /* it may be another thing in a moment */
	TRACKER_LATER, /* it can't be looked at now, for what others do */
	TRACKER_GONE,  /* no traced process, and it ended before it could be looked at */
};

/* Looks at what a message called attention to. With `last`, it is given up instead of
 * TRACKER_AGAIN.
 */
enum tracker_identified tracker_identify(struct tracker *tracker, pid_t pid, bool last);

/* At the end `pid` has still not been looked at, for what others did (TRACKER_LATER). */
void tracker_refuse_later(struct tracker *tracker, pid_t pid);

/* Has tracker_poll() identify `pid`, which runs another program if it has `execed`. */
void tracker_queue(struct tracker *tracker, pid_t pid, bool execed);

/* `image` began by a fork of the image `parent_id`; if its stacks are not walked as its parent's,
 * it is to be identified itself. */
void tracker_begin_child(struct tracker *tracker, struct image *image, uint32_t parent_id,
			 bool identified);

/* Tells copies on write from pages kept, from now on. Where that can't be, the report says so. */
void tracker_watch_copies(struct tracker *tracker);

/* tracker_probes.c, with --lines: what is wanted is done in a thread, in that order. Until it is,
 * the image's lines_error is -EINPROGRESS; if its process ends before, -ESRCH; if we do,
 * -ECANCELED. */
struct probe_worker *probe_worker_new(struct probes *probes);
void tracker_want_probes(struct tracker *tracker, const struct image *image,
			 const struct py_process *python);
/* For a command that is about to exec `program` and that can't be held: so that its first lines are
 * seen. Where the program is no interpreter with line probes, nothing is done: identification will
 * tell. If it execs another file than the one found here, these probes are on a file that it does
 * not run. Waits until it is done. 0 or -errno. */
int tracker_want_command_probes(struct tracker *tracker, const struct image *image,
				const char *program);
void tracker_want_child_probes(struct tracker *tracker, const struct image *image, pid_t parent);
void tracker_forget_probes(struct tracker *tracker, pid_t pid);
/* Takes over what has been done; the second waits until all has, or a signal asks for
 * the end; the third drops what has not been
 * begun, and ends the thread. */
void tracker_take_probes(struct tracker *tracker);
void tracker_wait_probes(struct tracker *tracker);
void tracker_end_probes(struct tracker *tracker);

/* Looks through /proc for Pythons that no message told of, if it is time to. 0 or -errno. */
int tracker_rescan(struct tracker *tracker);
void tracker_free_unwatched(struct tracker *tracker);
void tracker_free_scanned(struct tracker *tracker);

#endif

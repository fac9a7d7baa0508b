/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the tracker share: tracker.c (messages), tracker_images.c, tracker_attach.c
 * (what a process is), tracker_counts.c and tracker_take.c (figures), tracker_probes.c,
 * tracker_scan.c. */
#ifndef TRACKER_PRIVATE_H
#define TRACKER_PRIVATE_H

#include "track/tracker.h"

/* Starts to track what `pid` runs. `*out` becomes its image. 0 or -errno. */
int tracker_track(struct tracker *tracker, pid_t pid, uint64_t start, struct image **out);

/* From now on the stacks of `image` are walked. `python` must have been found after tracking began;
 * an earlier one may be of the program before an exec. 0, -ESRCH: it does not run any more, or
 * -errno. */
int tracker_know(struct tracker *tracker, struct image *image, const struct py_process *python);

/* The image `id`, which `pid` runs now; added if it is new. NULL: out of memory. */
struct image *tracker_new_image(struct tracker *tracker, uint32_t id, pid_t pid);

/* The image that `pid` runs; NULL: it is not tracked. */
struct image *tracker_live_image(struct tracker *tracker, pid_t pid);

/* The image that `pid` runs or ran last; NULL: none is known. */
struct image *tracker_newest_image(struct tracker *tracker, pid_t pid);

/* Takes the records of images that have ended. Also notes images whose records were dropped; with
 * `final`, all of them. 0 or -errno. */
int tracker_take_ended(struct tracker *tracker, bool final);

/* Forgets images that ended before the last messages and belong in no report. */
void tracker_forget_ended(struct tracker *tracker);

/* Frees all images. */
void tracker_free_images(struct tracker *tracker);

/* All figures of the image, which has ended, were handed over. Frees everything else of it, and the
 * image too unless it was asked for. An ancestor stays as it is. When it is no ancestor any more,
 * it is finished again. */
void tracker_finish_image(struct tracker *tracker, struct image *image);

/* True if the image belongs in a report. Another program that a tracked process ran does not. */
bool tracker_is_reported(const struct image *image);

/* System calls of a stack: none, read, or read and deleted. */
enum hand_calls { HAND_NONE, HAND_READ, HAND_TAKEN };

/* tracker_counts.c: pass an image, a stack with its frames, or a line to `reader`. They return what
 * it returned, or -errno. */
int tracker_hand_image(struct tracker *tracker, const struct image *image,
		       const struct pymem_proc *record, const struct counts_reader *reader,
		       void *arg);
int tracker_hand_stack(struct tracker *tracker, const struct pymem_stack_key *key,
		       const struct pymem_counters *counters,
		       int (*fn)(const struct counts_stack *stack, void *arg), enum hand_calls with,
		       void *arg);
int tracker_hand_line(struct tracker *tracker, const struct pymem_line_key *key,
		      const struct pymem_line *counted, const struct counts_reader *reader,
		      void *arg);

/* tracker_cache.c: pass what stacks brought into the page cache to `reader`: those of images that
 * are not finished, or of those that are being taken. 0, what it returned, or -errno. */
int tracker_read_cached(struct tracker *tracker, const struct counts_reader *reader, void *arg);
int tracker_take_cached(struct tracker *tracker, const struct counts_reader *reader, void *arg);

/* tracker_kernel.c: the same with the kernel's own memory. */
int tracker_read_kernel(struct tracker *tracker, const struct counts_reader *reader, void *arg);
int tracker_take_kernel(struct tracker *tracker, const struct counts_reader *reader, void *arg);

/* tracker_words.c */
/* Takes a message of a thread that a signal ends, or of a victim of the OOM killer. Without room,
 * the thread is missing. */
void tracker_take_words(struct tracker *tracker, const struct pymem_msg_words *message,
			size_t size);
/* What is known of how a signal ended the image. The caller frees it with counts_free_death(). 0,
 * with `*death` NULL if no signal has; or -ENOMEM. */
int tracker_find_death(struct tracker *tracker, const struct image *image,
		       struct counts_death **death);
/* Finds the frames of the stack, at most `most` of them, innermost first. Returns how many are
 * known. `*truncated`: there are more. */
unsigned tracker_find_frames(struct tracker *tracker, const struct image *image,
			     const struct pymem_stack_key *key, struct counts_frame *frames,
			     unsigned most, bool *truncated);

/* tracker_take.c: counts_ops.take_ended. */
int tracker_take_counts(void *self, bool all, const struct counts_reader *reader, void *arg);

/* tracker_firsts.c: counts_ops.each_first. */
int tracker_each_first(void *self, uint32_t image, counts_first_fn *fn, void *arg);

struct toucher { /* a stack that has touched pages, by its id */
	uint32_t id;
	struct pymem_stack_key key;
	struct counts_touched touched;
	UT_hash_handle hh;
};

/* All stacks that may have touched pages of images that run. 0 or -errno; the caller frees them in
 * either case. */
int tracker_find_touchers(struct tracker *tracker, struct toucher **touchers);
void tracker_free_touchers(struct toucher **touchers);

/* tracker_touched.c: counts_ops.each_touched. */
int tracker_each_touched(void *self, const struct counts_touched_reader *reader, void *arg);
/* Remembers which stack of an image that has ended had this id: children of the image may have
 * pages that the stack touched. 0 or -ENOMEM. tracker_free_elders() forgets all of them. */
int tracker_remember_stack(struct tracker *tracker, const struct pymem_stack_key *key, uint32_t id);
void tracker_free_elders(struct tracker *tracker);
/* The images have ended, and are to be finished next: gives back the leaves of their directories.
 * Those that their children need stay, and with them what is known of the stacks: such an image
 * becomes an ancestor. 0 or -errno. */
int tracker_forget_touched(struct tracker *tracker, struct image *const *images, size_t count);
/* Notes what is resident in the image, which was attached just now: it was there before it was
 * watched. */
void tracker_note_resident(struct tracker *tracker, struct image *image);

/* Identifies `pid` with the examiner, as examiner_identify() does. What that cost decides when the
 * process may be examined again. */
int tracker_look(struct tracker *tracker, pid_t pid, struct py_process *python);

/* The process must not be examined again before this time, in milliseconds of tracker_now_ms(); 0:
 * it may at any time. */
uint64_t tracker_look_not_before(struct tracker *tracker, pid_t pid);
void tracker_free_looks(struct tracker *tracker);

/* Notes that a process is not profiled, once for each reason. If there are too many, only counts
 * it. */
void tracker_skip(struct tracker *tracker, pid_t pid, const char *comm, const char *reason);

/* Counts a tracked process that ended before it was examined. `comm`: its name; "": unknown. */
void tracker_count_unexamined(struct tracker *tracker, const char *comm);

enum tracker_identified {
	TRACKER_DONE,
	TRACKER_AGAIN, /* it may be something else in a moment */
	TRACKER_LATER, /* it can't be examined now because of other processes */
	TRACKER_GONE,  /* it was not tracked, and ended before it could be examined */
};

/* Examines a process that a message pointed at. With `last`, it is given up instead of
 * TRACKER_AGAIN. */
enum tracker_identified tracker_identify(struct tracker *tracker, pid_t pid, bool last);

/* Tracks a Python, and then identifies it again. `python` and `start`: what was found before.
 * `*image` becomes its image. 0 or -errno. */
int tracker_adopt(struct tracker *tracker, pid_t pid, struct py_process *python, uint64_t start,
		  struct image **image);

/* At the end, `pid` has not been examined because of other processes (TRACKER_LATER): notes
 * that. */
void tracker_refuse_later(struct tracker *tracker, pid_t pid);

/* Makes tracker_poll() identify `pid`. `execed`: it runs another program now. */
void tracker_queue(struct tracker *tracker, pid_t pid, bool execed);

/* image_describe(); and its control group is noted, if somebody asks. */
void tracker_describe(struct tracker *tracker, struct image *image);

/* `image` began with a fork of image `parent_id`. If it is not `identified`, as its parent was, it
 * is queued to be identified. 0; -ENOMEM: it is tracked, and not all is known of it. */
int tracker_begin_child(struct tracker *tracker, struct image *image, uint32_t parent_id,
			bool identified);

/* From now on copies on write are told from pages that are kept. If that is impossible, the report
 * says so. */
void tracker_watch_copies(struct tracker *tracker);

/* tracker_probes.c, for --lines: a thread attaches probes, in the order in which they are asked
 * for. Until it has, the image's lines_error is -EINPROGRESS. It becomes -ESRCH if the process ends
 * before, -ECANCELED if the profile does. */
struct probe_worker *probe_worker_new(struct probes *probes);
/* Asks for the probes of the interpreter `python` that the image runs. */
void tracker_want_probes(struct tracker *tracker, const struct image *image,
			 const struct py_process *python);
/* For a command that is about to exec `program` and can't be held: attaches its probes, so that its
 * first lines are seen. If the program is no interpreter with line probes, does nothing; it is
 * identified later. If the command executes another file than the one found here, these probes are
 * never hit. Waits until it is done. 0 or -errno. */
int tracker_want_command_probes(struct tracker *tracker, const struct image *image,
				const char *program);
/* tracker_want_child_probes() asks for the probes of `parent` for its new child.
 * tracker_forget_probes() asks for the release of those of `pid`, which ends. */
void tracker_want_child_probes(struct tracker *tracker, const struct image *image, pid_t parent);
void tracker_forget_probes(struct tracker *tracker, pid_t pid);
/* tracker_take_probes() takes over what the thread has done. tracker_wait_probes() waits until it
 * has done everything, or until a signal asks for the end. tracker_end_probes() drops what it has
 * not begun, and ends the thread. */
void tracker_take_probes(struct tracker *tracker);
void tracker_wait_probes(struct tracker *tracker);
void tracker_end_probes(struct tracker *tracker);

/* Looks through /proc for Pythons that no message announced, if it is time for that. 0 or
 * -errno. */
int tracker_rescan(struct tracker *tracker);
/* There may be some now: the next tracker_rescan() looks. */
void tracker_scan_soon(struct tracker *tracker);
void tracker_free_unwatched(struct tracker *tracker);
void tracker_free_scanned(struct tracker *tracker);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes a recording while something is profiled.
 *
 * A recorder stands between a source of counts and its report: it passes all on, and notes what
 * passes. Once a second (of the agent: once an interval) it also reads the source itself, and
 * writes what has changed. So at the end the recording has exactly what the report was made of. */
#ifndef RECORDER_H
#define RECORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/counts.h"
#include "model/model.h"

struct recorder;

/* The garbage collectors of an image have run so often since they were read before, by generation,
 * the last of which has the full collections (PY_GENERATIONS in all). */
typedef void recorder_collected_fn(void *arg, uint32_t image, const uint64_t *collections);

struct recorder_options {
	const char *path;	      /* of the new file; NULL: recorder_go_on() will say */
	mode_t mode;		      /* its permissions */
	uint64_t most_bytes;	      /* its size; 0: no limit */
	uint64_t source_bytes;	      /* of source texts, packed; 0: it follows from most_bytes */
	size_t ended_bytes;	      /* memory of the report for processes that have ended */
	size_t ended_processes;	      /* of its report: report_keep_ended(); 0: not known */
	bool lines, touched, threads; /* what the profile has */
	bool host;		      /* it is of a whole host */
	struct source_cache *sources; /* source texts are recorded; NULL: none are */
	recorder_collected_fn *collected; /* NULL: nobody wants to know */
	void *collected_arg;
};

/* Creates the file and opens all that will be written to. NULL with errno set; then `why` (`size`
 * bytes) has a sentence for the user. The caller frees the recorder with recorder_free(). */
struct recorder *recorder_new(const struct recorder_options *options, char *why, size_t size);

/* The flags that confine() must leave to the recorder. */
unsigned recorder_needs(void);

/* The counts to make the report on, in place of `counts`. Both must outlive the recorder. */
struct counts recorder_counts(struct recorder *recorder, struct counts counts);
/* When the profile began, in seconds since the epoch. To be called before the first tick. */
void recorder_begin(struct recorder *recorder, double start);

/* Reads the counts and writes what has changed since the last call. To be called once a second, or
 * less often: as coarse are the times in it. 0 or -errno: nothing more can be written;
 * recorder_why() says why. While it pauses, nothing is written, and 0 is returned. */
int recorder_tick(struct recorder *recorder);

/* True if so many stacks of processes that have ended wait for the next recorder_tick() that it
 * should come at once: each takes some 0.7 KiB until then. */
#define RECORDER_WAIT_MOST 32768
bool recorder_has_much(const struct recorder *recorder);

/* Closes the file as it is, such as after an error. Counts are read and passed on as before, but
 * what changes from now on is in no file, until recorder_go_on(). Right after recorder_tick(). */
void recorder_pause(struct recorder *recorder);
/* Ends the file, if there is one, and begins another one at `path`, which must not exist. It
 * continues with what was read last: what changed before is in the files before, and in none twice.
 * Right after recorder_tick(), or before the first one. 0, or -errno with recorder_why(): the
 * recorder pauses. -ENOTSUP: of the exact engine, of threads and of what is resident there is only
 * one file. */
int recorder_go_on(struct recorder *recorder, const char *path);
/* Reads source texts by another cache from now on; the one before is not used any more. */
void recorder_use_sources(struct recorder *recorder, struct source_cache *sources);
/* From now on source texts may have so many bytes in a file, packed; 0: as recorder_options says.
 */
void recorder_limit_sources(struct recorder *recorder, uint64_t bytes);
bool recorder_pauses(const struct recorder *recorder);
/* Did the last recorder_tick() fail to read the figures? Then its error is not the file's. */
bool recorder_is_blind(const struct recorder *recorder);
/* Bytes that are in use of the file; 0 while it pauses. */
uint64_t recorder_bytes(struct recorder *recorder);
/* The PID of the next process that is recorded and runs, behind image `*image` (0: the first one),
 * which becomes its image. 0: there is no more. */
pid_t recorder_next_image(const struct recorder *recorder, uint32_t *image);
/* The RSS of image `image` at the last reading, in pages; -1: there is none of that number. */
int64_t recorder_image_pages(const struct recorder *recorder, uint32_t image);
/* Calls fn for each of these, in any order, with its RSS at the last reading, in pages. */
typedef void recorder_image_fn(void *arg, uint32_t image, pid_t pid, uint64_t start_boottime_ns,
			       int64_t rss_pages);
void recorder_each_image(const struct recorder *recorder, recorder_image_fn *fn, void *arg);
/* Of how many processes that are recorded and run the counts of garbage collections are read
 * (`read`), are not yet (`waits`), and can't be (`unseen`). */
struct recorder_collectors {
	size_t read, waits, unseen;
};
struct recorder_collectors recorder_collectors(const struct recorder *recorder);
/* Keeps a look at the heap of an image, which began at `time` (seconds since the epoch): JSON, as
 * `pymem-bpf heap` prints it, packed by zlib; `whole` bytes unpacked. */
void recorder_add_look(struct recorder *recorder, uint32_t image, double time, const void *packed,
		       size_t size, size_t whole);

/* Notes the PSS of an image as it was just read, and of what of it is swapped out, in bytes; -1: it
 * could not be read. It is in the interval that is written next, unless the image has ended. */
void recorder_add_pss(struct recorder *recorder, uint32_t image, int64_t pss, int64_t swap_pss);

/* The next reading of the counts is the last one, and its figures are settled. */
void recorder_ends(struct recorder *recorder);
/* Writes the last interval after that reading, of which `model` is the report (NULL: there is
 * none, so the recording will say that its end is missing). Closes the file. 0 or -errno. */
int recorder_finish(struct recorder *recorder, const struct model *model);
const char *recorder_why(const struct recorder *recorder);
/* Bytes that the recording takes, images and intervals in it: for a last word to the user. */
struct recorder_sizes {
	uint64_t bytes, images, intervals;
};
struct recorder_sizes recorder_sizes(const struct recorder *recorder);

void recorder_free(struct recorder *recorder);
/* The same of a recorder that has nothing to record: its files are removed. 0, or -errno: they
 * could not be. */
int recorder_discard(struct recorder *recorder);

#endif

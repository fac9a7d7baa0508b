/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes are profiled, and what each of them is. Decides by the kernel side's
 * lifecycle messages; identifies interpreters. */
#ifndef TRACKER_H
#define TRACKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/hash.h"
#include "model/counts.h"
#include "track/image.h"
#include "kernel/probes.h"
#include "python/py_process.h"
#include "kernel/session.h"
#include "os/source.h"
#include "track/store.h"

/* Skips named one by one; of the rest there is a number. */
#define TRACKER_SKIPS_MAX 1000

struct pid_image { /* what a process runs, or ran last */
	pid_t pid;
	struct image *image;
	UT_hash_handle hh;
};

/* A process to be identified; what fails for now is tried again for about a second. */
struct queued {
	pid_t pid;
	unsigned delay_ms; /* until the next try */
	uint64_t at_ms;
	bool gone;  /* ended before it was looked at; kept so that it counts once */
	bool later; /* it could not be looked at for what others do: TRACKER_LATER */
};

struct look { /* a process that was looked at: tracker_look.c */
	pid_t pid;
	uint64_t start_ticks;
	int64_t credit_ms; /* CPU time, at that time */
	uint64_t at_ms;
	UT_hash_handle hh;
};

struct scanned { /* a process of the host that was looked at */
	pid_t pid;
	uint64_t start_ticks;
	unsigned scan; /* in which it was last seen */
	UT_hash_handle hh;
};

struct tracker {
	struct session *session;
	struct store store;
	struct image *images; /* by id */
	struct pid_image *pids;
	struct image *ended;		   /* nothing of these is for the report */
	uint64_t dropped;		   /* messages and images, as last seen */
	unsigned sweeps;		   /* to do */
	uint32_t sweep;			   /* number of the last one */
	struct probes *probes;		   /* exact engine; NULL: walk */
	struct probe_worker *probe_worker; /* attaches them; until tracker_end() */
	bool holding; /* what is identified just now is held before it runs Python */
	bool whole_host;
	struct counts_skip *skips;
	unsigned skip_count;
	uint64_t more_skips;		    /* that are not in the list */
	struct look *looks;		    /* by PID */
	struct counts_unwatched *unwatched; /* by tracker_find_unwatched() */
	struct queued *queue;
	size_t queue_length, queue_room;
	struct scanned *scanned; /* by PID */
	unsigned scan;		 /* number of the last one */
	unsigned found;		 /* Pythons that were there already, by that scan */
	uint64_t scan_at_ms, scan_not_before_ms, scan_dropped;
	bool (*interrupted)(void); /* a signal asks for the end; NULL: none can */
	bool watch_copies;
	int copies_error; /* -errno: copies can't be watched */
	bool detached;
	uint64_t started_ms; /* when the last process was seen to start; CLOCK_MONOTONIC */
	size_t unfinished;   /* images that have ended, and that tracker_take_counts() has yet to
			      * hand over */
	unsigned unexamined; /* ended before they could be examined */
	char unexamined_comms[COUNTS_COMMS_MAX][16]; /* of these, each once; "": no more */
	unsigned unseen; /* likewise, of those that no traced process started */
};

/* 0 or -errno; registers itself as the session's reader. */
int tracker_init(struct tracker *tracker, struct session *session, bool whole_host, bool lines);
void tracker_fini(struct tracker *tracker);

/* Starts to profile `pid`. 0, or -errno with a `reason` to print, which is noted for the report
 * too: -ESRCH no such process, -ENOTSUP not a Python that is supported, -ENOENT not Python. */
int tracker_attach(struct tracker *tracker, pid_t pid, char *reason, size_t size);

/* Tracks `pid`, of which only the image after its next exec counts. `program`: what that will be,
 * if it is not `held` then. 0 or -errno. */
int tracker_attach_launched(struct tracker *tracker, pid_t pid, const char *program, bool held);

/* Looks at what `pid`, which was launched and is held, runs by now. True: it is known, an
 * interpreter or what can't be profiled, and the exact engine is attached; false: it may still
 * become one. */
bool tracker_examine_held(struct tracker *tracker, pid_t pid);

/* Attaches to every Python of the host. Returns how many, or -errno. tracker_poll() looks for more
 * every few seconds, for what no message told of. */
int tracker_attach_all(struct tracker *tracker);

/* Handles messages for up to `timeout_ms`, identifies, collects what ended.
 * Messages handled, 0, or -errno. */
int tracker_poll(struct tracker *tracker, int timeout_ms);

/* Looks for Pythons among the descendants of the processes named on the command line that are not
 * profiled themselves, for the report to name; for some 2 s. Once, after tracker_end(). 0 or
 * -ENOMEM. */
int tracker_find_unwatched(struct tracker *tracker);

/* Have processes started just now, so that what takes long had better wait? Not if much waits. */
bool tracker_is_busy(const struct tracker *tracker);

/* After session_detach(): takes what is left. 0 or -errno. */
int tracker_end(struct tracker *tracker);

/* Is any of the processes named on the command line still running? */
bool tracker_any_asked_alive(const struct tracker *tracker);

/* Is the process `pid` one that was profiled, not another that has its number now? */
bool tracker_follows(const struct tracker *tracker, pid_t pid);

struct image *tracker_image(struct tracker *tracker, uint32_t id);

/* What this session has counted so far, for a report: as long as the tracker lives. */
struct counts tracker_counts(struct tracker *tracker);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t tracker_now_ms(void);

#endif

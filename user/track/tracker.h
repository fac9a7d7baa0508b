/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Decides which processes are profiled, and what each of them is. Follows the messages of the BPF
 * side, and identifies interpreters. */
#ifndef TRACKER_H
#define TRACKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/hash.h"
#include "model/counts.h"
#include "os/cgroup_book.h"
#include "track/image.h"
#include "kernel/probes.h"
#include "python/py_process.h"
#include "kernel/session.h"
#include "os/source.h"
#include "track/store.h"

/* Skipped processes that are named one by one; of more there is only a number. */
#define TRACKER_SKIPS_MAX 1000

struct pid_image { /* what a process runs, or ran last */
	pid_t pid;
	struct image *image;
	UT_hash_handle hh;
};

/* A process to be identified. After a failure that may pass, it is tried again for about a
 * second. */
struct queued {
	pid_t pid;
	unsigned delay_ms; /* until the next try */
	uint64_t at_ms;
	bool gone;  /* ended before it was examined; kept so that it is counted once */
	bool later; /* could not be examined because of other processes: TRACKER_LATER */
};

struct look { /* a process that was examined: tracker_look.c */
	pid_t pid;
	uint64_t start_ticks;
	int64_t credit_ms; /* CPU time left, as of at_ms */
	uint64_t at_ms;
	UT_hash_handle hh;
};

struct scanned { /* a process of the host that was examined */
	pid_t pid;
	uint64_t start_ticks;
	unsigned scan; /* the last scan that saw it */
	UT_hash_handle hh;
};

struct tracker {
	struct session *session;
	struct store store;
	struct image *images; /* by id */
	struct pid_image *pids;
	struct toucher *elders;		   /* stacks of ancestors (tracker_touched.c) */
	struct image *ended;		   /* images that belong in no report */
	uint64_t dropped;		   /* number of messages and images, when last looked at */
	unsigned sweeps;		   /* number of sweeps to do */
	uint32_t sweep;			   /* number of the last one */
	uint64_t swept_ms;		   /* when tables were last swept of finished images */
	uint64_t ended_ms;		   /* when a message last told that an image ended */
	uint64_t took_ms;		   /* when records of ended images were last looked for */
	struct probes *probes;		   /* the exact engine; NULL: walk */
	struct probe_worker *probe_worker; /* attaches them; until tracker_end() */
	bool holding; /* the process being identified is held, and runs no Python meanwhile */
	bool whole_host;
	struct counts_skip *skips;
	unsigned skip_count;
	uint64_t more_skips; /* number of those that are not in `skips` */
	struct look *looks;  /* by PID */
	/* tracker_touched.c: readings, and how often all images were reached. */
	struct tracker_turns {
		uint32_t turn, call;
	} touched_turns;
	struct tracker_shed {
		bool events;
		unsigned frames;    /* of a stack; 0: all */
		unsigned processes; /* that were not traced after the last call */
		bool again;	    /* there may be some that are not */
		double since;	    /* CLOCK_MONOTONIC: the seconds below are up to then */
		double seconds[3];  /* by enum tracker_sheds */
	} shed;
	struct counts_unwatched *unwatched; /* by tracker_find_unwatched() */
	struct queued *queue;
	size_t queue_length, queue_room;
	struct scanned *scanned; /* by PID */
	/* What the control groups of its processes use. NULL: nobody asks. It may be set once,
	 * before anything is attached, and is the tracker's then. */
	struct cgroup_book *groups;
	unsigned scan;	/* number of the last one */
	unsigned found; /* number of Pythons that the last scan found */
	uint64_t scan_at_ms, scan_not_before_ms, scan_dropped;
	uint64_t scan_pause_ms;	   /* until the scan after the next one, if that finds nothing */
	bool (*interrupted)(void); /* true after a signal that asks for the end; NULL: none can */
	bool watch_copies;
	int copies_error; /* why copies can't be watched, -errno */
	bool detached;
	uint64_t started_ms; /* when we last saw a process start; CLOCK_MONOTONIC */
	size_t unfinished;   /* ended images that tracker_take_counts() has not taken */
	uint64_t take_ms;    /* before this none of them is to be taken; CLOCK_MONOTONIC */
	unsigned unexamined; /* number of tracked processes that ended before they were examined */
	char unexamined_comms[COUNTS_COMMS_MAX][16]; /* their names, each once; "": no more */
	unsigned unseen; /* the same, of processes that no tracked process started */
};

/* Initialises `tracker` and makes it the reader of the session's messages. 0 or -errno.
 * tracker_fini() frees what it owns. */
int tracker_init(struct tracker *tracker, struct session *session, bool whole_host, bool lines);
void tracker_fini(struct tracker *tracker);

/* Starts to profile `pid`. 0, or -errno with a `reason` (`size` bytes) to print; the report has it
 * too. -ESRCH: no such process. -ENOTSUP: a Python that is not supported. -ENOENT: not Python. */
int tracker_attach(struct tracker *tracker, pid_t pid, char *reason, size_t size);

/* Starts to profile the Pythons that are descendants of `pid` now; `asked`: as if each of them was
 * named. Looks at 256 processes, and takes about 2 s at most. Returns how many were taken; those
 * that were not are found by tracker_find_unwatched(). */
size_t tracker_attach_children(struct tracker *tracker, pid_t pid, bool asked);

/* tracker_attach() said of `pid` that it is not Python: it may be a shell or another program that
 * only starts Pythons. Starts to profile these as if they had been named. Returns how many there
 * are; if there are any, `pid` is not among the report's skips any more. */
size_t tracker_attach_through(struct tracker *tracker, pid_t pid);

/* Tracks `pid`, which is about to exec; only the image after that is reported. If it is not `held`
 * then, `program` is what it will execute. 0 or -errno. */
int tracker_attach_launched(struct tracker *tracker, pid_t pid, const char *program, bool held);

/* Examines what the launched and held process `pid` runs now. True: it is known (an interpreter, or
 * something that can't be profiled), and the exact engine is attached. False: it may still become
 * an interpreter. */
bool tracker_examine_held(struct tracker *tracker, pid_t pid);

/* Profiles all Pythons of the host. Returns how many, or -errno. tracker_poll() looks again every
 * few seconds, then less often, for those that no message announced. */
int tracker_attach_all(struct tracker *tracker);

/* Handles messages for up to `timeout_ms` milliseconds, identifies processes, and takes the records
 * of images that ended. Returns the number of messages, or -errno. */
int tracker_poll(struct tracker *tracker, int timeout_ms);

/* Fills `*digest` with a hash of the records of all images. It differs from that of the last call
 * (but for one chance in 2^64) if the RSS of an image has changed, or what it has lost, or which
 * images there are; or if a stack stalled. It may be the same if as much was added as was freed. 0
 * or -errno. */
int tracker_digest(struct tracker *tracker, uint64_t *digest);

/* For the report: looks for Pythons that are not profiled among the descendants of processes named
 * by -p. Takes about 2 s at most. Call it once, after tracker_end(). 0 or -ENOMEM. */
int tracker_find_unwatched(struct tracker *tracker);

/* True if processes have started just now, so that what takes long should wait. False if too much
 * is waiting already. */
bool tracker_is_busy(const struct tracker *tracker);

/* True if tracker_poll() should be called again soon: something is to be tried again, or processes
 * have just started or ended. The exact engine always has work, as another thread attaches its
 * probes. */
bool tracker_has_work(const struct tracker *tracker);

/* Reads what the groups use at the end, and which processes are in others by then. Nothing if
 * nobody asks. Call it before tracker_end(). */
void tracker_end_groups(struct tracker *tracker);

/* To be called after session_detach(): handles what is left. 0 or -errno. */
int tracker_end(struct tracker *tracker);

/* True if a process that was named by -p, or the command, still runs. */
bool tracker_any_asked_alive(const struct tracker *tracker);

/* True if the kernel has sent SIGKILL to a process that was asked for, and may still say that it
 * was the OOM killer. It has a moment for that. */
bool tracker_awaits_victim(const struct tracker *tracker);

/* True if `pid` is the process that was profiled, not another one with its PID. */
bool tracker_follows(const struct tracker *tracker, pid_t pid);

/* The image with this id. It belongs to the tracker. NULL: it is not known. */
struct image *tracker_image(struct tracker *tracker, uint32_t id);

/* For a profiler that limits itself: tracker_shed.c. What is shed is in the notes of reports. */
enum tracker_sheds { TRACKER_SHEDS_EVENTS, TRACKER_SHEDS_DEPTH, TRACKER_SHEDS_PROCESSES };

struct tracker_shedding {
	bool events;	 /* optional events are not counted */
	unsigned frames; /* stacks are cut at so many frames; 0: at none */
	/* Processes may be the next to be shed: note how much they change from one call to the
	 * next, so that the first choice knows of the last window. */
	bool watch;
	unsigned parts, of; /* `parts` of `of` parts of all processes are not traced */
	/* True: the image must be traced. NULL: none must. */
	bool (*keeps)(uint32_t image, void *arg);
	void *arg;
};

/* Sheds that much from now on, and no more. To be called from time to time while processes are not
 * traced: those are chosen anew that have changed least since the last call. 0 or -errno: some of
 * it was not done, and may be tried again. */
int tracker_shed(struct tracker *tracker, const struct tracker_shedding *shedding);
/* Calls `fn` with notes for a report on what was shed so far. */
void tracker_each_shed(const struct tracker *tracker, void (*fn)(const char *text, void *arg),
		       void *arg);

/* The figures of this session as a source for a report. Valid as long as the tracker. */
struct counts tracker_counts(struct tracker *tracker);

/* Calls `fn` for each resident page of `pid`, in order of address, until it returns something other
 * than 0, which is then returned. `key`: of the stack that touched the page first; NULL: unknown,
 * or the page was there `before` the process was watched. -ESRCH: it is not profiled, or touches
 * are not noted (session_options.touched). -errno: its pages can't be read. */
typedef int tracker_touched_fn(uint64_t address, const struct pymem_stack_key *key, bool before,
			       void *arg);
int tracker_touched_pages(struct tracker *tracker, pid_t pid, tracker_touched_fn *fn, void *arg);
/* Calls `fn` once with the innermost frame of a stack, valid during the call; NULL: its code object
 * never arrived. Returns what `fn` returns. */
int tracker_stack_place(struct tracker *tracker, const struct pymem_stack_key *key,
			int (*fn)(const struct counts_frame *innermost, void *arg), void *arg);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t tracker_now_ms(void);

#endif

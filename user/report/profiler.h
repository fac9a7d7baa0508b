/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The profiler without a face. It owns the BPF session, the tracker, the report, and the readers of
 * sources. A face (a command, a live screen, a service) decides what is profiled and for how long,
 * and shows the model. Nothing here prints: an error is returned, with a sentence for the user.
 *
 * Order of the calls: profiler_new(), profiler_open(), confine() with profiler_needs(), then
 * profiler_add_*() or profiler_start_command(), then profiler_watch() in a running loop (or
 * profiler_poll() ten times a second), profiler_snapshot() whenever the face wants to show
 * something, profiler_close(). A process can have one profiler at a time, because it can have one
 * examiner (examiner.h). */
#ifndef PROFILER_H
#define PROFILER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kernel/session.h"
#include "model/counts.h"
#include "model/model.h"
#include "os/loop.h"
#include "os/source.h"
#include "report/report.h"
#include "track/tracker.h"

struct profiler;

struct profiler_options {
	struct session_options session;
	/* The command to run, NULL-terminated; NULL: none. It belongs to the caller and must
	 * outlive the profiler. */
	char **command;
	size_t ended_bytes;	/* memory for the lines of processes that have ended */
	size_t ended_processes; /* report_keep_ended(); 0: as if it was not called */
	bool gather_imports;	/* model.imports_gathered */
	bool keep_trees;	/* model.trees_kept */
	bool groups; /* what control groups use: model.memory_groups, of the last snapshot */
	bool shares; /* the last snapshot has model_process.pss_bytes */
	bool seldom; /* it runs for days: look twice a second while nothing happens, not ten times
		      */
	/* Returns the counts to make reports on in place of `counts`, such as those of a recorder
	 * that notes what passes. NULL: these. */
	struct counts (*between)(void *arg, struct counts counts);
	void *between_arg;
	report_gone_fn *gone; /* report_on_gone(); NULL: nobody is told */
	void *gone_arg;
	/* Called for each process that a signal has ended, once its lines are known: see
	 * report_tell_killed(). NULL: nobody asks. */
	void (*killed)(const struct model *model, const struct model_process *process,
		       uint64_t start_boottime_ns, void *arg);
	void *killed_arg;
	/* Called while something takes long; true ends that with -EINTR. NULL: nothing is
	 * interrupted. */
	bool (*interrupted)(void);
};

/* Forks the processes that must have no copy of what comes later: the examiner, and the command,
 * which waits for profiler_start_command(). Loads nothing yet. The caller frees the profiler with
 * profiler_close(). NULL with errno set; then `why` (`size` bytes) has a sentence for the user. */
struct profiler *profiler_new(const struct profiler_options *options, char *why, size_t size);

/* Loads and attaches the BPF side. Processes that are added from now on are measured; the report's
 * time begins. 0, or -errno with `why` as above: the kernel or the user's rights do not suffice. */
int profiler_open(struct profiler *p, char *why, size_t size);

/* When measuring began, in seconds since the epoch. After profiler_open(). */
double profiler_start(const struct profiler *p);

/* The flags that confine() must leave to the profiler; the face adds its own. Call it after
 * profiler_open() and before anything is added, since the memory of processes is hostile input. */
unsigned profiler_needs(const struct profiler *p);

/* Profiles the process and, with session.follow_children, the Pythons among its descendants. If it
 * is no Python but has started some, these are profiled in its place, and `why` says so. Errors as
 * of tracker_attach(), and -ENOMEM; if there is nothing to say, `why` is "". */
int profiler_add_pid(struct profiler *p, pid_t pid, char *why, size_t size);
/* Number of descendants that all calls of profiler_add_pid() have added. */
size_t profiler_taken_along(const struct profiler *p);
/* Profiles all Pythons of the host; with session.watch_host, also those that start later. Returns
 * how many there are now, or -errno. -EINTR: only some were added. */
int profiler_add_all(struct profiler *p);

enum profiler_started {
	PROFILER_STARTED,
	PROFILER_ENDED,	    /* a signal ended it before it ran: profiler_command_status() */
	PROFILER_UNTRACKED, /* it could not be tracked, so it was not started */
	PROFILER_NOT_RUN,   /* execvp() failed */
	PROFILER_BROKEN,    /* it runs, but the profiler can't go on */
};

/* Lets the command run. `*err` becomes 0 or the -errno of what failed. */
enum profiler_started profiler_start_command(struct profiler *p, int *err);
/* The command's PID, known since profiler_new(). -1: there is no command. */
pid_t profiler_command(const struct profiler *p);
/* Waits for the command's end. Returns its status as a shell would: the exit status, or 128 plus
 * the signal. */
int profiler_command_status(struct profiler *p);

/* Handles what has happened. Does not wait, but may take some hundred milliseconds while many
 * processes start. Call it at least ten times a second. 0, or -errno: it can't go on. */
int profiler_poll(struct profiler *p);

/* Makes `loop` call profiler_poll(), and then fn(arg, err) with its result, until the final
 * snapshot or profiler_close(); `fn` may call either. If there is a command, the loop takes
 * SIGCHLD. 0 or -errno. */
typedef void profiler_polled_fn(void *arg, int err);
int profiler_watch(struct profiler *p, struct loop *loop, profiler_polled_fn *fn, void *arg);

/* True if all processes that were asked for have ended. Always false with session.watch_host. */
bool profiler_is_over(const struct profiler *p);

/* The model of all that is known now. It belongs to the profiler and is valid until the next call
 * of this function or of profiler_poll(). `final`: ends the measuring first, so that the figures
 * are exact; after that only showing them makes sense. NULL with errno set. */
struct model *profiler_snapshot(struct profiler *p, bool final);

/* The same without lines of processes that run, in a small part of the time: report_build_brief().
 * Not after the final snapshot. */
struct model *profiler_brief(struct profiler *p);

/* Cheaper than a snapshot: `*changed` becomes false if no process's RSS has changed since the last
 * call, and none has come or gone. Amounts that came and went again meanwhile don't count. 0 or
 * -errno. */
int profiler_has_changed(struct profiler *p, bool *changed);

/* What could not be seen so far. Valid until the next call of profiler_snapshot() or
 * profiler_poll(). */
void profiler_facts(struct profiler *p, struct counts_facts *facts);

/* The source texts for renderers, read with the rights of the profiled processes. They belong to
 * the profiler. */
struct source_cache *profiler_sources(struct profiler *p);

/* For a face that limits itself: tracker_shed(), between profiler_open() and the final snapshot. 0
 * or -errno. profiler_cpu_ns(): session_cpu_ns(). profiler_shed_seconds(): for how long that was
 * shed so far; profiler_untraced(): the number of processes that are not traced now. */
int profiler_shed(struct profiler *p, const struct tracker_shedding *shedding);
void profiler_cpu_ns(const struct profiler *p, uint64_t *walks_ns, uint64_t *faults_ns);
double profiler_shed_seconds(const struct profiler *p, enum tracker_sheds what);
unsigned profiler_untraced(const struct profiler *p);

/* Detaches and frees everything, and ends a command that never ran. Call it before the loop is
 * freed. NULL is allowed. */
void profiler_close(struct profiler *p);

#endif

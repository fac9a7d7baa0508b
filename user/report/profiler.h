/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The profiler itself, without a face: it owns the BPF session, what is tracked, the report and the
 * readers of sources. A face (a command, a live screen, a service) decides what is profiled and for
 * how long, and shows the model. Nothing here prints: what goes wrong is returned, with a text.
 *
 * In this order: profiler_new(), profiler_open(), confine() with profiler_needs(), profiler_add_*()
 * or profiler_start_command(), then profiler_watch() in a loop that runs (or profiler_poll() ten
 * times a second), profiler_snapshot() whenever the face wants to show something, profiler_close().
 * There is one at a time: the examiner (examiner.h) belongs to the whole process. */
#ifndef PROFILER_H
#define PROFILER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kernel/session.h"
#include "model/model.h"
#include "os/loop.h"
#include "os/source.h"

struct profiler;

struct profiler_options {
	struct session_options session;
	char **command;		   /* to be run; NULL: none. The caller's, while this exists */
	size_t ended_bytes;	   /* for the lines of processes that have ended */
	bool gather_imports;	   /* model.imports_gathered */
	bool (*interrupted)(void); /* asked while something takes long: true, and it is given up
				    * with -EINTR. NULL: nothing is */
};

/* Forks what must not have a copy of all that comes later: the examiner, and the command, which
 * waits for profiler_start_command(). Nothing is loaded yet. NULL with errno set; `why` (of `size`
 * bytes) gets a sentence for the user. */
struct profiler *profiler_new(const struct profiler_options *options, char *why, size_t size);

/* Loads and attaches. From now on what is added is measured, and the report counts its time. 0, or
 * -errno with `why`: the kernel or the rights to it are at fault. */
int profiler_open(struct profiler *p, char *why, size_t size);

/* What confine() must leave for the profiler; the face adds its own. Once profiler_open() has
 * succeeded, before anything is added: processes' memory is hostile input. */
unsigned profiler_needs(const struct profiler *p);

/* Profiles the process. As tracker_attach(), and -ENOMEM. */
int profiler_add_pid(struct profiler *p, pid_t pid, char *why, size_t size);
/* Profiles every Python of the host; with session.watch_host also those that start later. How many
 * there are now, or -errno; -EINTR: some of them are added. */
int profiler_add_all(struct profiler *p);

enum profiler_started {
	PROFILER_STARTED,
	PROFILER_ENDED,	    /* by a signal, before it ran: profiler_command_status() */
	PROFILER_UNTRACKED, /* it can't be tracked, so it was not started */
	PROFILER_NOT_RUN,   /* its execvp() failed */
	PROFILER_BROKEN,    /* it runs, but the profiler can't go on */
};

/* Lets the command run. `*err` is 0, or the -errno of what failed. */
enum profiler_started profiler_start_command(struct profiler *p, int *err);
/* The command's PID, from profiler_new() on; -1: there is none. */
pid_t profiler_command(const struct profiler *p);
/* What a shell would say of its end, which is waited for. */
int profiler_command_status(struct profiler *p);

/* Takes over what has happened. Does not wait, but may take some hundred milliseconds where many
 * processes start. To be called at least ten times a second. 0 or -errno: it can't go on. */
int profiler_poll(struct profiler *p);

/* Has `loop` do that, and calls fn(arg, err) each time, with what profiler_poll() has returned;
 * until the final snapshot or profiler_close(), which `fn` may call. With a command SIGCHLD is the
 * loop's from now on. 0 or -errno. */
typedef void profiler_polled_fn(void *arg, int err);
int profiler_watch(struct profiler *p, struct loop *loop, profiler_polled_fn *fn, void *arg);

/* Has all ended that was asked for? Never with session.watch_host. */
bool profiler_is_over(const struct profiler *p);

/* The model of all that is known now; the profiler's own, until the next call of profiler_poll() or
 * of this. `final`: first ends the measuring, with exact figures; after that there is nothing left
 * but to show them. NULL with errno set. */
struct model *profiler_snapshot(struct profiler *p, bool final);

/* For renderers: sources, read with the rights of those whose they are. The profiler's own. */
struct source_cache *profiler_sources(struct profiler *p);

/* Detaches and frees everything; a command that never ran is ended. Before the loop is freed. NULL
 * is fine. */
void profiler_close(struct profiler *p);

#endif

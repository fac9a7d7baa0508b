/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One thread waits here for all that can happen to it: descriptors, times and signals. Each calls a
 * function. A callback may add, change and remove anything, itself and what has happened at the
 * same time as well: once something is removed, its function is not called any more, and its struct
 * may be freed at once. */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

struct loop;

/* NULL with errno set. */
struct loop *loop_new(void);
/* What is still in it is not called any more, and must not be changed or removed afterwards.
 * Signals that were taken stay blocked: one that has come meanwhile must not end the program in the
 * midst of its clean-up. NULL is fine. */
void loop_free(struct loop *loop);

/* Calls what there is to be called until loop_stop(). Not from a callback. 0 or -errno. */
int loop_run(struct loop *loop);
/* loop_run() returns once the functions of the descriptors that are ready were called; if none runs
 * just now, the next one does. */
void loop_stop(struct loop *loop);

/* --- descriptors --- */

/* `events` are those of epoll_wait(2). */
typedef void loop_fd_fn(void *arg, uint32_t events);

struct loop_fd {	   /* all of it the loop's; {} is one that was not added */
	struct loop *loop; /* NULL: not added */
	int fd;
	loop_fd_fn *fn;
	void *arg;
};

/* Calls fn(arg, events) whenever one of `events` (EPOLLIN, EPOLLOUT), a hang-up or an error is
 * there, until loop_remove(). `fd` stays the caller's. 0 or -errno. */
int loop_add(struct loop *loop, struct loop_fd *source, int fd, uint32_t events, loop_fd_fn *fn,
	     void *arg);
/* Other events from now on; 0: hang-ups and errors only. 0 or -errno. */
int loop_change(struct loop_fd *source, uint32_t events);
/* Before the descriptor is closed. Harmless if it was not added. */
void loop_remove(struct loop_fd *source);

/* --- timers --- */

typedef void loop_timer_fn(void *arg);

struct loop_timer {	   /* all of it the loop's; {} is one that does not run */
	struct loop *loop; /* NULL: does not run */
	struct loop_timer *next, *previous;
	uint64_t due_ns, every_ns;
	loop_timer_fn *fn;
	void *arg;
};

/* Calls fn(arg) in `after_ns` nanoseconds of CLOCK_MONOTONIC, never before that, up to a
 * millisecond later; and then, unless `every_ns` is 0, again and again in that distance. Times that
 * have passed while something else took long are left out. One that runs begins anew. Meant for
 * tens of timers: to start one costs a step for each that is due later. */
void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t after_ns,
		      uint64_t every_ns, loop_timer_fn *fn, void *arg);
/* Harmless if it does not run. */
void loop_timer_stop(struct loop_timer *timer);

/* --- signals --- */

typedef void loop_signal_fn(void *arg, const struct signalfd_siginfo *info);

/* Blocks the signal, and calls fn(arg, info) when it comes. For the thread that runs the loop,
 * while all others block it too; children inherit the mask. 0 or -errno. */
int loop_take_signal(struct loop *loop, int number, loop_signal_fn *fn, void *arg);

#endif

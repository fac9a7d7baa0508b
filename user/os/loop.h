/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One thread waits here for all that can happen to it: descriptors, times and signals. Each calls a
 * function. A callback may add, change and remove anything, including itself and what happened at
 * the same time. Once something is removed, its function is not called any more, and its struct may
 * be freed at once. */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

struct loop;

/* A new loop, freed by loop_free(). NULL with errno set. */
struct loop *loop_new(void);
/* Frees the loop. What is still in it is not called any more, and must not be changed or removed
 * afterwards. Signals that were taken stay blocked: one that is pending must not end the program
 * while it cleans up. NULL is allowed. */
void loop_free(struct loop *loop);

/* Waits and calls functions until loop_stop(). Must not be called from a callback. 0 or -errno. */
int loop_run(struct loop *loop);
/* Makes loop_run() return, after it has called the functions of descriptors that are ready. If the
 * loop is not running, its next run returns. */
void loop_stop(struct loop *loop);

/* --- descriptors --- */

/* `events` as of epoll_wait(2). */
typedef void loop_fd_fn(void *arg, uint32_t events);

struct loop_fd {	   /* private to the loop; {} is one that was not added */
	struct loop *loop; /* NULL: not added */
	int fd;
	loop_fd_fn *fn;
	void *arg;
};

/* Calls fn(arg, events) whenever one of `events` (EPOLLIN, EPOLLOUT), a hang-up or an error occurs,
 * until loop_remove(). The caller still owns `fd`. 0 or -errno. */
int loop_add(struct loop *loop, struct loop_fd *source, int fd, uint32_t events, loop_fd_fn *fn,
	     void *arg);
/* Waits for other events from now on; 0: only hang-ups and errors. 0 or -errno. */
int loop_change(struct loop_fd *source, uint32_t events);
/* To be called before the descriptor is closed. Does nothing if it was not added. */
void loop_remove(struct loop_fd *source);

/* --- timers --- */

typedef void loop_timer_fn(void *arg);

struct loop_timer {	   /* private to the loop; {} is one that does not run */
	struct loop *loop; /* NULL: does not run */
	struct loop_timer *next, *previous;
	uint64_t due_ns, every_ns;
	loop_timer_fn *fn;
	void *arg;
};

/* Calls fn(arg) in `after_ns` nanoseconds of CLOCK_MONOTONIC: never earlier, and up to a
 * millisecond later. Then, unless `every_ns` is 0, every `every_ns` nanoseconds. Times that pass
 * while something else takes long are skipped. A timer that runs starts again. Meant for tens of
 * timers: starting one takes a step for each that is due later. */
void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t after_ns,
		      uint64_t every_ns, loop_timer_fn *fn, void *arg);
/* True from its start to its stop, or if it has no `every_ns`, to its call. */
bool loop_timer_runs(const struct loop_timer *timer);
/* Does nothing if it does not run. */
void loop_timer_stop(struct loop_timer *timer);

/* --- signals --- */

typedef void loop_signal_fn(void *arg, const struct signalfd_siginfo *info);

/* Blocks the signal, and calls fn(arg, info) when it arrives. Call it in the thread that runs the
 * loop, while all other threads block the signal too. Children inherit the mask. 0 or -errno. */
int loop_take_signal(struct loop *loop, int number, loop_signal_fn *fn, void *arg);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: epoll_wait(2) returns several events at a time. The callback of one may remove, and
 * free, what another one is about.
 *
 * So the events being handed out belong to the loop, and loop_remove() removes a descriptor's
 * events from them, too. What is added meanwhile can't be among them, even if it has the number of
 * a closed descriptor.
 *
 * Timers are a list, ordered by time. They are members of their owners' structs, so that starting
 * one can't fail for want of memory. The first one limits the wait. Left out: a loop in several
 * threads, and waking it from another thread; an eventfd does that. */
#include "os/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

#define EVENTS_AT_ONCE 64
#define SIGNALS	       65
#define NS_PER_MS      1000000ULL
#define WAIT_MAX_MS    3600000ULL

struct loop {
	int epoll;
	bool stopped;
	struct epoll_event batch[EVENTS_AT_ONCE]; /* those before `at` were handed out */
	int at, count;
	struct loop_timer timers; /* head of a ring; its next is due first */
	struct loop_fd on_signals;
	sigset_t taken;
	struct {
		loop_signal_fn *fn;
		void *arg;
	} signals[SIGNALS];
};

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		free(loop);
		return NULL;
	}
	loop->timers.next = loop->timers.previous = &loop->timers;
	loop->on_signals.fd = -1;
	sigemptyset(&loop->taken);
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->on_signals.fd >= 0)
		close(loop->on_signals.fd);
	close(loop->epoll);
	free(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

/* --- descriptors --- */

int loop_add(struct loop *loop, struct loop_fd *source, int fd, uint32_t events, loop_fd_fn *fn,
	     void *arg)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	*source = (struct loop_fd){.loop = loop, .fd = fd, .fn = fn, .arg = arg};
	return 0;
}

int loop_change(struct loop_fd *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(source->loop->epoll, EPOLL_CTL_MOD, source->fd, &event) ? -errno : 0;
}

void loop_remove(struct loop_fd *source)
{
	struct loop *loop = source->loop;

	if (!loop)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	for (int i = loop->at; i < loop->count; i++) {
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
	}
	source->loop = NULL;
}

static void hand_out_batch(struct loop *loop)
{
	while (loop->at < loop->count) {
		const struct epoll_event *event = &loop->batch[loop->at++];
		struct loop_fd *source = event->data.ptr;

		if (source)
			source->fn(source->arg, event->events);
	}
}

/* --- timers --- */

static void timer_unlink(struct loop_timer *timer)
{
	timer->previous->next = timer->next;
	timer->next->previous = timer->previous;
	timer->loop = NULL;
}

/* Inserts it behind all that are due earlier or at the same time. A new timer is mostly among the
 * last. */
static void timer_link(struct loop *loop, struct loop_timer *timer, uint64_t due_ns)
{
	struct loop_timer *before = loop->timers.previous;

	while (before != &loop->timers && before->due_ns > due_ns)
		before = before->previous;
	timer->loop = loop;
	timer->due_ns = due_ns;
	timer->previous = before;
	timer->next = before->next;
	timer->next->previous = timer;
	before->next = timer;
}

void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t after_ns,
		      uint64_t every_ns, loop_timer_fn *fn, void *arg)
{
	uint64_t due_ns;

	loop_timer_stop(timer);
	if (__builtin_add_overflow(clock_ns(CLOCK_MONOTONIC), after_ns, &due_ns))
		due_ns = UINT64_MAX;
	timer->every_ns = every_ns;
	timer->fn = fn;
	timer->arg = arg;
	timer_link(loop, timer, due_ns);
}

bool loop_timer_runs(const struct loop_timer *timer)
{
	return timer->loop != NULL;
}

void loop_timer_stop(struct loop_timer *timer)
{
	if (timer->loop)
		timer_unlink(timer);
}

/* Calls the timers that are due now. Timers that these start are not among them: so a timer that
 * starts itself again and again does not keep descriptors waiting. */
static void call_due(struct loop *loop)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), due_ns;
	struct loop_timer *timer;

	while ((timer = loop->timers.next) != &loop->timers && timer->due_ns <= now) {
		due_ns = timer->due_ns + timer->every_ns;
		timer_unlink(timer);
		if (timer->every_ns)
			timer_link(loop, timer, due_ns > now ? due_ns : now + timer->every_ns);
		timer->fn(timer->arg);
	}
}

/* How long to wait, in milliseconds; -1: for ever. */
static int wait_ms(const struct loop *loop)
{
	const struct loop_timer *first = loop->timers.next;
	uint64_t now = clock_ns(CLOCK_MONOTONIC), ms;

	if (first == &loop->timers)
		return -1;
	if (first->due_ns <= now)
		return 0;
	/* Rounded up, else it would wake before the timer is due. */
	ms = (first->due_ns - now - 1) / NS_PER_MS + 1;
	return (int)(ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS);
}

/* --- signals --- */

/* Reads one signal. If more are pending, the descriptor is ready again at once. */
static void read_signal(void *arg, uint32_t events)
{
	struct signalfd_siginfo info;
	struct loop *loop = arg;

	(void)events;
	if (read(loop->on_signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo < SIGNALS && loop->signals[info.ssi_signo].fn)
		loop->signals[info.ssi_signo].fn(loop->signals[info.ssi_signo].arg, &info);
}

int loop_take_signal(struct loop *loop, int number, loop_signal_fn *fn, void *arg)
{
	sigset_t taken = loop->taken, one;
	int fd, err;

	if (number <= 0 || number >= SIGNALS)
		return -EINVAL;
	sigemptyset(&one);
	sigaddset(&one, number);
	sigaddset(&taken, number);
	fd = signalfd(loop->on_signals.fd, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (loop->on_signals.fd < 0) {
		err = loop_add(loop, &loop->on_signals, fd, EPOLLIN, read_signal, loop);
		if (err) {
			close(fd);
			return err;
		}
	}
	loop->signals[number].fn = fn;
	loop->signals[number].arg = arg;
	loop->taken = taken;
	return sigprocmask(SIG_BLOCK, &one, NULL) ? -errno : 0;
}

/* --- the loop --- */

int loop_run(struct loop *loop)
{
	while (!loop->stopped) {
		loop->count = epoll_wait(loop->epoll, loop->batch, EVENTS_AT_ONCE, wait_ms(loop));
		if (loop->count < 0 && errno != EINTR) {
			loop->count = 0;
			return -errno;
		}
		loop->at = 0;
		hand_out_batch(loop);
		if (!loop->stopped)
			call_due(loop);
	}
	loop->stopped = false;
	return 0;
}

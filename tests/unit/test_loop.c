/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* user/os/loop.c: what is called, how often, and that nothing is called after it was removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "os/loop.h"

#define MS 1000000ULL

struct pipe_end {
	struct loop *loop;
	struct loop_fd source;
	int read, write;
	unsigned calls;
	uint32_t events;
	struct pipe_end *victim; /* removed and freed when this one is called */
	struct pipe_end **heir;	 /* gets a new one in the victim's place, with its descriptors */
	struct pipe_end **left;	 /* gets a pointer to this one once it has freed the victim */
};

static unsigned calls; /* of all callbacks but stop_when_idle() */

static void on_pipe(void *arg, uint32_t events);

static struct pipe_end *pipe_new(struct loop *loop, bool readable)
{
	struct pipe_end *p = calloc(1, sizeof(*p));
	int fds[2];

	assert_non_null(p);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	p->loop = loop;
	p->read = fds[0];
	p->write = fds[1];
	if (readable)
		assert_int_equal(write(p->write, "x", 1), 1);
	assert_int_equal(loop_add(loop, &p->source, p->read, EPOLLIN, on_pipe, p), 0);
	return p;
}

/* If it is used after this, the sanitizer reports it. */
static void pipe_free(struct pipe_end *p)
{
	loop_remove(&p->source);
	close(p->read);
	if (p->write >= 0)
		close(p->write);
	memset(p, 0xff, sizeof(*p));
	free(p);
}

static void on_pipe(void *arg, uint32_t events)
{
	struct pipe_end *p = arg, *victim = p->victim;
	char byte;

	calls++;
	p->calls++;
	p->events = events;
	if (events & EPOLLIN)
		assert_int_equal(read(p->read, &byte, 1), 1);
	else /* a hang-up, which would be reported for ever */
		loop_remove(&p->source);
	if (!victim)
		return;
	p->victim = NULL;
	if (p->left)
		*p->left = p;
	pipe_free(victim);
	/* Not if the victim was this one. */
	if (victim != p && p->heir)
		*p->heir = pipe_new(p->loop, false);
}

struct idle {
	struct loop *loop;
	struct loop_timer timer;
	unsigned calls;
};

/* Ends the loop after a round in which nothing was called. */
static void stop_when_idle(void *arg)
{
	struct idle *idle = arg;

	if (idle->calls == calls)
		loop_stop(idle->loop);
	else
		loop_timer_start(idle->loop, &idle->timer, 0, 0, stop_when_idle, idle);
	idle->calls = calls;
}

/* Runs the loop for at least that time, and until everything is done. */
static void run_for(struct loop *loop, unsigned ms)
{
	struct idle idle = {.loop = loop, .calls = calls - 1};

	loop_timer_start(loop, &idle.timer, ms * MS, 0, stop_when_idle, &idle);
	assert_int_equal(loop_run(loop), 0);
	loop_timer_stop(&idle.timer);
}

static int setup(void **state)
{
	*state = loop_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	loop_free(*state);
	return 0;
}

static void test_descriptors(void **state)
{
	struct loop *loop = *state;
	struct pipe_end *a = pipe_new(loop, true), *b = pipe_new(loop, false);

	run_for(loop, 0);
	assert_int_equal(a->calls, 1);
	assert_int_equal(a->events, EPOLLIN);
	assert_int_equal(b->calls, 0);
	/* The end of the writer is reported even to those who wait for nothing. */
	assert_int_equal(loop_change(&b->source, 0), 0);
	assert_int_equal(write(b->write, "xx", 2), 2);
	run_for(loop, 0);
	assert_int_equal(b->calls, 0);
	assert_int_equal(loop_change(&b->source, EPOLLIN), 0);
	run_for(loop, 0);
	assert_int_equal(b->calls, 2);
	close(b->write);
	b->write = -1;
	loop_change(&b->source, 0);
	run_for(loop, 0);
	assert_int_equal(b->calls, 3);
	assert_int_equal(b->events, EPOLLHUP);
	pipe_free(a);
	pipe_free(b);
	/* What can't be waited for, or is there already, is refused and not added. */
	a = calloc(1, sizeof(*a));
	assert_non_null(a);
	assert_int_equal(loop_add(loop, &a->source, 9999, EPOLLIN, on_pipe, a), -EBADF);
	loop_remove(&a->source);
	loop_remove(&a->source);
	free(a);
}

/* Both are ready at once: the one that is called first frees the other. */
static void test_removed_by_another(void **state)
{
	struct loop *loop = *state;

	for (int i = 0; i < 100; i++) {
		struct pipe_end *a = pipe_new(loop, true), *b = pipe_new(loop, true);
		struct pipe_end *heir = NULL, *left = NULL;

		a->victim = b;
		b->victim = a;
		a->left = b->left = &left;
		/* In half of the cases its numbers are reused for one that is not ready. */
		a->heir = b->heir = i % 2 ? &heir : NULL;
		run_for(loop, 0);
		assert_true(left == a || left == b);
		assert_int_equal(left->calls, 1);
		assert_int_equal(!!heir, i % 2);
		if (heir) {
			assert_int_equal(heir->calls, 0);
			pipe_free(heir);
		}
		pipe_free(left);
	}
}

static void test_removes_itself(void **state)
{
	struct loop *loop = *state;
	struct pipe_end *a = pipe_new(loop, true), *b = pipe_new(loop, true);

	a->victim = a;
	run_for(loop, 0);
	assert_int_equal(b->calls, 1);
	pipe_free(b);
}

/* More than fit into one batch. */
static void test_many(void **state)
{
	struct loop *loop = *state;
	struct pipe_end *all[300];

	for (int i = 0; i < 300; i++)
		all[i] = pipe_new(loop, true);
	run_for(loop, 0);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(all[i]->calls, 1);
		pipe_free(all[i]);
	}
}

/* --- timers --- */

struct clocked {
	struct loop *loop;
	struct loop_timer timer;
	uint64_t due_ns;
	unsigned calls, stop_after, *order, number;
	struct clocked *victim;
};

static void on_timer(void *arg)
{
	struct clocked *c = arg;

	assert_true(clock_ns(CLOCK_MONOTONIC) >= c->due_ns);
	c->calls++;
	if (c->order)
		c->number = ++*c->order;
	if (c->victim) {
		loop_timer_stop(&c->victim->timer);
		free(c->victim);
		c->victim = NULL;
	}
	if (c->calls == c->stop_after) {
		loop_timer_stop(&c->timer);
		loop_stop(c->loop);
	}
}

static void start(struct clocked *c, struct loop *loop, uint64_t after_ns, uint64_t every_ns)
{
	c->loop = loop;
	c->due_ns = clock_ns(CLOCK_MONOTONIC) + after_ns;
	loop_timer_start(loop, &c->timer, after_ns, every_ns, on_timer, c);
}

static void test_timers_in_order(void **state)
{
	struct loop *loop = *state;
	unsigned order = 0;
	struct clocked a = {.order = &order}, b = {.order = &order}, c = {.order = &order},
		       last = {.order = &order, .stop_after = 1}, never = {}, huge = {};

	start(&c, loop, 3 * MS, 0);
	start(&last, loop, 10 * MS, 0);
	start(&a, loop, 0, 0);
	start(&b, loop, 2 * MS, 0);
	start(&never, loop, 1 * MS, 0);
	start(&huge, loop, UINT64_MAX, 0);
	/* Starting a timer that runs starts it again. */
	start(&never, loop, 3600 * 1000 * MS, 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(a.number, 1);
	assert_int_equal(b.number, 2);
	assert_int_equal(c.number, 3);
	assert_int_equal(last.number, 4);
	assert_int_equal(never.calls + huge.calls, 0);
	loop_timer_stop(&never.timer);
	loop_timer_stop(&never.timer);
	loop_timer_stop(&huge.timer);
}

static void test_periodic_timer(void **state)
{
	struct loop *loop = *state;
	struct clocked often = {.stop_after = 5};
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);

	start(&often, loop, 1 * MS, 2 * MS);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(often.calls, 5);
	assert_true(clock_ns(CLOCK_MONOTONIC) - begin >= 9 * MS);
	/* It was stopped in its own callback. */
	run_for(loop, 5);
	assert_int_equal(often.calls, 5);
}

/* Times that have passed are skipped: after 20 ms there is one call, not twenty. */
static void test_late_timer(void **state)
{
	struct loop *loop = *state;
	struct clocked often = {.stop_after = 1};

	start(&often, loop, 1 * MS, 1 * MS);
	usleep(20000);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(often.calls, 1);
}

static void test_timer_stopped_by_another(void **state)
{
	struct loop *loop = *state;
	struct clocked a = {}, *victim = calloc(1, sizeof(*victim));

	assert_non_null(victim);
	/* Due at the same time. */
	start(&a, loop, 0, 0);
	start(victim, loop, 0, 1 * MS);
	a.victim = victim;
	run_for(loop, 5);
	assert_int_equal(a.calls, 1);
}

static void again(void *arg)
{
	struct clocked *c = arg;

	c->calls++;
	loop_timer_start(c->loop, &c->timer, 0, 0, again, c);
}

/* A timer that is always due keeps neither descriptors nor other timers waiting. */
static void test_busy_timer(void **state)
{
	struct loop *loop = *state;
	struct clocked busy = {.loop = loop};
	struct pipe_end *a = pipe_new(loop, true);

	again(&busy);
	run_for(loop, 0);
	assert_true(busy.calls > 1);
	assert_int_equal(a->calls, 1);
	loop_timer_stop(&busy.timer);
	pipe_free(a);
}

/* --- signals --- */

struct heard {
	struct loop *loop;
	unsigned calls;
	struct signalfd_siginfo info;
};

static void on_signal(void *arg, const struct signalfd_siginfo *info)
{
	struct heard *h = arg;

	h->calls++;
	h->info = *info;
	loop_stop(h->loop);
}

static void test_signals(void **state)
{
	struct loop *loop = *state;
	struct heard one = {.loop = loop}, two = {.loop = loop};
	sigset_t before;

	sigprocmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(loop_take_signal(loop, 0, on_signal, &one), -EINVAL);
	assert_int_equal(loop_take_signal(loop, SIGUSR1, on_signal, &one), 0);
	assert_int_equal(loop_take_signal(loop, SIGTERM, on_signal, &two), 0);
	/* Sent before the loop runs; it must be handled when it does. */
	kill(getpid(), SIGTERM);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(two.calls, 1);
	assert_int_equal(two.info.ssi_signo, SIGTERM);
	assert_int_equal(two.info.ssi_pid, getpid());
	assert_int_equal(two.info.ssi_code, SI_USER);
	kill(getpid(), SIGUSR1);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(one.calls, 1);
	assert_int_equal(two.calls, 1);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void *kill_soon(void *arg)
{
	(void)arg;
	usleep(5000);
	kill(getpid(), SIGUSR1);
	return NULL;
}

/* A signal whose default is to do nothing, which arrives while the loop sleeps. */
static void test_signal_ends_the_wait(void **state)
{
	struct loop *loop = *state;
	struct heard ended = {.loop = loop}, woken = {.loop = loop};
	pthread_t thread;
	sigset_t before;
	pid_t child;

	sigprocmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(loop_take_signal(loop, SIGCHLD, on_signal, &ended), 0);
	assert_int_equal(loop_take_signal(loop, SIGUSR1, on_signal, &woken), 0);
	child = fork();
	if (!child)
		_exit(0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(ended.info.ssi_pid, child);
	assert_int_equal(pthread_create(&thread, NULL, kill_soon, NULL), 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(woken.calls, 1);
	pthread_join(thread, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* What has happened at the same time is still reported; a stop before the start counts. */
static void test_stop(void **state)
{
	struct loop *loop = *state;
	struct pipe_end *a = pipe_new(loop, true), *b = pipe_new(loop, true);
	struct heard heard = {.loop = loop};
	sigset_t before;

	sigprocmask(SIG_SETMASK, NULL, &before);
	loop_stop(loop);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(a->calls + b->calls, 0);
	assert_int_equal(loop_take_signal(loop, SIGUSR1, on_signal, &heard), 0);
	kill(getpid(), SIGUSR1);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(heard.calls, 1);
	assert_int_equal(a->calls, 1);
	assert_int_equal(b->calls, 1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	pipe_free(a);
	pipe_free(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_descriptors),		 TEST(test_removed_by_another),
		TEST(test_removes_itself),	 TEST(test_many),
		TEST(test_timers_in_order),	 TEST(test_periodic_timer),
		TEST(test_late_timer),		 TEST(test_timer_stopped_by_another),
		TEST(test_busy_timer),		 TEST(test_signals),
		TEST(test_signal_ends_the_wait), TEST(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

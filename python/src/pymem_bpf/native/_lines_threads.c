/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The threads that ran profiled code: one record for each, until the thread ends.
 *
 * A thread finds its own record in thread-local storage. The list is needed to disable a recorder
 * while other threads run. Threads end without the GIL, so the list has a lock.
 *
 * Free-threaded, events of many threads run at the same time. What an event reads of what is shared
 * (the profiled code objects, their sinks, the enabled recorders) is changed only while no event
 * runs; what it writes (frames, counters) is its thread's, and read by others only then. For that a
 * thread says in its own record that it is inside an event, and looks whether the gate is shut. Who
 * wants to change something takes the lock, shuts the gate and waits until no thread is inside. So
 * events write to nothing that another thread writes to, and wait for nobody but such changes: a
 * profiler is made, enabled, disabled, read or dropped. That both sides' first access is a write
 * and the second a read of the other's word is why these four are sequentially consistent: each of
 * the others would let both go on.
 *
 * The lock is held by threads that the interpreter counts as running, but for moments (the end of a
 * thread, a fork), and they wait for nothing but threads inside of an event, which don't wait. So
 * it delays, but can't stop, what stops all threads: a collection of garbage, a fork.
 */
#include "_lines.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread *list;
static uint64_t forks;
static __thread struct thread *this_thread;

#if LINES_FREE_THREADED
static bool gate_shut;	   /* written with the lock held */
static bool needs_mending; /* lines_resident_mend() is to be called after an event */

/* Waits until no thread is inside an event. None enters one any more. */
static void shut_gate(void)
{
	const struct thread *t;

	__atomic_store_n(&gate_shut, true, __ATOMIC_SEQ_CST);
	for (t = list; t; t = t->next)
		while (__atomic_load_n(&t->inside, __ATOMIC_SEQ_CST))
			sched_yield();
}

static void open_gate(void)
{
	__atomic_store_n(&gate_shut, false, __ATOMIC_RELEASE);
}

static void fold(struct thread *t)
{
	lines_counts_fold(t);
}

/* A fork copies what is shared, and what threads write: not in the middle of a change, nor of an
 * event. Python stops all threads before it forks; the C library's fork() does not. */
static void before_fork(void)
{
	lines_exclusive_begin();
}

static void after_fork_in_parent(void)
{
	lines_exclusive_end();
}
#else
static void shut_gate(void)
{
}

static void open_gate(void)
{
}

static void fold(struct thread *t)
{
	(void)t;
}

#define before_fork	     NULL
#define after_fork_in_parent NULL
#endif

void lines_exclusive_begin(void)
{
	pthread_mutex_lock(&list_lock);
	shut_gate();
}

void lines_exclusive_end(void)
{
	open_gate();
	pthread_mutex_unlock(&list_lock);
}

static void thread_free(void *pointer)
{
	struct thread *t = pointer;

	pthread_mutex_lock(&list_lock);
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	fold(t);
	pthread_mutex_unlock(&list_lock);
	this_thread = NULL;
	free(t->frames);
	free(t);
}

/* In the child of a fork this thread has another ID, and the other threads don't exist. */
static void after_fork(void)
{
	struct thread *t;

	pthread_mutex_init(&list_lock, NULL);
	open_gate();
	for (t = LINES_FREE_THREADED ? list : NULL; t; t = t->next)
		fold(t);
	list = this_thread;
	if (this_thread) {
		this_thread->next = NULL;
		this_thread->link = &list;
		this_thread->depth = 0;
	}
	forks++;
	lines_after_fork();
}

#ifdef __GLIBC__
/* In glibc since 2.18. With pthread_key_create(), objects built with 2.34 would not load on older
 * ones. */
extern int __cxa_thread_atexit_impl(void (*end)(void *), void *object, void *dso);
extern void *__dso_handle;

static int at_end_of_thread(struct thread *t)
{
	return __cxa_thread_atexit_impl(thread_free, t, &__dso_handle);
}
#else
static pthread_key_t thread_key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	if (pthread_key_create(&thread_key, thread_free))
		abort();
}

static int at_end_of_thread(struct thread *t)
{
	pthread_once(&key_once, make_key);
	return pthread_setspecific(thread_key, t);
}
#endif

static struct thread *thread_new(void)
{
	static uint64_t serials;
	struct thread *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	if (at_end_of_thread(t)) {
		free(t);
		return NULL;
	}
	pthread_mutex_lock(&list_lock);
	t->serial = ++serials;
	t->link = &list;
	t->next = list;
	if (t->next)
		t->next->link = &t->next;
	list = t;
	pthread_mutex_unlock(&list_lock);
	this_thread = t;
	return t;
}

struct thread *lines_thread_here(void)
{
	return this_thread ? this_thread : thread_new();
}

#if LINES_FREE_THREADED
bool lines_event_begin(void)
{
	struct thread *t = lines_thread_here();

	while (t) {
		__atomic_store_n(&t->inside, true, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&gate_shut, __ATOMIC_SEQ_CST))
			break;
		__atomic_store_n(&t->inside, false, __ATOMIC_RELEASE);
		pthread_mutex_lock(&list_lock);
		pthread_mutex_unlock(&list_lock);
	}
	return t;
}

void lines_event_end(void)
{
	__atomic_store_n(&this_thread->inside, false, __ATOMIC_RELEASE);
	if (!lines_get(needs_mending))
		return;
	lines_exclusive_begin();
	lines_set(needs_mending, false);
	if (lines_estimating())
		lines_resident_mend();
	lines_exclusive_end();
}

void lines_event_needs_mending(void)
{
	lines_set(needs_mending, true);
}
#endif

struct thread *lines_thread_now(const volatile struct pymem_block *block)
{
	struct thread *t = lines_thread_here();

	if (!t || (t->forks == forks && t->block == block))
		return t;
	if (!t->tid || t->forks != forks)
		t->tid = syscall(SYS_gettid);
	t->forks = forks;
	t->block = block;
	t->place = NULL;
	return t;
}

struct thread *lines_threads(void)
{
	return list;
}

uint64_t lines_forks(void)
{
	return forks;
}

int lines_init(void)
{
	return pthread_atfork(before_fork, after_fork_in_parent, after_fork) ? -1 : 0;
}

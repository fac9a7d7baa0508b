/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The threads that ran profiled code: one record for each, until the thread ends.
 *
 * A thread finds its own record in thread-local storage. The list is needed to disable a recorder
 * while other threads run. Threads end without the GIL, so the list has a lock.
 */
#include "_lines.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct thread *list;
static uint64_t forks;
static __thread struct thread *this_thread;

static void thread_free(void *pointer)
{
	struct thread *t = pointer;

	pthread_mutex_lock(&list_lock);
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	pthread_mutex_unlock(&list_lock);
	this_thread = NULL;
	free(t->frames);
	free(t);
}

/* In the child of a fork this thread has another ID, and the other threads don't exist. */
static void after_fork(void)
{
	pthread_mutex_init(&list_lock, NULL);
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
	t->serial = ++serials;
	if (at_end_of_thread(t)) {
		free(t);
		return NULL;
	}
	pthread_mutex_lock(&list_lock);
	t->link = &list;
	t->next = list;
	if (t->next)
		t->next->link = &t->next;
	list = t;
	pthread_mutex_unlock(&list_lock);
	this_thread = t;
	return t;
}

struct thread *lines_thread_now(const volatile struct pymem_block *block)
{
	struct thread *t = this_thread ? this_thread : thread_new();

	if (!t || (t->forks == forks && t->block == block))
		return t;
	if (!t->tid || t->forks != forks)
		t->tid = syscall(SYS_gettid);
	t->forks = forks;
	t->block = block;
	t->place = NULL;
	return t;
}

struct thread *lines_threads_begin(void)
{
	pthread_mutex_lock(&list_lock);
	return list;
}

void lines_threads_end(void)
{
	pthread_mutex_unlock(&list_lock);
}

uint64_t lines_forks(void)
{
	return forks;
}

int lines_init(void)
{
	return pthread_atfork(NULL, NULL, after_fork) ? -1 : 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* To detach a uprobe, the kernel takes a lock that attaching needs too, and waits for readers while
 * it holds it (perf_trace_event_unreg() under event_mutex). So links are detached one by one, and
 * only while nobody attaches, unless there are too many.
 *
 * A link of a process that has ended does little harm meanwhile: each event of the same file costs
 * one more comparison. */
#include "kernel/probe_closer.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/array.h"
#include "base/clock.h"

#define QUIET_MS 100 /* since the last attaching */
#define MANY	 256 /* links; with more, it does not wait for quiet */

struct probe_closer {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool running, ending;
	unsigned paused;
	struct timespec quiet_at; /* CLOCK_MONOTONIC: when QUIET_MS are over */
	struct bpf_link **links;
	size_t count, room;
};

struct probe_closer *probe_closer_new(void)
{
	struct probe_closer *closer = calloc(1, sizeof(*closer));
	pthread_condattr_t attributes;

	if (!closer)
		return NULL;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&closer->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&closer->lock, NULL);
	return closer;
}

static bool quiet(const struct probe_closer *closer)
{
	struct timespec now = clock_after_ms(0);

	return now.tv_sec > closer->quiet_at.tv_sec ||
	       (now.tv_sec == closer->quiet_at.tv_sec && now.tv_nsec >= closer->quiet_at.tv_nsec);
}

/* Waits until a link is to be detached. The caller has the lock. False: no more will come. */
static bool wait_for_work(struct probe_closer *closer)
{
	struct timespec until;

	while (!closer->ending) {
		if (!closer->count || (closer->paused && closer->count <= MANY)) {
			pthread_cond_wait(&closer->changed, &closer->lock);
		} else if (closer->count > MANY || quiet(closer)) {
			return true;
		} else {
			until = closer->quiet_at;
			pthread_cond_timedwait(&closer->changed, &closer->lock, &until);
		}
	}
	return closer->count;
}

static void *close_links(void *arg)
{
	struct probe_closer *closer = arg;
	struct bpf_link *link;

	pthread_mutex_lock(&closer->lock);
	while (wait_for_work(closer)) {
		link = closer->links[closer->count - 1];
		pthread_mutex_unlock(&closer->lock);
		bpf_link__destroy(link);
		pthread_mutex_lock(&closer->lock);
		/* Other links may have been added behind it. */
		for (size_t i = 0; i < closer->count; i++)
			if (closer->links[i] == link)
				closer->links[i] = closer->links[--closer->count];
	}
	pthread_mutex_unlock(&closer->lock);
	return NULL;
}

/* All signals are blocked in the thread: they are for the main thread. */
static bool start(struct probe_closer *closer)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	closer->running = !pthread_create(&closer->thread, NULL, close_links, closer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return closer->running;
}

void probe_closer_add(struct probe_closer *closer, struct bpf_link *link)
{
	bool taken;

	pthread_mutex_lock(&closer->lock);
	taken = ARRAY_HAS_ROOM(closer->links, closer->count, closer->room) &&
		(closer->running || start(closer));
	if (taken) {
		closer->links[closer->count++] = link;
		pthread_cond_signal(&closer->changed);
	}
	pthread_mutex_unlock(&closer->lock);
	if (!taken)
		bpf_link__destroy(link);
}

size_t probe_closer_waiting(struct probe_closer *closer)
{
	size_t count;

	pthread_mutex_lock(&closer->lock);
	count = closer->count;
	pthread_mutex_unlock(&closer->lock);
	return count;
}

void probe_closer_pause(struct probe_closer *closer)
{
	pthread_mutex_lock(&closer->lock);
	closer->paused++;
	pthread_mutex_unlock(&closer->lock);
}

void probe_closer_resume(struct probe_closer *closer)
{
	pthread_mutex_lock(&closer->lock);
	closer->paused--;
	closer->quiet_at = clock_after_ms(QUIET_MS);
	pthread_cond_signal(&closer->changed);
	pthread_mutex_unlock(&closer->lock);
}

void probe_closer_free(struct probe_closer *closer)
{
	if (!closer)
		return;
	pthread_mutex_lock(&closer->lock);
	closer->ending = true;
	pthread_cond_signal(&closer->changed);
	pthread_mutex_unlock(&closer->lock);
	if (closer->running)
		pthread_join(closer->thread, NULL);
	pthread_cond_destroy(&closer->changed);
	pthread_mutex_destroy(&closer->lock);
	free(closer->links);
	free(closer);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "record/record_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct record_sync {
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	bool started, wanted, ends;
	int error; /* -errno of the first sync that failed */
};

static void *run(void *arg)
{
	struct record_sync *sync = arg;

	pthread_mutex_lock(&sync->lock);
	while (!sync->ends) {
		int err;

		if (!sync->wanted) {
			pthread_cond_wait(&sync->asked, &sync->lock);
			continue;
		}
		sync->wanted = false;
		pthread_mutex_unlock(&sync->lock);
		err = fdatasync(sync->fd) ? -errno : 0;
		pthread_mutex_lock(&sync->lock);
		/* Some files, such as those of a FUSE, can't be synced. */
		if (err != -EINVAL && err != -EROFS && !sync->error)
			sync->error = err;
	}
	pthread_mutex_unlock(&sync->lock);
	return NULL;
}

/* Signals are for other threads: one that is taken by a signalfd is blocked in all. */
static int start(struct record_sync *sync)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&sync->thread, NULL, run, sync);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

struct record_sync *record_sync_new(int fd)
{
	struct record_sync *sync = calloc(1, sizeof(*sync));
	int err;

	if (!sync)
		return NULL;
	pthread_mutex_init(&sync->lock, NULL);
	pthread_cond_init(&sync->asked, NULL);
	sync->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (sync->fd >= 0)
		return sync;
	err = errno;
	free(sync);
	errno = err;
	return NULL;
}

int record_sync_soon(struct record_sync *sync)
{
	int err;

	if (!sync->started) {
		err = start(sync);
		if (err)
			return -err;
		sync->started = true;
	}
	pthread_mutex_lock(&sync->lock);
	sync->wanted = true;
	err = sync->error;
	pthread_cond_signal(&sync->asked);
	pthread_mutex_unlock(&sync->lock);
	return err;
}

void record_sync_end(struct record_sync *sync)
{
	if (!sync)
		return;
	pthread_mutex_lock(&sync->lock);
	sync->ends = true;
	pthread_cond_signal(&sync->asked);
	pthread_mutex_unlock(&sync->lock);
	if (sync->started)
		pthread_join(sync->thread, NULL);
	close(sync->fd);
	pthread_cond_destroy(&sync->asked);
	pthread_mutex_destroy(&sync->lock);
	free(sync);
}

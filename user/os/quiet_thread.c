/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "os/quiet_thread.h"

#include <signal.h>

bool quiet_thread(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, before;
	bool begun;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	begun = !pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return begun;
}

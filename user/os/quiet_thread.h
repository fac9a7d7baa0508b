/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Threads that do work for the main thread, to which all signals go. */
#ifndef QUIET_THREAD_H
#define QUIET_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Runs fn(arg) in a thread of its own, in which all signals are blocked. False: there can be no
 * thread. The caller joins it. */
bool quiet_thread(pthread_t *thread, void *(*fn)(void *arg), void *arg);

#endif

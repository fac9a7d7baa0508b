/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Serves a text by HTTP, in the agent's loop. What clients do can take it neither memory nor time
 * beyond bounds: see the list in metrics_http.c. */
#ifndef METRICS_HTTP_H
#define METRICS_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/metrics_listen.h"
#include "os/loop.h"

#define METRICS_HTTP_CONNECTIONS 32 /* at a time; others wait until one is closed */

/* Makes the text, of malloc(): OpenMetrics, or `plain`, the older text format. 0 or -errno. */
typedef int metrics_render_fn(void *arg, bool plain, char **text, size_t *size);

/* Profiles in the format of pprof. */
#define PPROF_PLACES 4 /* requests that may wait, or take their profile, at a time */

struct pprof_ops {
	void *arg; /* of all of them */
	/* Begins to note what grows, for the request in this place. 0 or -errno. */
	int (*begin)(void *arg, unsigned place);
	/* Ends that, and makes the profile, of malloc(). 0 or -errno. */
	int (*end)(void *arg, unsigned place, char **profile, size_t *size);
	/* Ends that without one. */
	void (*cancel)(void *arg, unsigned place);
	/* Makes the profile of what is resident now. 0 or -errno. NULL: it is not noted. */
	int (*kept)(void *arg, char **profile, size_t *size);
	/* Nanoseconds that were needed so far between begin() and end(), for all of them. NULL:
	 * none are. */
	uint64_t (*took_ns)(void *arg);
};

/* What happened since the beginning. */
struct metrics_http_counts {
	uint64_t answered;   /* requests that got the text */
	uint64_t refused;    /* that got something else, for what they asked */
	uint64_t dropped;    /* connections that took too long */
	uint64_t renderings; /* and how long they took */
	double rendering_seconds;
	uint64_t profiles; /* that were made, and how long that took */
	double profile_seconds;
};

struct metrics_http;

/* A server on the listener, which must outlive it. It opens all that it needs: afterwards it only
 * accepts, reads, writes and closes. `render` is called at most once a second for each form of the
 * text, from the loop.
 * `pprof`: how profiles are made; NULL: they are not served. It must outlive the server. The caller
 * frees it with metrics_http_free(). NULL with errno set; -EINVAL: the certificate and its key
 * can't be used. */
struct metrics_http *metrics_http_new(const struct metrics_listener *listener,
				      metrics_render_fn *render, const struct pprof_ops *pprof,
				      void *arg);
/* Serves in `loop` from now on. 0 or -errno. */
int metrics_http_watch(struct metrics_http *http, struct loop *loop);
struct metrics_http_counts metrics_http_counts(const struct metrics_http *http);
/* CPU time in nanoseconds that requests have taken so far, whatever they asked for. */
uint64_t metrics_http_cpu_ns(const struct metrics_http *http);
/* To be called before the loop is freed. The listener stays open. NULL is allowed. */
void metrics_http_free(struct metrics_http *http);

#endif

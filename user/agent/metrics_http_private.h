/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of the server share. */
#ifndef METRICS_HTTP_PRIVATE_H
#define METRICS_HTTP_PRIVATE_H

#include <microhttpd.h>

#include "agent/metrics_http.h"

#define NS 1000000000ULL

struct client {
	int fd; /* -1: the place is free */
	uint64_t since_ns;
	bool answered, dropped;
	bool waits; /* for a profile: the library does not look at it */
};

struct pprof_place { /* a request that waits, or whose answer was not taken yet */
	struct metrics_http *http;
	struct MHD_Connection *connection; /* NULL: the place is free */
	struct client *client;
	struct loop_timer timer; /* runs while it waits */
	uint64_t due_ns;
	struct MHD_Response *profile; /* NULL: there is none */
	int error;		      /* -errno: why */
};

struct text_form {
	bool made;		   /* or it was tried */
	struct MHD_Response *text; /* NULL: there is none */
};

struct metrics_http {
	struct MHD_Daemon *daemon;
	const char *token;
	bool any_host; /* whatever Host says */
	metrics_render_fn *render;
	void *render_arg;
	struct text_form forms[2]; /* OpenMetrics, and the older text format */
	uint64_t due_ns;	   /* from when on another one may be made */
	struct client clients[METRICS_HTTP_CONNECTIONS];
	struct metrics_http_counts counts;
	struct loop *loop;
	struct loop_fd ready;
	struct loop_timer turn, sweep;
	const struct pprof_ops *pprof; /* NULL: profiles are not served */
	struct pprof_place places[PPROF_PLACES];
	uint64_t rest_ns; /* until then no profile is begun */
	uint64_t took_ns; /* of pprof_ops.took_ns, what counts already */
	uint64_t cpu_ns;  /* metrics_http_cpu_ns() */
};

/* metrics_http.c */
/* Puts headers on a new response. NULL: out of memory; then it is destroyed. */
struct MHD_Response *http_headers(struct MHD_Response *response, const char *type);
/* Answers with a sentence; `header` may be NULL. http_refuse(): and counts it. */
enum MHD_Result http_words(struct MHD_Connection *connection, unsigned status, const char *words,
			   const char *header, const char *value);
enum MHD_Result http_refuse(struct metrics_http *http, struct MHD_Connection *connection,
			    unsigned status, const char *words, const char *header,
			    const char *value);
/* Lets the library do what is ready. Not from within a request. */
void http_turn(struct metrics_http *http);

/* pprof_http.c */
#define PPROF_HTTP_PATH	   "/debug/pprof/"
#define PPROF_SECONDS	   30
#define PPROF_SECONDS_MOST 60

/* How many seconds a request asks for, from 1 to PPROF_SECONDS_MOST; `text` is the value of
 * seconds=, NULL: PPROF_SECONDS. 0: it is no such number. */
unsigned pprof_http_seconds(const char *text);
/* Answers a request for PATH..., or lets it wait: then `*context` becomes its place. `client` may
 * be NULL. */
enum MHD_Result pprof_http_ask(struct metrics_http *http, struct MHD_Connection *connection,
			       struct client *client, const char *url, const char *method,
			       void **context);
/* Answers one that has waited. */
enum MHD_Result pprof_http_answer(struct metrics_http *http, struct MHD_Connection *connection,
				  size_t *upload_size, void **context);
/* The client has gone: nobody waits any more. */
void pprof_http_give_up(struct metrics_http *http, struct client *client);
/* An MHD_RequestCompletedCallback. */
void pprof_http_completed(void *arg, struct MHD_Connection *connection, void **context,
			  enum MHD_RequestTerminationCode code);
/* Nobody waits any more. To be called before the daemon ends. */
void pprof_http_end(struct metrics_http *http);

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: hosts without anybody who collects profiles from them. So the agent sends its own, of
 * one window after the other: push_profiles.c makes a request of the model of a window, push.c
 * sends it.
 *
 *   - A window begins right before the one before becomes a model, so no time is left out. What
 *     comes in the milliseconds between these two readings is in both.
 *   - Making a profile holds the loop up, so a tenth of the time at most goes into it, as with
 *     those that are asked for: windows become longer where it takes long. What is resident takes
 *     longer, and is looked at for a twentieth of the time at most.
 *   - Nobody waits for the server. */
#include "agent/agent_push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_private.h"
#include "agent/push_profiles.h"
#include "base/clock.h"
#include "base/exit_status.h"
#include "report/report.h"

#define NS	  1000000000ULL
#define REST	  9  /* times as long as a profile took */
#define KEPT_REST 19 /* the same, of what is resident */
#define LAST_NS	  (2 * NS)
#define LEAST_NS  (NS / 10) /* a window of less is not pushed */

struct agent_push {
	struct agent *agent;
	struct push *push;
	double every; /* seconds */
	struct loop_timer due;
	unsigned window;   /* of the source: one of two, in turns */
	uint64_t began_ns; /* the window; 0: none is open */
	int64_t began;	   /* the same, of push_now() */
	uint64_t kept_due_ns;
	uint64_t cpu_ns; /* of making bodies, without what the source of profiles counts itself */
	int error;	 /* of making a profile, as was said last */
};

static void say(void *arg, bool bad, const char *words)
{
	const struct agent_push *p = arg;

	if (bad)
		agent_complain("%s", words);
	else
		agent_say(p->agent, "%s", words);
}

/* --- profiles --- */

/* What came since the window began, which ends. 0 or -errno. */
static int push_window(struct agent_push *p, unsigned window, int64_t began)
{
	struct model *model = pprof_source_model(p->agent->pprof, window);
	uint8_t *body = NULL;
	size_t size = 0;
	int err = model ? push_profiles(model, false, &body, &size) : -errno;

	pprof_source_close(p->agent->pprof, window);
	if (!err && body)
		push_add(p->push, body, size, began);
	return err;
}

static int open_window(struct agent_push *p)
{
	int err;

	p->window = p->window == PPROF_PUSHED ? PPROF_PUSHED + 1 : PPROF_PUSHED;
	err = pprof_source_open(p->agent->pprof, p->window);
	p->began_ns = err ? 0 : clock_ns(CLOCK_MONOTONIC);
	p->began = push_now();
	return err;
}

/* Pushes the window that is open, and opens the next one. 0 or -errno. */
static int push_and_open(struct agent_push *p)
{
	bool was_open = p->began_ns;
	unsigned window = p->window;
	int64_t began = p->began;
	/* Messages come before figures. */
	int err = profiler_poll(p->agent->profiler);

	err = open_window(p) ?: err;
	return was_open ? push_window(p, window, began) ?: err : err;
}

static int push_kept(struct agent_push *p)
{
	uint64_t began = clock_ns(CLOCK_MONOTONIC), now;
	struct report *report = NULL;
	struct model *model;
	uint8_t *body = NULL;
	size_t size = 0;
	int err;

	if (!p->agent->options.pprof_kept || began < p->kept_due_ns)
		return 0;
	model = pprof_source_kept(p->agent->pprof, &report);
	err = model ? push_profiles(model, true, &body, &size) : -errno;
	report_free(report);
	if (!err && body)
		push_add(p->push, body, size, push_now());
	now = clock_ns(CLOCK_MONOTONIC);
	p->kept_due_ns = now + KEPT_REST * (now - began);
	return err;
}

static void tell(struct agent_push *p, int err)
{
	if (err && err != p->error)
		agent_complain("a profile to be pushed can't be made: %s", strerror(-err));
	p->error = err;
}

static void on_due(void *arg)
{
	struct agent_push *p = arg;
	uint64_t began = clock_ns(CLOCK_MONOTONIC);
	uint64_t cpu_began = clock_ns(CLOCK_THREAD_CPUTIME_ID), wait, rest;
	uint64_t counted = pprof_source_cpu_ns(p->agent->pprof);
	int err = push_and_open(p);

	err = push_kept(p) ?: err;
	tell(p, err);
	rest = REST * (clock_ns(CLOCK_MONOTONIC) - began);
	wait = (uint64_t)(p->every * (double)NS);
	loop_timer_start(p->agent->loop, &p->due, wait > rest ? wait : rest, 0, on_due, p);
	counted = pprof_source_cpu_ns(p->agent->pprof) - counted;
	p->cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_began - counted;
}

/* --- begin and end --- */

static struct push_access access_of(const struct agent_options *o)
{
	return (struct push_access){
		.url = o->push,
		.token_file = o->push_token_file,
		.password_file = o->push_password_file,
		.tenant = o->push_tenant,
		.ca_file = o->push_ca,
	};
}

/* Whether something is said of pushing without where to. */
static bool is_idle(const struct agent_options *o)
{
	return o->push_token_file || o->push_password_file || o->push_tenant || o->push_ca ||
	       o->push_every > 0;
}

static int open_target(const struct agent_options *o, struct push_target *target)
{
	const struct push_access access = access_of(o);
	char why[PATH_MAX + 512];
	int err = push_target_open(target, &access, why, sizeof(why));

	if (err)
		agent_complain("%s", why);
	return err;
}

/* 0, or an exit status after it was explained. */
static int start_resolver(const struct agent_options *o, struct resolver *resolver)
{
	struct resolver_rights rights;
	int err = resolver_start(resolver, &rights);

	if (err) {
		agent_complain("the process that looks up names can't be started: %s",
			       strerror(-err));
		return EXIT_FAILED;
	}
	if (rights.filter_error)
		agent_complain("the process that looks up names has no seccomp filter: %s",
			       strerror(-rights.filter_error));
	if (rights.user_error && o->verbosity >= 1)
		agent_complain("the process that looks up names keeps its user: %s",
			       strerror(-rights.user_error));
	return 0;
}

int agent_push_open(struct agent *a, struct agent_push **push)
{
	const struct agent_options *o = &a->options;
	struct resolver resolver = {-1, -1};
	struct push_target target;
	struct agent_push *p;
	int err;

	*push = NULL;
	if (!o->push && is_idle(o)) {
		agent_complain("--push-every, --push-token-file, --push-password-file, "
			       "--push-tenant and --push-ca need --push");
		return EXIT_USAGE;
	}
	if (!o->push)
		return 0;
	/* Before the target, which has secrets. A name may come with SIGHUP. */
	err = start_resolver(o, &resolver);
	if (err)
		return err;
	err = open_target(o, &target);
	if (err) {
		resolver_stop(&resolver);
		return err == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	}
	p = calloc(1, sizeof(*p));
	if (p)
		p->push = push_new(&target, &resolver, say, p);
	if (!p || !p->push) {
		agent_complain("%s", strerror(ENOMEM));
		if (!p) {
			push_target_close(&target);
			resolver_stop(&resolver);
		}
		free(p);
		return EXIT_FAILED;
	}
	p->agent = a;
	p->every = o->push_every > 0 ? o->push_every : AGENT_PUSH_EVERY;
	*push = p;
	return 0;
}

void agent_push_watch(struct agent_push *p)
{
	if (!p)
		return;
	agent_say(p->agent, "pushes profiles to %s every %.0f s", p->agent->options.push, p->every);
	push_watch(p->push, p->agent->loop);
	/* What is there already came before. */
	tell(p, open_window(p));
	loop_timer_start(p->agent->loop, &p->due, (uint64_t)(p->every * (double)NS), 0, on_due, p);
}

/* Nanoseconds until the window has that length. */
static uint64_t left_of_window(const struct agent_push *p)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC), began = p->began_ns ?: now;
	uint64_t due = began + (uint64_t)(p->every * (double)NS);

	return due > now ? due - now : 0;
}

int agent_push_reload(struct agent_push *p, const struct agent_options *asked)
{
	double every = asked->push_every > 0 ? asked->push_every : AGENT_PUSH_EVERY;
	struct push_target target;
	int err;

	if (!p || !asked->push)
		return 0;
	err = open_target(asked, &target);
	if (err)
		return err;
	push_set_target(p->push, &target);
	/* Else whoever reloads often would have windows without end. */
	if (every > p->every || every < p->every) {
		p->every = every;
		loop_timer_start(p->agent->loop, &p->due, left_of_window(p), 0, on_due, p);
	}
	return 0;
}

void agent_push_stop(struct agent_push *p)
{
	if (!p)
		return;
	loop_timer_stop(&p->due);
	if (p->began_ns && clock_ns(CLOCK_MONOTONIC) - p->began_ns >= LEAST_NS)
		tell(p, profiler_poll(p->agent->profiler) ?: push_window(p, p->window, p->began));
}

void agent_push_finish(struct agent_push *p)
{
	if (p)
		push_finish(p->push, LAST_NS);
}

void agent_push_free(struct agent_push *p)
{
	if (!p)
		return;
	loop_timer_stop(&p->due);
	push_free(p->push);
	free(p);
}

uint64_t agent_push_cpu_ns(const struct agent_push *p)
{
	return p ? p->cpu_ns : 0;
}

bool agent_push_counts(const struct agent_push *p, struct push_counts *counts)
{
	if (p)
		*counts = push_counts(p->push);
	return p;
}

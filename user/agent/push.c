/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: a server that is slow, full or gone must not hold the agent up, nor fill its memory, nor
 * its journal. So one body is sent at a time, the others wait, and of those that wait there is a
 * bounded number and size: the oldest is dropped for a new one. After a failure nothing is tried
 * for a time that doubles. What changes is told, not each try; of what goes wrong, each kind once
 * in ten minutes, since a server may also take every second one.
 *
 *   push_add() ──► waiting ──► a try ──► taken: the next one
 *                     ▲                  refused (4xx, redirects): dropped, the next one
 *                     ├── back-off ◄──── 429 three times, or for its series: dropped
 *                     └── back-off ◄──── anything else: the same one again */
#include "agent/push.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

#define NS	  1000000000ULL
#define SENTENCE  1024
#define TOO_MANY  429		      /* a status */
#define BUSY_MOST 3		      /* times that a body is told so */
#define HUSH_NS	  (600 * (int64_t)NS) /* in which a kind of trouble is told once */

struct body {
	uint8_t *bytes;
	size_t size;
	int64_t began;
	unsigned busy; /* how often the server said 429 to it */
};

enum state { STATE_NONE, STATE_GOOD, STATE_FAILS, STATE_REFUSED, STATES };

struct push {
	struct push_target target;
	struct resolver resolver;
	struct push_try try;
	struct loop *loop;
	struct loop_timer again;
	struct body waiting[PUSH_WAITING]; /* the oldest first */
	size_t count, bytes;
	size_t tried;	       /* the index of the one that is tried, if `tries` */
	bool tries, latest;    /* the latest is tried first */
	unsigned failures;     /* in a row */
	enum state state;      /* that was told last */
	int64_t told[STATES];  /* of push_now(): when that was; 0: never */
	uint64_t hushed;       /* tries that failed and were not told since the last that was */
	uint64_t told_dropped; /* of counts.dropped[], together, when it was last told */
	int64_t told_full, told_old; /* when, in this spell of trouble; 0: not yet */
	bool told_names;	     /* that they can't be looked up any more */
	struct push_counts counts;
	push_say_fn *say;
	void *say_arg;
};

static void try_next(struct push *p);

static void __attribute__((format(printf, 3, 4)))
tell(const struct push *p, bool bad, const char *format, ...)
{
	char words[SENTENCE];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	p->say(p->say_arg, bad, words);
}

/* --- decisions --- */

uint64_t push_back_off(unsigned failures, uint32_t random, int64_t retry_after)
{
	uint64_t wait = PUSH_BACK_MIN, asked;

	for (unsigned i = 1; i < failures && wait < PUSH_BACK_MOST; i++)
		wait *= 2;
	if (wait > PUSH_BACK_MOST)
		wait = PUSH_BACK_MOST;
	if (retry_after > 0) {
		asked = (uint64_t)retry_after < PUSH_WAIT_MOST / NS ? (uint64_t)retry_after * NS
								    : PUSH_WAIT_MOST;
		/* Those who were told the same time don't all come at once. */
		if (asked >= wait / 2)
			return asked + random % NS;
	}
	return wait - (uint64_t)((double)(wait / 2) * random / UINT32_MAX);
}

enum push_verdict push_verdict(unsigned status, bool proto)
{
	if (status == 200 && proto)
		return PUSH_TAKEN;
	/* Request Timeout, Too Early, Too Many Requests; Connect's "aborted" and "canceled" */
	if (status == 408 || status == 409 || status == 425 || status == TOO_MANY || status == 499)
		return PUSH_LATER;
	/* Not Implemented, HTTP Version Not Supported */
	if (status >= 500 && status != 501 && status != 505)
		return PUSH_LATER;
	return PUSH_REFUSED;
}

const char *push_drop_name(enum push_drop drop)
{
	static const char *const names[] = {"full", "refused", "ended", "old"};

	return names[drop];
}

/* --- what waits --- */

static void remove_at(struct push *p, size_t index)
{
	p->bytes -= p->waiting[index].size;
	free(p->waiting[index].bytes);
	memmove(p->waiting + index, p->waiting + index + 1,
		(p->count - index - 1) * sizeof(*p->waiting));
	p->count--;
	if (p->tries && index < p->tried)
		p->tried--;
}

static void drop(struct push *p, size_t index, enum push_drop why)
{
	p->counts.dropped[why]++;
	remove_at(p, index);
}

static uint64_t all_dropped(const struct push *p)
{
	uint64_t all = 0;

	for (int i = 0; i < PUSH_DROPS; i++)
		all += p->counts.dropped[i];
	return all;
}

/* The oldest goes, but not one that is being sent. */
static void make_room(struct push *p, size_t size)
{
	while (p->count && (p->count == PUSH_WAITING || p->bytes + size > PUSH_BYTES)) {
		size_t oldest = p->tries && !p->tried;

		if (oldest == p->count)
			return;
		if (!p->told_full)
			tell(p, true, "drops profiles for %s, the oldest first: %zu wait",
			     p->target.shown, p->count);
		p->told_full = p->told_full ?: push_now();
		drop(p, oldest, PUSH_DROP_FULL);
	}
}

int64_t push_now(void)
{
	return (int64_t)clock_ns(CLOCK_BOOTTIME);
}

/* Not while one is being sent. */
static void drop_old(struct push *p)
{
	int64_t least = push_now() - (int64_t)PUSH_OLD_NS;

	for (size_t i = p->count; i-- > 0;) {
		if (p->waiting[i].began > least)
			continue;
		if (!p->told_old)
			tell(p, true, "drops profiles for %s that began 55 minutes ago",
			     p->target.shown);
		p->told_old = p->told_old ?: push_now();
		drop(p, i, PUSH_DROP_OLD);
	}
}

/* It is not started again: it is forked before anything of a target is read. */
static void look_for_resolver(struct push *p)
{
	if (p->resolver.pid > 0 && !p->told_names && !resolver_is_there(&p->resolver)) {
		tell(p, true, PUSH_NO_NAMES);
		p->told_names = true;
	}
}

void push_add(struct push *p, uint8_t *body, size_t size, int64_t began)
{
	look_for_resolver(p);
	make_room(p, size);
	if (p->count == PUSH_WAITING || p->bytes + size > PUSH_BYTES) {
		/* All that is there is being sent. */
		p->counts.dropped[PUSH_DROP_FULL]++;
		free(body);
		return;
	}
	p->waiting[p->count++] = (struct body){.bytes = body, .size = size, .began = began};
	p->bytes += size;
	if (p->loop && !p->tries && !p->again.loop)
		try_next(p);
}

/* --- tries --- */

static void on_again(void *arg)
{
	try_next(arg);
}

static uint32_t dice(void)
{
	uint32_t random = 0;

	/* Without it there is no jitter, and no harm. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		return 0;
	return random;
}

static void set_state(struct push *p, enum state state)
{
	p->state = state;
	p->told[state] = push_now();
	p->told_dropped = all_dropped(p);
}

/* It may be told again. */
static void forget(int64_t *told)
{
	if (push_now() - *told >= HUSH_NS)
		*told = 0;
}

/* Whether it is news that this kind of trouble is there. */
static bool is_news(struct push *p, enum state state)
{
	if (p->state == state)
		return false;
	if (!p->told[state] || push_now() - p->told[state] >= HUSH_NS)
		return true;
	p->hushed++;
	return false;
}

static void tell_trouble(struct push *p, enum state state, const char *what, const char *why)
{
	char more[64] = "";

	if (!is_news(p, state))
		return;
	if (p->hushed)
		snprintf(more, sizeof(more), " (and %llu times before, which was not said)",
			 (unsigned long long)p->hushed);
	tell(p, true, "%s: %s%s", what, why, more);
	p->hushed = 0;
	set_state(p, state);
}

static void taken(struct push *p)
{
	p->counts.sent++;
	p->counts.bytes += p->waiting[p->tried].size;
	p->failures = 0;
	remove_at(p, p->tried);
	forget(&p->told_full);
	forget(&p->told_old);
	if (p->state == STATE_NONE)
		tell(p, false, "%s takes profiles", p->target.shown);
	else if (p->state != STATE_GOOD)
		tell(p, true, "%s takes profiles again; %llu were dropped meanwhile",
		     p->target.shown, (unsigned long long)(all_dropped(p) - p->told_dropped));
	if (p->state != STATE_GOOD)
		set_state(p, STATE_GOOD);
}

static void refused(struct push *p, const char *why)
{
	char what[SENTENCE];

	snprintf(what, sizeof(what), "%s refuses profiles, which are dropped", p->target.shown);
	tell_trouble(p, STATE_REFUSED, what, why);
	drop(p, p->tried, PUSH_DROP_REFUSED);
}

/* A while, before there is another try. */
static void rest(struct push *p, int64_t retry_after)
{
	uint64_t wait = push_back_off(++p->failures, dice(), retry_after);

	loop_timer_start(p->loop, &p->again, wait, 0, on_again, p);
}

/* Too many series are too many for as long as programs have these names. Who is too busy for a body
 * again and again may have a limit that this body is beyond. */
static bool is_hopeless(struct push *p, const struct http_reply *reply)
{
	if (reply->status != TOO_MANY)
		return false;
	return strcasestr(reply->text, "series limit") || ++p->waiting[p->tried].busy >= BUSY_MOST;
}

static void failed(struct push *p, const char *why, int64_t retry_after)
{
	char what[SENTENCE];

	snprintf(what, sizeof(what), "profiles can't be pushed to %s, which is tried again",
		 p->target.shown);
	tell_trouble(p, STATE_FAILS, what, why);
	p->counts.failed++;
	rest(p, retry_after);
}

static void on_done(void *arg, int err, const struct http_reply *reply, const char *why)
{
	struct push *p = arg;
	enum push_verdict verdict = PUSH_LATER;
	char words[SENTENCE / 2];

	if (!err)
		verdict = push_verdict(reply->status, reply->proto);
	if (err)
		snprintf(words, sizeof(words), "%s", why);
	else if (reply->status >= 200 && reply->status < 300)
		snprintf(words, sizeof(words), "%u: its answer is not a Pyroscope's",
			 reply->status);
	else
		http_reply_words(reply, push_target_secret(&p->target), words, sizeof(words));
	if (verdict == PUSH_TAKEN) {
		taken(p);
	} else if (verdict == PUSH_REFUSED) {
		refused(p, words);
		p->failures = 0;
	} else if (is_hopeless(p, reply)) {
		refused(p, words);
		rest(p, reply->retry_after);
	} else {
		failed(p, words, reply->retry_after);
	}
	p->tries = false;
	if (verdict != PUSH_LATER)
		try_next(p);
}

static void try_next(struct push *p)
{
	const struct body *body;
	int err;

	drop_old(p);
	if (!p->count)
		return;
	p->tried = p->latest ? p->count - 1 : 0;
	body = &p->waiting[p->tried];
	p->tries = true;
	err = push_try_begin(&p->try, p->loop, &p->target, body->bytes, body->size, on_done, p);
	if (!err)
		return;
	p->tries = false;
	failed(p, strerror(-err), -1);
}

static void interrupt(struct push *p)
{
	push_try_stop(&p->try);
	p->tries = false;
	loop_timer_stop(&p->again);
}

/* --- begin and end --- */

struct push *push_new(struct push_target *target, const struct resolver *resolver, push_say_fn *say,
		      void *arg)
{
	struct push *p = calloc(1, sizeof(*p));
	struct resolver unused = *resolver;

	if (!p) {
		push_target_close(target);
		resolver_stop(&unused);
		return NULL;
	}
	p->target = *target;
	*target = (struct push_target){};
	p->resolver = *resolver;
	p->say = say;
	p->say_arg = arg;
	push_try_init(&p->try, &p->resolver);
	return p;
}

void push_free(struct push *p)
{
	if (!p)
		return;
	interrupt(p);
	while (p->count)
		remove_at(p, 0);
	push_target_close(&p->target);
	resolver_stop(&p->resolver);
	free(p);
}

void push_watch(struct push *p, struct loop *loop)
{
	p->loop = loop;
	try_next(p);
}

void push_set_target(struct push *p, struct push_target *target)
{
	if (push_target_same(&p->target, target)) {
		push_target_close(target);
		return;
	}
	interrupt(p);
	push_try_forget(&p->try);
	push_target_close(&p->target);
	p->target = *target;
	*target = (struct push_target){};
	p->failures = 0;
	p->hushed = 0;
	memset(p->told, 0, sizeof(p->told));
	p->told_full = p->told_old = 0;
	set_state(p, STATE_NONE);
	if (p->loop)
		try_next(p);
}

static void on_end(void *arg)
{
	loop_stop(arg);
}

/* Ends the loop when nothing is left to be done. */
static void on_look(void *arg)
{
	struct push *p = arg;

	if (!p->tries && !p->again.loop)
		loop_stop(p->loop);
}

void push_finish(struct push *p, uint64_t ns)
{
	struct loop *loop = p->count ? loop_new() : NULL;
	struct loop_timer end = {}, look = {};
	int err;

	interrupt(p);
	if (loop) {
		p->loop = loop;
		p->latest = true;
		loop_timer_start(loop, &end, ns, 0, on_end, loop);
		loop_timer_start(loop, &look, NS / 50, NS / 50, on_look, p);
		try_next(p);
		err = loop_run(loop);
		if (err)
			tell(p, true, "what waits can't be pushed to %s: %s", p->target.shown,
			     strerror(-err));
		interrupt(p);
		loop_timer_stop(&end);
		loop_timer_stop(&look);
		loop_free(loop);
	}
	p->loop = NULL;
	if (p->count)
		tell(p, true, "ends with %zu profile%s that %s not pushed to %s", p->count,
		     p->count == 1 ? "" : "s", p->count == 1 ? "was" : "were", p->target.shown);
	while (p->count)
		drop(p, p->count - 1, PUSH_DROP_ENDED);
}

struct push_counts push_counts(const struct push *p)
{
	struct push_counts counts = p->counts;

	counts.waiting = p->count;
	counts.names = resolver_is_there(&p->resolver);
	return counts;
}

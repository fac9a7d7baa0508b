/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a session can do without for a while, and what its programs cost.
 *
 * Sources are detached, not told to do nothing: what is not attached costs nobody anything, also no
 * process that is not traced. Their programs and maps stay loaded. A thread may have noted
 * something for a source when it is detached; when it is attached again, the source meets that as
 * something that is over. */
#include <errno.h>

#include "kernel/session_private.h"

/* About what a program takes besides the walk: from the event to the stack, and from there to the
 * counters. bench/ has figures. */
#define AROUND_NS 350

static bool is_shed(const struct session *session, int i)
{
	return session->sources[i].loaded && event_sources[i]->shed &&
	       !event_source_is_required(event_sources[i], &session->kernel);
}

static void detach_all(struct session *session)
{
	for (int i = EVENT_SOURCE_COUNT - 1; i >= 0; i--)
		if (is_shed(session, i))
			session_detach_source(&session->sources[i]);
	/* If it is not there any more, nobody tells a copy from a page that is kept. */
	*session->bpf.variable.copies_watched =
		session->sources[EVENT_SOURCE_copies].links[0] != NULL;
}

static int attach_all(struct session *session)
{
	int err = 0;

	for (int i = 0; i < EVENT_SOURCE_COUNT && !err; i++)
		if (is_shed(session, i) && event_sources[i]->turn != SOURCE_ON_DEMAND)
			err = session_attach_source(&session->sources[i]);
	return err;
}

int session_shed_events(struct session *session, bool shed)
{
	int err;

	if (shed == session->events_shed)
		return 0;
	if (shed) {
		session->events_shed = true;
		detach_all(session);
		return 0;
	}
	err = attach_all(session);
	if (err)
		return err;
	session->events_shed = false;
	return session->copies_wanted ? session_watch_copies(session) : 0;
}

void session_each_shed(const struct session *session, void (*fn)(const char *what, void *arg),
		       void *arg)
{
	const char *last = NULL;

	for (int i = 0; i < EVENT_SOURCE_COUNT; i++) {
		if (!is_shed(session, i) || event_sources[i]->shed == last)
			continue;
		last = event_sources[i]->shed;
		fn(last, arg);
	}
}

void session_limit_walks(struct session *session, unsigned frames)
{
	*session->bpf.variable.walk_less =
		frames && frames < PYMEM_MAX_WALK ? PYMEM_MAX_WALK - frames : 0;
}

uint64_t session_shed_stacks(const struct session *session)
{
	return *session->bpf.variable.shed_stacks;
}

uint64_t session_cpu_ns(const struct session *session)
{
	uint64_t walks = *session->bpf.variable.timed_walks;

	return PYMEM_WALKS_TIMED * (*session->bpf.variable.timed_ns + walks * AROUND_NS);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a session can do without for a while, and what its programs cost.
 *
 * Sources are detached, not told to do nothing: what is not attached costs nobody anything, also no
 * process that is not traced. Their programs and maps stay loaded. A thread may have noted
 * something for a source when it is detached; when it is attached again, the source meets that as
 * something that is over. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "kernel/session_private.h"

/* Nanoseconds, as measured on a virtual machine: what a program takes besides the walk; and what
 * all programs take at a page fault of the host without a walk, be it of a traced process or of
 * another one, with events and without. docs/DESIGN.md compares the estimate with the kernel's
 * figures. */
#define AROUND_NS     250
#define FAULT_NS      200
#define SHED_FAULT_NS 100

bool session_can_shed(const struct session *session, int i)
{
	const struct event_source *source = event_sources[i];

	return session->sources[i].loaded && source->shed &&
	       !event_source_is_required(source, &session->kernel) &&
	       !(source->touches && session->sources[EVENT_SOURCE_touched].loaded);
}

static void detach_all(struct session *session)
{
	for (int i = EVENT_SOURCE_COUNT - 1; i >= 0; i--)
		if (session_can_shed(session, i))
			session_detach_source(&session->sources[i]);
	/* If it is not there any more, nobody tells a copy from a page that is kept. */
	*session->bpf.variable.copies_watched =
		session->sources[EVENT_SOURCE_copies].links[0] != NULL;
}

/* With copies, if they were asked for. 0, or -errno: then some are attached. */
static int attach_all(struct session *session)
{
	int err = 0;

	for (int i = 0; i < EVENT_SOURCE_COUNT && !err; i++)
		if (session_can_shed(session, i) && event_sources[i]->turn != SOURCE_ON_DEMAND)
			err = session_attach_source(&session->sources[i]);
	return err || !session->copies_wanted ? err : session_attach_copies(session);
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
		detach_all(session);
	else
		session->events_shed = false;
	return err;
}

void session_each_shed(const struct session *session, void (*fn)(const char *what, void *arg),
		       void *arg)
{
	const char *last = NULL;

	for (int i = 0; i < EVENT_SOURCE_COUNT; i++) {
		if (!session_can_shed(session, i) || event_sources[i]->shed == last)
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

/* Of all processes since the host was started; 0: not known. */
static uint64_t host_faults(void)
{
	FILE *file = fopen("/proc/vmstat", "re");
	uint64_t faults = 0;
	char line[128];

	while (file && !faults && fgets(line, sizeof(line), file))
		if (sscanf(line, "pgfault %" SCNu64, &faults) != 1)
			faults = 0;
	if (file)
		fclose(file);
	return faults;
}

void session_cpu_ns(struct session *session, uint64_t *walks_ns, uint64_t *faults_ns)
{
	const struct session_source *fault = &session->sources[EVENT_SOURCE_fault];
	uint64_t walks = *session->bpf.variable.timed_walks, faults = host_faults();

	/* Before 6.2, and where touches are noted, it stays attached while events are shed. */
	if (session->host_faults && faults > session->host_faults)
		session->fault_ns += (faults - session->host_faults) *
				     (fault->links[0] ? FAULT_NS : SHED_FAULT_NS);
	session->host_faults = faults;
	*faults_ns = session->fault_ns;
	*walks_ns = PYMEM_WALKS_TIMED * (*session->bpf.variable.timed_ns + walks * AROUND_NS);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Carries out what the descriptors of event sources say (event_source.h): finds their programs,
 * selects what is loaded, attaches in turn, detaches. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>

#include "kernel/bpf_object.h"
#include "kernel/session_private.h"

/* The turns of session_attach(), in order. SOURCE_ON_DEMAND is not among them. */
static const enum source_turn turns[] = {SOURCE_BEFORE_LIFECYCLE, SOURCE_LIFECYCLE, SOURCE_EVENTS,
					 SOURCE_LAST};
#define TURNS (int)(sizeof(turns) / sizeof(turns[0]))

/* "build it anew": the BPF objects and the descriptor come from different states of the project. */
static int missing(const struct event_source *source, const char *kind, const char *name, char *why,
		   size_t size)
{
	snprintf(why, size,
		 "the embedded BPF object has no %s '%s' of the event source '%s': build it anew",
		 kind, name, source->name);
	return -ENOENT;
}

static int find_programs(struct bpf_program **found, const char *const *names,
			 const struct event_source *source, const struct bpf_object *object,
			 char *why, size_t size)
{
	for (int i = 0; i < SOURCE_PROGRAMS_MAX && names[i]; i++) {
		found[i] = bpf_object__find_program_by_name(object, names[i]);
		if (!found[i])
			return missing(source, "program", names[i], why, size);
	}
	return 0;
}

int session_source_find(struct session_source *found, const struct event_source *source,
			const struct bpf_object *object, char *why, size_t size)
{
	int err = find_programs(found->programs, source->programs, source, object, why, size);

	if (!err)
		err = find_programs(found->others, source->others, source, object, why, size);
	if (err || !source->dropped)
		return err;
	found->dropped = object_variable(object, source->dropped, sizeof(*found->dropped));
	return found->dropped ? 0 : missing(source, "64-bit counter", source->dropped, why, size);
}

int session_find_sources(struct session *session, char *why, size_t size)
{
	int err = 0;

	for (int i = 0; i < EVENT_SOURCE_COUNT && !err; i++)
		err = session_source_find(&session->sources[i], event_sources[i], session->object,
					  why, size);
	return err;
}

void session_select_sources(struct session *session)
{
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++) {
		struct session_source *s = &session->sources[i];

		s->loaded = event_source_is_loaded(event_sources[i], &session->options,
						   &session->kernel);
		for (int j = 0; j < SOURCE_PROGRAMS_MAX && s->programs[j]; j++)
			bpf_program__set_autoload(s->programs[j], s->loaded);
		for (int j = 0; j < SOURCE_PROGRAMS_MAX && s->others[j]; j++)
			bpf_program__set_autoload(s->others[j], s->loaded);
		if (event_sources[i]->configure)
			event_sources[i]->configure(session, s->loaded);
	}
}

void session_detach_source(struct session_source *s)
{
	for (int i = SOURCE_PROGRAMS_MAX - 1; i >= 0; i--) {
		bpf_link__destroy(s->links[i]);
		s->links[i] = NULL;
	}
}

int session_attach_source(struct session_source *s)
{
	int err;

	for (int i = 0; i < SOURCE_PROGRAMS_MAX && s->loaded && s->programs[i]; i++) {
		if (s->links[i])
			continue;
		s->links[i] = bpf_program__attach(s->programs[i]);
		if (s->links[i])
			continue;
		err = -errno;
		session_detach_source(s);
		return err;
	}
	return 0;
}

static int prepare_source(struct session *session, int i)
{
	if (!session->sources[i].loaded || !event_sources[i]->prepare)
		return 0;
	return event_sources[i]->prepare(session);
}

int session_attach(struct session *session)
{
	int err = 0;

	for (int turn = 0; turn < TURNS && !err; turn++)
		for (int i = 0; i < EVENT_SOURCE_COUNT && !err; i++)
			if (event_sources[i]->turn == turns[turn])
				err = prepare_source(session, i)
					      ?: session_attach_source(&session->sources[i]);
	if (err)
		session_detach(session);
	return err;
}

void session_detach(struct session *session)
{
	/* Detaching probes takes long. Counting lines ends now; the probes are detached after
	 * session_settle(). */
	if (session->running && session->options.lines)
		*session->bpf.variable.lines_off = 1;
	/* In reverse order of attaching. */
	for (int turn = TURNS - 1; turn >= 0; turn--)
		for (int i = EVENT_SOURCE_COUNT - 1; i >= 0; i--)
			if (event_sources[i]->turn == turns[turn])
				session_detach_source(&session->sources[i]);
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++)
		session_detach_source(&session->sources[i]);
}

int session_watch_copies(struct session *session)
{
	session->copies_wanted = true;
	return session->events_shed ? 0 : session_attach_copies(session);
}

int session_attach_copies(struct session *session)
{
	struct session_source *copies = &session->sources[EVENT_SOURCE_copies];
	int err;

	if (!copies->loaded || copies->links[0])
		return 0;
	err = session_attach_source(copies);
	if (err)
		return err;
	*session->bpf.variable.copies_watched = 1;
	return 0;
}

bool session_sees_mappings(const struct session *session)
{
	static const int tellers[] = {EVENT_SOURCE_vm_functions, EVENT_SOURCE_vm_locks,
				      EVENT_SOURCE_syscall};

	for (size_t i = 0; i < sizeof(tellers) / sizeof(tellers[0]); i++)
		if (session->sources[tellers[i]].loaded &&
		    !(session->events_shed && session_can_shed(session, tellers[i])))
			return true;
	return false;
}

bool session_counts_faults(const struct session *session)
{
	return session->sources[EVENT_SOURCE_fault].loaded;
}

bool session_counts_copies(const struct session *session)
{
	return session->sources[EVENT_SOURCE_copies].loaded;
}

bool session_counts_stalls(const struct session *session)
{
	return session->sources[EVENT_SOURCE_reclaim].loaded ||
	       session->sources[EVENT_SOURCE_memcg].loaded ||
	       session->sources[EVENT_SOURCE_compaction].loaded ||
	       session->sources[EVENT_SOURCE_throttled].loaded ||
	       session->sources[EVENT_SOURCE_high].loaded;
}

unsigned session_extras(const struct session *session)
{
	static const struct {
		enum event_source_id source;
		enum pymem_extra_kind kind;
	} kinds[] = {
		{EVENT_SOURCE_huge, PYMEM_EXTRA_HUGE},
		{EVENT_SOURCE_swap, PYMEM_EXTRA_SWAP},
		{EVENT_SOURCE_swap_in, PYMEM_EXTRA_WAITS},
		{EVENT_SOURCE_external, PYMEM_EXTRA_EXTERNAL},
	};
	unsigned extras = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (session->sources[kinds[i].source].loaded)
			extras |= kinds[i].kind;
	return extras;
}

size_t session_huge_page_bytes(const struct session *session)
{
	return session->sources[EVENT_SOURCE_huge].loaded ? session->kernel.huge_page_bytes : 0;
}

bool session_counts_kernel(const struct session *session)
{
	return session->sources[EVENT_SOURCE_tables].loaded;
}

void session_each_note(const struct session *session, void (*fn)(const char *text, void *arg),
		       void *arg)
{
	const struct kernel_features *kernel = &session->kernel;
	const char *note;

	for (int i = 0; i < EVENT_SOURCE_COUNT; i++) {
		note = event_source_note(event_sources[i], &session->options, kernel);
		if (note)
			fn(note, arg);
	}
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++)
		if (event_sources[i]->differs && event_sources[i]->differs(kernel))
			fn(event_sources[i]->difference, arg);
}

/* Events for which the kernel did not run the programs of a source. */
static uint64_t events_passed_over(const struct session_source *s)
{
	uint64_t events = 0;

	for (int i = 0; i < SOURCE_PROGRAMS_MAX && s->loaded && s->programs[i]; i++) {
		struct bpf_prog_info info = {};
		uint32_t size = sizeof(info);

		/* Of a program of our own that is loaded: there is nothing that could fail. */
		if (!bpf_obj_get_info_by_fd(bpf_program__fd(s->programs[i]), &info, &size))
			events += info.recursion_misses;
	}
	return events;
}

void session_each_dropped(const struct session *session,
			  void (*fn)(uint64_t events, const char *text, void *arg), void *arg)
{
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++)
		if (session->sources[i].dropped)
			fn(*session->sources[i].dropped, event_sources[i]->dropped_text, arg);
	for (int i = 0; i < EVENT_SOURCE_COUNT; i++)
		if (event_sources[i]->passed_text)
			fn(events_passed_over(&session->sources[i]), event_sources[i]->passed_text,
			   arg);
	fn(*session->bpf.variable.shortened_stacks,
	   "times a new stack was cut after some of its frames, since its process runs too much "
	   "code that is new",
	   arg);
}

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An event source is what is attached to the kernel to learn of one kind of event. Its descriptor,
 * user/kernel/source_NAME.c, says all that the rest of the program has to know of it: what is
 * loaded and attached, in which turn, what `check` prints, why a kernel is refused, what a report
 * says that a kernel lacks, all follows from the descriptors. docs/ADDING.md adds one step by step.
 *
 * What is decided here is pure: it depends on options and on what is known of a kernel, and touches
 * no program. session_sources.c does what is decided.
 */
#ifndef EVENT_SOURCE_H
#define EVENT_SOURCE_H

#include <stdbool.h>

#include "kernel/kernel.h"
#include "kernel/session.h"

/* All there are, in the order in which `check` and reports speak of them. */
#define EVENT_SOURCES(X) \
	X(rss)           \
	X(lifecycle)     \
	X(fault)         \
	X(copies)        \
	X(syscall)       \
	X(lines)

enum event_source_id {
#define EVENT_SOURCE_ID(id) EVENT_SOURCE_##id,
	EVENT_SOURCES(EVENT_SOURCE_ID)
#undef EVENT_SOURCE_ID
		EVENT_SOURCE_COUNT,
};

#define SOURCE_PROGRAMS_MAX 8
#define SOURCE_NEEDS_MAX    4
#define NEED_TYPES_MAX	    4

/* One thing that the kernel must have for a source, or the user be allowed. */
struct source_need {
	/* On which kernels it is needed; NULL: on all. */
	bool (*applies)(const struct kernel_features *kernel);
	/* It is met if the kernel has all of these types, and... */
	struct kernel_btf_wanted types[NEED_TYPES_MAX];
	/* ...this says so; NULL: nothing else is asked. */
	bool (*met)(const struct kernel_features *kernel);
	/* Not NULL: a need of the user's, not of the kernel's, about which only `check` asks. Who
	 * is not allowed is told when the source is attached. */
	bool (*allowed)(void);

	const char *what;    /* needed: "tracepoint kmem:rss_stat", the line of `check` */
	const char *detail;  /* behind it; NULL: nothing */
	const char *remedy;  /* below it where the need is not met */
	const char *refusal; /* not NULL: a session that is to have the source is refused so */
	const char *note;    /* else: what its report says; NULL: nothing */
};

/* When session_attach() attaches it. Within a turn the order is that of EVENT_SOURCES. */
enum source_turn {
	SOURCE_EVENTS, /* any time after the lifecycle: as most are */
	/* Before the lifecycle's programs on the same tracepoints, which forget the thread. */
	SOURCE_BEFORE_LIFECYCLE,
	/* First of what measures: an image that ends while the others attach must be seen to end.
	 */
	SOURCE_LIFECYCLE,
	SOURCE_LAST,
	/* By session_attach() never: costs too much to be attached before there is a reason. */
	SOURCE_ON_DEMAND,
};

struct session;

struct event_source {
	const char *name;
	/* BPF programs by name. `programs` are attached, in this order; `others` are loaded with
	 * them and attached or run elsewhere: on probes of files, as iterators. */
	const char *programs[SOURCE_PROGRAMS_MAX];
	const char *others[SOURCE_PROGRAMS_MAX];
	enum source_turn turn;

	/* Not NULL: of use only together with that one, and wanted whenever that one is. */
	const struct event_source *part_of;
	/* Do the options ask for it? NULL: always. */
	bool (*asked)(const struct session_options *options);
	/* Must such a kernel have it, whatever is asked for? NULL: none. */
	bool (*required)(const struct kernel_features *kernel);
	struct source_need needs[SOURCE_NEEDS_MAX]; /* ends at the first without `what` */

	/* What reports say of kernels on which it works otherwise. */
	bool (*differs)(const struct kernel_features *kernel);
	const char *difference;

	/* Its events that found a table full: a __u64 of the BPF side that counts them, and what
	 * reports say behind the number. */
	const char *dropped;
	const char *dropped_text;

	/* Sets its knobs, sizes its maps, before the load; NULL: it has none. Called whether or not
	 * it will be loaded, as `loaded` says. */
	void (*configure)(struct session *session, bool loaded);
};

#define EVENT_SOURCE_DECLARE(id) extern const struct event_source source_##id;
EVENT_SOURCES(EVENT_SOURCE_DECLARE)
#undef EVENT_SOURCE_DECLARE

extern const struct event_source *const event_sources[EVENT_SOURCE_COUNT];

/* Has kernel_probe() ask about all that the sources need. */
void event_sources_ask(struct kernel_features *kernel);

bool source_need_is_met(const struct source_need *need, const struct kernel_features *kernel);

/* Is it on such a kernel part of every session, so that none can be without what it needs? */
bool event_source_is_required(const struct event_source *source,
			      const struct kernel_features *kernel);

/* Is it wanted, and is all there that it needs? */
bool event_source_is_loaded(const struct event_source *source,
			    const struct session_options *options,
			    const struct kernel_features *kernel);

/* Why a session with such options can't be had on that kernel, and what would help; NULL: it can.
 */
const char *event_source_refusal(const struct event_source *source,
				 const struct session_options *options,
				 const struct kernel_features *kernel);
const char *event_sources_refusal(const struct session_options *options,
				  const struct kernel_features *kernel);

/* What a report has to say of what was asked for and the kernel lacks; NULL: nothing. */
const char *event_source_note(const struct event_source *source,
			      const struct session_options *options,
			      const struct kernel_features *kernel);

#endif

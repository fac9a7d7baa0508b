/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An event source is what is attached to the kernel to learn of one kind of event. Its descriptor
 * is in user/kernel/source_NAME.c. All that the program does with a source follows from the
 * descriptor: what is loaded and attached, in which order, what `check` prints, why a kernel is
 * refused, and what a report says if the kernel lacks something. docs/ADDING.md adds a source step
 * by step.
 *
 * The decisions here are pure: they depend on options and on what is known of a kernel, and touch
 * no program. session_sources.c carries them out. */
#ifndef EVENT_SOURCE_H
#define EVENT_SOURCE_H

#include <stdbool.h>

#include "kernel/kernel.h"
#include "kernel/session.h"

/* All sources, in the order in which `check` and reports name them. */
#define EVENT_SOURCES(X) \
	X(rss)           \
	X(lifecycle)     \
	X(again)         \
	X(fault)         \
	X(copies)        \
	X(vm_functions)  \
	X(syscall)       \
	X(vm_locks)      \
	X(vm_moves)      \
	X(reclaim)       \
	X(memcg)         \
	X(compaction)    \
	X(throttled)     \
	X(high)          \
	X(cache)         \
	X(huge)          \
	X(collapse)      \
	X(swap)          \
	X(swap_in)       \
	X(external)      \
	X(tables)        \
	X(table_faults)  \
	X(kernel_slab)   \
	X(kernel_pages)  \
	X(kernel_caches) \
	X(kernel_kinds)  \
	X(lastwords)     \
	X(victims)       \
	X(touched)       \
	X(lines)         \
	X(lines_again)

enum event_source_id {
#define EVENT_SOURCE_ID(id) EVENT_SOURCE_##id,
	EVENT_SOURCES(EVENT_SOURCE_ID)
#undef EVENT_SOURCE_ID
		EVENT_SOURCE_COUNT,
};

#define SOURCE_PROGRAMS_MAX 8
#define SOURCE_NEEDS_MAX    4
#define NEED_TYPES_MAX	    6

/* Something that the kernel must have for a source, or that the user must be allowed. */
struct source_need {
	/* True on kernels that need it. NULL: all do. */
	bool (*applies)(const struct kernel_features *kernel);
	/* It is met if the kernel has all of these types, ... */
	struct kernel_btf_wanted types[NEED_TYPES_MAX];
	bool one_of; /* ... or, if this is true, one of them, ... */
	/* ... and if this returns true. NULL: the types suffice. */
	bool (*met)(const struct kernel_features *kernel);
	/* Not NULL: a need of the user, not of the kernel. Only `check` asks. In other commands
	 * attaching fails, and that error is reported. */
	bool (*allowed)(void);

	const char *what;   /* the line of `check`, e.g. "tracepoint kmem:rss_stat" */
	const char *detail; /* printed behind it; NULL: nothing */
	const char *remedy; /* printed below it if the need is not met */
	/* Not NULL: a session that asks for the source is refused with this text. */
	const char *refusal;
	const char *note; /* else the report has this note; NULL: none */
};

/* When session_attach() attaches a source. Within a turn, the order is that of EVENT_SOURCES. */
enum source_turn {
	SOURCE_EVENTS, /* any time after the lifecycle; most sources */
	/* The lifecycle has programs on the same tracepoints, and they forget the thread. */
	SOURCE_BEFORE_LIFECYCLE,
	/* The first that measures. An image that ends while the others are being attached must be
	 * seen to end. */
	SOURCE_LIFECYCLE,
	SOURCE_LAST,
	/* Never attached by session_attach(): too expensive to be attached without a reason. */
	SOURCE_ON_DEMAND,
};

struct session;

struct event_source {
	const char *name;
	/* Names of BPF programs. `programs` are attached, in this order. `others` are loaded with
	 * them, and attached to probes of files or run as iterators elsewhere. */
	const char *programs[SOURCE_PROGRAMS_MAX];
	const char *others[SOURCE_PROGRAMS_MAX];
	enum source_turn turn;

	/* Not NULL: of use only together with that source, and loaded whenever that one is. */
	const struct event_source *part_of;
	/* True for kernels on which it is of use. NULL: all. */
	bool (*only_on)(const struct kernel_features *kernel);
	/* Not NULL: it is not loaded where that source is, which tells the same and is better, or
	 * where that one's own `rather` is. */
	const struct event_source *rather;
	/* Not NULL: its work is done by programs of that source or of one that is `rather` loaded.
	 * If none of them is, it is not loaded, and the report has the note `untold`. */
	const struct event_source *told_by;
	const char *untold;
	/* True if the options ask for it. NULL: they always do. */
	bool (*asked)(const struct session_options *options);
	/* True for kernels on which each session must have it, whatever the options. NULL: none. */
	bool (*required)(const struct kernel_features *kernel);
	struct source_need needs[SOURCE_NEEDS_MAX]; /* the first without `what` ends the list */

	/* True for kernels on which it works in another way; reports of these have the note
	 * `difference`. */
	bool (*differs)(const struct kernel_features *kernel);
	const char *difference;

	/* Not NULL: amounts can do without it, so it may be detached for a while; but not on
	 * kernels that require it. What is counted in part then: "page faults". */
	const char *shed;
	/* With `shed`: it tells where pages are touched, or cease to be. Where touches are noted it
	 * stays attached: without it, pages that were freed and touched again would keep the stacks
	 * that they had before. */
	bool touches;

	/* Name of a __u64 variable of the BPF side that counts events for which a table was full,
	 * and the text that a report prints behind that number. NULL: there is none. */
	const char *dropped;
	const char *dropped_text;
	/* Not NULL: its programs can be preempted by one another, and the kernel then passes over
	 * events (recursion_misses, since 5.12). The text that a report prints behind their number,
	 * in which are those of all processes of the host. */
	const char *passed_text;

	/* Sets its knobs and the sizes of its maps before the load. It is called whether or not the
	 * source will be loaded, which `loaded` says. NULL: there is nothing to set. */
	void (*configure)(struct session *session, bool loaded);
	/* After the load, before its programs are attached: the rest that they need. 0 or -errno:
	 * nothing is attached then. NULL: nothing. */
	int (*prepare)(struct session *session);
};

/* Of the functions that source_vm_functions names, the first ones: up to 6.1 their programs go on
 * with a program that they have in common. */
#define FUNCTIONS_THAT_SHARE_A_TAIL 3

#define EVENT_SOURCE_DECLARE(id) extern const struct event_source source_##id;
EVENT_SOURCES(EVENT_SOURCE_DECLARE)
#undef EVENT_SOURCE_DECLARE

extern const struct event_source *const event_sources[EVENT_SOURCE_COUNT];

/* Adds the types that all sources need to those that kernel_probe() looks for. */
void event_sources_ask(struct kernel_features *kernel);

/* True if the kernel has what this need asks for, or does not need it. */
bool source_need_is_met(const struct source_need *need, const struct kernel_features *kernel);

/* True if each session on such a kernel must have the source. */
bool event_source_is_required(const struct event_source *source,
			      const struct kernel_features *kernel);

/* True if the source is wanted and all its needs are met. */
bool event_source_is_loaded(const struct event_source *source,
			    const struct session_options *options,
			    const struct kernel_features *kernel);

/* Why a session with these options is impossible on that kernel, and what would help. A constant
 * text. NULL: it is possible. event_sources_refusal() asks all sources. */
const char *event_source_refusal(const struct event_source *source,
				 const struct session_options *options,
				 const struct kernel_features *kernel);
const char *event_sources_refusal(const struct session_options *options,
				  const struct kernel_features *kernel);

/* What a report says if the source was asked for and the kernel lacks it. A constant text. NULL:
 * nothing. */
const char *event_source_note(const struct event_source *source,
			      const struct session_options *options,
			      const struct kernel_features *kernel);

#endif
